"""Periodic neighbours -> edges, the same for every description of the same crystal.

The published network takes the 16 nearest neighbours by comparing floats exactly: shells of equal distance are split by
rounding errors, and images of an atom in its own crystal are counted twice. Here an atom's neighbourhood reaches to a
fixed multiple of the distance r_k of its k-th neighbour. r_k is an order statistic, hence a continuous function of
the positions; with `reach` > 1 and an envelope that fades to zero at the reach (models/gmtnet/layers.py) the prediction
is continuous too, so a shell that is split by a rounding error changes nothing.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats, Ints, rows_of
from models.crystals.neighbors import Neighbors, find_neighbors
from models.crystals.published_graph import published_edges


class NeighborRule(StrEnum):
    """Which images of an atom are its neighbours."""

    WHOLE_SHELLS = "whole_shells"  # all within the reach, each once
    PUBLISHED = "published"  # models/crystals/published_graph.py: for comparison with published weights only


@dataclass(frozen=True)
class GraphSpec:
    """How far an atom sees.

    Attributes:
        n_neighbors: k of the k-th neighbour distance r_k.
        reach: an edge exists up to reach * r_k.
        undirected: keep an edge when either end reaches the other (as the published graph does).
        rule: `published` takes the neighbours as the published code does; reach and undirected then say nothing.
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
        neighbor: the atom it tells about, shape [n_edges].
        vector: from center to neighbour in angstrom, shape [n_edges, 3].
        closeness: distance / (reach * r_k of the center), in (0, 1] for directed graphs, shape [n_edges].
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


def build_graph(batch: CrystalBatch, spec: GraphSpec) -> CrystalGraph:
    """Edges of all crystals of a batch in one pass over flat arrays.

    Args:
        batch: validated crystals.
        spec: how far an atom sees.

    Source: the graph of GMTNet (arXiv:2406.12888, section 4.1), made tie-safe.
    """
    found, r_k = _all_within_reach(batch, spec)
    if spec.rule is NeighborRule.PUBLISHED:
        edges = published_edges(batch, found, spec.n_neighbors)
        scaled_distance = edges.distance / r_k[edges.center]
        return CrystalGraph(batch.n_crystals, batch.numbers, batch.crystal_of_atom, *edges[:3], scaled_distance)
    reach = spec.reach * r_k
    limit = np.maximum(reach[found.center], reach[found.neighbor]) if spec.undirected else reach[found.center]
    keep = found.distance < limit
    return CrystalGraph(
        batch.n_crystals,
        batch.numbers,
        batch.crystal_of_atom,
        found.center[keep],
        found.neighbor[keep],
        found.vector[keep],
        found.distance[keep] / reach[found.center[keep]],
    )


def _all_within_reach(batch: CrystalBatch, spec: GraphSpec) -> tuple[Neighbors, Floats]:
    """Neighbours out to at least reach * max r_k of each crystal, and r_k of each atom in angstrom [n_atoms].

    The first radius is guessed from the density; crystals in which it was too small (layers, molecules, open frames)
    go round again with a larger one, the others are done.
    """
    density_radius = _radius_from_density(batch, spec.n_neighbors)
    radius = 1.25 * spec.reach * density_radius
    r_k = np.full(len(batch.numbers), np.inf)
    pending = np.arange(batch.n_crystals)
    parts: list[Neighbors] = []
    while len(pending):
        subset = batch.select(pending)
        atoms = np.flatnonzero(np.isin(batch.crystal_of_atom, pending)) if len(pending) < batch.n_crystals else None
        found = find_neighbors(subset.lattice, subset.frac_coords, subset.crystal_of_atom, radius[pending])
        local_r_k = _kth_distance(found, len(subset.numbers), spec.n_neighbors)
        needed = np.zeros(subset.n_crystals)
        np.maximum.at(needed, subset.crystal_of_atom, spec.reach * local_r_k)
        done = needed <= radius[pending]
        finished = done[subset.crystal_of_atom[found.center]]
        index = np.arange(len(subset.numbers)) if atoms is None else atoms
        kept = found.take(finished)
        parts.append(kept._replace(center=index[kept.center], neighbor=index[kept.neighbor]))
        settled = done[subset.crystal_of_atom]
        r_k[index[settled]] = local_r_k[settled]
        growth = np.where(np.isfinite(needed), needed * (1 + 1e-9), 1.5 * radius[pending])
        radius[pending] = np.maximum(growth, radius[pending] * 1.05)
        pending = pending[~done]
    return Neighbors.join(parts), r_k


def _radius_from_density(batch: CrystalBatch, n_neighbors: int) -> Floats:
    """Radius in angstrom of the sphere that holds `n_neighbors` atoms at the crystal's mean density, [n_crystals]."""
    volume_per_atom = np.abs(np.linalg.det(batch.lattice)) / batch.atoms_per_crystal
    radius: Floats = np.cbrt(3.0 * n_neighbors * volume_per_atom / (4.0 * np.pi))
    return radius


def _kth_distance(found: Neighbors, n_atoms: int, k: int) -> Floats:
    """Distance of each atom's k-th nearest neighbour in angstrom, infinite where it has fewer, shape [n_atoms]."""
    order = np.lexsort((found.distance, found.center))
    counts = np.bincount(found.center, minlength=n_atoms)
    starts = np.cumsum(counts) - counts
    result = np.full(n_atoms, np.inf)
    enough = counts >= k
    result[enough] = found.distance[order][starts[enough] + k - 1]
    return result
