"""A batch of crystals as the compiled loops want it: first atoms of orbits, their edges, and the geometry of both."""

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor as TorchTensor

from models.crystals.crystal import Floats, Ints
from models.crystals.graph import GraphSpec
from models.crystals.radii import COVALENT_RADIUS_ANGSTROM
from models.gmtnet.compiled.edges import Edges
from models.gmtnet.compiled.geometry import edge_geometry, wigner_rows
from models.gmtnet.compiled.messages import Atoms
from models.gmtnet.spherical import ROTATION_POINTS
from models.symmetry.idealize import IdealizedCrystals
from models.symmetry.orbits import IdealizedGraph, idealized_graph

Floats32 = NDArray[np.float32]

L_MAX = 4
EDGES_AT_ONCE = 1024
"""Their features stay in the cache between the loops and matrix products of a layer."""

_RADII: Floats = np.array(COVALENT_RADIUS_ANGSTROM, dtype=np.float64)


@dataclass
class Workspace:
    """Arrays that are used again in every pass: fresh memory costs as much as what is computed in it."""

    _arrays: dict[str, TorchTensor] = field(default_factory=dict)

    def take(self, name: str, *shape: int) -> TorchTensor:
        """An array of a name, float32, with whatever was in it."""
        size = math.prod(shape)
        array = self._arrays.get(name)
        if array is None or array.numel() < size:
            array = self._arrays[name] = torch.empty(size + size // 4)
        return array[:size].view(*shape)


@dataclass(frozen=True)
class Part:
    """Consecutive orbits whose edges fit into the cache.

    Attributes:
        orbits: of the batch.
        rows: edges of the batch.
        edges: the same as arrays, `starts` counted from the first of them.
    """

    orbits: slice
    rows: slice
    edges: Edges

    @property
    def n_edges(self) -> int:
        """Number of edges."""
        return len(self.edges.neighbor)


@dataclass(frozen=True)
class OrbitBatch:
    """Crystals of which one atom of each orbit has features.

    Attributes:
        n_crystals: number of crystals.
        numbers: atomic numbers of the first atoms, [n_orbits].
        crystal_of_orbit: [n_orbits].
        share_of_orbit: part of its crystal's atoms, [n_orbits].
        edges: of all first atoms.
        parts: of the edges.
        natural: all atoms, for kinds of natural parity (1o, 2e, 3o, 4e).
        other: the same for kinds of the other parity.
    """

    n_crystals: int
    numbers: Ints
    crystal_of_orbit: Ints
    share_of_orbit: Floats32
    edges: Edges
    parts: list[Part]
    natural: Atoms
    other: Atoms


def orbit_batch(crystals: IdealizedCrystals, spec: GraphSpec, workspace: Workspace) -> OrbitBatch:
    """The batch of crystals whose symmetry is exact.

    Args:
        crystals: few enough for one pass.
        spec: how far edges reach.
        workspace: holds the arrays until the next batch.
    """
    graph = idealized_graph(crystals, spec)
    orbit = graph.orbit_of_atom
    crystal_of_atom = graph.crystal_of_orbit[orbit]
    share = (1.0 / crystals.crystals.atoms_per_crystal)[crystal_of_atom].astype(np.float32)
    matrices = workspace.take("matrices", len(orbit), 164).numpy()
    wigner_rows(crystals.rotations, *ROTATION_POINTS, matrices)
    determinants = np.linalg.det(crystals.rotations).astype(np.float32)
    natural = Atoms(orbit, crystal_of_atom, share, matrices, np.ones_like(share))
    edges = _edges(graph, workspace)
    return OrbitBatch(
        graph.n_crystals,
        graph.numbers,
        graph.crystal_of_orbit,
        graph.share.astype(np.float32),
        edges,
        _parts(edges),
        natural,
        natural._replace(signs=determinants),
    )


def _edges(graph: IdealizedGraph, workspace: Workspace) -> Edges:
    """The edges of a graph, and their geometry."""
    n_edges, orbit_of_neighbor = len(graph.center), graph.orbit_of_atom[graph.neighbor]
    edges = Edges(
        np.searchsorted(graph.center, np.arange(len(graph.numbers) + 1)),
        graph.neighbor,
        orbit_of_neighbor,
        workspace.take("lengths", n_edges, 2).numpy(),
        workspace.take("weight", n_edges).numpy(),
        workspace.take("share", n_edges).numpy(),
        workspace.take("harmonics", n_edges, (L_MAX + 1) ** 2).numpy(),
    )
    radius = _RADII[graph.numbers]
    edge_geometry(graph.vector, graph.scaled_distance, radius[graph.center] + radius[orbit_of_neighbor], edges)
    return edges


def _parts(edges: Edges) -> list[Part]:
    """Parts of EDGES_AT_ONCE edges, and what their last orbit needs beyond that."""
    starts = edges.starts
    cuts = np.flatnonzero(np.diff((starts[1:] - 1) // EDGES_AT_ONCE)) + 1
    ends = [0, *cuts.tolist(), len(starts) - 1]
    parts = []
    for a, b in pairwise(ends):
        rows = slice(int(starts[a]), int(starts[b]))
        own = Edges(
            starts[a : b + 1] - starts[a],
            edges.neighbor[rows],
            edges.orbit_of_neighbor[rows],
            edges.lengths[rows],
            edges.weight[rows],
            edges.share[rows],
            edges.harmonics[rows],
        )
        parts.append(Part(slice(a, b), rows, own))
    return parts
