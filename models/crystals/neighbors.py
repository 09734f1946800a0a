"""Which periodic images of which atoms lie within a radius: flat arrays in, flat arrays out, exact for any cell.

Counting argument: with fractional differences wrapped to [-1/2, 1/2), an image within radius R of an atom is shifted by
at most floor(R / h + 1/2) cells along an axis whose lattice planes are h apart. Nothing is missed in skewed cells; they
are only reduced first because h is largest in a reduced cell and the number of candidate images smallest.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_MAX_CANDIDATES = 1_000_000  # image candidates held at a time: 3 x 8 MB of vectors


class Neighbors(NamedTuple):
    """Directed pairs: `vector` points from atom `center` to an image of atom `neighbor`.

    Attributes:
        center: atom index, ascending, shape [n_pairs].
        neighbor: atom index, shape [n_pairs].
        vector: Cartesian vector in angstrom, shape [n_pairs, 3].
        distance: its length in angstrom, shape [n_pairs].
    """

    center: Ints
    neighbor: Ints
    vector: Floats
    distance: Floats

    def take(self, rows: Ints | Bools) -> "Neighbors":
        """The pairs of the given rows."""
        return Neighbors(self.center[rows], self.neighbor[rows], self.vector[rows], self.distance[rows])

    def renamed(self, atoms: Ints) -> "Neighbors":
        """The same pairs with other names for the atoms: atom k becomes atoms[k]."""
        return self._replace(center=atoms[self.center], neighbor=atoms[self.neighbor])

    @staticmethod
    def join(parts: Sequence["Neighbors"]) -> "Neighbors":
        """All pairs, sorted by center; pairs of one center keep their order."""
        center = np.concatenate([*(p.center for p in parts), np.zeros(0, np.int64)])
        neighbor = np.concatenate([*(p.neighbor for p in parts), np.zeros(0, np.int64)])
        vector = np.concatenate([*(p.vector for p in parts), np.zeros((0, 3))])
        distance = np.concatenate([*(p.distance for p in parts), np.zeros(0)])
        return Neighbors(center, neighbor, vector, distance).take(np.argsort(center, kind="stable"))


def cell_heights(lattice: Floats) -> Floats:
    """Distance between opposite faces along each axis in angstrom, shape [n, 3], of cells with shape [n, 3, 3]."""
    heights: Floats = 1.0 / np.linalg.norm(np.linalg.inv(lattice), axis=1)
    return heights


def reduce_lattices(lattice: Floats) -> tuple[Floats, Floats]:
    """Nearly orthogonal cells of the same lattices in the same Cartesian frame.

    Pairwise (Gauss) reduction until no lattice vector gets shorter by adding multiples of another. The result is not
    unique and need not be: only the number of candidate images depends on it.

    Args:
        lattice: rows a, b, c in angstrom, shape [n, 3, 3].

    Returns:
        The reduced rows, shape [n, 3, 3], and the unimodular integer matrices T with reduced = T @ lattice.
    """
    reduced = lattice.astype(np.float64, copy=True)
    transform = np.broadcast_to(np.eye(3), reduced.shape).copy()
    active = np.arange(len(reduced))
    for _ in range(200):
        if not len(active):
            break
        changed = np.zeros(len(active), dtype=bool)
        for i, j in ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)):
            rows, basis = reduced[active], transform[active]
            dots = np.einsum("nk,nk->n", rows[:, i], rows[:, j])
            # 0.5 + 1e-6: a projection of exactly one half must not flip back and forth on rounding errors
            ratio = dots / np.einsum("nk,nk->n", rows[:, j], rows[:, j])
            steps = np.where(np.abs(ratio) > 0.5 + 1e-6, np.round(ratio), 0.0)
            reduced[active, i] = rows[:, i] - steps[:, None] * rows[:, j]
            transform[active, i] = basis[:, i] - steps[:, None] * basis[:, j]
            changed |= steps != 0
        active = active[changed]
    return reduced, transform


def find_neighbors(
    lattice: Floats, frac_coords: Floats, crystal_of_atom: Ints, radius: Floats, centers: Bools | None = None
) -> Neighbors:
    """All pairs of atoms and images closer than a radius, the atom itself excluded, every image exactly once.

    The pairs of one atom come in the order of the neighbour, then of its image: a larger radius adds pairs between
    those of a smaller one and changes nothing about them.

    Args:
        lattice: rows a, b, c in angstrom, shape [n_crystals, 3, 3].
        frac_coords: shape [n_atoms, 3].
        crystal_of_atom: ascending, shape [n_atoms].
        radius: in angstrom, shape [n_crystals].
        centers: atoms whose pairs are wanted, shape [n_atoms]; all if None. The others are neighbours only.
    """
    return find_shells(lattice, frac_coords, crystal_of_atom, radius, (), centers)[0]


def find_shells(
    lattice: Floats,
    frac_coords: Floats,
    crystal_of_atom: Ints,
    radius: Floats,
    shells: Sequence[tuple[int, float]],
    centers: Bools | None = None,
) -> tuple[Neighbors, Floats, Floats]:
    """The same as `find_neighbors`, as far as whole shells of neighbours reach.

    Args:
        lattice: rows a, b, c in angstrom, shape [n_crystals, 3, 3].
        frac_coords: shape [n_atoms, 3].
        crystal_of_atom: ascending, shape [n_atoms].
        radius: how far to search in any case, in angstrom, shape [n_crystals].
        shells: pairs of k and a multiple of the distance of a center's k-th neighbour, as far as which to search.
        centers: see `find_neighbors`.

    Returns:
        The pairs, the radius up to which all were found in angstrom, shape [n_crystals], and the distance of every
        center's k-th neighbour in angstrom, infinite for the other atoms, shape [n_shells, n_atoms].
    """
    kth = np.full((len(shells), len(frac_coords)), np.inf)
    if not len(frac_coords):
        return Neighbors.join([]), radius, kth
    # what reads foreign files measures distances too, but never comes here: it need not load a compiler
    from models.crystals.neighbor_search import reduce_cells, search

    reduced, transform = np.array(lattice, dtype=np.float64), np.broadcast_to(np.eye(3), lattice.shape).copy()
    reduce_cells(reduced, transform)
    frac = np.einsum("ni,nij->nj", frac_coords, np.linalg.inv(transform)[crystal_of_atom])
    is_center = np.ones(len(frac), dtype=np.bool_) if centers is None else np.ascontiguousarray(centers)
    counts = np.bincount(crystal_of_atom, minlength=len(lattice))
    n_centers = np.bincount(crystal_of_atom[is_center], minlength=len(lattice))
    # as many as at the mean density, and some more
    density = counts / np.abs(np.linalg.det(reduced))
    capacity = int(1.2 * (n_centers * density * (4.0 / 3.0 * np.pi * radius**3)).sum()) + 100
    reached = np.array(radius, dtype=np.float64)
    numbers = np.array([k for k, _ in shells], np.int64), np.array([multiple for _, multiple in shells], np.float64)
    first_atom = np.concatenate([[0], np.cumsum(counts)])
    cells = reduced, cell_heights(reduced)
    return Neighbors(*search(cells, frac, first_atom, reached, is_center, numbers, kth, capacity)), reached, kth


def closest_pairs(
    lattice: Floats, frac_coords: Floats, crystal_of_atom: Ints, limit: float
) -> dict[int, tuple[int, int, float]]:
    """The closest pair of atoms of every crystal that has one closer than `limit` angstrom.

    Time and memory go with the number of atoms, not with its square: atoms are swept along the longest axis of their
    cell. Cells with a height below twice the limit, where several images may be as close, are searched in full.

    Returns:
        crystal index -> (atom, atom, distance in angstrom), atoms counted from 0 within the crystal.
    """
    reduced, transform = reduce_lattices(lattice)
    heights = cell_heights(reduced)
    thin = heights.min(axis=1, initial=np.inf) < 2 * limit
    frac = np.einsum("ni,nij->nj", frac_coords, np.linalg.inv(transform)[crystal_of_atom])
    swept = np.flatnonzero(~thin[crystal_of_atom])
    parts = [_swept_pairs(swept, frac[swept], reduced, heights, crystal_of_atom[swept], limit)]
    atoms, crystals = np.flatnonzero(thin[crystal_of_atom]), np.flatnonzero(thin)
    owner = np.searchsorted(crystals, crystal_of_atom[atoms])
    near = find_neighbors(lattice[crystals], frac_coords[atoms], owner, np.full(len(crystals), limit))
    return closest_of(Neighbors.join([*parts, near.renamed(atoms)]), crystal_of_atom, limit)


def closest_of(pairs: Neighbors, crystal_of_atom: Ints, limit: float) -> dict[int, tuple[int, int, float]]:
    """The same as `closest_pairs` from neighbors that were searched at least out to the limit.

    Args:
        pairs: neighbors in all crystals.
        crystal_of_atom: ascending, shape [n_atoms].
        limit: in angstrom.
    """
    near = pairs.take(pairs.distance < limit)
    near = near.take(np.argsort(near.distance, kind="stable"))
    crystals, rows = np.unique(crystal_of_atom[near.center], return_index=True)
    starts = np.searchsorted(crystal_of_atom, crystals)
    first, second = near.center[rows] - starts, near.neighbor[rows] - starts
    triples = zip(first.tolist(), second.tolist(), near.distance[rows].tolist(), strict=True)
    return dict(zip(crystals.tolist(), triples, strict=True))


def _swept_pairs(
    atoms: Ints, frac: Floats, lattice: Floats, heights: Floats, crystal_of_atom: Ints, limit: float
) -> Neighbors:
    """Pairs closer than the limit in cells whose heights are all above twice the limit, each pair once.

    Args:
        atoms: names of the atoms in the result, shape [n_atoms].
        frac: fractional coordinates, shape [n_atoms, 3].
        lattice: reduced rows, shape [n_crystals, 3, 3].
        heights: of these cells in angstrom, shape [n_crystals, 3].
        crystal_of_atom: ascending, shape [n_atoms].
        limit: in angstrom.
    """
    if not len(atoms):
        return Neighbors.join([])
    axis = heights.argmax(axis=1)[crystal_of_atom]
    length = heights[crystal_of_atom, axis]
    along = frac[np.arange(len(frac)), axis]
    along = (along - np.floor(along)) * length
    # Atoms near the lower face stand a second time behind the upper one, so that the sweep needs no wrapping.
    ghosts = np.flatnonzero(along < limit)
    atom = np.concatenate([np.arange(len(frac)), ghosts])
    # crystals lie one behind the other, too far apart for a pair between two of them
    spacing = float(length.max()) + 3 * limit
    key = np.concatenate([along, along[ghosts] + length[ghosts]]) + crystal_of_atom[atom] * spacing
    order = np.argsort(key, kind="stable")
    atom, key, is_ghost = atom[order], key[order], order >= len(frac)
    n_after = np.searchsorted(key, key + limit * (1 + 1e-6)) - np.arange(len(key)) - 1
    n_after[is_ghost] = 0
    parts = []
    # as many candidates at a time as memory is meant to hold
    group = np.cumsum(n_after) // _MAX_CANDIDATES
    for rows in np.split(np.arange(len(key)), np.flatnonzero(np.diff(group)) + 1):
        first = np.repeat(rows, n_after[rows])
        within = np.arange(len(first)) - np.repeat(np.cumsum(n_after[rows]) - n_after[rows], n_after[rows])
        i, j = atom[first], atom[first + 1 + within]
        difference = frac[j] - frac[i]
        difference -= np.floor(difference + 0.5)
        vector = np.einsum("ni,nij->nj", difference, lattice[crystal_of_atom[i]])
        distance = np.sqrt(np.einsum("nk,nk->n", vector, vector))
        near = distance < limit
        parts.append(Neighbors(atoms[i[near]], atoms[j[near]], vector[near], distance[near]))
    return Neighbors.join(parts)
