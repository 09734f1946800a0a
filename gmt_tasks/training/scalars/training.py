"""Training of a network of one number per crystal: seeded, resumable, the epoch that is best on held-out crystals."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gmt_tasks.training.config import TrainingConfig
from gmt_tasks.training.data import orbit_graphs
from gmt_tasks.training.epochs import EpochLoop, Report
from gmt_tasks.training.scalars.network import ScalarNetwork, make_scalar_network
from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.crystals.graph import GraphSpec
from models.errors import ModelError
from models.gmtnet.config import GMTNetConfig
from models.gmtnet.torch_graph import TorchGraph
from models.symmetry.orbits import OrbitGraph, join_orbit_graphs

ATOMS_PER_PASS = 1024

_BEND = 0.1
"""Errors below this part of the labels' spread cost their square, larger ones their size, as they count in a MAE."""


@dataclass(frozen=True)
class ScalarData:
    """Labelled crystals as the loop wants them.

    Attributes:
        graph: of all crystals, one atom per orbit.
        labels: one number per crystal, [n_crystals].
        atoms: orbits per crystal, the cost of a crystal, [n_crystals].
        hashes: of each crystal as it was given, without its label, [n_crystals].
    """

    graph: OrbitGraph
    labels: Floats
    atoms: Ints
    hashes: NDArray[np.bytes_]

    @staticmethod
    def of(crystals: CrystalBatch, labels: Floats, spec: GraphSpec) -> "ScalarData":
        """Makes the graphs, once for all epochs.

        Args:
            crystals: validated crystals, at least one.
            labels: one number per crystal, [n_crystals].
            spec: how far edges reach.

        Raises:
            ModelError: not one finite label per crystal.
        """
        if len(labels) != crystals.n_crystals or not len(labels):
            raise ModelError(
                f"{len(labels)} labels for {crystals.n_crystals} crystals: give one of each, one at least."
            )
        if bad := int((~np.isfinite(labels)).sum()):
            raise ModelError(f"{bad} of {len(labels)} labels are no finite numbers: drop these crystals.")
        graph = join_orbit_graphs(orbit_graphs(crystals, spec))
        atoms = np.bincount(graph.crystal_of_orbit, minlength=graph.n_crystals)
        return ScalarData(graph, np.asarray(labels, dtype=np.float64), atoms, _hashes(crystals))

    def select(self, rows: Ints) -> "ScalarData":
        """The crystals of the given indices, in that order."""
        return ScalarData(self.graph.select(rows), self.labels[rows], self.atoms[rows], self.hashes[rows])

    def digest(self, rows: Ints | slice = slice(None)) -> str:
        """A hash of crystals and labels, all or those of the given indices, in that order."""
        return hashlib.sha256(self.hashes[rows].tobytes() + self.labels[rows].tobytes()).hexdigest()


def _hashes(crystals: CrystalBatch) -> NDArray[np.bytes_]:
    """A hash of lattice, coordinates and elements of each crystal, [n_crystals].

    Graphs are not hashed: their last bits may differ on another machine, where a run may go on.
    """
    digests = []
    for crystal, lattice in enumerate(crystals.lattice):
        atoms = slice(crystals.first_atom[crystal], crystals.first_atom[crystal + 1])
        arrays = lattice, crystals.frac_coords[atoms], crystals.numbers[atoms].astype(np.int64)
        digests.append(hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest().encode())
    return np.array(digests)


