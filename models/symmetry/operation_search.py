"""How well every operation that a crystal may have holds, compiled: what moyopy would accept at several tolerances.

The search follows moyopy's: automorphisms of the Minkowski-reduced cell, one translation for each atom of the rarest
element that the first of them may be taken to, permutations by nearest atoms, and the translation that fits best. An
operation is accepted at a tolerance when the lattice and every atom hold within it. Where an answer could hang on
rounding errors, or on what else moyopy does when operations are no group, the count is UNSURE.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from models.crystals.crystal import Floats, Ints

Bools = NDArray[np.bool_]

UNSURE = -1
_MARGIN = 1e-3  # relative: residuals that close to a tolerance decide nothing
MAX_LISTED = 96  # operations of one crystal; more than 48 are no group
_GAP = 10.0  # what is no group by far does not hold up to so many times the largest residual within it


class ReducedCells(NamedTuple):
    """Crystals in Minkowski-reduced cells.

    Attributes:
        basis: columns in angstrom, [n_crystals, 3, 3].
        is_reduced: whether they could be reduced, [n_crystals].
        frac_coords: [n_atoms, 3].
        numbers: atomic numbers, [n_atoms].
        first_atom: of each crystal, and the number of atoms, [n_crystals + 1].
    """

    basis: Floats
    is_reduced: Bools
    frac_coords: Floats
    numbers: Ints
    first_atom: Ints


class Accepted(NamedTuple):
    """What holds in many crystals at ascending tolerances.

    Attributes:
        n_ops: operations modulo lattice translations, UNSURE where moyopy could see it otherwise, [n_crystals, n_tol].
        residual: the largest of theirs in angstrom, [n_crystals, n_tol].
        misses: residuals of the operations listed at the loosest tolerance, infinite where there are no more, in
            angstrom, [n_crystals, MAX_LISTED].
        codes: of their rotations in the reduced basis, see `rotations_of`, [n_crystals, MAX_LISTED].
        translations: of the same, [n_crystals, MAX_LISTED, 3].
    """

    n_ops: Ints
    residual: Floats
    misses: Floats
    codes: Ints
    translations: Floats

    @classmethod
    def empty(cls, n_crystals: int, n_tolerances: int) -> "Accepted":
        """Room for the answers of a search."""
        return cls(
            np.zeros((n_crystals, n_tolerances), dtype=np.int64),
            np.zeros((n_crystals, n_tolerances)),
            np.full((n_crystals, MAX_LISTED), np.inf),
            np.zeros((n_crystals, MAX_LISTED), dtype=np.int64),
            np.zeros((n_crystals, MAX_LISTED, 3)),
        )


def rotations_of(codes: Ints) -> Ints:
    """Matrices of entries -1, 0 and 1 for their numbers in base 3, first entry first, [n, 3, 3] for [n]."""
    digits: Ints = (codes[:, None] // 3 ** np.arange(8, -1, -1) % 3 - 1).reshape(-1, 3, 3)
    return digits


class _Listed(NamedTuple):
    """Residuals of the automorphisms of one lattice, and of one crystal's operations, in angstrom.

    `automorphisms` [n, 3, 3] and `lattice` [n]; `of_op`, `atoms` and `reach` (how far from the cell, as a fraction,
    moyopy must look) [n_ops]; `shifts` [n_ops, 3].
    """

    automorphisms: Ints
    lattice: Floats
    of_op: Ints
    atoms: Floats
    reach: Floats
    shifts: Floats


class _Atoms(NamedTuple):
    """Atoms of one crystal in its reduced basis (columns): fractional [n_atoms, 3], atomic numbers [n_atoms]."""

    basis: Floats
    positions: Floats
    numbers: Ints


@compiled
def find_accepted(cells: ReducedCells, tolerances: Floats, out: Accepted) -> None:
    """Writes what holds in each crystal.

    Args:
        cells: crystals with their atoms in canonical order.
        tolerances: in angstrom, ascending, [n_tol].
        out: to be overwritten.
    """
    loosest = tolerances[-1] * (1.0 + _MARGIN)
    listed = _Listed(
        np.zeros((MAX_LISTED, 3, 3), np.int64),
        np.zeros(MAX_LISTED),
        np.zeros(MAX_LISTED, np.int64),
        np.zeros(MAX_LISTED),
        np.zeros(MAX_LISTED),
        np.zeros((MAX_LISTED, 3)),
    )
    for k in range(len(cells.basis)):
        start, stop = cells.first_atom[k], cells.first_atom[k + 1]
        out.n_ops[k, :] = UNSURE
        if not cells.is_reduced[k]:
            continue
        basis = cells.basis[k]
        atoms = _Atoms(basis, cells.frac_coords[start:stop], cells.numbers[start:stop])
        n_lattice = _list_automorphisms(basis, loosest, listed)
        if n_lattice > MAX_LISTED:
            continue
        n_ops = _list_operations(atoms, n_lattice, loosest, listed)
        if n_ops > MAX_LISTED:
            continue
        for row in range(len(tolerances)):
            out.n_ops[k, row] = _count(basis, tolerances[row], n_lattice, n_ops, listed, out.residual[k, row : row + 1])
        for op in range(n_ops):
            row = listed.of_op[op]
            out.misses[k, op] = max(listed.atoms[op], listed.lattice[row])
            out.codes[k, op] = _code(listed.automorphisms[row])
            out.translations[k, op] = listed.shifts[op]


@compiled
def _dot(a: Floats, b: Floats) -> float:
    return float(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])


@compiled
def _squared_length(basis: Floats, x: float, y: float, z: float) -> float:
    """Squared length in angstrom of a fractional vector."""
    a = basis[0, 0] * x + basis[0, 1] * y + basis[0, 2] * z
    b = basis[1, 0] * x + basis[1, 1] * y + basis[1, 2] * z
    c = basis[2, 0] * x + basis[2, 1] * y + basis[2, 2] * z
    return float(a * a + b * b + c * c)


@compiled
def _list_automorphisms(basis: Floats, loosest: float, listed: _Listed) -> int:
    """Lists whole matrices that keep lengths and angles of the columns within a tolerance; their number."""
    metric = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            metric[i, j] = basis[0, i] * basis[0, j] + basis[1, i] * basis[1, j] + basis[2, i] * basis[2, j]
    points, lengths, images = np.zeros((27, 3), np.int64), np.zeros(27), np.zeros((27, 3))
    for n in range(27):
        points[n, 0], points[n, 1], points[n, 2] = n // 9 - 1, n // 3 % 3 - 1, n % 3 - 1
        for i in range(3):
            images[n, i] = metric[i, 0] * points[n, 0] + metric[i, 1] * points[n, 1] + metric[i, 2] * points[n, 2]
        lengths[n] = np.sqrt(max(0.0, _dot(images[n], points[n])))
    pairs = np.full((3, 27, 27), np.inf)  # of the images of one column and the next: how far both are off
    for axis in range(3):
        after = (axis + 1) % 3
        own, next_own = np.sqrt(metric[axis, axis]), np.sqrt(metric[after, after])
        cosine = metric[axis, after] / (own * next_own)
        sine = np.sqrt(1.0 - cosine * cosine)
        for n in range(27):
            miss = abs(lengths[n] - own)
            if n == 13 or miss >= loosest:
                continue
            for m in range(27):
                next_miss = abs(lengths[m] - next_own)
                if m == 13 or next_miss >= loosest:
                    continue
                other = max(-1.0, min(1.0, _dot(images[n], points[m]) / (lengths[n] * lengths[m])))
                # the sine of the difference of both angles, times the mean lengths of the two pairs of vectors
                turn = np.sqrt(1.0 - other * other) * cosine - other * sine
                size = 0.25 * (own + lengths[n]) * (next_own + lengths[m])
                pairs[axis, n, m] = max(miss, next_miss, abs(turn) * np.sqrt(size))
    return _list_triples(points, pairs, loosest, listed)


@compiled
def _list_triples(points: Ints, pairs: Floats, loosest: float, listed: _Listed) -> int:
    """Lists matrices of three lattice points, every two of which fit, that span the lattice; their number."""
    count = 0
    for a in range(27):
        for b in range(27):
            if pairs[0, a, b] >= loosest:
                continue
            for c in range(27):
                residual = max(pairs[0, a, b], pairs[1, b, c], pairs[2, c, a])
                if residual >= loosest or abs(_determinant_of(points[a], points[b], points[c])) != 1:
                    continue
                if count < MAX_LISTED:
                    listed.lattice[count] = residual
                    for row in range(3):
                        listed.automorphisms[count, row, 0] = points[a, row]
                        listed.automorphisms[count, row, 1] = points[b, row]
                        listed.automorphisms[count, row, 2] = points[c, row]
                count += 1
    return count


@compiled
def _determinant_of(a: Ints, b: Ints, c: Ints) -> int:
    return int(
        a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0])
    )


@compiled
def _pivots(numbers: Ints) -> Ints:
    """The atoms of the rarest element, of the lightest of the rarest."""
    best, fewest = 0, len(numbers) + 1
    for i in range(len(numbers)):
        same = 0
        for j in range(len(numbers)):
            same += numbers[j] == numbers[i]
        if same < fewest or (same == fewest and numbers[i] < numbers[best]):
            best, fewest = i, same
    return np.flatnonzero(numbers == numbers[best])


@compiled
def _list_operations(atoms: _Atoms, n_lattice: int, loosest: float, listed: _Listed) -> int:
    """Lists operations whose atoms fit within a tolerance, several translations with one automorphism; their number."""
    basis, positions = atoms.basis, atoms.positions
    pivots, n_atoms = _pivots(atoms.numbers), len(atoms.numbers)
    rotated, steps, shift = np.zeros((n_atoms, 3)), np.zeros((n_atoms, 3)), np.zeros(3)
    source, count = pivots[0], 0
    for row in range(n_lattice):
        w = listed.automorphisms[row]
        for i in range(n_atoms):
            for axis in range(3):
                rotated[i, axis] = (
                    w[axis, 0] * positions[i, 0] + w[axis, 1] * positions[i, 1] + w[axis, 2] * positions[i, 2]
                )
        for target in pivots:
            for axis in range(3):
                shift[axis] = positions[target, axis] - rotated[source, axis]
            reach = _match(atoms, rotated, shift, 2.0 * loosest, steps)
            if reach < 0.0:
                continue
            a, b, c, worst = 0.0, 0.0, 0.0, 0.0
            for i in range(n_atoms):
                a, b, c = a + steps[i, 0] / n_atoms, b + steps[i, 1] / n_atoms, c + steps[i, 2] / n_atoms
            for i in range(n_atoms):
                worst = max(worst, _squared_length(basis, steps[i, 0] - a, steps[i, 1] - b, steps[i, 2] - c))
            worst = float(np.sqrt(worst))
            if worst >= loosest:
                continue
            if count < MAX_LISTED:
                listed.of_op[count], listed.atoms[count], listed.reach[count] = row, worst, reach
                listed.shifts[count, 0] = shift[0] + a
                listed.shifts[count, 1] = shift[1] + b
                listed.shifts[count, 2] = shift[2] + c
            count += 1
    return count


@compiled
def _match(atoms: _Atoms, rotated: Floats, shift: Floats, limit: float, steps: Floats) -> float:
    """Finds the atom at each image and the step that leads there (fractional).

    Returns:
        How far beyond the faces of the cell an atom's copy lies that an image is taken to, -1 where an image has no
        atom of its element within the limit in angstrom.
    """
    basis, positions, numbers = atoms.basis, atoms.positions, atoms.numbers
    reach = 0.0
    for i in range(len(numbers)):
        x, y, z = rotated[i, 0] + shift[0], rotated[i, 1] + shift[1], rotated[i, 2] + shift[2]
        nearest = limit * limit
        for j in range(len(numbers)):
            if numbers[j] != numbers[i]:
                continue
            a, b, c = positions[j, 0] - x, positions[j, 1] - y, positions[j, 2] - z
            a, b, c = a - np.rint(a), b - np.rint(b), c - np.rint(c)
            squared = _squared_length(basis, a, b, c)
            if squared < nearest:
                nearest = squared
                steps[i, 0], steps[i, 1], steps[i, 2] = a, b, c
        if nearest >= limit * limit:
            return -1.0
        for axis in range(3):
            place = rotated[i, axis] + shift[axis]
            place -= np.floor(place)
            step = steps[i, axis]
            if min(place, 1.0 - place) < 1e-9 or place + step < 0.0 or place + step > 1.0:
                reach = max(reach, abs(step))
    return reach


@compiled
def _count(basis: Floats, tolerance: float, n_lattice: int, n_ops: int, listed: _Listed, residual: Floats) -> int:
    """Operations accepted at a tolerance, or UNSURE; writes the largest of their residuals."""
    low, high = tolerance * (1.0 - _MARGIN), tolerance * (1.0 + _MARGIN)
    squares = (basis * basis).sum(axis=0)
    if 4.0 * high > np.sqrt(squares.min()):
        return UNSURE
    if not _is_group(listed, n_lattice, low, high):
        return UNSURE
    # moyopy looks for images beyond the faces of the cell, but not as far as its tolerance reaches
    beyond = 4.0 * low / np.sqrt(3.0 * squares.sum())
    accepted, last, largest = 0, -1, 0.0
    for op in range(n_ops):
        worst = max(listed.atoms[op], listed.lattice[listed.of_op[op]])
        if worst >= high:
            continue
        if worst > low or listed.reach[op] > beyond or listed.of_op[op] == last:
            return UNSURE
        accepted, last, largest = accepted + 1, listed.of_op[op], max(largest, worst)
    residual[0] = largest
    return accepted


@compiled
def _is_group(listed: _Listed, n_lattice: int, low: float, high: float) -> bool:
    """Whether the automorphisms within a tolerance are surely a group."""
    count, largest, following = 0, 0.0, np.inf
    for row in range(n_lattice):
        miss = listed.lattice[row]
        if low < miss < high:
            return False
        if miss <= low:
            count += 1
            largest = max(largest, miss)
        else:
            following = min(following, miss)
    if count == 0 or 48 % count:
        return False
    # products of what holds that well would be listed too
    if following > _GAP * largest and high > _GAP * largest:
        return True
    return _is_closed(listed.automorphisms[:n_lattice], listed.lattice[:n_lattice] <= low)


@compiled
def _is_closed(matrices: Ints, chosen: Bools) -> bool:
    """Whether the products of the chosen matrices are among them."""
    known = np.zeros(19683, np.bool_)
    rows = np.flatnonzero(chosen)
    for a in rows:
        known[_code(matrices[a])] = True
    product = np.zeros((3, 3), np.int64)
    for a in rows:
        for b in rows:
            for i in range(3):
                for j in range(3):
                    product[i, j] = (
                        matrices[a, i, 0] * matrices[b, 0, j]
                        + matrices[a, i, 1] * matrices[b, 1, j]
                        + matrices[a, i, 2] * matrices[b, 2, j]
                    )
            code = _code(product)
            if code < 0 or not known[code]:
                return False
    return True


@compiled
def _code(matrix: Ints) -> int:
    """A number for each matrix of entries -1, 0 and 1; -1 for others."""
    code = 0
    for i in range(3):
        for j in range(3):
            if abs(matrix[i, j]) > 1:
                return -1
            code = 3 * code + matrix[i, j] + 1
    return code
