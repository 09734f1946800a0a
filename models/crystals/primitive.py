"""The primitive cell of a crystal given as a large supercell: pure translations, found without comparing all pairs.

The translations of a crystal modulo those of the given cell are a finite group. Its order divides the number of atoms
of every element, so its elements of prime order p are the vectors (i, j, k) / p of the given cell for the few p that
divide them all. Such vectors are read off one atom's distances to its like, tried on all atoms through a grid of boxes
with at most one atom each, and the cell is folded by each that holds. An atom that contradicts one vector contradicts
most others: it is asked first about each of the rest. Every step takes time with the number of atoms, and their number
is bounded, so that an almost perfect crystal costs little more than a perfect one.

The basis changes, the Cartesian frame does not: tensors of the primitive cell are those of the given cell as they
are. Positions are averages over the copies.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from models.crystals.crystal import MAX_ATOMIC_NUMBER, MAX_FRACTIONAL, CrystalBatch, Floats, Ints
from models.crystals.neighbors import cell_heights, reduce_lattices

MAX_LISTED_ATOMS = 50_000
"""Larger cells are not looked at."""

TOLERANCE_ANGSTROM = 0.01
"""Every atom lies so close to the mean of its copies, or the cell is not folded: the tolerance of identity."""

_MAX_TRIALS = 64
_BOX_ANGSTROM = 0.15  # three edges are shorter than the smallest distance between two atoms
_FIRST_SAMPLE = 64


@dataclass(frozen=True)
class _Cell:
    """A cell, and which of its atoms each atom of the listed cell became.

    Attributes:
        lattice: reduced rows in angstrom, shape [3, 3].
        frac_coords: in [0, 1), shape [n_atoms, 3].
        numbers: atomic numbers, shape [n_atoms].
        atom_of_listed: shape [n_listed].
    """

    lattice: Floats
    frac_coords: Floats
    numbers: Ints
    atom_of_listed: Ints


class _Grid(NamedTuple):
    """Atoms by the box they lie in: `key` ascending, `atom` of each, `n_boxes` along each axis, `reach` in boxes."""

    key: Ints
    atom: Ints
    n_boxes: Floats
    reach: Floats


def with_primitive_cells(batch: CrystalBatch, max_atoms: int) -> tuple[CrystalBatch, dict[int, int]]:
    """The batch with its large cells replaced by their primitive cells, where these are small enough.

    Args:
        batch: crystals, not validated; the small ones are not touched.
        max_atoms: cells up to this size stay as they are.

    Returns:
        The batch in the same order, and for each replaced crystal the number of atoms that were listed. Cells of more
        than 50,000 atoms, those without a smaller cell within 0.01 angstrom, and faulty ones stay.
    """
    counts = batch.atoms_per_crystal
    cells = {
        int(row): cell
        for row in np.flatnonzero((counts > max_atoms) & (counts <= MAX_LISTED_ATOMS))
        if (cell := _primitive(batch, int(row), max_atoms)) is not None
    }
    if not cells:
        return batch, {}
    small = CrystalBatch.from_arrays(*zip(*cells.values(), strict=True))
    joined = CrystalBatch.join([batch, small])
    # the small cells stand behind all others; the order of the batch puts them where the large ones were
    place = np.arange(batch.n_crystals)
    place[list(cells)] = batch.n_crystals + np.arange(len(cells))
    return joined.select(place), {row: int(counts[row]) for row in cells}


def _primitive(batch: CrystalBatch, row: int, max_atoms: int) -> tuple[Floats, Floats, Ints] | None:
    """Lattice, fractional coordinates and atomic numbers of the primitive cell; None where it is not small enough."""
    atoms = slice(batch.first_atom[row], batch.first_atom[row + 1])
    lattice, frac_coords, numbers = batch.lattice[row], batch.frac_coords[atoms], batch.numbers[atoms]
    if not _is_usable(lattice, frac_coords, numbers) or len(numbers) > max_atoms * _common_divisor(numbers):
        return None
    listed = cell = _reduced(lattice, frac_coords, numbers, np.arange(len(numbers)))
    trials = iter(range(_MAX_TRIALS))
    while (folded := _folded_once(cell, trials)) is not None:
        cell = folded
    # every folding moves atoms to the mean of their copies: how far each is from there after all of them
    steps = listed.frac_coords @ (listed.lattice @ np.linalg.inv(cell.lattice)) - cell.frac_coords[cell.atom_of_listed]
    shifts = np.linalg.norm((steps - np.rint(steps)) @ cell.lattice, axis=1)
    if len(cell.numbers) > max_atoms or shifts.max() > TOLERANCE_ANGSTROM:
        return None
    return cell.lattice, cell.frac_coords, cell.numbers


def _is_usable(lattice: Floats, frac_coords: Floats, numbers: Ints) -> bool:
    """Whether a search makes sense; what is wrong otherwise is said by `find_invalid`."""
    if not (np.isfinite(lattice).all() and np.isfinite(frac_coords).all()) or np.abs(lattice).max() > 1e4:
        return False
    lengths = np.linalg.norm(lattice, axis=1)
    if lengths.min() < 1e-3 or abs(np.linalg.det(lattice)) < 1e-7 * np.prod(lengths):
        return False
    are_elements = bool((numbers >= 1).all() and (numbers <= MAX_ATOMIC_NUMBER).all())
    return are_elements and bool((np.abs(frac_coords) < MAX_FRACTIONAL).all())


def _common_divisor(numbers: Ints) -> int:
    """The largest number that divides the number of atoms of every element."""
    return int(np.gcd.reduce(np.unique(numbers, return_counts=True)[1]))


def _reduced(lattice: Floats, frac_coords: Floats, numbers: Ints, atom_of_listed: Ints) -> _Cell:
    """The cell with a nearly orthogonal basis of the same lattice."""
    rows, transform = reduce_lattices(lattice[None])
    frac = frac_coords @ np.linalg.inv(transform[0])
    return _Cell(rows[0], frac - np.floor(frac), numbers, atom_of_listed)


def _folded_once(cell: _Cell, trials: Iterator[int]) -> _Cell | None:
    """The cell folded by one translation of prime order; None where there is none, or no trial is left."""
    grid = _grid(cell)
    if grid is None:
        return None
    shuffled = np.random.default_rng(0).permutation(len(cell.numbers))
    # the rarest element has the fewest vectors from one of its atoms to the others
    elements, counts = np.unique(cell.numbers, return_counts=True)
    rarest = int(np.flatnonzero(cell.numbers == elements[counts.argmin()])[0])
    for prime in _prime_factors(_common_divisor(cell.numbers)):
        generators = _generators(cell, rarest, prime)
        while generators:
            if next(trials, None) is None:
                return None
            generator = generators.pop()
            partner, witness = _partners(cell, grid, np.array(generator) / prime, shuffled)
            if partner is None:
                # what contradicts one vector contradicts most others
                generators &= _generators(cell, witness, prime)
            elif (folded := _folded(cell, partner, np.array(generator), prime)) is not None:
                return folded
    return None


def _grid(cell: _Cell) -> _Grid | None:
    """The atoms in their boxes; None where two share one, as only atoms that overlap can."""
    heights = cell_heights(cell.lattice[None])[0]
    lengths = np.linalg.norm(cell.lattice, axis=1)
    # a box is wider than the reach to either side, or the eight boxes around a point would not be all
    n_boxes = np.maximum(1, np.minimum(np.ceil(lengths / _BOX_ANGSTROM), heights // (5 * TOLERANCE_ANGSTROM)))
    key = _box_keys(cell.frac_coords * n_boxes, n_boxes)
    order = np.argsort(key, kind="stable")
    if (np.diff(key[order]) == 0).any():
        return None
    return _Grid(key[order], order, n_boxes, 2 * TOLERANCE_ANGSTROM / heights * n_boxes)


def _box_keys(place: Floats, n_boxes: Floats) -> Ints:
    """The number of the box in which each point lies, given in boxes, shape [n_points]."""
    box = np.mod(np.floor(place), n_boxes).astype(np.int64)
    n = n_boxes.astype(np.int64)
    keys: Ints = (box[:, 0] * n[1] + box[:, 1]) * n[2] + box[:, 2]
    return keys


def _prime_factors(number: int) -> list[int]:
    factors, factor = [], 2
    while factor * factor <= number:
        if number % factor == 0:
            factors.append(factor)
            while number % factor == 0:
                number //= factor
        factor += 1
    return [*factors, number] if number > 1 else factors


def _generators(cell: _Cell, atom: int, prime: int) -> set[tuple[int, int, int]]:
    """Vectors (i, j, k) / prime that lead from an atom to its like, one of each group of multiples, as (i, j, k).

    The first entry that is not 0 is 1. Where such a vector is a translation, so are its multiples: only whole groups
    count.
    """
    like = np.flatnonzero(cell.numbers == cell.numbers[atom])
    steps = (cell.frac_coords[like] - cell.frac_coords[atom]) * prime
    whole = np.rint(steps)
    near = np.linalg.norm((steps - whole) / prime @ cell.lattice, axis=1) < 2 * TOLERANCE_ANGSTROM
    vectors = np.unique(np.mod(whole[near], prime).astype(np.int64), axis=0)
    vectors = vectors[vectors.any(axis=1)]
    if len(vectors) < prime - 1:
        return set()
    first = np.take_along_axis(vectors, (vectors != 0).argmax(axis=1)[:, None], axis=1)[:, 0]
    inverse = np.array([0, *(pow(n, -1, prime) for n in range(1, prime))], dtype=np.int64)
    groups, counts = np.unique(vectors * inverse[first][:, None] % prime, axis=0, return_counts=True)
    return {(i, j, k) for i, j, k in groups[counts == prime - 1].tolist()}


def _partners(cell: _Cell, grid: _Grid, shift: Floats, shuffled: Ints) -> tuple[Ints | None, int]:
    """The atom at which each atom arrives when it is shifted; without it, an atom that arrives nowhere.

    Atoms are asked in a random order and in growing parts: where many do not fit, few need to be asked.
    """
    partner = np.full(len(cell.numbers), -1)
    start, size = 0, _FIRST_SAMPLE
    while start < len(shuffled):
        asked = shuffled[start : start + size]
        partner[asked] = _atoms_at(cell, grid, cell.frac_coords[asked] + shift, cell.numbers[asked])
        lost = asked[partner[asked] < 0]
        if len(lost):
            return None, int(lost[0])
        start, size = start + size, 8 * size
    return partner, -1


def _atoms_at(cell: _Cell, grid: _Grid, points: Floats, numbers: Ints) -> Ints:
    """The atom of the given element at each point (fractional), -1 where there is none, shape [n_points]."""
    atoms = np.full(len(points), -1)
    place = points * grid.n_boxes
    # an atom within reach of a point lies in its box or in one that the corners of its surroundings lie in
    for corner in np.ndindex(2, 2, 2):
        key = _box_keys(place + (2 * np.array(corner) - 1) * grid.reach, grid.n_boxes)
        slot = np.minimum(np.searchsorted(grid.key, key), len(grid.key) - 1)
        atom = grid.atom[slot]
        apart = cell.frac_coords[atom] - points
        distance = np.linalg.norm((apart - np.rint(apart)) @ cell.lattice, axis=1)
        hit = (grid.key[slot] == key) & (cell.numbers[atom] == numbers) & (distance < 2 * TOLERANCE_ANGSTROM)
        atoms[hit] = atom[hit]
    return atoms


def _folded(cell: _Cell, partner: Ints, generator: Ints, prime: int) -> _Cell | None:
    """The cell with one more lattice vector, generator / prime; None where the copies of an atom are not that many."""
    if (np.bincount(partner, minlength=len(partner)) != 1).any():
        return None
    first, onward = np.arange(len(partner)), partner
    for _ in range(prime.bit_length()):  # twice as far along the ring of copies each time, to its smallest number
        first, onward = np.minimum(first, first[onward]), onward[onward]
    kept, atom, copies = np.unique(first, return_inverse=True, return_counts=True)
    if (copies != prime).any():
        return None
    basis = np.eye(3)
    pivot = int((generator != 0).argmax())  # its entry is 1: with the other two vectors the new one spans the lattice
    basis[pivot] = (generator - prime * (generator > prime // 2)) / prime
    frac = cell.frac_coords @ np.linalg.inv(basis)
    apart = frac - frac[kept][atom]
    apart -= np.rint(apart)
    mean = np.stack([np.bincount(atom, column) for column in apart.T], axis=1) / prime
    return _reduced(basis @ cell.lattice, frac[kept] + mean, cell.numbers[kept], atom[cell.atom_of_listed])
