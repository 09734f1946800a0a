"""Crystals reduced to one atom per orbit: the same prediction from a third of the atoms.

Atoms that the space group maps onto each other have the same invariants, and tensors that the same operation maps onto
each other. So the network needs only one atom of each orbit; a neighbour's tensors are those of its orbit's first atom,
rotated, and the mean over a crystal's atoms is the weighted mean over the orbits' first atoms, averaged over the point
group. In training symmetry is found once per crystal and serves hundreds of passes (`OrbitGraph`, with matrices ready);
in a prediction crystals are idealised first and seen once (`IdealizedGraph`, with rotations only).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from models.crystals.crystal import CrystalBatch, Floats, Ints, rows_between
from models.crystals.graph import CrystalGraph, GraphSpec, build_graph, find_graph_neighbors
from models.crystals.image_kernels import ImageKernels, join_kernels
from models.symmetry.idealize import IdealizedCrystals
from models.symmetry.operations import cell_operations
from models.tensors.irreps import wigner_matrices
from models.tensors.rotate import nearest_rotation

DEGREES = (1, 2, 3, 4)
_CHUNK = 4096  # rotations at a time: 24 MB of matrices for l = 4
_MAX_MISS = 10.0  # times the tolerance: an atom that no operation brings closer lies on another orbit


@dataclass(frozen=True)
class EdgesOfOrbits:
    """Edges of a batch of crystals, centered on the first atom of each orbit only.

    Attributes:
        n_crystals: number of crystals.
        numbers: atomic numbers of the first atoms, shape [n_orbits].
        crystal_of_orbit: ascending, shape [n_orbits].
        share: part of its crystal's atoms that an orbit holds, shape [n_orbits].
        orbit_of_atom: orbit of every atom; those of a crystal are consecutive, shape [n_atoms].
        center: the orbit an edge informs, ascending, shape [n_edges].
        neighbor: the atom at its other end, shape [n_edges].
        vector, scaled_distance: as in CrystalGraph.
        kernels: from the first atom of each orbit to all atoms of an orbit together; None for a network without.
    """

    n_crystals: int
    numbers: Ints
    crystal_of_orbit: Ints
    share: Floats
    orbit_of_atom: Ints
    center: Ints
    neighbor: Ints
    vector: Floats
    scaled_distance: Floats
    kernels: ImageKernels | None


@dataclass(frozen=True)
class OrbitGraph(EdgesOfOrbits):
    """Such edges with the matrices that a network needs, made once for hundreds of passes.

    Attributes:
        turns: D matrices (wigner_matrices, l = 1 to 4 flattened, then det R) of the operation that takes the first atom
            of the orbit to the atom, shape [n_atoms, 165].
        averages: their means over the point group, then those with det R for the other parity, [n_crystals, 328].
    """

    turns: Floats
    averages: Floats

    @cached_property
    def _firsts(self) -> tuple[Ints, Ints, Ints]:
        """First orbit and first atom of every crystal, and first edge of every orbit, each followed by their number.

        Kept: a training selects a thousand times an epoch, and counting all edges would be a fifth of its time.
        """
        counts = (
            np.bincount(self.crystal_of_orbit, minlength=self.n_crystals),
            np.bincount(self.crystal_of_orbit[self.orbit_of_atom], minlength=self.n_crystals),
            np.bincount(self.center, minlength=len(self.numbers)),
        )
        orbit, atom, edge = (np.concatenate([[0], np.cumsum(count)]) for count in counts)
        return np.asarray(orbit), np.asarray(atom), np.asarray(edge)

    def select(self, crystals: Ints) -> "OrbitGraph":
        """The graph of the crystals of the given indices, in that order; a crystal may be taken more than once."""
        first_orbit, first_atom, first_edge = self._firsts
        orbits, crystal_of_orbit = rows_between(first_orbit, crystals)
        atoms, crystal_of_atom = rows_between(first_atom, crystals)
        edges, center = rows_between(first_edge, orbits)
        orbit_shift, atom_shift = _shifts(first_orbit, crystals), _shifts(first_atom, crystals)
        return OrbitGraph(
            len(crystals),
            self.numbers[orbits],
            crystal_of_orbit,
            self.share[orbits],
            self.orbit_of_atom[atoms] + orbit_shift[crystal_of_atom],
            center,
            self.neighbor[edges] + atom_shift[crystal_of_orbit[center]],
            self.vector[edges],
            self.scaled_distance[edges],
            None if self.kernels is None else self.kernels.select(crystals),
            self.turns[atoms],
            self.averages[crystals],
        )


@dataclass(frozen=True)
class IdealizedGraph(EdgesOfOrbits):
    """Such edges of crystals whose symmetry is exact.

    Attributes:
        rotations: of the operation that takes the first atom of the orbit to the atom, orthogonal, shape
            [n_atoms, 3, 3].
    """

    rotations: Floats

    @cached_property
    def starts(self) -> tuple[Ints, Ints, Ints]:
        """First orbit, atom and edge of each crystal, and their numbers, shape [n_crystals + 1] each."""
        crystals = np.arange(self.n_crystals + 1)
        orbits = np.searchsorted(self.crystal_of_orbit, crystals)
        atoms = np.searchsorted(self.crystal_of_orbit[self.orbit_of_atom], crystals)
        return orbits, atoms, np.searchsorted(self.center, orbits)

    @cached_property
    def most_edges(self) -> int:
        """Edges of the orbit that has most of them."""
        return int(np.bincount(self.center).max(initial=0))

    def part(self, start: int, stop: int) -> "IdealizedGraph":
        """The graph of the crystals from `start` to before `stop`."""
        orbits, atoms, edges = (slice(int(first[start]), int(first[stop])) for first in self.starts)
        return IdealizedGraph(
            stop - start,
            self.numbers[orbits],
            self.crystal_of_orbit[orbits] - start,
            self.share[orbits],
            self.orbit_of_atom[atoms] - orbits.start,
            self.center[edges] - orbits.start,
            self.neighbor[edges] - atoms.start,
            self.vector[edges],
            self.scaled_distance[edges],
            None if self.kernels is None else self.kernels.select(np.arange(start, stop)),
            self.rotations[atoms],
        )


def idealized_graph(crystals: IdealizedCrystals, spec: GraphSpec) -> IdealizedGraph:
    """The graph of crystals whose symmetry is exact.

    Args:
        crystals: whose edges are in memory at once.
        spec: how far edges reach, in whole shells: the published rule breaks the symmetry.
    """
    batch = crystals.crystals
    is_first = crystals.first == np.arange(len(crystals.first))
    # where edges depend on both ends those of the other atoms are needed too
    centers = None if spec.undirected else is_first
    graph = build_graph(batch, spec, find_graph_neighbors(batch, [spec], centers=centers), centers=centers)
    return _centered(batch, graph, crystals.first, crystals.rotations)


def graph_as_given(batch: CrystalBatch, graph: CrystalGraph) -> IdealizedGraph:
    """A graph of all atoms in the same form, every atom an orbit of its own."""
    n_atoms = len(batch.numbers)
    return _centered(batch, graph, np.arange(n_atoms), np.tile(np.eye(3), (n_atoms, 1, 1)))


def _centered(batch: CrystalBatch, graph: CrystalGraph, first: Ints, rotations: Floats) -> IdealizedGraph:
    """The edges of the first atoms of orbits."""
    is_first = first == np.arange(len(first))
    orbit = np.cumsum(is_first) - 1
    crystal_of_orbit = batch.crystal_of_atom[is_first]
    sizes = np.bincount(orbit[first], minlength=len(crystal_of_orbit))
    kept = is_first[graph.center]
    keep = slice(None) if kept.all() else kept  # no copies of what is kept as a whole
    return IdealizedGraph(
        batch.n_crystals,
        batch.numbers[is_first],
        crystal_of_orbit,
        sizes / batch.atoms_per_crystal[crystal_of_orbit],
        orbit[first],
        orbit[graph.center[keep]],
        graph.neighbor[keep],
        graph.vector[keep],
        graph.scaled_distance[keep],
        None if graph.kernels is None else graph.kernels.of_orbits(orbit[first], is_first),
        rotations,
    )


def _shifts(firsts: Ints, chosen: Ints) -> Ints:
    """How far the rows of each chosen owner move; those of owner k begin at firsts[k], [n_chosen]."""
    sizes = firsts[chosen + 1] - firsts[chosen]
    shifts: Ints = (np.cumsum(sizes) - sizes) - firsts[chosen]
    return shifts


def reduce_to_orbits(
    batch: CrystalBatch, graph: CrystalGraph, symprec: float = 1e-2, dtype: DTypeLike = np.float32
) -> OrbitGraph:
    """The graph of a batch centered on the first atom of each orbit.

    Args:
        batch: validated crystals.
        graph: their edges.
        symprec: distance tolerance in angstrom; atoms that match only within it are taken for equal.
        dtype: of `turns` and `averages`; float64 costs twice the memory and is exact to rounding.
    """
    first, rotations, group, crystal_of_op = _find_orbits(batch, symprec)
    # edges to the first atoms alone are kept; where they lead, every atom of every orbit still counts
    is_first = first == np.arange(len(first))
    orbit = np.cumsum(is_first) - 1
    sizes = np.bincount(orbit[first], minlength=int(is_first.sum()))
    keep = is_first[graph.center]
    crystal_of_orbit = batch.crystal_of_atom[is_first]
    return OrbitGraph(
        batch.n_crystals,
        batch.numbers[is_first],
        crystal_of_orbit,
        sizes / batch.atoms_per_crystal[crystal_of_orbit],
        orbit[first],
        orbit[graph.center[keep]],
        graph.neighbor[keep],
        graph.vector[keep],
        graph.scaled_distance[keep],
        None if graph.kernels is None else graph.kernels.of_orbits(orbit[first], is_first),
        _turns(rotations, dtype),
        _averages(_turns(group, dtype), crystal_of_op, batch.n_crystals),
    )


def without_orbits(batch: CrystalBatch, graph: CrystalGraph) -> OrbitGraph:
    """The whole graph in the same form, every atom an orbit of its own: for graphs that break the symmetry."""
    n_atoms = len(batch.numbers)
    identity = np.broadcast_to(np.eye(3), (max(n_atoms, batch.n_crystals), 3, 3))
    return OrbitGraph(
        batch.n_crystals,
        batch.numbers,
        batch.crystal_of_atom,
        1.0 / batch.atoms_per_crystal[batch.crystal_of_atom],
        np.arange(n_atoms),
        graph.center,
        graph.neighbor,
        graph.vector,
        graph.scaled_distance,
        graph.kernels,
        _turns(identity[:n_atoms], np.float32),
        _averages(_turns(identity[: batch.n_crystals], np.float32), np.arange(batch.n_crystals), batch.n_crystals),
    )


def _find_orbits(batch: CrystalBatch, symprec: float) -> tuple[Ints, Floats, Floats, Ints]:
    """First atom of each atom's orbit, the Cartesian operation that takes it there, and each crystal's operations."""
    firsts, turns, groups = [], [], []
    for crystal in range(batch.n_crystals):
        start, stop = batch.first_atom[crystal : crystal + 2]
        lattice, positions = batch.lattice[crystal], batch.frac_coords[start:stop]
        orbits, group = np.arange(stop - start), np.eye(3)[None]
        operation = np.zeros(stop - start, dtype=np.int64)
        operations = cell_operations(batch, crystal, symprec)
        if operations is not None:
            # for each atom the operation that brings its orbit's first atom closest
            images = positions[operations.orbits] @ np.swapaxes(operations.rotations, -1, -2)
            offset = images + operations.translations[:, None] - positions
            distance = np.linalg.norm((offset - np.round(offset)) @ lattice, axis=-1)
            # In a supercell that breaks its crystal's symmetry the orbits are those of the crystal, but the operations
            # only those that keep the cell: atoms are missed, and every atom stays an orbit of its own.
            if distance.min(axis=0).max() < _MAX_MISS * symprec:
                orbits, operation = operations.orbits, np.argmin(distance, axis=0)
                group = nearest_rotation(lattice.T @ operations.rotations @ np.linalg.inv(lattice.T))
        firsts.append(start + orbits)
        turns.append(group[operation])
        groups.append(group)
    owner = np.repeat(np.arange(batch.n_crystals), [len(g) for g in groups])
    return np.concatenate(firsts), np.concatenate(turns), np.concatenate(groups), owner


def _turns(rotations: Floats, dtype: DTypeLike) -> Floats:
    """D matrices of l = 1 to 4 flattened and det R, [n, 165]."""
    parts = []
    for chunk in np.array_split(rotations, max(1, len(rotations) // _CHUNK)):
        flat = [wigner_matrices(degree, chunk).reshape(len(chunk), -1) for degree in DEGREES]
        parts.append(np.concatenate([*flat, np.linalg.det(chunk)[:, None]], axis=1).astype(dtype))
    return np.concatenate(parts)


def _averages(turns: Floats, crystal_of_op: Ints, n_crystals: int) -> Floats:
    """Means of D and of det(R) D over each crystal's operations, [n_crystals, 328]."""
    counts = np.bincount(crystal_of_op, minlength=n_crystals)
    # for even and odd tensors of each degree: an improper operation counts them with opposite signs
    of_parities = np.concatenate([turns[:, :-1], turns[:, :-1] * turns[:, -1:]], axis=1)
    total = np.add.reduceat(of_parities, np.cumsum(counts) - counts, axis=0)
    mean: Floats = total / counts[:, None]
    return mean


def join_orbit_graphs(graphs: list[OrbitGraph]) -> OrbitGraph:
    """Concatenates graphs in order."""
    crystals = np.cumsum([0] + [g.n_crystals for g in graphs])
    orbits = np.cumsum([0] + [len(g.numbers) for g in graphs])
    atoms = np.cumsum([0] + [len(g.orbit_of_atom) for g in graphs])

    def join(name: str, shift: Ints | None = None) -> Any:
        arrays = [getattr(g, name) for g in graphs]
        return np.concatenate(arrays if shift is None else [a + s for a, s in zip(arrays, shift, strict=False)])

    kernels = [g.kernels for g in graphs if g.kernels is not None]
    return OrbitGraph(
        int(crystals[-1]),
        join("numbers"),
        join("crystal_of_orbit", crystals),
        join("share"),
        join("orbit_of_atom", orbits),
        join("center", orbits),
        join("neighbor", atoms),
        join("vector"),
        join("scaled_distance"),
        join_kernels(kernels) if kernels else None,
        join("turns"),
        join("averages"),
    )
