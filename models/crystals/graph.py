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
from models.crystals.image_kernels import ImageKernels, find_kernels
from models.crystals.neighborhood import Neighborhood, find_neighborhood
from models.crystals.neighbors import Bools
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
        radius_angstrom: an edge exists up to this distance instead, the same for all atoms; None for the rule above.
            Atoms of open structures may be left without edges.
        rule: with `published` (neighbours as the published code takes them) reach and undirected have no effect.
        kernel_widths_angstrom: of Gaussians whose sums over images all atoms see of each other beside their edges
            (models/crystals/image_kernels.py); none for a network of edges only.
    """

    n_neighbors: int = 12
    reach: float = 1.25
    undirected: bool = False
    rule: NeighborRule = NeighborRule.WHOLE_SHELLS
    kernel_widths_angstrom: tuple[float, ...] = ()
    radius_angstrom: float | None = None

    def __post_init__(self) -> None:
        # a configuration that was read from JSON brings the rule's text and lists
        object.__setattr__(self, "rule", NeighborRule(self.rule))
        object.__setattr__(self, "kernel_widths_angstrom", tuple(self.kernel_widths_angstrom))
        if self.radius_angstrom is not None and self.rule is NeighborRule.PUBLISHED:
            raise ValueError("The published rule takes the nearest neighbours: it has no radius.")

    def reach_angstrom(self, neighbors: Neighborhood) -> Floats:
        """How far each atom's edges reach in angstrom, infinite for atoms whose neighbors were not searched, [n_atoms].

        Args:
            neighbors: of all atoms, searched with this spec.
        """
        if self.radius_angstrom is None:
            return self.reach * neighbors.kth_distance(self.n_neighbors)
        return np.full(len(neighbors.crystal_of_atom), self.radius_angstrom)


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
        scaled_distance: distance / reach of the center, in (0, 1] for directed graphs, shape [n_edges].
        kernels: between all atoms of each crystal; None without widths.
    """

    n_crystals: int
    numbers: Ints
    crystal_of_atom: Ints
    center: Ints
    neighbor: Ints
    vector: Floats
    scaled_distance: Floats
    kernels: ImageKernels | None = None

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
            None if self.kernels is None else self.kernels.select(crystals),
        )


def find_graph_neighbors(
    batch: CrystalBatch,
    specs: Sequence[GraphSpec],
    least_radius_angstrom: float = 0.0,
    centers: Bools | None = None,
) -> Neighborhood:
    """One search that reaches far enough for graphs of all the given kinds.

    Args:
        batch: crystals whose cells `find_malformed` lets pass.
        specs: how far edges reach in each graph.
        least_radius_angstrom: how far to search in any case.
        centers: atoms whose edges are wanted, shape [n_atoms]; all if None.
    """
    volume_per_atom = np.abs(np.linalg.det(batch.lattice)) / batch.atoms_per_crystal
    radius = np.full(batch.n_crystals, least_radius_angstrom)
    shells = []
    for spec in specs:
        if spec.radius_angstrom is not None:
            radius = np.maximum(radius, spec.radius_angstrom)
            continue
        # 1.25 times the sphere that holds r_k at the mean density is enough for most
        density_radius = np.cbrt(3.0 * spec.n_neighbors * volume_per_atom / (4.0 * np.pi))
        radius = np.maximum(radius, 1.25 * spec.reach * density_radius)
        shells.append((spec.n_neighbors, spec.reach))
    # crystals in which that was too small (layers, molecules, open frames) are searched again
    return find_neighborhood(batch, radius, shells, centers)


def build_graph(
    batch: CrystalBatch, spec: GraphSpec, neighbors: Neighborhood | None = None, centers: Bools | None = None
) -> CrystalGraph:
    """Edges of all crystals of a batch in one pass over flat arrays.

    Args:
        batch: validated crystals.
        spec: how far edges reach.
        neighbors: of the same crystals, from a `find_graph_neighbors` that was given this spec; searched for if None.
        centers: atoms whose edges are wanted, shape [n_atoms], in a directed graph of whole shells; all if None.

    Raises:
        ValueError: the given neighbors do not reach as far as the graph, or are not those of all its centers; or the
            edges of some atoms depend on others that are no centers.

    Source: the graph of GMTNet (arXiv:2406.12888, section 4.1), made tie-safe.
    """
    if neighbors is None:
        neighbors = find_graph_neighbors(batch, [spec], centers=centers)
    else:
        chosen = slice(None) if neighbors.centers is None else neighbors.centers
        needed, crystal = spec.reach_angstrom(neighbors)[chosen], neighbors.crystal_of_atom[chosen]
        short = np.unique(crystal[needed > neighbors.radius_angstrom[crystal]])
        if len(short):
            n = batch.n_crystals
            raise ValueError(f"{len(short)} of {n} crystals need neighbors farther away: search with {spec}.")
    _check_centers(spec, neighbors, centers)
    if spec.rule is NeighborRule.PUBLISHED:
        r_k = neighbors.kth_distance(spec.n_neighbors)
        edges = published_edges(batch, neighbors.pairs, spec.n_neighbors)
        scaled_distance = edges.distance / r_k[edges.center]
        return CrystalGraph(batch.n_crystals, batch.numbers, batch.crystal_of_atom, *edges[:3], scaled_distance)
    reach = spec.reach_angstrom(neighbors)
    edges = neighbors.closer(reach, centers, either_end=spec.undirected)
    kernels = find_kernels(batch, spec.kernel_widths_angstrom) if spec.kernel_widths_angstrom else None
    scaled_distance = edges.distance / reach[edges.center]
    return CrystalGraph(
        batch.n_crystals, batch.numbers, batch.crystal_of_atom, *edges[:3], scaled_distance, kernels=kernels
    )


def _check_centers(spec: GraphSpec, neighbors: Neighborhood, centers: Bools | None) -> None:
    """Raises unless the edges of the wanted centers follow from the neighbors."""
    if centers is None and neighbors.centers is None:
        return
    if spec.undirected or spec.rule is NeighborRule.PUBLISHED:
        raise ValueError(f"The edges of an atom depend on all others: ask for the graph of all atoms with {spec}.")
    if neighbors.centers is not None:
        wanted = np.ones_like(neighbors.centers) if centers is None else centers
        if missing := int((wanted & ~neighbors.centers).sum()):
            raise ValueError(f"The neighbors of {missing} of {wanted.sum()} centers were not searched.")
