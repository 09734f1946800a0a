"""Neighbours -> edges, the same for every description of the same crystal.

The published network takes the 16 nearest neighbours by comparing floats exactly: shells of equal distance are split by
rounding errors, and images of an atom in its own crystal are counted twice. Here an atom's neighbourhood reaches to a
fixed multiple of the distance r_k of its k-th neighbour. r_k is an order statistic, hence a continuous function of
the positions; with `reach` > 1 and a cutoff envelope that is zero at the reach (models/gmtnet/layers.py) the prediction
is continuous too, so a shell that is split by a rounding error changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats, Ints, rows_of
from models.crystals.neighborhood import Neighborhood, find_neighborhood
from models.crystals.neighbors import Neighbors
from models.crystals.published_graph import published_edges


class NeighborRule(StrEnum):
    """Which images of an atom are its neighbours."""

    WHOLE_SHELLS = "whole_shells"  # all within the reach, each once
    PUBLISHED = "published"  # models/crystals/published_graph.py: for comparison with published weights only


@dataclass(frozen=True)
class GraphSpec:
    """How far an atom's edges reach.

    Attributes:
        n_neighbors: k of the k-th neighbour distance r_k.
        reach: an edge exists up to reach * r_k.
        undirected: keep an edge when either end reaches the other (as the published graph does).
        rule: with `published` (neighbours as the published code takes them) reach and undirected have no effect.
    """

    n_neighbors: int = 12
    reach: float = 1.25
    undirected: bool = False
    rule: NeighborRule = NeighborRule.WHOLE_SHELLS

    def __post_init__(self) -> None:
        # a configuration that was read from JSON brings the rule's text
        object.__setattr__(self, "rule", NeighborRule(self.rule))


PUBLISHED_GRAPH = GraphSpec(n_neighbors=16, reach=1.001, undirected=True, rule=NeighborRule.PUBLISHED)
"""The published graph, flaws included (models/crystals/published_graph.py)."""


@dataclass(frozen=True)
class CrystalGraph:
    """Edges of a batch of crystals.

    Attributes:
        n_crystals: number of crystals.
        numbers: atomic numbers, shape [n_atoms].
        crystal_of_atom: shape [n_atoms].
        center: the atom an edge informs, ascending, shape [n_edges].
        neighbor: the atom at its other end, shape [n_edges].
        vector: from center to neighbour in angstrom, shape [n_edges, 3].
        scaled_distance: distance / (reach * r_k of the center), in (0, 1] for directed graphs, shape [n_edges].
    """

    n_crystals: int
    numbers: Ints
    crystal_of_atom: Ints
    center: Ints
    neighbor: Ints
    vector: Floats
    scaled_distance: Floats

    def select(self, crystals: Ints) -> "CrystalGraph":
        """The graph of the crystals of the given indices, in that order."""
        atoms, crystal_of_atom = rows_of(np.bincount(self.crystal_of_atom, minlength=self.n_crystals), crystals)
        edges, atom_of_edge = rows_of(np.bincount(self.center, minlength=len(self.numbers)), atoms)
        new_index = np.zeros(len(self.numbers), dtype=np.int64)
        new_index[atoms] = np.arange(len(atoms))
        return CrystalGraph(
            len(crystals),
            self.numbers[atoms],
            crystal_of_atom,
            atom_of_edge,
            new_index[self.neighbor[edges]],
            self.vector[edges],
            self.scaled_distance[edges],
        )


def find_graph_neighbors(
    batch: CrystalBatch, specs: Sequence[GraphSpec], least_radius_angstrom: float = 0.0
) -> Neighborhood:
    """One search that reaches far enough for graphs of all the given kinds.

    Args:
        batch: crystals whose cells `find_malformed` lets pass.
        specs: how far edges reach in each graph.
        least_radius_angstrom: how far to search in any case.
    """
    volume_per_atom = np.abs(np.linalg.det(batch.lattice)) / batch.atoms_per_crystal
    radius = np.full(batch.n_crystals, least_radius_angstrom)
    for spec in specs:
        # 1.25 times the sphere that holds r_k at the mean density is enough for most
        density_radius = np.cbrt(3.0 * spec.n_neighbors * volume_per_atom / (4.0 * np.pi))
        radius = np.maximum(radius, 1.25 * spec.reach * density_radius)
    pending = np.arange(batch.n_crystals)
    parts: list[Neighbors] = []
    # crystals in which that was too small (layers, molecules, open frames) are searched again, the others are done
    while len(pending):
        atoms = np.flatnonzero(np.isin(batch.crystal_of_atom, pending))
        near = find_neighborhood(batch.select(pending), radius[pending])
        needed = np.max([_needed_radius(near, spec) for spec in specs], axis=0)
        done = needed <= radius[pending]
        parts.append(near.pairs.take(done[near.crystal_of_atom[near.pairs.center]]).renamed(atoms))
        growth = np.where(np.isfinite(needed), needed * (1 + 1e-9), 1.5 * radius[pending])
        radius[pending] = np.where(done, radius[pending], np.maximum(growth, radius[pending] * 1.05))
        pending = pending[~done]
    pairs = parts[0] if len(parts) == 1 else Neighbors.join(parts)
    return Neighborhood(pairs, radius, batch.crystal_of_atom)


def _needed_radius(near: Neighborhood, spec: GraphSpec) -> Floats:
    """How far a graph reaches in each crystal in angstrom, infinite where r_k is not known yet, [n_crystals]."""
    needed = np.zeros(len(near.radius_angstrom))
    np.maximum.at(needed, near.crystal_of_atom, spec.reach * near.kth_distance(spec.n_neighbors))
    return needed


def build_graph(batch: CrystalBatch, spec: GraphSpec, neighbors: Neighborhood | None = None) -> CrystalGraph:
    """Edges of all crystals of a batch in one pass over flat arrays.

    Args:
        batch: validated crystals.
        spec: how far edges reach.
        neighbors: of the same crystals, from a `find_graph_neighbors` that was given this spec; searched for if None.

    Raises:
        ValueError: the given neighbors do not reach as far as the graph.

    Source: the graph of GMTNet (arXiv:2406.12888, section 4.1), made tie-safe.
    """
    if neighbors is None:
        neighbors = find_graph_neighbors(batch, [spec])
    elif (short := _needed_radius(neighbors, spec) > neighbors.radius_angstrom).any():
        raise ValueError(f"{short.sum()} of {len(short)} crystals need neighbors farther away: search with {spec}.")
    pairs, r_k = neighbors.pairs, neighbors.kth_distance(spec.n_neighbors)
    if spec.rule is NeighborRule.PUBLISHED:
        edges = published_edges(batch, pairs, spec.n_neighbors)
        scaled_distance = edges.distance / r_k[edges.center]
        return CrystalGraph(batch.n_crystals, batch.numbers, batch.crystal_of_atom, *edges[:3], scaled_distance)
    reach = spec.reach * r_k
    limit = np.maximum(reach[pairs.center], reach[pairs.neighbor]) if spec.undirected else reach[pairs.center]
    edges = pairs.take(pairs.distance < limit)
    return CrystalGraph(
        batch.n_crystals, batch.numbers, batch.crystal_of_atom, *edges[:3], edges.distance / reach[edges.center]
    )
