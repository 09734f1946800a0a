"""The exact projector onto the tensors that a point group allows, and the orthogonal operations it is made of.

P T = 1/|G| Σ_R (R ⊗ … ⊗ R) T, in float64 with exactly orthogonal R. All functions work on the operations of many
crystals at once: operations [n_ops, 3, 3] with the crystal that each belongs to, ascending, [n_ops].
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from models.crystals.crystal import Floats, Ints
from models.quantities import TENSORS, IndexSymmetry, Tensor
from models.tensors.voigt import (
    mandel_to_piezo,
    mandel_to_stiffness_voigt,
    piezo_to_mandel,
    stiffness_voigt_to_mandel,
)

_ROUNDING = 1e-12  # entries below this share of a tensor's norm are rounding errors of the group average


def group_mean(per_op: Floats, crystal_of_op: Ints, n_crystals: int) -> Floats:
    """Mean of [n_ops, ...] over each crystal's operations, shape [n_crystals, ...]; 0 where there are none."""
    counts = np.bincount(crystal_of_op, minlength=n_crystals)
    total = np.zeros((n_crystals, *per_op.shape[1:]))
    has = counts > 0
    # reduceat would give the next crystal's first operation for a crystal without operations
    if has.any():
        total[has] = np.add.reduceat(per_op, (np.cumsum(counts) - counts)[has], axis=0)
    mean: Floats = total / np.maximum(counts, 1).reshape(-1, *[1] * (per_op.ndim - 1))
    return mean


def allows_piezoelectricity(rotations: Floats, crystal_of_op: Ints, n_crystals: int) -> NDArray[np.bool_]:
    """Whether each point group allows a piezoelectric tensor, shape [n_crystals]; from the character of i;jk."""
    trace = np.einsum("oii->o", rotations)
    trace_squared = np.einsum("oij,oji->o", rotations, rotations)
    n_free = group_mean(0.5 * trace * (trace**2 + trace_squared), crystal_of_op, n_crystals)
    return n_free > 0.5


def project(quantity: Tensor, tensors: Floats, rotations: Floats, crystal_of_op: Ints) -> Floats:
    """The part of each tensor that its crystal's point group allows; entries that are rounding errors are 0.

    Args:
        quantity: which tensor.
        tensors: in the stored shape of the quantity, shape [n_crystals, ...], or of several networks,
            [n_networks, n_crystals, ...].
        rotations: orthogonal operations in the frame of the tensors, shape [n_ops, 3, 3].
        crystal_of_op: ascending, shape [n_ops].

    Returns:
        P T of the same shape.
    """
    values = np.asarray(tensors, dtype=np.float64)
    counts = np.bincount(crystal_of_op, minlength=values.shape[-1 - len(TENSORS[quantity].shape)])
    first_op = np.concatenate([[0], np.cumsum(counts)])
    matrices = _as_matrices(quantity, values)
    mean = np.zeros_like(matrices)
    group_average(matrices, np.ascontiguousarray(rotations, dtype=np.float64), first_op, mean)
    return without_rounding(quantity, _from_matrices(quantity, mean).reshape(values.shape))


def without_rounding(quantity: Tensor, tensors: Floats) -> Floats:
    """Tensors [..., *shape of the quantity] whose entries are 0 where they are rounding errors of a group average."""
    entries = tuple(range(-len(TENSORS[quantity].shape), 0))
    norm = np.sqrt((tensors**2).sum(axis=entries, keepdims=True))
    return np.where(np.abs(tensors) < _ROUNDING * norm, 0.0, tensors)


def _as_matrices(quantity: Tensor, tensors: Floats) -> Floats:
    """Tensors [..., n_crystals, *shape] as matrices on which rotations act from both sides, [n_sets, n, ...]."""
    match TENSORS[quantity].index_symmetry:
        case IndexSymmetry.PIEZOELECTRIC:
            matrices = piezo_to_mandel(tensors)
        case IndexSymmetry.STIFFNESS:
            matrices = stiffness_voigt_to_mandel(tensors)
        case _:
            matrices = tensors
    # no -1 in the shape: of no crystals any number of sets would do
    n_sets = math.prod(matrices.shape[:-3])
    return np.ascontiguousarray(matrices.reshape(n_sets, *matrices.shape[-3:]))


def _from_matrices(quantity: Tensor, matrices: Floats) -> Floats:
    """Inverse of `_as_matrices`."""
    match TENSORS[quantity].index_symmetry:
        case IndexSymmetry.PIEZOELECTRIC:
            return mandel_to_piezo(matrices)
        case IndexSymmetry.STIFFNESS:
            return mandel_to_stiffness_voigt(matrices)
        case _:
            return matrices


def strained_cells(conventional: Floats, metric: Floats) -> Floats:
    """Cells strained without rotation to a given metric: F B with F² = B⁻ᵀ G B⁻¹, F symmetric.

    Args:
        conventional: B, columns a, b, c in angstrom, shape [n_crystals, 3, 3].
        metric: G, in angstrom², shape [n_crystals, 3, 3].
    """
    inverse = np.linalg.inv(conventional)
    strain_squared = np.swapaxes(inverse, 1, 2) @ metric @ inverse
    values, vectors = np.linalg.eigh(0.5 * (strain_squared + np.swapaxes(strain_squared, 1, 2)))
    strain: Floats = (vectors * np.sqrt(np.abs(values))[:, None, :]) @ np.swapaxes(vectors, 1, 2)
    return strain @ conventional


