"""The loop of a generator's training: epochs whose order depends on seed and epoch only, resumed from a file."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.crystals.crystal import Ints
from models.errors import ModelError
from models.wyckoff.config import WyckoffConfig
from models.wyckoff.network import WyckoffNetwork
from models.wyckoff.sequences import Sequences, batches, log_probabilities, sequence_batch
from models.wyckoff.slots import SlotKind

Report = Callable[[str], None]


@dataclass(frozen=True)
class WyckoffTraining:
    """A training run of a generator.

    Attributes:
        network: its size.
        seed: of weights and order.
        epochs: passes over the crystals.
        batch_slots: of a batch, padding included.
        learning_rate, weight_decay: of AdamW; the rate rises over 2 % of the steps and falls as a cosine to 1 %.
        average: decay of the exponential moving average of the weights.
    """

    network: WyckoffConfig = field(default_factory=WyckoffConfig)
    seed: int = 1
    epochs: int = 24
    batch_slots: int = 3000
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    average: float = 0.998


class WyckoffLoop:
    """Optimiser, average, and the file from which a killed training goes on.

    Args:
        config: of the run.
        out: folder of the state.
        report: receives a line per epoch.

    Raises:
        ModelError: the folder holds the state of another run.
    """

    def __init__(self, config: WyckoffTraining, out: Path, report: Report) -> None:
        self.config, self.report = config, report
        torch.manual_seed(config.seed)
        self.network = WyckoffNetwork(config.network)
        self.average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(config.average))  # type: ignore[no-untyped-call]
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, betas=(0.9, 0.98)
        )
        out.mkdir(parents=True, exist_ok=True)
        self.file, self.best_file = out / "state.pt", out / "best.pt"
        self.epoch = 0
        self.curve: list[dict[str, float]] = []
        if self.file.exists():
            state = torch.load(self.file, weights_only=True)
            if state["config"] != asdict(config):
                raise ModelError(f"{self.file} belongs to another configuration. Give another folder, or remove it.")
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.epoch, self.curve = state["epoch"], state["curve"]
            report(f"going on after epoch {self.epoch} of {config.epochs}")

    def run_epoch(self, data: Sequences, train: Ints, val: Ints) -> None:
        """One pass over the rows `train`, then the likelihood of the rows `val` under the averaged weights."""
        start, config = time.monotonic(), self.config
        rng = np.random.default_rng([config.seed, self.epoch])
        torch.manual_seed(config.seed * 1000 + self.epoch)
        parts = list(batches(data.lengths, train, config.batch_slots, rng))
        self.network.train()
        total = 0.0
        for step, rows in enumerate(parts):
            rate = config.learning_rate * share_of_rate((self.epoch + step / len(parts)) / config.epochs)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            batch = sequence_batch(data, rows)
            loss = -log_probabilities(self.network, data, batch).sum()
            self.optimizer.zero_grad(set_to_none=True)
            # crystals count alike, long or short; batches have about as many slots
            (loss / len(batch.slots)).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.step()
            self.average.update_parameters(self.network)
            total += float(loss.detach())
        if not math.isfinite(total):
            raise ModelError(f"The loss is no number in epoch {self.epoch + 1}. Lower the learning rate.")
        self.epoch += 1
        held_out = mean_by_kind(self.averaged, data, val)
        self.curve.append({"train": total / len(train), "val": sum(held_out.values()), **held_out})
        if self.curve[-1]["val"] <= min(entry["val"] for entry in self.curve):
            _write(self.averaged.state_dict(), self.best_file)
        self._save()
        seconds = time.monotonic() - start
        self.report(
            f"epoch {self.epoch}/{config.epochs} {seconds:.0f} s: {total / len(train):.3f} nats per crystal, "
            f"held out {self.curve[-1]['val']:.3f}"
        )

    @property
    def averaged(self) -> WyckoffNetwork:
        """The network with averaged weights, in inference mode."""
        network = self.average.module
        if not isinstance(network, WyckoffNetwork):
            raise TypeError("the average is of another network")
        return network.eval()

    def _save(self) -> None:
        state = {
            "config": asdict(self.config),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "curve": self.curve,
        }
        _write(state, self.file)

    def best(self) -> WyckoffNetwork:
        """The averaged network of the epoch with the likeliest held-out crystals, in inference mode."""
        network = WyckoffNetwork(self.config.network)
        network.load_state_dict(torch.load(self.best_file, weights_only=True))
        return network.eval()


def _write(state: Any, file: Path) -> None:
    partial = file.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(file)  # a kill in the middle of writing leaves the last whole state


def share_of_rate(done: float) -> float:
    """Share of the learning rate when a share of all steps is done."""
    return min(done / 0.02, 1.0) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


@torch.inference_mode()
def mean_by_kind(network: WyckoffNetwork, data: Sequences, rows: Ints, most_slots: int = 6000) -> dict[str, float]:
    """Mean negative log-likelihood of crystals by kind of slot, nats per crystal; their sum is that of a crystal.

    Densities of continuous values are per distance of nodes.
    """
    sums = np.zeros(len(SlotKind))
    for part in batches(data.lengths, rows, most_slots, np.random.default_rng(0)):
        batch = sequence_batch(data, part)
        values = log_probabilities(network, data, batch).numpy()
        sums -= np.bincount(data.kind[batch.slots], weights=values, minlength=len(SlotKind))
    return {kind.name.lower(): float(sums[kind] / len(rows)) for kind in SlotKind}
