"""Positions averaged over a space group, compiled: which atoms its operations exchange, and where they lie exactly.

Everything is in the basis of a primitive cell of the standard setting: atoms of a supercell that are equal modulo its
translations are one atom, whether or not the supercell keeps the operations of the group.
"""

from typing import NamedTuple

import numpy as np

from models.compiled import compiled
from models.crystals.crystal import Floats, Ints

EXACT_ANGSTROM = 1e-10
"""How far an operation may leave an averaged atom from its place: rounding errors of large cells."""


class GivenAtoms(NamedTuple):
    """The atoms of the crystals of a batch, in the bases of their primitive cells.

    Attributes:
        frac_coords: relative to the origin of the space group, [n_given, 3].
        numbers: atomic numbers, [n_given].
        first_atom: of each crystal, and the number of atoms, [n_crystals + 1].
        n_copies: primitive cells in the cell given, 0 for crystals to be left out, [n_crystals].
        basis: columns in angstrom, [n_crystals, 3, 3].
        reach: how far in angstrom an image may be from the atom whose place it takes.
    """

    frac_coords: Floats
    numbers: Ints
    first_atom: Ints
    n_copies: Ints
    basis: Floats
    reach: float


class Groups(NamedTuple):
    """Space groups, and which of them each crystal has; the other fields are those of stacked SpaceGroupTables."""

    row: Ints
    n_ops: Ints
    rotations: Floats
    translations: Floats
    sequence: Ints
    left: Ints
    right: Ints


class AveragedAtoms(NamedTuple):
    """Atoms of primitive cells; each crystal has as many rows as the cell given, of which the first are used.

    Attributes:
        n_atoms: of the primitive cell, 0 where the group does not map the crystal onto itself, [n_crystals].
        frac_coords: fractional coordinates, [n_given, 3].
        numbers: atomic numbers, [n_given].
        first: the first atom of the orbit, counted in the crystal, [n_given].
        operation: that takes the first atom to the atom, counted in the crystal's group, [n_given].
        atom_of_given: the atom that each atom of the cell given is, counted in the crystal, [n_given].
        displacement: largest distance in angstrom that an atom given was moved, a common shift aside, [n_crystals].
    """

    n_atoms: Ints
    frac_coords: Floats
    numbers: Ints
    first: Ints
    operation: Ints
    atom_of_given: Ints
    displacement: Floats


class _Operations(NamedTuple):
    """The operations of one crystal's group, as in SpaceGroupTable."""

    rotations: Floats
    translations: Floats
    sequence: Ints
    left: Ints
    right: Ints


class _Cell(NamedTuple):
    """Columns of a primitive cell in angstrom, and how far in angstrom an image may miss."""

    basis: Floats
    reach: float


@compiled
def average_positions(given: GivenAtoms, groups: Groups, out: AveragedAtoms) -> None:
    """Writes the atoms of the primitive cells, averaged over the space groups.

    Args:
        given: atoms of many crystals.
        groups: of the same crystals.
        out: zeros, to be overwritten.
    """
    for k in range(len(given.n_copies)):
        row, start, stop = groups.row[k], given.first_atom[k], given.first_atom[k + 1]
        n_ops = groups.n_ops[row]
        if given.n_copies[k] == 0 or n_ops == 0:
            continue
        cell = _Cell(given.basis[k], given.reach)
        frac_coords, owners = given.frac_coords[start:stop], out.atom_of_given[start:stop]
        positions, kinds = out.frac_coords[start:stop], out.numbers[start:stop]
        kinds[:] = given.numbers[start:stop]
        n_atoms = _join_copies(frac_coords, given.n_copies[k], cell, positions, kinds, owners)
        positions, kinds = positions[:n_atoms], kinds[:n_atoms]
        operations = _Operations(
            groups.rotations[row, :n_ops],
            groups.translations[row, :n_ops],
            groups.sequence[row, :n_ops],
            groups.left[row, :n_ops],
            groups.right[row, :n_ops],
        )
        permutations = np.zeros((n_ops, n_atoms), np.int64)
        if n_atoms == 0 or not _find_permutations(positions, kinds, cell, operations, permutations):
            continue
        if not _average(positions, cell, operations, permutations):
            continue
        _find_orbits(permutations, operations.sequence[0], out.first[start:stop], out.operation[start:stop])
        out.displacement[k] = _displacement(frac_coords, positions, owners, cell)
        out.n_atoms[k] = n_atoms


@compiled
def _squared_length(basis: Floats, x: float, y: float, z: float) -> float:
    """Squared length in angstrom of a fractional vector."""
    a = basis[0, 0] * x + basis[0, 1] * y + basis[0, 2] * z
    b = basis[1, 0] * x + basis[1, 1] * y + basis[1, 2] * z
    c = basis[2, 0] * x + basis[2, 1] * y + basis[2, 2] * z
    return float(a * a + b * b + c * c)


@compiled
def _nearest(point: Floats, kind: int, positions: Floats, kinds: Ints, cell: _Cell) -> int:
    """The atom of a kind at a point, -1 where none lies within reach."""
    best, atom = cell.reach * cell.reach, -1
    for j in range(len(kinds)):
        if kinds[j] == kind:
            x, y, z = point[0] - positions[j, 0], point[1] - positions[j, 1], point[2] - positions[j, 2]
            squared = _squared_length(cell.basis, x - np.rint(x), y - np.rint(y), z - np.rint(z))
            if squared < best:
                best, atom = squared, j
    return atom


