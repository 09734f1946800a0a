"""Equations for the origin of a space group: where its operations take the translations that a table lists.

An operation with translation t has the table's t_table about an origin o where (E - R) o = t - t_table (mod 1). For
generators of a group this is a system of whole-number equations; a unimodular change of its rows brings it into echelon
form. Rows that become zero are sums of translations that no shift of the origin changes.
"""

from typing import Any, NamedTuple

import numpy as np

from models.crystals.crystal import Floats, Ints
from models.symmetry.space_group_tables import MAX_OPS

MAX_GENERATORS = 4
N_ROWS = 3 * MAX_GENERATORS


class OriginEquations(NamedTuple):
    """Equations of one list of rotations, or of several stacked along a first axis; rows are padded with zeros.

    Attributes:
        generators: indices of operations of which all others are products, padded with 0, [MAX_GENERATORS].
        is_row: 1 where a row is none of those added, [N_ROWS].
        complements: E - R of all operations, padded with zeros, [MAX_OPS, 3, 3].
        matrix: those of the generators, [N_ROWS, 3].
        solution: takes t - t_table to an origin, [3, N_ROWS].
        correction: takes what is left then to the shift that makes it smallest, [3, N_ROWS].
        invariants: whole sums of t that are the same about every origin, modulo 1, [N_ROWS, N_ROWS].
    """

    generators: Ints
    is_row: Floats
    complements: Floats
    matrix: Floats
    solution: Floats
    correction: Floats
    invariants: Floats


def origin_equations(rotations: Ints, generators: Ints) -> OriginEquations:
    """The equations of one list of rotations.

    Args:
        rotations: whole numbers in a primitive basis, [n_ops, 3, 3].
        generators: indices of at most MAX_GENERATORS of them.
    """
    chosen, is_row = np.zeros(MAX_GENERATORS, dtype=np.int64), np.zeros(N_ROWS)
    chosen[: len(generators)], is_row[: 3 * len(generators)] = generators, 1.0
    complements = np.eye(3) - rotations
    matrix = complements[chosen].reshape(-1, 3) * is_row[:, None]
    echelon, row_sums, pivots = _echelon_form(np.rint(matrix).astype(np.int64))
    rank = len(pivots)
    solution, invariants = np.zeros((3, N_ROWS)), row_sums * is_row
    solution[pivots] = np.linalg.inv(echelon[:rank, pivots]) @ row_sums[:rank] * is_row
    invariants[:rank] = 0.0
    return OriginEquations(
        chosen, is_row, padded(complements), matrix, solution, np.asarray(np.linalg.pinv(matrix)), invariants
    )


def stack_of_one(equations: OriginEquations) -> OriginEquations:
    """Equations of one list with a first axis of length 1."""
    parts: list[Any] = [part[None] for part in equations]
    return OriginEquations(*parts)


def padded(values: Floats) -> Floats:
    """The same with zeros for operations that are none, [MAX_OPS, ...]."""
    full = np.zeros((MAX_OPS, *values.shape[1:]))
    full[: len(values)] = values
    return full


def _echelon_form(matrix: Ints) -> tuple[Ints, Ints, list[int]]:
    """Row echelon form H = L A of whole numbers, L unimodular: H [n, 3], L [n, n], and the columns of the pivots."""
    pivots = list[int]()
    both = np.concatenate([matrix, np.eye(len(matrix), dtype=np.int64)], axis=1)
    for column in range(3):
        top = len(pivots)
        while (rows := top + np.flatnonzero(both[top:, column])).size:
            smallest = rows[np.abs(both[rows, column]).argmin()]
            both[[top, smallest]] = both[[smallest, top]]
            if rows.size == 1:
                pivots.append(column)
                break
            both[top + 1 :] -= (both[top + 1 :, column] // both[top, column])[:, None] * both[top]
    return both[:, :3], both[:, 3:], pivots


def solve_origins(equations: OriginEquations, steps: Floats) -> tuple[Floats, Floats]:
    """Origins about which translations are as near as can be to those of the table.

    Args:
        equations: stacked, one for each row or one for all.
        steps: t - t_table of the generators, [n, N_ROWS].

    Returns:
        The origins, fractional, [n, 3], and by how much the worst equation is missed, as a fraction, [n].
    """
    origin = _applied(equations.solution, steps)
    left = steps - _applied(equations.matrix, origin)
    left -= np.rint(left)
    correction = _applied(equations.correction, left)
    left -= _applied(equations.matrix, correction)
    return origin + correction, np.abs(left).max(axis=1, initial=0.0)


def _applied(matrices: Floats, vectors: Floats) -> Floats:
    """Products of matrices [n or 1, i, j] with vectors [n, j]."""
    return np.asarray((matrices @ vectors[:, :, None])[:, :, 0])
