"""GMTNet as a TensorModel: graphs, batches that fit, components back to tensors."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from models.crystal import CrystalBatch, Floats, Ints
from models.gmtnet.card import ModelCard
from models.gmtnet.checkpoint import load_checkpoint
from models.gmtnet.config import GMTNetConfig
from models.gmtnet.network import GMTNet, TorchGraph, build_network
from models.graph import build_graph
from models.quantities import TENSORS, Tensor
from models.tensors.voigt import from_components

BATCH_ATOMS = 512
"""Atoms per pass on a CPU: larger batches fall out of the cache and are slower."""


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Takes denormal numbers for 0 inside: faded edges make them, and they cost 10 % of the time on x86.

    The switch belongs to the whole process, so it is put back: nobody's arithmetic changes by importing a model.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


class GMTNetPredictor:
    """A trained network on a device; implements `models.tensor_model.TensorModel`."""

    def __init__(
        self,
        network: GMTNet,
        elements: frozenset[int],
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        batch_atoms: int = BATCH_ATOMS,
    ) -> None:
        self.network = network.to(device=device, dtype=dtype).eval()
        self.elements = elements
        self.device, self.dtype, self.batch_atoms = device, dtype, batch_atoms

    @staticmethod
    def load(
        path: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> tuple["GMTNetPredictor", ModelCard]:
        """A predictor and its card from a checkpoint (see checkpoint.py for what may be wrong with it).

        Args:
            path: the card.
            device: "auto" takes the GPU when there is one, else "cpu" or "cuda".
            dtype: float32 or float64.
        """
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        network, card = load_checkpoint(path, device=device, dtype=dtype)
        batch_atoms = BATCH_ATOMS if device == "cpu" else 64 * BATCH_ATOMS
        predictor = GMTNetPredictor(
            network, frozenset(card.elements), device=device, dtype=dtype, batch_atoms=batch_atoms
        )
        return predictor, card

    @staticmethod
    def untrained(config: GMTNetConfig, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> "GMTNetPredictor":
        """Random weights that know every element: for tests of everything but accuracy."""
        torch.manual_seed(seed)
        return GMTNetPredictor(build_network(config, dtype), frozenset(range(1, 119)), dtype=dtype)

    def predict(self, crystals: CrystalBatch) -> dict[Tensor, Floats]:
        """Raw tensors of every crystal, float64, input frame; see `TensorModel.predict`."""
        if not crystals.n_crystals:  # every crystal of a shard may have been refused
            return {quantity: np.zeros((0, *TENSORS[quantity].shape)) for quantity in self.network.config.tensors}
        order = np.argsort(crystals.atoms_per_crystal, kind="stable")
        parts = [
            self._predict_batch(crystals.select(rows)) for rows in self._batches(crystals.atoms_per_crystal, order)
        ]
        back = np.argsort(order, kind="stable")
        return {
            quantity: from_components(quantity, np.concatenate([p[quantity] for p in parts])[back])
            for quantity in self.network.config.tensors
        }

    def _predict_batch(self, crystals: CrystalBatch) -> dict[Tensor, Floats]:
        graph = build_graph(crystals, self.network.config.graph)
        with torch.inference_mode(), denormals_flushed():
            components = self.network(TorchGraph.from_graph(graph, self.device, self.dtype))
        return {quantity: c.to(device="cpu", dtype=torch.float64).numpy() for quantity, c in components.items()}

    def _batches(self, atoms: Ints, order: Ints) -> Iterator[Ints]:
        """Runs of crystals of similar size with about `batch_atoms` atoms each."""
        if len(order):
            total = np.cumsum(atoms[order])
            cuts = np.flatnonzero(np.diff((total - 1) // self.batch_atoms)) + 1
            yield from np.split(order, cuts)
