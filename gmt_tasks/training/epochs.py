"""Epochs of any training: optimiser, averages, schedule, batches, and the file from which a killed run goes on."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gmt_tasks.training.config import Schedule, TrainingConfig
from models.crystals.crystal import Ints
from models.errors import ModelError
from models.gmtnet.predictor import denormals_flushed

Report = Callable[[str], None]
WeightedLosses = dict[str, tuple[float, torch.Tensor]]
"""Weight and loss by what is learned."""

Network = TypeVar("Network", bound=torch.nn.Module)


class EpochLoop(Generic[Network]):
    """What trainings of different labels share.

    Args:
        network: to be trained.
        config: of the run: rates, sizes of batches, seed.
        out: folder of the state.
        report: receives a line per epoch.
        device: "cpu" or "cuda".

    Raises:
        ModelError: the folder holds the state of another run.
    """

    def __init__(self, network: Network, config: TrainingConfig, out: Path, report: Report, device: str) -> None:
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
        kept, asked = state["config"], self.key()
        if kept != asked:
            differ = sorted(name for name in kept.keys() | asked.keys() if kept.get(name) != asked.get(name))
            raise ModelError(
                f"{self.file} belongs to another configuration ({', '.join(differ)}). "
                "Give another --out, or remove the folder."
            )
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.seconds, self.losses = state["epoch"], state["seconds"], state.get("losses", {})
        self.report(f"going on after epoch {self.epoch} of {self.config.epochs}")

    def _save(self) -> None:
        state = {
            "config": self.key(),
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

    def key(self) -> dict[str, Any]:
        """What a resumed run must share; plain text, which is all that a state file may hold."""
        plain = {k: str(v) if isinstance(v, StrEnum) else v for k, v in asdict(self.config).items()}
        # names do not change what is computed; configurations of before there were starts have no start
        unsaid = {"data", "name", "version", "snapshot"}
        unsaid |= set() if self.config.start else {"start", "start_member", "new_share", "start_share"}
        unsaid |= set() if self.config.teacher else {"teacher"}
        unsaid |= set() if self.config.computed else {"computed", "computed_per_epoch"}
        return {k: v for k, v in plain.items() if k not in unsaid}

    def epoch_rng(self) -> np.random.Generator:
        """What the order of the next epoch is drawn from."""
        return np.random.default_rng([self.config.seed, self.epoch])

    def run_batches(self, order: Ints, atoms: Ints, losses_of: Callable[[Ints], WeightedLosses]) -> None:
        """One epoch, after which the state is on disk.

        Args:
            order: crystals, indices.
            atoms: what each crystal costs, [n_crystals].
            losses_of: losses of a batch, by the indices of its crystals.
        """
        start, config = time.monotonic(), self.config
        batches = list(_batches(order, atoms, config))
        self.network.train()
        sums: dict[str, list[float]] = {}
        with denormals_flushed():
            for step, rows in enumerate(batches):
                share = share_of_rate(config.schedule, (self.epoch + step / len(batches)) / config.epochs)
                for group in self.optimizer.param_groups:
                    group["lr"] = config.learning_rate * share
                for name, value in self._step(losses_of(rows)).items():
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

    def _refuse_losses_that_are_no_numbers(self) -> None:
        """Weights are lost once a loss is not finite; going on would only cost time."""
        broken = [name for name, value in self.losses.items() if not math.isfinite(value)]
        if broken:
            raise ModelError(
                f"{len(broken)} of {len(self.losses)} losses are no number in epoch {self.epoch}: {', '.join(broken)}. "
                "Look for labels that are no numbers or absurd, or lower the learning rate."
            )

    def _step(self, losses: WeightedLosses) -> dict[str, float]:
        total = sum(weight * loss for weight, loss in losses.values())
        self.optimizer.zero_grad(set_to_none=True)
        torch.as_tensor(total).backward()  # type: ignore[no-untyped-call]
        # one absurd label must not throw the weights away
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.average.update_parameters(self.network)
        return {name: float(loss.detach()) for name, (_, loss) in losses.items()}

    def averaged_network(self) -> Network:
        """The exponential moving average of the weights as a network."""
        return cast("Network", self.average.module.cpu().eval())


def share_of_rate(schedule: Schedule, progress: float) -> float:
    """The learning rate after a share `progress` of all steps, as a share of its highest value."""
    if schedule is Schedule.LINEAR:
        return 1.0 - 0.99 * progress
    return min(1.0, progress / 0.02) * (0.01 + 0.495 * (1 + math.cos(math.pi * progress)))


def _batches(order: Ints, atoms: Ints, config: TrainingConfig) -> Iterator[Ints]:
    """Consecutive crystals up to the bounds on crystals and atoms."""
    start, total = 0, 0
    for k, row in enumerate(order):
        if k > start and (k - start == config.batch_crystals or total + atoms[row] > config.batch_atoms):
            yield order[start:k]
            start, total = k, 0
        total += int(atoms[row])
    yield order[start:]
