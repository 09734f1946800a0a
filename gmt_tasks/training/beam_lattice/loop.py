"""The loop of training: epochs whose order depends on seed and epoch only, resumed from a file."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gmt_tasks.training.beam_lattice.data import LabelledNets, NetChoice
from gmt_tasks.training.beam_lattice.errors import net_errors
from gmt_tasks.training.wyckoff.loop import share_of_rate
from models.beam_lattice.net import Ints
from models.errors import ModelError
from models.gmtnet.beam_lattice.graph import graph_of_nets
from models.gmtnet.beam_lattice.predictor import (
    NETWORK,
    LatticeCard,
    LatticePredictor,
    relaxations,
)
from models.gmtnet.config import GMTNetConfig
from models.gmtnet.invariants import mandel_rows
from models.gmtnet.label_scales import positive_scales
from models.gmtnet.network import GMTNet, build_network
from models.quantities import Tensor

Report = Callable[[str], None]

_BEND = 0.1
"""Relative error beyond which the loss is linear."""

_EVERY_MODE = 0.03
"""Weight of the error that counts soft and stiff strains alike."""


@dataclass(frozen=True)
class LatticeTraining:
    """A training run of a network of nets.

    Attributes:
        choice: of the nets.
        network: its size.
        seed: of weights and order.
        epochs: passes over the nets.
        batch: nets of a step.
        learning_rate, weight_decay: of AdamW; the rate rises over 2 % of the steps and falls as a cosine to 1 %.
        average: decay of the exponential moving average of the weights.
    """

    choice: NetChoice = field(default_factory=NetChoice)
    network: GMTNetConfig = NETWORK
    seed: int = 1
    epochs: int = 20
    batch: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    average: float = 0.998


class LatticeLoop:
    """Optimiser, average, and the file from which a killed training goes on.

    Args:
        config: of the run.
        train: nets to learn from.
        out: folder of the state.
        report: receives a line per epoch.

    Raises:
        ModelError: the folder holds the state of another run.
    """

    def __init__(self, config: LatticeTraining, train: LabelledNets, out: Path, report: Report) -> None:
        self.config, self.train, self.report = config, train, report
        torch.manual_seed(config.seed)
        self.network = build_network(config.network)
        # the components of a matrix are its products with orthonormal ones
        scales = positive_scales(Tensor.ELASTIC, train.relaxation.reshape(-1, 36) @ mandel_rows(Tensor.ELASTIC).T)
        head = self.network.heads[Tensor.ELASTIC.value]
        for name, values in (("mean", scales.mean), ("scale", scales.scale)):
            head.get_buffer(name).copy_(torch.as_tensor(values))
        self.stiffness = torch.as_tensor(train.stiffness, dtype=torch.float32)
        self.root = torch.as_tensor(train.root, dtype=torch.float32)
        self.average = AveragedModel(
            self.network, multi_avg_fn=get_ema_multi_avg_fn(config.average), use_buffers=True  # type: ignore[no-untyped-call]
        )  # fmt: skip
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        out.mkdir(parents=True, exist_ok=True)
        self.file = out / "state.pt"
        self.epoch = 0
        self.curve: list[dict[str, float]] = []
        self.best: dict[str, TorchTensor] = {}
        if self.file.exists():
            self._resume()

    def _resume(self) -> None:
        state = torch.load(self.file, weights_only=True)
        if state["config"] != plain_config(self.config):
            raise ModelError(f"{self.file} belongs to another configuration. Give another folder, or remove it.")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.curve, self.best = state["epoch"], state["curve"], state["best"]
        self.report(f"going on after epoch {self.epoch} of {self.config.epochs}")

    def run_epoch(self, val: LabelledNets) -> None:
        """One pass over the nets, then the errors on `val` under the averaged weights."""
        start, cpu, config = time.monotonic(), time.process_time(), self.config
        order = np.random.default_rng([config.seed, self.epoch]).permutation(self.train.nets.n_nets)
        steps = np.array_split(order, max(1, len(order) // config.batch))
        self.network.train()
        total = 0.0
        for step, rows in enumerate(steps):
            rate = config.learning_rate * share_of_rate((self.epoch + step / len(steps)) / config.epochs)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            loss = self._loss(np.sort(rows))
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.step()
            self.average.update_parameters(self.network)
            total += float(loss.detach()) / len(steps)
        if not np.isfinite(total):
            raise ModelError(f"The loss is no number in epoch {self.epoch + 1}. Lower the learning rate.")
        self.epoch += 1
        errors = net_errors(val, self.predictor(self.averaged))
        self.curve.append({"train": total, "val": errors["nrmse"], "seconds": time.process_time() - cpu})
        if errors["nrmse"] <= min(entry["val"] for entry in self.curve):
            self.best = {name: value.clone() for name, value in self.averaged.state_dict().items()}
        self._save()
        self.report(
            f"epoch {self.epoch}/{config.epochs} {time.monotonic() - start:.0f} s: loss {total:.4f}, val NRMSE "
            f"{100 * errors['nrmse']:.2f} %, median relative error {100 * errors['median_relative_error']:.2f} %"
        )

    def _loss(self, rows: Ints) -> TorchTensor:
        """Robust relative error of the nets, and of each of their strains for itself."""
        root, label, nets = self.root[rows], self.stiffness[rows], self.train.nets
        graph = graph_of_nets(nets.select(rows), self.train.unbalanced[nets.rows(rows)[0]])
        relaxation = relaxations(self.network, graph)
        error = root @ relaxation @ root - label
        relative = error.flatten(1).norm(dim=1) / label.flatten(1).norm(dim=1)
        whole = torch.sqrt(relative**2 + _BEND**2) - _BEND
        softened = torch.linalg.solve(label, error).flatten(1).norm(dim=1)
        return (whole + _EVERY_MODE * torch.log1p(softened)).mean()

    @property
    def averaged(self) -> GMTNet:
        """The network with averaged weights, in inference mode."""
        network = self.average.module
        if not isinstance(network, GMTNet):
            raise TypeError("the average is of another network")
        return network.eval()

    def predictor(self, network: GMTNet) -> LatticePredictor:
        """A network as what predicts."""
        return LatticePredictor(network.eval(), LatticeCard("", "", "", self.config.network))

    def best_network(self) -> GMTNet:
        """The averaged network of the epoch with the smallest error on val."""
        network = build_network(self.config.network)
        network.load_state_dict(self.best)
        return network.eval()

    def _save(self) -> None:
        state = {
            "config": plain_config(self.config),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "curve": self.curve,
            "best": self.best,
        }
        partial = self.file.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.file)  # a kill in the middle of writing leaves the last whole state


def plain_config(config: LatticeTraining) -> dict[str, Any]:
    """The configuration as plain data, without enumerations, which a file of weights must not hold."""
    plain: dict[str, Any] = json.loads(json.dumps({**asdict(config), "network": config.network.to_json()}))
    return plain
