"""GMTNet and ensembles of it as a TensorModel: graphs, batches that fit, components back to tensors."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.crystals.graph import PUBLISHED_GRAPH, CrystalGraph, GraphSpec, NeighborRule, build_graph
from models.crystals.neighborhood import Neighborhood
from models.errors import ModelError
from models.gmtnet.card import ModelCard
from models.gmtnet.checkpoint import load_checkpoint
from models.gmtnet.compiled.batch import Workspace, orbit_batch
from models.gmtnet.compiled.network import CompiledNetwork, can_compile
from models.gmtnet.config import GMTNetConfig
from models.gmtnet.device import GpuMemory, PassSize, resolve_device
from models.gmtnet.network import SPREADS, GMTNet, Outputs, build_network
from models.gmtnet.padded import MOST_FILLED_UP, Bucket, CudaCapture, PaddedNetworks
from models.gmtnet.published.mask import mask_as_published
from models.gmtnet.torch_graph import TorchGraph
from models.quantities import TENSORS, Scalar, Tensor
from models.symmetry.idealize import IdealizedCrystals
from models.symmetry.orbits import IdealizedGraph, graph_as_given, idealized_graph
from models.tensor_model import ModelOutputs
from models.tensors.voigt import from_components

BATCH_ATOMS = 512
"""Atoms per pass on a CPU: larger batches fall out of the cache and are slower."""

ORBITS_AT_ONCE = 512
"""First atoms of orbits per pass through the compiled loops, which keep edges in the cache themselves."""

GRAPH_ATOMS = 64 * BATCH_ATOMS
"""Atoms whose edges are in the memory of this machine at once, before they go to a device."""

WAITS_FOR_OTHERS_S = (0.5, 1.5, 4.0)
"""Between the attempts of a crystal that needs memory of a GPU which other processes hold; far below its deadline."""


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
        pass_size: PassSize | None = None,
    ) -> None:
        self.networks = [network.to(device=device, dtype=dtype).eval() for network in networks]
        self.config = self.networks[0].config
        self.elements = elements
        self.device, self.dtype = device, dtype
        self.pass_size = pass_size or PassSize(batch_atoms)
        self._workspace = Workspace()
        self._padded: PaddedNetworks | None = None
        # padded batches hold edges only, no pairs
        if device != "cpu" and not self.config.graph.kernel_widths_angstrom:
            self._padded = PaddedNetworks(self.networks, device, dtype, CudaCapture())

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
        device = resolve_device(device)
        networks, card = load_checkpoint(path, device=device, dtype=dtype)
        # a GPU is slow while it waits for work, not when its cache is full: its memory is the bound
        pass_size = PassSize(BATCH_ATOMS, None if device == "cpu" else GpuMemory(device))
        elements = frozenset(card.elements)
        return GMTNetPredictor(networks, elements, device=device, dtype=dtype, pass_size=pass_size), card

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

    @property
    def n_parameters(self) -> int:
        """Numbers that training changes, of all networks together."""
        return sum(weights.numel() for network in self.networks for weights in network.parameters())

    def predict(self, crystals: CrystalBatch) -> dict[Tensor, Floats]:
        """Raw tensors of every network and crystal, float64, input frame; see `TensorModel.predict`."""
        return self.predict_with_scalars(crystals)[0]

    def predict_with_scalars(
        self, crystals: CrystalBatch, neighbors: Neighborhood | None = None
    ) -> tuple[dict[Tensor, Floats], dict[Scalar, Floats]]:
        """Tensors and scalars in one pass; see `GraphModel.predict_with_scalars`. Without neighbors it searches."""
        outputs = self._predict_all_atoms(crystals, neighbors)
        return outputs.tensors, outputs.scalars

    def predict_idealized(self, crystals: IdealizedCrystals) -> ModelOutputs:
        """See `OrbitModel.predict_idealized`. The published rule breaks the symmetry and is given all atoms."""
        batch, spec = crystals.crystals, self.config.graph
        if spec.rule is NeighborRule.PUBLISHED:
            return self._predict_all_atoms(batch, None)
        if self._compiled and batch.n_crystals:
            return self._predict_compiled(crystals)
        return self._predict_graphs(batch, lambda rows: idealized_graph(crystals.select(rows), spec))

    def _predict_compiled(self, crystals: IdealizedCrystals) -> ModelOutputs:
        """The same by compiled loops."""
        batch = crystals.crystals
        n_orbits = np.bincount(
            batch.crystal_of_atom[crystals.first == np.arange(len(crystals.first))], minlength=batch.n_crystals
        )
        cuts = np.flatnonzero(np.diff((np.cumsum(n_orbits) - 1) // ORBITS_AT_ONCE)) + 1
        parts: list[dict[str, Floats]] = []
        for start, stop in pairwise([0, *cuts.tolist(), batch.n_crystals]):
            with torch.inference_mode():
                orbits = orbit_batch(crystals.select(np.arange(start, stop)), self.config.graph, self._workspace)
                parts.append(stacked([network(orbits, self._workspace) for network in self._compiled]))
        return self._outputs(_joined(parts))

    @cached_property
    def _compiled(self) -> list[CompiledNetwork]:
        """The networks as compiled loops, in float32 on a CPU; none where that form does not exist."""
        if self.device != "cpu" or self.dtype != torch.float32 or not all(map(can_compile, self.networks)):
            return []
        return [CompiledNetwork(network) for network in self.networks]

    def _predict_all_atoms(self, crystals: CrystalBatch, neighbors: Neighborhood | None) -> ModelOutputs:
        """Outputs from the edges of all atoms."""

        def graph(rows: Ints) -> IdealizedGraph:
            some = crystals.select(rows)
            return graph_as_given(some, self.build_graph(some, self.config.graph, neighbors and neighbors.select(rows)))

        result = self._predict_graphs(crystals, graph)
        if self.config.graph.rule is NeighborRule.PUBLISHED and crystals.n_crystals:
            return replace(result, tensors=mask_as_published(result.tensors, crystals))
        return result

    def _predict_graphs(self, crystals: CrystalBatch, graph: Callable[[Ints], IdealizedGraph]) -> ModelOutputs:
        """Outputs from the graphs of consecutive crystals, of which as many are made at once as memory is meant for."""
        if not crystals.n_crystals:  # every crystal of a shard may have been refused
            n_networks = len(self.networks)
            empty = {q: np.zeros((n_networks, 0, *TENSORS[q].shape)) for q in self.config.tensors}
            scalars = {s: np.zeros((n_networks, 0)) for s in self.config.scalars}
            return ModelOutputs(empty, scalars, {name: np.zeros(0) for name in self.config.spreads})
        cuts = np.flatnonzero(np.diff((crystals.first_atom[1:] - 1) // GRAPH_ATOMS)) + 1
        parts: list[dict[str, Floats]] = []
        for start, stop in pairwise([0, *cuts.tolist(), crystals.n_crystals]):
            parts += self._predict_in_passes(graph(np.arange(start, stop)))
        return self._outputs(_joined(parts))

    def _outputs(self, outputs: dict[str, Floats]) -> ModelOutputs:
        """Components and logarithms [n_networks, n_crystals, ...] as tensors, scalars and spreads."""
        spreads: dict[str, Floats] = {}
        if self.config.spreads:
            # an ensemble of distilled networks is as unsure as they are in the mean
            spreads = dict(zip(self.config.spreads, np.exp(outputs[SPREADS].mean(axis=0)).T, strict=True))
        return ModelOutputs(
            {q: from_components(q, outputs[q]) for q in self.config.tensors},
            {s: outputs[s][:, :, 0] for s in self.config.scalars},
            spreads,
        )

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

    def _predict_in_passes(self, graph: IdealizedGraph) -> list[dict[str, Floats]]:
        """Outputs of consecutive passes over the crystals, each as large as fits.

        Raises:
            torch.OutOfMemoryError: a crystal alone does not fit into the whole device.
        """
        size, (orbits, _, edges) = self.pass_size, graph.starts
        # memory is measured of buckets, and which one a pass will have is not known yet
        filled = 1.0 if self._padded is None else MOST_FILLED_UP
        n_orbits, n_edges = filled * np.diff(orbits), filled * np.diff(edges)
        parts, start = [], 0
        while start < graph.n_crystals:
            stop = start + size.fitting(n_orbits[start:], n_edges[start:])
            part, fitted = graph.part(start, stop), True
            try:
                parts.append(self._predict_measured(part))
            except torch.OutOfMemoryError:
                # Not here: the error still holds the tensors of the pass.
                fitted = False
            if not fitted:
                if self._padded is not None:
                    self._padded.forget()
                size.out_of_memory(filled * len(part.numbers))
                if part.n_crystals > 1:  # the same crystals again, half of them at a time
                    continue
                parts.append(self._predict_alone(part))
            start = stop
        return parts

    def _predict_measured(self, graph: IdealizedGraph) -> dict[str, Floats]:
        """Outputs of a pass, whose memory is measured where it takes any."""
        n_orbits, n_edges = len(graph.numbers), len(graph.center)
        if self._padded is not None:
            if self._padded.is_captured(graph):
                return self._predict_batch(graph)
            bucket = Bucket.holding(graph)
            n_orbits, n_edges = bucket.n_orbits, bucket.n_edges
        with self.pass_size.measured(n_orbits, n_edges):
            return self._predict_batch(graph)

    def _predict_alone(self, graph: IdealizedGraph) -> dict[str, Floats]:
        """Outputs of a crystal that does not fit into this process's share of a device: it may take the whole one.

        What other processes hold there is waited for a little: no crystal is given up for their size.
        """
        memory = self.pass_size.memory
        if memory is None:
            return self._predict_batch(graph)
        memory.widen(whole=True)
        try:
            for wait_s in WAITS_FOR_OTHERS_S:
                with suppress(torch.OutOfMemoryError):
                    return self._predict_batch(graph)
                memory.empty_cache()
                if not memory.held_by_others():
                    break
                time.sleep(wait_s)
            return self._predict_batch(graph)
        finally:
            memory.empty_cache()
            memory.widen(whole=False)

    def _predict_batch(self, graph: IdealizedGraph) -> dict[str, Floats]:
        """Components of one batch, [n_networks, n_crystals, n_components], and scalars, [n_networks, n_crystals, 1]."""
        with torch.inference_mode(), denormals_flushed():
            if self._padded is not None:
                return stacked(self._padded(graph))
            on_device = TorchGraph.from_graph(graph, self.device, self.dtype)
            return stacked([network(on_device) for network in self.networks])


def stacked(answers: Sequence[Outputs]) -> dict[str, Floats]:
    """Outputs of several networks, [n_networks, n_crystals, ...]; one copy from the device."""
    widths = [values.shape[1] for values in answers[0].values()]
    rows = torch.stack([torch.cat(list(answer.values()), dim=1) for answer in answers]).cpu()
    # algebra on tensors is float64 from here on: symmetrization must not add errors of float32
    columns = rows.to(torch.float64).split(widths, dim=2)
    return {name: values.numpy() for name, values in zip(answers[0], columns, strict=True)}


def _joined(parts: Sequence[dict[str, Floats]]) -> dict[str, Floats]:
    """Outputs of consecutive crystals."""
    joined = {}
    for name in parts[0]:
        joined[name] = np.concatenate([part[name] for part in parts], axis=1)
    return joined
