"""Equations for the origin of a space group: where its operations take the translations that a table lists.

An operation with translation t has the table's t_table about an origin o where (E - R) o = t - t_table (mod 1). For
generators of a group this is a system of whole-number equations; a unimodular change of its rows brings it into echelon
form. Rows that become zero are sums of translations that no shift of the origin changes.
"""

from typing import NamedTuple

import numpy as np

from models.crystals.crystal import Floats, Ints

MAX_GENERATORS = 4
N_ROWS = 3 * MAX_GENERATORS


class OriginEquations(NamedTuple):
    """Equations of one list of rotations, or of several stacked along a first axis; rows are padded with zeros.

    Attributes:
        generators: indices of operations of which all others are products, padded with 0, [MAX_GENERATORS].
        is_row: 1 where a row is none of those added, [N_ROWS].
        matrix: E - R, [N_ROWS, 3].
        solution: takes t - t_table to an origin, [3, N_ROWS].
        correction: takes what is left then to the shift that makes it smallest, [3, N_ROWS].
        invariants: whole sums of t that are the same about every origin, modulo 1, [N_ROWS, N_ROWS].
    """

    generators: Ints
    is_row: Floats
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
    padded, is_row = np.zeros(MAX_GENERATORS, dtype=np.int64), np.zeros(N_ROWS, dtype=np.int64)
    padded[: len(generators)], is_row[: 3 * len(generators)] = generators, 1
    matrix = (np.eye(3, dtype=np.int64) - rotations[padded]).reshape(-1, 3) * is_row[:, None]
    echelon, row_sums, pivots = _echelon_form(matrix)
    rank = len(pivots)
    solution = np.zeros((3, N_ROWS))
    solution[pivots] = np.linalg.inv(echelon[:rank, pivots]) @ row_sums[:rank]
    invariants = row_sums.astype(np.float64)
    invariants[:rank] = 0.0
    correction = np.linalg.pinv(matrix.astype(np.float64))
    return OriginEquations(padded, is_row * 1.0, matrix * 1.0, solution * is_row, correction, invariants * is_row)


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
        equations: stacked, one of each row.
        steps: t - t_table of the generators, [n, N_ROWS].

    Returns:
        The origins, fractional, [n, 3], and by how much the worst equation is missed, as a fraction, [n].
    """
    origin = np.einsum("nij,nj->ni", equations.solution, steps)
    left = steps - np.einsum("nij,nj->ni", equations.matrix, origin)
    left -= np.rint(left)
    correction = np.einsum("nij,nj->ni", equations.correction, left)
    left -= np.einsum("nij,nj->ni", equations.matrix, correction)
    return origin + correction, np.abs(left).max(axis=1, initial=0.0)