class ScalarLoop(EpochLoop[ScalarNetwork]):
    """Epochs over labels of one kind.

    Args:
        network, config, out, report, device: as of `EpochLoop`.
        digest: of all crystals and labels that the run sees.

    Attributes:
        best_mae: mean absolute error on held-out crystals of the best epoch so far, in the unit of the labels.

    Raises:
        ModelError: the folder holds the state of another run, or of one on other crystals or labels.
    """

    def __init__(
        self, network: ScalarNetwork, config: TrainingConfig, out: Path, report: Report, device: str, digest: str
    ) -> None:
        self.digest = digest
        super().__init__(network, config, out, report, device)
        self.best_file = out / "best.pt"
        self.best_mae = np.inf
        if self.epoch and self.best_file.exists():
            self.best_mae = float(torch.load(self.best_file, weights_only=True)["mae"])

    def key(self) -> dict[str, Any]:
        """What a resumed run must share: data and layers beside the recipe, whose `network` is only a name."""
        return super().key() | {"layers": repr(self.network.config), "crystals and labels": self.digest}

    def run_epoch(self, data: ScalarData, held_out: ScalarData | None) -> None:
        """One pass in an order that depends on seed and epoch only; the best weights are kept in a file."""
        labels = torch.as_tensor(data.labels, dtype=torch.float32, device=self.device)
        scale = self.network.head.scale

        def losses_of(rows: Ints) -> dict[str, tuple[float, torch.Tensor]]:
            graph = TorchGraph.from_graph(data.graph.select(rows), self.device, torch.float32)
            error = (self.network(graph) - labels[torch.as_tensor(rows, device=self.device)]) / scale
            return {"error": (1.0, torch.nn.functional.smooth_l1_loss(error, torch.zeros_like(error), beta=_BEND))}

        self.run_batches(self.epoch_rng().permutation(len(data.labels)), data.atoms, losses_of)
        if held_out is None:
            return
        network = self.averaged_network()
        mae = float(np.abs(predict_scalars(network, held_out) - held_out.labels).mean())
        self.average.module.to(self.device)
        if mae < self.best_mae:
            self.best_mae = mae
            partial = self.best_file.with_suffix(".partial-best")
            torch.save({"mae": mae, "network": network.state_dict()}, partial)
            partial.replace(self.best_file)  # a kill in the middle of writing leaves the last whole file
        self.report(f"held out: mean absolute error {mae:.5g}, best {self.best_mae:.5g}")

    def best_network(self) -> ScalarNetwork:
        """The averaged network of the epoch that was best on held-out crystals, of the last one without any."""
        network = self.averaged_network()
        if np.isfinite(self.best_mae):
            network.load_state_dict(torch.load(self.best_file, weights_only=True)["network"])
        return network


def train_scalar(
    layers: GMTNetConfig,
    config: TrainingConfig,
    train: ScalarData,
    held_out: ScalarData | None,
    out: Path,
    *,
    report: Report = print,
    device: str = "cpu",
    stop_after_epoch: int | None = None,
) -> ScalarNetwork | None:
    """Trains a network, or goes on training it.

    Args:
        layers: of the network; the graphs of the data are made with its `graph`.
        config: the recipe (rates, sizes of batches, epochs, seed); what it says of files and labels is not read.
        train: labelled crystals.
        held_out: others that choose the epoch; None takes the last one.
        out: folder of the run; an unfinished run of the same network, recipe and data found there is resumed.
        report: receives one line per event.
        device: "cpu" or "cuda".
        stop_after_epoch: leave the run resumable after that epoch instead of finishing.

    Returns:
        The network, None if stopped before the end.

    Raises:
        ModelError: the folder holds a run of another network or recipe, or on other crystals or labels.
    """
    out.mkdir(parents=True, exist_ok=True)
    network = make_scalar_network(layers, train.labels, config.seed)
    report(
        f"{len(train.labels)} training crystals, {sum(p.numel() for p in network.parameters()):,} weights, "
        f"seed {config.seed}"
    )
    digest = " ".join(data.digest() for data in (train, held_out) if data is not None)
    loop = ScalarLoop(network.train(), config, out, report, device, digest)
    while loop.epoch < config.epochs:
        loop.run_epoch(train, held_out)
        if loop.epoch == stop_after_epoch:
            return None
    return loop.best_network()


@torch.inference_mode()
def predict_scalars(network: ScalarNetwork, data: ScalarData) -> Floats:
    """Values in the unit of the training labels, [n_crystals]."""
    values = np.zeros(len(data.labels))
    # consecutive crystals of about as many atoms together
    owner = np.cumsum(data.atoms) // ATOMS_PER_PASS
    for rows in np.split(np.arange(len(owner)), np.flatnonzero(np.diff(owner)) + 1):
        graph = TorchGraph.from_graph(data.graph.select(rows), next(network.parameters()).device, torch.float32)
        values[rows] = network(graph).double().cpu().numpy()
    return values
