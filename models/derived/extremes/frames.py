"""Extremes over all frames of entries of the compliance: shear moduli and Poisson's ratios.

Sheared from n towards m a crystal has the modulus 1 / (4 S_nmnm), and pulled along n Poisson's ratio
-S_nnmm / S_nnnn for m. Both are entries of the compliance in a frame whose first axes are n and m. On a grid of n the
best m is an eigenvector of a 2x2 matrix. The best frames are then polished by Newton steps in the group of rotations:
there the first and second derivatives of an entry are fixed linear combinations of all entries, found from the
generators of rotations.

Source: J. F. Nye, Physical Properties of Crystals (1985), ch. VIII; A. Marmier et al., Comput. Phys. Commun. 181, 2102
(2010).
"""

from enum import IntEnum
from functools import lru_cache
from itertools import combinations_with_replacement

import numpy as np

from models.derived.extremes.sphere import APART, Singles, half_sphere, tangents
from models.derived.kernels.frames import extremes
from models.tensors.voigt import Floats, mandel_to_symmetric, symmetric_to_mandel

N_GRID = 400
"""Directions of the starting grid on the half sphere; neighbours are about 7 degrees apart."""

UPPER = np.triu_indices(6)
"""A compliance is symmetric: its upper half, row by row, stands for both."""

_CHUNK = 32  # crystals whose values on the grid fit into the cache


class Entry(IntEnum):
    """What is sought over all frames."""

    INVERSE_SHEAR = 0
    POISSON = 1


_NUMERATORS = ((5, 5, 2.0), (0, 1, -1.0))
"""1/G and the numerator of Poisson's ratio in the frame n, m, n x m: row, column, factor of the Mandel compliance."""
_INVERSE_YOUNG = (0, 0, 1.0)
_SPIN: Floats = np.zeros((3, 3, 3))
_SPIN[[0, 1, 2], [2, 0, 1], [1, 2, 0]] = 1.0
_SPIN[[0, 1, 2], [1, 2, 0], [2, 0, 1]] = -1.0


def dyads(first: Floats, second: Floats) -> Floats:
    """The symmetric part of a b in Mandel form, [..., 3] -> [..., 6]."""
    return symmetric_to_mandel(first[..., :, None] * second[..., None, :])


def products_of_dyads(*pairs: tuple[Floats, Floats]) -> Singles:
    """What makes values a.S.b of a compliance's upper half, for dyads a, b [n, 6], [21, n_pairs n]."""
    weight = np.where(UPPER[0] == UPPER[1], 0.5, 1.0)
    parts = []
    for a, b in pairs:
        matrix = a[:, :, None] * b[:, None, :]
        parts.append(((matrix + matrix.swapaxes(1, 2))[:, UPPER[0], UPPER[1]] * weight).T)
    return np.concatenate(parts, axis=1).astype(np.float32)


@lru_cache(maxsize=1)
def _grid() -> tuple[Floats, Floats, Singles]:
    """Directions, their tangents [N_GRID, 2, 3], and what makes values of a compliance, [21, 7 N_GRID].

    The seven values along n with the tangents s, t: S_nnnn; 4 S_nsns, 4 S_nsnt, 4 S_ntnt; -S_nnss, -S_nnst, -S_nntt.
    """
    n = half_sphere(N_GRID)
    pair = tangents(n)
    s, t = pair[:, 0], pair[:, 1]
    nn, ns, nt = dyads(n, n), dyads(n, s), dyads(n, t)
    shears = [(4 * ns, ns), (4 * ns, nt), (4 * nt, nt)]
    poissons = [(-nn, dyads(s, s)), (-nn, dyads(s, t)), (-nn, dyads(t, t))]
    return n, pair, products_of_dyads((nn, nn), *shears, *poissons)


def extreme_entries(compliance: Floats) -> Floats:
    """Least and largest 1/G and Poisson's ratio over all frames.

    Args:
        compliance: in Mandel form in 1/TPa, shape [n_crystals, 6, 6].

    Returns:
        By `Entry`, least before largest, shape [n_crystals, 2, 2]; never worse than the best start.
    """
    directions, pair, products = _grid()
    # single precision is enough to choose the directions that are polished
    components = compliance[:, UPPER[0], UPPER[1]].astype(np.float32)
    entries = np.empty((len(compliance), len(Entry), 2))
    for first in range(0, len(compliance), _CHUNK):
        part = slice(first, first + _CHUNK)
        along = (components[part] @ products).reshape(-1, 7, N_GRID)
        extremes(along, compliance[part], (directions, pair), APART, _derivatives(), entries[part])
    signed: Floats = entries * np.array([-1.0, 1.0])
    return signed


@lru_cache(maxsize=1)
def _derivatives() -> Floats:
    """What makes an entry's value, its 3 first and 6 second derivatives by rotations of the upper half, [2, 21, 20].

    A rotation vector w takes the Mandel compliance to exp(L) S exp(L)^T, with L the sum of w_k L_k over the generators.
    For 1/G and for the numerator of Poisson's ratio, each followed by what divides it, 1/E. Second derivatives as 11,
    12, 13, 22, 23, 33.
    """
    basis = mandel_to_symmetric(np.eye(6))
    turned = _SPIN[:, None] @ basis + basis @ _SPIN[:, None].swapaxes(-1, -2)
    generators = symmetric_to_mandel(turned).swapaxes(1, 2)
    rows = []
    for row, column, factor in (*_NUMERATORS, _INVERSE_YOUNG):
        entry = np.zeros((6, 6))
        entry[row, column] += factor / 2
        entry[column, row] += factor / 2
        rows += [entry, *(g.T @ entry + entry @ g for g in generators)]
        for a, b in combinations_with_replacement(generators, 2):
            square = (a @ b + b @ a) / 2
            rows.append(square.T @ entry + entry @ square + a.T @ entry @ b + b.T @ entry @ a)
    full = np.stack(rows).reshape(3, 10, 6, 6)
    # the two sides of the diagonal are equal
    halves = np.where(np.eye(6, dtype=np.bool_), full, full + full.swapaxes(2, 3))[:, :, UPPER[0], UPPER[1]]
    both = np.concatenate([halves[:2], np.broadcast_to(halves[2], (2, 10, 21))], axis=1)
    return np.ascontiguousarray(both.swapaxes(1, 2))
