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
        basis[k] = lattice[k].T
        is_reduced[k] = _reduce(basis[k], transform[k])


@compiled
def _length(vector: Floats) -> float:
    return float(np.sqrt(vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2]))


@compiled
def _dot(a: Floats, b: Floats) -> float:
    return float(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])


@compiled
def _determinant(m: Floats) -> float:
    return float(
        m[0, 0] * (m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1])
        - m[0, 1] * (m[1, 0] * m[2, 2] - m[1, 2] * m[2, 0])
        + m[0, 2] * (m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0])
    )


@compiled
def _is_reduced(basis: Floats) -> bool:
    """Whether no sum or difference of the columns is shorter than the longest of them."""
    lengths = (_length(basis[:, 0]), _length(basis[:, 1]), _length(basis[:, 2]))
    if lengths[0] > lengths[1] + _TIE_ANGSTROM or lengths[1] > lengths[2] + _TIE_ANGSTROM:
        return False
    for i in range(-1, 2):
        for j in range(-1, 2):
            for k in range(2):
                if (i != 0) + (j != 0) + (k != 0) < 2:
                    continue
                limit = lengths[2] if k else lengths[1]
                if _length(i * basis[:, 0] + j * basis[:, 1] + k * basis[:, 2]) + _TIE_ANGSTROM < limit:
                    return False
    return True


@compiled
def _swap_by_length(basis: Floats, transform: Floats, rank: int) -> None:
    """Sorts the first columns by length, ties left as they are."""
    lengths = np.array([_length(basis[:, 0]), _length(basis[:, 1]), _length(basis[:, 2])])
    for i in range(rank):
        for j in range(rank - 1 - i):
            # the lengths are those before the sorting, as in moyopy
            if lengths[j] > lengths[j + 1] + _TIE_ANGSTROM:
                for row in range(3):
                    basis[row, j], basis[row, j + 1] = basis[row, j + 1], basis[row, j]
                    transform[row, j], transform[row, j + 1] = transform[row, j + 1], transform[row, j]


@compiled
def _round(x: float) -> float:
    """The nearest whole number, halves away from 0."""
    return float(np.sign(x) * np.floor(np.abs(x) + 0.5))


@compiled
def _shorten(basis: Floats, transform: Floats, rank: int) -> None:
    """Subtracts from column rank - 1 the vector of the columns before it that lies closest."""
    target = basis[:, rank - 1].copy()
    a, b = basis[:, 0].copy(), basis[:, 1].copy()
    if rank == 2:
        first, second = _round(_dot(a, target) / _dot(a, a)), 0.0
    else:
        mixed_a, mixed_b = _dot(a, b) / _dot(a, a), _dot(a, b) / _dot(b, b)
        u, v = _dot(a, target) / _dot(a, a), _dot(b, target) / _dot(b, b)
        scale = 1.0 - mixed_a * mixed_b
        first, second = _round((u - mixed_a * v) / scale), _round((v - mixed_b * u) / scale)
    best, chosen, other = np.inf, 0.0, 0.0
    width = rank - 2
    for i in range(-1, 2):
        for j in range(-width, width + 1):
            distance = _length((first + i) * a + (second + j) * width * b - target)
            if distance < best:
                best, chosen, other = distance, first + i, (second + j) * width
    for row in range(3):
        basis[row, rank - 1] -= chosen * a[row] + other * b[row] * width
        transform[row, rank - 1] -= chosen * transform[row, 0] + other * transform[row, 1] * width


@compiled
def _reduce(basis: Floats, transform: Floats) -> bool:
    """Minkowski reduction of the columns with the same choices between equal lengths as moyopy's; False if endless."""
    transform[:, :] = np.eye(3)
    if _is_reduced(basis):
        return True
    for _ in range(_MAX_ROUNDS):
        _swap_by_length(basis, transform, 3)
        for _ in range(_MAX_ROUNDS):
            _swap_by_length(basis, transform, 2)
            _shorten(basis, transform, 2)
            if _length(basis[:, 1]) + _TIE_ANGSTROM > _length(basis[:, 0]):
                break
        _shorten(basis, transform, 3)
        if _length(basis[:, 2]) + _TIE_ANGSTROM > _length(basis[:, 1]):
            break
    if _determinant(transform) < 0.0:
        for i in range(3):
            for j in range(3):
                basis[i, j], transform[i, j] = -basis[i, j], -transform[i, j]
    return _is_reduced(basis)
