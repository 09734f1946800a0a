"""GMTNet and ensembles of it as a TensorModel: graphs, batches that fit, components back to tensors."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from models.crystals.crystal import CrystalBatch, Floats
from models.crystals.graph import PUBLISHED_GRAPH, CrystalGraph, GraphSpec, NeighborRule, build_graph
from models.crystals.neighborhood import Neighborhood
from models.errors import ModelError
from models.gmtnet.card import ModelCard
from models.gmtnet.checkpoint import load_checkpoint
from models.gmtnet.config import GMTNetConfig
from models.gmtnet.network import GMTNet, build_network
from models.gmtnet.published.mask import mask_as_published
from models.gmtnet.torch_graph import TorchGraph
from models.quantities import TENSORS, Scalar, Tensor
from models.tensors.voigt import from_components

BATCH_ATOMS = 512
"""Atoms per pass on a CPU: larger batches fall out of the cache and are slower."""


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Takes denormal numbers for 0 inside: edges near the cutoff make them, and they cost 10 % of the time on x86.

    The switch belongs to the whole process, so it is put back: nobody's arithmetic changes by importing a model.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


class GMTNetPredictor:
    """Trained networks of one configuration on a device; implements `models.tensor_model.TensorModel`.

    Graphs are made once for all networks.

    Attributes:
        build_graph: makes the graphs; another one may be put in its place on an object, to test what it may not change.
    """

    build_graph: Callable[[CrystalBatch, GraphSpec, Neighborhood | None], CrystalGraph] = staticmethod(build_graph)

    def __init__(
        self,
        networks: Sequence[GMTNet],
        elements: frozenset[int],
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        batch_atoms: int = BATCH_ATOMS,
    ) -> None:
        self.networks = [network.to(device=device, dtype=dtype).eval() for network in networks]
        self.config = self.networks[0].config
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
        networks, card = load_checkpoint(path, device=device, dtype=dtype)
        # a GPU is slow while it waits for work, not when its cache is full
        batch_atoms = BATCH_ATOMS if device == "cpu" else 64 * BATCH_ATOMS
        predictor = GMTNetPredictor(
            networks, frozenset(card.elements), device=device, dtype=dtype, batch_atoms=batch_atoms
        )
        return predictor, card

    @staticmethod
    def load_double(path: Path, *, device: str = "cpu") -> "GMTNetPredictor":
        """The same in float64, for those who must not import torch: tests of the algebra without its rounding."""
        return GMTNetPredictor.load(path, device=device, dtype=torch.float64)[0]

    @staticmethod
    def untrained(config: GMTNetConfig, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> "GMTNetPredictor":
        """Random weights that know every element: for tests of everything but accuracy."""
        torch.manual_seed(seed)
        return GMTNetPredictor([build_network(config, dtype)], frozenset(range(1, 119)), dtype=dtype)

    @property
    def graph_spec(self) -> GraphSpec:
        """How far an atom sees; see `models.tensor_model.GraphModel`."""
        return self.config.graph

    def predict(self, crystals: CrystalBatch) -> dict[Tensor, Floats]:
        """Raw tensors of every network and crystal, float64, input frame; see `TensorModel.predict`."""
        return self.predict_with_scalars(crystals)[0]

    def predict_with_scalars(
        self, crystals: CrystalBatch, neighbors: Neighborhood | None = None
    ) -> tuple[dict[Tensor, Floats], dict[Scalar, Floats]]:
        """Tensors and scalars in one pass; see `GraphModel.predict_with_scalars`. Without neighbors it searches."""
        if not crystals.n_crystals:  # every crystal of a shard may have been refused
            n_networks = len(self.networks)
            empty = {q: np.zeros((n_networks, 0, *TENSORS[q].shape)) for q in self.config.tensors}
            return empty, {s: np.zeros((n_networks, 0)) for s in self.config.scalars}
        # crystals of similar size share a pass, and each pass has about `batch_atoms` atoms
        order = np.argsort(crystals.atoms_per_crystal, kind="stable")
        total = np.cumsum(crystals.atoms_per_crystal[order])
        cuts = np.flatnonzero(np.diff((total - 1) // self.batch_atoms)) + 1
        parts = [
            self._predict_batch(crystals.select(rows), neighbors and neighbors.select(rows))
            for rows in np.split(order, cuts)
        ]
        outputs, back = {}, np.argsort(order, kind="stable")
        for output in parts[0]:
            outputs[output] = np.concatenate([part[output] for part in parts], axis=1)[:, back]
        tensors = {q: from_components(q, outputs[q]) for q in self.config.tensors}
        if self.config.graph.rule is NeighborRule.PUBLISHED:
            tensors = mask_as_published(tensors, crystals)
        return tensors, {s: outputs[s][:, :, 0] for s in self.config.scalars}

    def as_published(self) -> "GMTNetPredictor":
        """The same weights behind the published graph and mask, flaws included (models/crystals/published_graph.py).

        Raises:
            ModelError: the network has a cutoff envelope, which the published graph does not have.
        """
        if self.config.envelope:
            raise ModelError(
                "This network weighs edges by a cutoff envelope that the published graph does not have. Compare "
                "gmtnet-paper, or leave --as-published out."
            )
        published = copy(self)
        published.config = replace(self.config, graph=PUBLISHED_GRAPH)
        return published

    def _predict_batch(self, crystals: CrystalBatch, neighbors: Neighborhood | None) -> dict[Tensor | Scalar, Floats]:
        """Components of one batch, [n_networks, n_crystals, n_components], and scalars, [n_networks, n_crystals, 1]."""
        edges = self.build_graph(crystals, self.config.graph, neighbors)
        graph = TorchGraph.from_graph(edges, self.device, self.dtype)
        with torch.inference_mode(), denormals_flushed():
            answers = [network(graph) for network in self.networks]
        # algebra on tensors is float64 from here on: symmetrization must not add errors of float32
        outputs = {}
        for output in answers[0]:
            values = [answer[output].to(device="cpu", dtype=torch.float64).numpy() for answer in answers]
            outputs[output] = np.stack(values)
        return outputs