@compiled
def _join_copies(given: Floats, n_copies: int, cell: _Cell, positions: Floats, kinds: Ints, owners: Ints) -> int:
    """Atoms modulo the primitive translations, each at the mean of its copies; their number, 0 where copies miss.

    `kinds` are those of all atoms before, and afterwards those of one copy of each in the first places.
    """
    n_atoms = 0
    n_found, mean = np.zeros(len(given), np.int64), np.zeros((len(given), 3))
    for i in range(len(given)):
        atom = -1
        if n_copies > 1:
            atom = _nearest(given[i], kinds[i], positions[:n_atoms], kinds[:n_atoms], cell)
        if atom < 0:
            atom = n_atoms
            positions[atom] = given[i]
            kinds[atom] = kinds[i]
            n_atoms += 1
        owners[i] = atom
        n_found[atom] += 1
        for axis in range(3):
            step = given[i, axis] - positions[atom, axis]
            mean[atom, axis] += (step - np.rint(step)) / n_copies
    for atom in range(n_atoms):
        if n_found[atom] != n_copies:
            return 0
        positions[atom] += mean[atom]
    return n_atoms


@compiled
def _find_permutations(
    positions: Floats, kinds: Ints, cell: _Cell, operations: _Operations, permutations: Ints
) -> bool:
    """Where the operations take the atoms: by search for generators, by composition for the others."""
    n_atoms, image = len(positions), np.zeros(3)
    for step in range(len(operations.sequence)):
        op = operations.sequence[step]
        left, right = operations.left[op], operations.right[op]
        if step == 0:
            permutations[op] = np.arange(n_atoms)
        elif left != op:
            for i in range(n_atoms):
                permutations[op, i] = permutations[left, permutations[right, i]]
        else:
            taken = np.zeros(n_atoms, np.bool_)
            for i in range(n_atoms):
                _apply(operations.rotations[op], operations.translations[op], positions[i], image)
                j = _nearest(image, kinds[i], positions, kinds, cell)
                if j < 0 or taken[j]:
                    return False
                taken[j] = True
                permutations[op, i] = j
    return True


@compiled
def _apply(rotation: Floats, translation: Floats, position: Floats, image: Floats) -> None:
    """W x + w."""
    for row in range(3):
        image[row] = translation[row]
        for column in range(3):
            image[row] += rotation[row, column] * position[column]


@compiled
def _add_misses(op: int, positions: Floats, cell: _Cell, operations: _Operations, target: Ints, shift: Floats) -> float:
    """Adds to `shift` how far the images are from the atoms whose place they take; the largest distance in angstrom."""
    image, worst = np.zeros(3), 0.0
    for i in range(len(positions)):
        _apply(operations.rotations[op], operations.translations[op], positions[i], image)
        j = target[i]
        for axis in range(3):
            image[axis] -= positions[j, axis]
            image[axis] -= np.rint(image[axis])
            shift[j, axis] += image[axis]
        worst = max(worst, _squared_length(cell.basis, image[0], image[1], image[2]))
    return float(np.sqrt(worst))


@compiled
def _average(positions: Floats, cell: _Cell, operations: _Operations, permutations: Ints) -> bool:
    """Puts each atom at the mean of the images that take its place; False where that is not possible."""
    n_ops, shift = len(permutations), np.zeros(positions.shape)
    for op in range(n_ops):
        if _add_misses(op, positions, cell, operations, permutations[op], shift) > cell.reach:
            return False
    for i in range(len(positions)):
        for axis in range(3):
            positions[i, axis] += shift[i, axis] / n_ops
            # a coordinate of -1e-17 is 0, not 1 - 1e-17
            positions[i, axis] -= np.floor(positions[i, axis] + 1e-9)
    # permutations that contradict one another would leave atoms off their places: the generators say it
    worst = 0.0
    for op in range(n_ops):
        if operations.left[op] == op:
            worst = max(worst, _add_misses(op, positions, cell, operations, permutations[op], shift))
    return worst < EXACT_ANGSTROM


@compiled
def _find_orbits(permutations: Ints, identity: int, firsts: Ints, operations: Ints) -> None:
    """The first atom of each atom's orbit, and the first operation that takes it there."""
    n_ops, n_atoms = permutations.shape
    firsts[:] = -1
    for i in range(n_atoms):
        if firsts[i] >= 0:
            continue
        firsts[i], operations[i] = i, identity
        for op in range(n_ops):
            j = permutations[op, i]
            if firsts[j] < 0:
                firsts[j], operations[j] = i, op


@compiled
def _displacement(given: Floats, positions: Floats, owners: Ints, cell: _Cell) -> float:
    """The largest distance in angstrom from an atom given to where it was put, a common shift aside."""
    steps, mean = np.zeros(given.shape), np.zeros(3)
    for i in range(len(given)):
        for axis in range(3):
            step = positions[owners[i], axis] - given[i, axis]
            steps[i, axis] = step - np.rint(step)
            mean[axis] += steps[i, axis] / len(given)
    worst = 0.0
    for i in range(len(given)):
        x, y, z = steps[i, 0] - mean[0], steps[i, 1] - mean[1], steps[i, 2] - mean[2]
        worst = max(worst, _squared_length(cell.basis, x, y, z))
    return float(np.sqrt(worst))
