"""What one retraining is: snapshot, configurations, start. Its hash names the folder in which it can be resumed.

Fine-tuning is the default: each network goes on from the weights of one network of the current model, for a quarter of
the epochs at a quarter of the rate. It costs a quarter of a training from random weights, and its networks differ from
the current ones by what the new labels say, not by their random start. Where only a sample of the labels is there that
the current model was trained on (the base labels of a shipped one), epochs and rate are half, and the result goes half
of the way back to the current weights, so that it does not forget what it cannot see again.

Formulas never move between the parts of the data, so weights that were trained on an earlier training part never saw a
test crystal.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from db.records import ModelVersion
from gmt_tasks.retraining.options import RetrainOptions
from gmt_tasks.training.config import TrainingConfig
from models.errors import ModelError
from models.gmtnet.card import read_card

FINE_TUNING_SHARE = 0.25
"""Of the epochs and of the learning rate of a training from random weights."""

SMALL_SHARE = 0.5
"""The same where few of the labels are there that the current model was trained on: an epoch is short then."""

KEPT_SHARE = 0.7
"""Of the weights of the current model in a candidate that sees none of its labels again; of one that sees them all, 0.
With 200 nitrides and base labels (0.5 of the weights kept) three quarters of the gain stay, two fifths of the loss."""

FEW_REPLAYED = 0.5
"""Share of the formulas of the current model's training part below which few of its labels are there."""

NEW_SHARE = 0.25
"""Of the crystals of an epoch of fine-tuning, those that the current model has not seen. Tuned on val."""

FROM_SCRATCH_NETWORKS = 4
"""Networks of a new ensemble that has no current model to go on from."""


@dataclass(frozen=True)
class RetrainPlan:
    """One retraining.

    Attributes:
        snapshot: hash of the dataset snapshot.
        data: folder of the snapshot.
        configs: one training per network, with everything that decides its weights.
        current: the model that the candidate would replace, None for the first of its name.
        current_card: card of that model.
        current_snapshot: hash of the dataset that it was trained on, empty when it is unknown.
        folder: where everything of this retraining lies.
    """

    snapshot: str
    data: Path
    configs: tuple[TrainingConfig, ...]
    current: ModelVersion | None
    current_card: Path | None
    current_snapshot: str
    folder: Path

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.configs[0].name

    @property
    def version(self) -> str:
        """Version of the candidate."""
        return self.configs[0].version

    def network_folder(self, k: int) -> Path:
        """Where the k-th network is trained."""
        return self.folder / f"member-{k + 1}"

    @property
    def candidate_card(self) -> Path:
        """Card of the candidate: of the ensemble, or of its only network."""
        folder = self.folder / "candidate" if len(self.configs) > 1 else self.network_folder(0)
        return folder / f"{self.name}.json"

    def facts(self) -> dict[str, Any]:
        """What decides the candidate, as plain data without paths of this machine."""
        return _facts(self.snapshot, self.configs, self.current)


def make_plan(
    options: RetrainOptions,
    *,
    snapshot: str,
    data: Path,
    current: ModelVersion | None,
    current_card: Path | None,
    current_snapshot: str = "",
    replayed: float = 1.0,
) -> RetrainPlan:
    """The retraining that the options mean for a snapshot and a current model.

    Args:
        options: what was asked for.
        snapshot: hash of the dataset snapshot.
        data: its folder.
        current: the model that would be replaced.
        current_card: its card.
        current_snapshot: hash of the dataset that it was trained on.
        replayed: share of the formulas that it was trained on which the snapshot trains on again.

    Raises:
        ModelError: fine-tuning is asked for with more networks than the current model has.
    """
    config = TrainingConfig.read(options.config)
    fine = not options.from_scratch and current is not None
    n_current = read_card(current_card).n_networks if current_card is not None else 0
    n_networks = options.members or n_current or FROM_SCRATCH_NETWORKS
    if fine and n_networks > n_current:
        raise ModelError(
            f"{n_networks} networks cannot go on from the {n_current} networks of {current}. Ask for {n_current} or "
            "fewer, or train from scratch."
        )
    base = _on_snapshot(config, options, data, snapshot)
    if fine:
        base = _fine_tuned(base, options, replayed)
    start = str(current_card) if fine else ""
    configs = tuple(
        replace(base, seed=base.seed + k, start=start, start_member=k if fine else 0) for k in range(n_networks)
    )
    # The version names the dataset and everything else that decides the weights, so equal versions are equal models.
    key = sha256(json.dumps(_facts(snapshot, configs, current), sort_keys=True).encode()).hexdigest()
    version = f"{config.version}+{snapshot[:8]}.{key[:6]}"
    folder = options.where.runs.absolute() / f"{snapshot[:12]}-{key[:12]}"
    configs = tuple(replace(config, version=version) for config in configs)
    return RetrainPlan(snapshot, data, configs, current, current_card, current_snapshot, folder)


def _fine_tuned(config: TrainingConfig, options: RetrainOptions, replayed: float) -> TrainingConfig:
    """The configuration of a training that goes on from the current model."""
    share = FINE_TUNING_SHARE if replayed >= FEW_REPLAYED else SMALL_SHARE
    return replace(
        config,
        epochs=options.epochs or max(1, round(share * config.epochs)),
        learning_rate=share * config.learning_rate,
        new_share=NEW_SHARE,
        # new labels are what it is for; a distilled network keeps what it knows of its ensemble as far as they allow
        teacher="",
        # a hundredth more or less would be another model
        start_share=round(KEPT_SHARE * (1.0 - replayed), 1),
    )


def _on_snapshot(config: TrainingConfig, options: RetrainOptions, data: Path, snapshot: str) -> TrainingConfig:
    """The configuration on the snapshot; what is no label stays that of the configuration, where it is there."""
    return replace(
        config,
        data=str(data),
        snapshot=snapshot,
        epochs=options.epochs or config.epochs,
        candidates=_file_of(config, config.candidates),
        computed=_file_of(config, config.computed),
    )


def _file_of(config: TrainingConfig, name: str) -> str:
    """Absolute path of a file in the data folder of a configuration, "" where there is none."""
    path = (Path(config.data) / name).absolute()
    return str(path) if name and path.is_file() else ""


def _facts(snapshot: str, configs: tuple[TrainingConfig, ...], current: ModelVersion | None) -> dict[str, Any]:
    """What decides the weights of every network."""
    plain = [asdict(config) for config in configs]
    for facts in plain:
        # Paths differ between machines that make the same model, and the version is made of these facts.
        for name in ("data", "version", "start"):
            del facts[name]
        facts |= {name: Path(facts[name]).name for name in ("candidates", "computed")}
    start = current.sha256 if current is not None else ""
    return {"snapshot": snapshot, "start": start if configs[0].start else "", "against": start, "members": plain}


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Makes this process the only one that works in the folder of a retraining.

    Raises:
        ModelError: another process does.
    """
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ModelError(
                f"Another process retrains in {folder}. Wait for it, or stop it: the same command goes on where it was."
            ) from None
        yield
