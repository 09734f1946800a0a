"""The loop of a training: epochs whose order depends on seed and epoch only, and the file they are resumed from."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gmt_tasks.training.config import Schedule, TrainingConfig
from gmt_tasks.training.data import Prepared, select_targets
from models.crystals.crystal import Ints
from models.errors import ModelError
from models.gmtnet.loss import TypicalNorms, multi_task_loss
from models.gmtnet.network import GMTNet
from models.gmtnet.predictor import denormals_flushed
from models.gmtnet.torch_graph import TorchGraph
from models.quantities import TENSORS, Scalar

Report = Callable[[str], None]

MOST_REPEATS = 8
"""A handful of crystals that is seen more often per epoch is learned by heart."""

LOSS_WEIGHTS: dict[str, float] = {
    **{quantity: row.loss_weight for quantity, row in TENSORS.items()},
    "dielectric_electronic_mean": 1.2,
    "dielectric_total_mean": 2.0,
    "eps_principal": 2.0,
    "elastic_invariants": 3.0,
    "piezo_singular": 6.0,
    Scalar.BAND_GAP: 0.5,
    Scalar.METAL: 0.3,
    Scalar.FORMATION_ENERGY: 0.5,
    Scalar.EXPANSION: 0.12,
    Scalar.DISTORTION: 0.08,
}
"""Full tensors count most; the invariants and scalars that stand in for them count less."""


class TrainingLoop:
    """Optimiser, averages, schedule and the file they are resumed from; trials of other recipes change a method."""

    def __init__(self, network: GMTNet, config: TrainingConfig, out: Path, report: Report, device: str) -> None:
        self.network, self.config, self.report, self.device = network, config, report, device
        network.to(self.device)
        self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.average), use_buffers=True)  # type: ignore[no-untyped-call]
        self.optimizer = torch.optim.AdamW(
            network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.file = out / "state.pt"
        self.epoch, self.seconds = 0, 0.0
        self.losses: dict[str, float] = {}
        if self.file.exists():
            self._resume()

    def _resume(self) -> None:
        # The run may have begun on another device.
        state = torch.load(self.file, weights_only=True, map_location=self.device)
        if state["config"] != _key(self.config):
            raise ModelError(f"{self.file} belongs to another configuration. Give another --out, or remove the folder.")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.seconds, self.losses = state["epoch"], state["seconds"], state.get("losses", {})
        self.report(f"going on after epoch {self.epoch} of {self.config.epochs}")

    def _save(self) -> None:
        state = {
            "config": _key(self.config),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "seconds": self.seconds,
            "losses": self.losses,
        }
        partial = self.file.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.file)  # a kill in the middle of writing leaves the last whole state

    def run_epoch(self, data: Prepared, typical: TypicalNorms) -> None:
        """One pass in an order that depends on seed and epoch only, so that a resumed run is the same run."""
        start, config = time.monotonic(), self.config
        rng = np.random.default_rng([config.seed, self.epoch])
        batches = list(_batches(rng.permutation(self.order(data, rng)), data.atoms, config))
        self.network.train()
        sums: dict[str, list[float]] = {}
        with denormals_flushed():
            for step, rows in enumerate(batches):
                share = share_of_rate(config.schedule, (self.epoch + step / len(batches)) / config.epochs)
                for group in self.optimizer.param_groups:
                    group["lr"] = config.learning_rate * share
                for name, value in self._step(data, rows, typical).items():
                    sums.setdefault(name, []).append(value)
        self.losses = {name: float(np.mean(values)) for name, values in sums.items()}
        self.epoch += 1
        self._refuse_losses_that_are_no_numbers()
        self.seconds += time.monotonic() - start
        self._save()
        means = " ".join(f"{name} {value:.3f}" for name, value in self.losses.items())
        left = self.seconds / self.epoch * (config.epochs - self.epoch) / 60
        self.report(
            f"epoch {self.epoch}/{config.epochs} {time.monotonic() - start:.0f} s, {left:.0f} min left: {means}"
        )

    def order(self, data: Prepared, rng: np.random.Generator) -> Ints:
        """The crystals of an epoch, not yet mixed: scarce labels several times, candidates other ones each time."""
        config = self.config
        some = rng.permutation(data.candidates)[: config.candidates_per_epoch]
        some = np.concatenate([some, rng.permutation(data.computed)[: config.computed_per_epoch]])
        known = np.concatenate([data.labelled, *[data.scarce] * (config.piezo_repeat - 1)])
        return np.concatenate([known, *[data.new] * (repeats(known, data.new, config.new_share) - 1), some])

    def _refuse_losses_that_are_no_numbers(self) -> None:
        """Weights are lost once a loss is not finite; going on would only cost time."""
        broken = [name for name, value in self.losses.items() if not math.isfinite(value)]
        if broken:
            raise ModelError(
                f"{len(broken)} of {len(self.losses)} losses are no number in epoch {self.epoch}: {', '.join(broken)}. "
                "Look for labels that are no numbers or absurd, or lower the learning rate."
            )

    def _step(self, data: Prepared, rows: Ints, typical: TypicalNorms) -> dict[str, float]:
        losses = self.weighted_losses(data, rows, typical)
        total = sum(weight * loss for weight, loss in losses.values())
        self.optimizer.zero_grad(set_to_none=True)
        torch.as_tensor(total).backward()  # type: ignore[no-untyped-call]
        # one absurd label must not throw the weights away
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.average.update_parameters(self.network)
        return {name: float(loss.detach()) for name, (_, loss) in losses.items()}

    def weighted_losses(
        self, data: Prepared, rows: Ints, typical: TypicalNorms
    ) -> dict[str, tuple[float, torch.Tensor]]:
        """Weight and loss of every kind of label in a batch."""
        graph = TorchGraph.from_graph(data.graph.select(rows), self.device, torch.float32)
        predicted = self.network(graph)
        for quantity, matrices in data.corrections.items():
            if quantity in predicted:
                picked = matrices[torch.as_tensor(rows)].to(self.device)
                predicted[quantity] = torch.einsum("nij,nj->ni", picked, predicted[quantity])
        losses = multi_task_loss(predicted, select_targets(data, rows, self.device), typical, self.config.loss)
        return {name: (LOSS_WEIGHTS[name], loss) for name, loss in losses.items()}

    def averaged_network(self) -> GMTNet:
        """The exponential moving average of the weights as a network."""
        result = self.average.module
        if not isinstance(result, GMTNet):
            raise ModelError("The averaged model lost its type; this is a defect of the training loop.")
        return result.cpu().eval()


def repeats(known: Ints, new: Ints, share: float) -> int:
    """How often new crystals are seen per epoch so that they are a share of what is seen, at most MOST_REPEATS times.

    Args:
        known: crystals of an epoch, those with scarce labels several times, indices.
        new: which crystals are new, indices.
        share: of the new ones, 0 to 1.
    """
    n_new = int(np.isin(known, new).sum())
    if not n_new or not share:
        return 1
    return int(np.clip(round(share / (1.0 - share) * (len(known) - n_new) / n_new), 1, MOST_REPEATS))


def share_of_rate(schedule: Schedule, progress: float) -> float:
    """The learning rate after a share `progress` of all steps, as a share of its highest value."""
    if schedule is Schedule.LINEAR:
        return 1.0 - 0.99 * progress
    return min(1.0, progress / 0.02) * (0.01 + 0.495 * (1 + math.cos(math.pi * progress)))


def _key(config: TrainingConfig) -> dict[str, Any]:
    """What a resumed run must share; plain text, which is all that a state file may hold."""
    plain = {k: str(v) if isinstance(v, StrEnum) else v for k, v in asdict(config).items()}
    # names do not change what is computed; configurations of before there were starts have no start
    unsaid = {"data", "name", "version", "snapshot"}
    unsaid |= set() if config.start else {"start", "start_member", "new_share", "start_share"}
    unsaid |= set() if config.teacher else {"teacher"}
    unsaid |= set() if config.computed else {"computed", "computed_per_epoch"}
    return {k: v for k, v in plain.items() if k not in unsaid}


def _batches(order: Ints, atoms: Ints, config: TrainingConfig) -> Iterator[Ints]:
    """Consecutive crystals up to the bounds on crystals and atoms."""
    start, total = 0, 0
    for k, row in enumerate(order):
        if k > start and (k - start == config.batch_crystals or total + atoms[row] > config.batch_atoms):
            yield order[start:k]
            start, total = k, 0
        total += int(atoms[row])
    yield order[start:]
