"""Training: labelled crystals -> a checkpoint. Seeded, resumable, one network for all tensors.

A run lives in a folder: `state.pt` after every epoch (weights, optimiser, averages, epoch; read back only by this
code), and at the end the checkpoint (safetensors + JSON).
"""

import math
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gmt_tasks.labels import LabelledCrystals, Split, read_labels
from models.crystal import Ints
from models.errors import ModelError
from models.gmtnet.card import ModelCard
from models.gmtnet.checkpoint import save_checkpoint
from models.gmtnet.config import CONFIGS, GMTNetConfig
from models.gmtnet.loss import Targets, TypicalNorms, head_scales, multi_task_loss
from models.gmtnet.network import GMTNet, TorchGraph
from models.gmtnet.predictor import denormals_flushed
from models.graph import CrystalGraph, build_graph
from models.quantities import Tensor

CONFIG_FOLDER = Path(__file__).resolve().parent.parent / "models" / "weights"

Report = Callable[[str], None]

LOSS_WEIGHTS: dict[str, float] = {
    Tensor.DIELECTRIC_ELECTRONIC: 1.0,
    Tensor.DIELECTRIC_TOTAL: 1.5,
    Tensor.PIEZOELECTRIC: 3.0,
    Tensor.ELASTIC: 1.0,
    "dielectric_electronic_mean": 0.3,
    "dielectric_total_mean": 0.5,
    "eps_principal": 0.5,
    "k_voigt": 0.3,
    "g_voigt": 0.3,
}
"""Full tensors count most, the rarest above all; the invariants that stand in for them count less."""


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
        learning_rate, weight_decay: of AdamW; linear warm-up over 2 %, then cosine decay to 1 %.
        average: decay of the exponential moving average of the weights.
        piezo_repeat: how often a crystal with a piezoelectric or total dielectric tensor is seen per epoch: these
            labels are the fewest.
        max_atoms: larger cells are left out of training (not of evaluation).
        limit: at most this many training crystals (0 = all), for trials.
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
    average: float = 0.995
    piezo_repeat: int = 3
    max_atoms: int = 80
    limit: int = 0

    @staticmethod
    def read(config: str) -> "TrainingConfig":
        """Reads a TOML file, or the shipped one of that name.

        Raises:
            ModelError: no such file, unknown keys, unknown network.
        """
        path = Path(config) if config.endswith(".toml") else CONFIG_FOLDER / f"{config}.toml"
        if not path.exists():
            known = ", ".join(sorted(p.stem for p in CONFIG_FOLDER.glob("*.toml")))
            raise ModelError(
                f"There is no training configuration {config}. Shipped: {known}; or give a path to a .toml file."
            )
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        unknown = sorted(set(data) - {f.name for f in fields(TrainingConfig)})
        if unknown or data.get("network", "gmtnet") not in CONFIGS:
            raise ModelError(
                f"{path}: unknown keys {unknown} or unknown network. Networks are {', '.join(CONFIGS)}; "
                "keys are the fields of TrainingConfig."
            )
        return TrainingConfig(**data)


@dataclass
class _Prepared:
    """Training data as the loop wants it: graphs once, labels as tensors."""

    graph: CrystalGraph
    targets: Targets
    atoms: Ints


def train(
    config: TrainingConfig, out: Path, *, report: Report = print, stop_after_epoch: int | None = None
) -> ModelCard | None:
    """Trains (or goes on training) and writes the checkpoint.

    Args:
        config: what to train on what.
        out: folder of this run; an unfinished run found there with the same configuration is resumed.
        report: receives one line per event.
        stop_after_epoch: leave the run resumable after that epoch instead of finishing.

    Returns:
        The card of the finished model, None if stopped before the end.
    """
    out.mkdir(parents=True, exist_ok=True)
    data = read_labels(Path(config.data))
    rows = _training_rows(data, config)
    network = make_network(CONFIGS[config.network], data, rows, config.seed)
    typical = typical_norms(data, rows)
    report(
        f"{len(rows)} training crystals, {sum(p.numel() for p in network.parameters()):,} weights, seed {config.seed}"
    )
    loop = _Loop(network, config, out, report)
    prepared = _prepare(data, rows, network.config)
    seen_often = np.flatnonzero(_scarce(data)[rows])
    while loop.epoch < config.epochs:
        loop.run_epoch(prepared, seen_often, typical)
        if loop.epoch == stop_after_epoch:
            return None
    elements = tuple(int(z) for z in np.unique(data.crystals.select(rows).numbers))
    facts = asdict(config) | {
        "data": Path(config.data).name,
        "date": datetime.now(UTC).date().isoformat(),
        "n_crystals": len(rows),
    }
    return save_checkpoint(
        loop.averaged_network(), out, ModelCard(config.name, config.version, "", network.config, elements, {}, facts)
    )