def orthogonal_operations(operations: Floats, conventional: Floats, crystal_of_op: Ints) -> Floats:
    """Cartesian operations that are orthogonal to rounding, also where the cell has the symmetry only approximately.

    The metric of the cell is averaged over the group and the cell is strained (without rotation) to that metric: W is
    taken in the basis F B with F² = B⁻ᵀ ⟨Wᵀ BᵀB W⟩ B⁻¹, F symmetric. The result depends on the crystal alone, not on
    the cell or setting chosen.

    Args:
        operations: in the conventional basis, acting on columns, shape [n_ops, 3, 3].
        conventional: B, columns a, b, c in angstrom, shape [n_crystals, 3, 3].
        crystal_of_op: ascending, shape [n_ops].
    """
    if not len(operations):
        return operations
    metric = np.swapaxes(conventional, 1, 2) @ conventional
    metrics = np.swapaxes(operations, 1, 2) @ metric[crystal_of_op] @ operations
    counts = np.bincount(crystal_of_op, minlength=len(conventional))
    has = counts > 0
    metric[has] = np.add.reduceat(metrics, (np.cumsum(counts) - counts)[has], axis=0) / counts[has, None, None]
    return in_cartesian_axes(operations, strained_cells(conventional, metric), crystal_of_op)


def in_cartesian_axes(operations: Floats, cells: Floats, crystal_of_op: Ints) -> Floats:
    """Operations that leave the metric of their cells as it is, as orthogonal matrices.

    Args:
        operations: in the basis of the cells, acting on columns, shape [n_ops, 3, 3].
        cells: columns a, b, c in angstrom, shape [n_crystals, 3, 3].
        crystal_of_op: ascending, shape [n_ops].
    """
    rotations = cells[crystal_of_op] @ operations @ np.linalg.inv(cells)[crystal_of_op]
    # one Newton step of the polar decomposition removes the rounding left by the inversion of skewed cells; the
    # inverse of the transposed matrix is that of cofactors over the determinant
    a, b, c = rotations[:, 0], rotations[:, 1], rotations[:, 2]
    cofactors = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=1)
    determinant = np.einsum("nj,nj->n", a, cofactors[:, 0])
    polished: Floats = 0.5 * (rotations + cofactors / determinant[:, None, None])
    return polished


@compiled
def mandel_of(rotation: Any, mandel: Any) -> None:
    """Rotation of a Mandel 6-vector, see `models.tensors.rotate.mandel_rotation`, to `mandel`, [6, 6]."""
    for row in range(6):
        a = row if row < 3 else (1 if row == 3 else 0)
        b = row if row < 3 else (1 if row == 5 else 2)
        straight = 1.0 if row < 3 else np.sqrt(2.0)
        crossed = straight * np.sqrt(0.5)
        for k in range(3):
            mandel[row, k] = straight * rotation[a, k] * rotation[b, k]
        for column in range(3, 6):
            i = 1 if column == 3 else 0
            j = 1 if column == 5 else 2
            mandel[row, column] = crossed * (rotation[a, i] * rotation[b, j] + rotation[a, j] * rotation[b, i])


@compiled
def add_turned(left: Any, tensor: Any, right: Any, room: Any, total: Any) -> None:
    """Adds L T R^T to the total; `room` is for L T."""
    n_rows, n_columns = tensor.shape
    for i in range(n_rows):
        for j in range(n_columns):
            room[i, j] = 0.0
        for k in range(n_rows):
            factor = left[i, k]
            for j in range(n_columns):
                room[i, j] += factor * tensor[k, j]
    for i in range(n_rows):
        for j in range(n_columns):
            entry = 0.0
            for k in range(n_columns):
                entry += room[i, k] * right[j, k]
            total[i, j] += entry


@compiled
def group_average(tensors: Any, rotations: Any, first_op: Any, out: Any) -> None:
    """Mean of each tensor over the rotations of its crystal.

    Args:
        tensors: rank 2 as [3, 3], rank 3 as Mandel matrices [3, 6], rank 4 as [6, 6], [n_sets, n_crystals, ...].
        rotations: orthogonal operations, [n_ops, 3, 3].
        first_op: where those of each crystal begin and end, [n_crystals + 1].
        out: zeros, for the result; it stays 0 where there are no operations, or the rank is odd and inversion is one of
            them.
    """
    n_sets, n_crystals, n_rows, n_columns = tensors.shape
    mandel, room = np.empty((6, 6)), np.empty((n_rows, n_columns))
    for crystal in range(n_crystals):
        centred = False
        for op in range(first_op[crystal], first_op[crystal + 1]):
            r = rotations[op]
            # of all orthogonal matrices this is the trace of inversion alone
            centred = centred or r[0, 0] + r[1, 1] + r[2, 2] < -2.9
        if centred and n_rows != n_columns:
            continue
        n_averaged = 0
        for op in range(first_op[crystal], first_op[crystal + 1]):
            r = rotations[op]
            determinant = (
                r[0, 0] * (r[1, 1] * r[2, 2] - r[1, 2] * r[2, 1])
                - r[0, 1] * (r[1, 0] * r[2, 2] - r[1, 2] * r[2, 0])
                + r[0, 2] * (r[1, 0] * r[2, 1] - r[1, 1] * r[2, 0])
            )
            # an even tensor does not see inversion: the proper half of the group says it all
            if centred and determinant < 0.0:
                continue
            n_averaged += 1
            if n_columns == 6:
                mandel_of(r, mandel)
            for place in range(n_sets):
                left = mandel if n_rows == 6 else r
                right = mandel if n_columns == 6 else r
                add_turned(left, tensors[place, crystal], right, room, out[place, crystal])
        for place in range(n_sets):
            for i in range(n_rows):
                for j in range(n_columns):
                    out[place, crystal, i, j] /= max(n_averaged, 1)
