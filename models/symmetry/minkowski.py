"""Minkowski reduction of many cells, compiled, with moyopy's choice where vectors have equal lengths.

What moyopy finds at the edge of a tolerance hangs on the cell that it reduces a crystal to.
"""

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from models.crystals.crystal import Floats

Bools = NDArray[np.bool_]

_TIE_ANGSTROM = 1e-8  # between lengths
_MAX_ROUNDS = 100


@compiled
def reduce_cells(lattice: Floats, basis: Floats, transform: Floats, is_reduced: Bools) -> None:
    """Writes cells whose vectors are the shortest that span their lattices.

    Args:
        lattice: rows in angstrom, [n, 3, 3].
        basis: for the columns of the reduced cells, [n, 3, 3].
        transform: for whole numbers: the columns of the reduced basis in the given one, [n, 3, 3].
        is_reduced: whether it could be done, [n].
    """
    for k in range(len(lattice)):
        for i in range(3):
            for j in range(3):
                basis[k, i, j] = lattice[k, j, i]
                transform[k, i, j] = 1.0 if i == j else 0.0
        is_reduced[k] = _reduce(basis[k], transform[k], len(basis[k]))


@compiled
def _length(m: Floats, x: float, y: float, z: float) -> float:
    """Of the sum of the columns, each times a number."""
    a = x * m[0, 0] + y * m[0, 1] + z * m[0, 2]
    b = x * m[1, 0] + y * m[1, 1] + z * m[1, 2]
    c = x * m[2, 0] + y * m[2, 1] + z * m[2, 2]
    return float(np.sqrt(a * a + b * b + c * c))


@compiled
def _is_reduced(basis: Floats) -> bool:
    """Whether no sum or difference of the columns is shorter than the longest of them."""
    first, second = _length(basis, 1.0, 0.0, 0.0), _length(basis, 0.0, 1.0, 0.0)
    third = _length(basis, 0.0, 0.0, 1.0)
    if first > second + _TIE_ANGSTROM or second > third + _TIE_ANGSTROM:
        return False
    for i in range(-1, 2):
        for j in range(-1, 2):
            for k in range(2):
                if (i != 0) + (j != 0) + (k != 0) < 2:
                    continue
                if _length(basis, float(i), float(j), float(k)) + _TIE_ANGSTROM < (third if k else second):
                    return False
    return True


@compiled
def _swap_by_length(basis: Floats, transform: Floats, rank: int) -> None:
    """Sorts the first columns by length, ties left as they are."""
    # the lengths are those before the sorting, as in moyopy
    first, second = _length(basis, 1.0, 0.0, 0.0), _length(basis, 0.0, 1.0, 0.0)
    third = _length(basis, 0.0, 0.0, 1.0)
    for i in range(rank):
        for j in range(rank - 1 - i):
            if (first if j == 0 else second) > (second if j == 0 else third) + _TIE_ANGSTROM:
                for row in range(3):
                    basis[row, j], basis[row, j + 1] = basis[row, j + 1], basis[row, j]
                    transform[row, j], transform[row, j + 1] = transform[row, j + 1], transform[row, j]


@compiled
def _round(x: float) -> float:
    """The nearest whole number, halves away from 0."""
    return float(np.copysign(np.floor(abs(x) + 0.5), x))


@compiled
def _shorten(basis: Floats, transform: Floats, rank: int) -> None:
    """Subtracts from column rank - 1 the vector of the columns before it that lies closest."""
    last = rank - 1
    aa = ab = bb = u = v = 0.0
    for row in range(3):
        a, b, target = basis[row, 0], basis[row, 1], basis[row, last]
        aa, ab, bb = aa + a * a, ab + a * b, bb + b * b
        u, v = u + a * target, v + b * target
    if rank == 2:
        first, second = _round(u / aa), 0.0
    else:
        mixed_a, mixed_b, u, v = ab / aa, ab / bb, u / aa, v / bb
        scale = 1.0 - mixed_a * mixed_b
        first, second = _round((u - mixed_a * v) / scale), _round((v - mixed_b * u) / scale)
    best, chosen, other = np.inf, 0.0, 0.0
    width = rank - 2
    for i in range(-1, 2):
        for j in range(-width, width + 1):
            x, y = first + i, (second + j) * width
            # the last of the columns is the second one where there are two
            distance = _length(basis, x, y if width else -1.0, -1.0 if width else 0.0)
            if distance < best:
                best, chosen, other = distance, x, y
    for row in range(3):
        basis[row, last] -= chosen * basis[row, 0] + other * basis[row, 1] * width
        transform[row, last] -= chosen * transform[row, 0] + other * transform[row, 1] * width


@compiled
def _reduce(basis: Floats, transform: Floats, rank: int) -> bool:
    """Minkowski reduction of the columns with the same choices between equal lengths as moyopy's; False if endless.

    `rank` is 3: a constant would be compiled as a type of its own.
    """
    if _is_reduced(basis):
        return True
    for _ in range(_MAX_ROUNDS):
        _swap_by_length(basis, transform, rank)
        for _ in range(_MAX_ROUNDS):
            _swap_by_length(basis, transform, rank - 1)
            _shorten(basis, transform, rank - 1)
            if _length(basis, 0.0, 1.0, 0.0) + _TIE_ANGSTROM > _length(basis, 1.0, 0.0, 0.0):
                break
        _shorten(basis, transform, rank)
        if _length(basis, 0.0, 0.0, 1.0) + _TIE_ANGSTROM > _length(basis, 0.0, 1.0, 0.0):
            break
    m = transform
    determinant = (
        m[0, 0] * (m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1])
        - m[0, 1] * (m[1, 0] * m[2, 2] - m[1, 2] * m[2, 0])
        + m[0, 2] * (m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0])
    )
    if determinant < 0.0:
        for i in range(3):
            for j in range(3):
                basis[i, j], transform[i, j] = -basis[i, j], -transform[i, j]
    return _is_reduced(basis)
