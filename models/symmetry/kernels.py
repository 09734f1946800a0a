"""Compiled loops over symmetry operations."""

from typing import Any

import numpy as np

from models.compiled import compiled


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