def make_network(network: GMTNetConfig, data: LabelledCrystals, rows: Ints, seed: int) -> GMTNet:
    """A fresh network whose heads are scaled to the training labels."""
    torch.manual_seed(seed)
    model = GMTNet(network)
    for quantity in network.tensors:
        labels = data.components[quantity][rows]
        labels = labels[~np.isnan(labels[:, 0])]
        if not len(labels):
            raise ModelError(
                f"No training label for {quantity.value}. Add a label file, or take it out of the network's tensors."
            )
        scales, head = head_scales(quantity, labels, by_norm=network.magnitude), model.heads[quantity.value]
        for name in ("mean", "scale", "log_norm", "spread"):
            getattr(head, name).copy_(torch.as_tensor(getattr(scales, name)))
    return model


def typical_norms(data: LabelledCrystals, rows: Ints) -> TypicalNorms:
    """Median Frobenius norm of the training labels of each quantity."""
    norms = {}
    for quantity, values in data.components.items():
        sizes = np.linalg.norm(values[rows], axis=1)
        norms[quantity] = float(np.nanmedian(sizes))
    return TypicalNorms(norms)


def make_targets(data: LabelledCrystals, rows: Ints, device: str = "cpu") -> Targets:
    """Labels of the given crystals as float32 tensors."""

    def move(array: Any) -> torch.Tensor:
        return torch.as_tensor(array[rows], dtype=torch.float32, device=device)

    return Targets(
        {q: move(c) for q, c in data.components.items()},
        torch.as_tensor(data.sign_unproven[rows], device=device),
        move(data.eps_mean),
        move(data.eps_principal),
        move(data.moduli),
        move(data.moduli_weight),
    )


