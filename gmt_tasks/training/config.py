"""What a training run is: data, network, recipe. A TOML file of these fields beside the weights says how they came."""

import hashlib
import tomllib
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from models.errors import ModelError
from models.gmtnet.card import WEIGHTS_FOLDER, find_checkpoint, read_card
from models.gmtnet.config import CONFIGS
from models.gmtnet.loss import LossKind


class Schedule(StrEnum):
    """How the learning rate falls."""

    COSINE = "cosine"  # linear warm-up over 2 %, then cosine decay to 1 %
    LINEAR = "linear"  # to 1 %, as published


@dataclass(frozen=True)
class TrainingConfig:
    """A training run.

    Attributes:
        network: name of a network configuration ("gmtnet", "gmtnet-paper").
        data: folder of label files.
        name, version: of the model that comes out.
        seed: of weights, batches and order.
        epochs: passes over the training crystals.
        batch_crystals, batch_atoms: upper bounds of a batch.
        learning_rate, weight_decay: of AdamW.
        schedule: how the rate falls.
        loss: what an error of a full tensor costs.
        average: decay of the exponential moving average of the weights.
        piezo_repeat: how often a crystal with a piezoelectric or total dielectric tensor is seen per epoch: these
            labels are the fewest.
        max_atoms: larger cells are left out of training (not of evaluation).
        candidates: a Parquet file of crystals with `e_form`, `band_gap` in the data folder ("" = none): what is known
            of many more crystals than have tensors. Compositions of val and test are left out.
        candidates_per_epoch: how many of them are seen per epoch, other ones each time.
        computed: a file of crystals that a potential strained and distorted (gmt_tasks/training/computed.py) in the
            data folder ("" = none), from which the network learns volume. Compositions of val and test are left out.
        computed_per_epoch: how many of them are seen per epoch, other ones each time.
        limit: at most this many training crystals (0 = all), for trials.
        start: model whose weights the training goes on from, as a name or a checkpoint; "" starts from random ones.
        start_member: which of its networks.
        new_share: share of the crystals of an epoch, at least, that the start has not seen: a few new ones among
            thousands would hardly be learned.
        start_share: share of the start's weights in the result: half way back to its start a network keeps most of what
            it gained on new labels and less than half of what it lost elsewhere.
        teacher: ensemble whose answers the network learns beside the labels (distillation.py), "" for labels alone.
        snapshot: hash of the dataset snapshot in `data`, for the card; "" for a folder that is none.
    """

    network: str = "gmtnet"
    data: str = "../shared/data"
    name: str = "gmtnet"
    version: str = "0.1.0"
    seed: int = 0
    epochs: int = 20
    batch_crystals: int = 32
    batch_atoms: int = 800
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    schedule: Schedule = Schedule.COSINE
    loss: LossKind = LossKind.RELATIVE
    average: float = 0.995
    piezo_repeat: int = 3
    max_atoms: int = 80
    candidates: str = ""
    candidates_per_epoch: int = 0
    computed: str = ""
    computed_per_epoch: int = 0
    limit: int = 0
    start: str = ""
    start_member: int = 0
    new_share: float = 0.0
    start_share: float = 0.0
    teacher: str = ""
    snapshot: str = ""

    @staticmethod
    def read(config: str) -> "TrainingConfig":
        """Reads a TOML file, or the shipped one of that name.

        Raises:
            ModelError: no such file, unknown keys, unknown network.
        """
        path = Path(config) if config.endswith(".toml") else WEIGHTS_FOLDER / f"{config}.toml"
        if not path.exists():
            shipped = ", ".join(sorted(p.stem for p in WEIGHTS_FOLDER.glob("*.toml")))
            raise ModelError(
                f"There is no training configuration {config}. Shipped: {shipped}; or give a path to a .toml file."
            )
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        unknown = sorted(set(data) - {f.name for f in fields(TrainingConfig)})
        if unknown or data.get("network", "gmtnet") not in CONFIGS:
            raise ModelError(
                f"{path}: unknown keys {unknown} or unknown network. Networks are {', '.join(CONFIGS)}; "
                "keys are the fields of TrainingConfig."
            )
        try:
            # plain text in the file
            kinds = {name: kind(data[name]) for name, kind in _KINDS.items() if name in data}
        except ValueError as error:
            raise ModelError(f"{path}: {error}. Compare with {Path(__file__).name}.") from error
        return TrainingConfig(**data | kinds)


_KINDS: dict[str, type[StrEnum]] = {"schedule": Schedule, "loss": LossKind}


def training_facts(config: TrainingConfig) -> dict[str, Any]:
    """What a card says of a configuration: names and hashes instead of paths of this machine."""
    facts = asdict(config) | {
        "data": Path(config.data).name,
        "candidates": Path(config.candidates).name,
        "date": datetime.now(UTC).date().isoformat(),
    }
    for name in ("start", "teacher"):
        if facts[name]:
            card = read_card(find_checkpoint(facts[name]))
            facts[name] = f"{card.name}@{card.version} {card.sha256[:12]}"
    if config.computed:
        file = Path(config.data) / config.computed
        facts["computed"] = f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"
    return facts