class _Loop:
    """Optimiser, averages, schedule and the file they are resumed from."""

    def __init__(self, network: GMTNet, config: TrainingConfig, out: Path, report: Report) -> None:
        self.network, self.config, self.report = network, config, report
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        network.to(self.device)
        self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.average), use_buffers=True)  # type: ignore[no-untyped-call]
        self.optimizer = torch.optim.AdamW(
            network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.file = out / "state.pt"
        self.epoch, self.seconds = 0, 0.0
        if self.file.exists():
            self._resume()

    def _resume(self) -> None:
        state = torch.load(self.file, weights_only=True)
        if state["config"] != _key(self.config):
            raise ModelError(f"{self.file} belongs to another configuration. Give another --out, or remove the folder.")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.seconds = state["epoch"], state["seconds"]
        self.report(f"going on after epoch {self.epoch} of {self.config.epochs}")

    def _save(self) -> None:
        state = {
            "config": _key(self.config),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "seconds": self.seconds,
        }
        partial = self.file.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.file)  # a kill in the middle of writing leaves the last whole state

    def run_epoch(self, data: _Prepared, seen_often: Ints, typical: TypicalNorms) -> None:
        """One pass in an order that depends on seed and epoch only, so that a resumed run is the same run."""
        start, config = time.monotonic(), self.config
        rng = np.random.default_rng([config.seed, self.epoch])
        order = np.concatenate([np.arange(len(data.atoms)), *[seen_often] * (config.piezo_repeat - 1)])
        batches = list(_batches(rng.permutation(order), data.atoms, config))
        self.network.train()
        sums: dict[str, list[float]] = {}
        with denormals_flushed():
            for step, rows in enumerate(batches):
                self._set_rate((self.epoch + step / len(batches)) / config.epochs)
                for name, value in self._step(data, rows, typical).items():
                    sums.setdefault(name, []).append(value)
        self.epoch += 1
        self.seconds += time.monotonic() - start
        self._save()
        means = " ".join(f"{name} {np.mean(values):.3f}" for name, values in sums.items())
        left = self.seconds / self.epoch * (config.epochs - self.epoch) / 60
        self.report(
            f"epoch {self.epoch}/{config.epochs} {time.monotonic() - start:.0f} s, {left:.0f} min left: {means}"
        )

    def _step(self, data: _Prepared, rows: Ints, typical: TypicalNorms) -> dict[str, float]:
        graph = TorchGraph.from_graph(data.graph.select(rows), self.device, torch.float32)
        targets = _select_targets(data.targets, torch.as_tensor(rows), self.device)
        losses = multi_task_loss(self.network(graph), targets, typical)
        shares = {name: _share_of_labels(targets, name) for name in losses}
        total = sum(LOSS_WEIGHTS[name] * shares[name] * loss for name, loss in losses.items())
        self.optimizer.zero_grad(set_to_none=True)
        torch.as_tensor(total).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.average.update_parameters(self.network)
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def _set_rate(self, progress: float) -> None:
        warm = min(1.0, progress / 0.02)
        rate = self.config.learning_rate * warm * (0.01 + 0.495 * (1 + math.cos(math.pi * progress)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def averaged_network(self) -> GMTNet:
        """The exponential moving average of the weights as a network."""
        result = self.average.module
        if not isinstance(result, GMTNet):
            raise ModelError("The averaged model lost its type; this is a defect of the training loop.")
        return result.cpu().eval()


def _share_of_labels(targets: Targets, name: str) -> float:
    """Share of a batch that carries a label, so that a rare kind is not blown up when a batch holds one of it."""
    column = _label_column(targets, name)
    return float((~torch.isnan(column)).float().mean()) * 4.0


def _label_column(targets: Targets, name: str) -> torch.Tensor:
    special = {
        "dielectric_electronic_mean": targets.eps_mean[:, 0],
        "dielectric_total_mean": targets.eps_mean[:, 1],
        "eps_principal": targets.eps_principal[:, 0],
        "k_voigt": targets.moduli[:, 0],
        "g_voigt": targets.moduli[:, 1],
    }
    return special[name] if name in special else targets.components[Tensor(name)][:, 0]


def _key(config: TrainingConfig) -> dict[str, Any]:
    return {k: v for k, v in asdict(config).items() if k not in {"data", "name", "version"}}


def _training_rows(data: LabelledCrystals, config: TrainingConfig) -> Ints:
    rows = data.rows(Split.TRAIN)
    rows = rows[data.crystals.atoms_per_crystal[rows] <= config.max_atoms]
    if config.limit:
        rows = np.sort(np.random.default_rng(config.seed).permutation(rows)[: config.limit])
    return rows


def _scarce(data: LabelledCrystals) -> np.ndarray[Any, np.dtype[np.bool_]]:
    known = [~np.isnan(data.components[q][:, 0]) for q in (Tensor.PIEZOELECTRIC, Tensor.DIELECTRIC_TOTAL)]
    return np.logical_or(*known)


def _prepare(data: LabelledCrystals, rows: Ints, network: GMTNetConfig) -> _Prepared:
    batch = data.crystals.select(rows)
    graphs = [
        build_graph(batch.select(part), network.graph)
        for part in np.array_split(np.arange(len(rows)), max(1, len(rows) // 256))
    ]
    return _Prepared(join_graphs(graphs), make_targets(data, rows), batch.atoms_per_crystal)


def join_graphs(graphs: list[CrystalGraph]) -> CrystalGraph:
    """Concatenates graphs in order."""
    crystals = np.cumsum([0] + [g.n_crystals for g in graphs])
    atoms = np.cumsum([0] + [len(g.numbers) for g in graphs])
    return CrystalGraph(
        int(crystals[-1]),
        np.concatenate([g.numbers for g in graphs]),
        np.concatenate([g.crystal_of_atom + s for g, s in zip(graphs, crystals[:-1], strict=True)]),
        np.concatenate([g.center + s for g, s in zip(graphs, atoms[:-1], strict=True)]),
        np.concatenate([g.neighbor + s for g, s in zip(graphs, atoms[:-1], strict=True)]),
        np.concatenate([g.vector for g in graphs]),
        np.concatenate([g.closeness for g in graphs]),
    )


def _batches(order: Ints, atoms: Ints, config: TrainingConfig) -> Iterator[Ints]:
    """Consecutive crystals up to the bounds on crystals and atoms."""
    start, total = 0, 0
    for k, row in enumerate(order):
        if k > start and (k - start == config.batch_crystals or total + atoms[row] > config.batch_atoms):
            yield order[start:k]
            start, total = k, 0
        total += int(atoms[row])
    yield order[start:]


def _select_targets(targets: Targets, rows: torch.Tensor, device: str) -> Targets:
    picked = {f.name: getattr(targets, f.name) for f in fields(Targets) if f.name != "components"}
    components = {q: c[rows].to(device) for q, c in targets.components.items()}
    return replace(targets, components=components, **{k: v[rows].to(device) for k, v in picked.items()})
