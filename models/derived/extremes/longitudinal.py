"""The direction along which a crystal responds most to a field along itself: extremes of T_ijk n_i n_j n_k.

Only the totally symmetric part of the tensor takes part, a cubic form on the sphere.

Source: J. F. Nye, Physical Properties of Crystals (1985), ch. VII, sec. 6 (longitudinal surface).
"""

from functools import lru_cache

import numpy as np

from models.derived.extremes.sphere import Singles, best_two, half_sphere, largest_on_sphere
from models.tensors.voigt import Floats

_N_GRID = 600
_ENTRIES = np.array([[0, 1, 2, 0, 0, 1, 1, 2, 2, 0], [0, 1, 2, 0, 0, 1, 1, 2, 2, 1], [0, 1, 2, 1, 2, 0, 2, 0, 1, 2]])


@lru_cache(maxsize=1)
def _grid() -> tuple[Floats, Singles]:
    """Directions n and then all -n, and what makes T_nnn of the 10 entries of a symmetric T, [10, _N_GRID]."""
    n = half_sphere(_N_GRID // 2)
    n = np.concatenate([n, -n])
    i, j, k = _ENTRIES
    # as many orders of the three indices as there are different ones
    orders = np.array([1, 1, 1, 3, 3, 3, 3, 3, 3, 6])
    return n, (orders * n[:, i] * n[:, j] * n[:, k]).T.astype(np.float32)


def largest_longitudinal(tensors: Floats) -> tuple[Floats, Floats]:
    """Largest |T_ijk n_i n_j n_k| over all directions, and the direction.

    Args:
        tensors: e_ijk or d_ijk in any unit, shape [n_crystals, 3, 3, 3].

    Returns:
        Values in the same unit, [n_crystals], and unit vectors n along which T_nnn is positive, [n_crystals, 3]; any
        direction where all values are 0.
    """
    symmetric = (tensors + tensors.transpose(0, 2, 3, 1) + tensors.transpose(0, 3, 1, 2)) / 3
    symmetric = (symmetric + symmetric.transpose(0, 1, 3, 2)) / 2
    directions, products = _grid()
    i, j, k = _ENTRIES
    values = symmetric[:, i, j, k].astype(np.float32) @ products
    place = best_two(values, directions, even=False)
    forms = symmetric[:, [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    # the form is odd: seen from the other end a minimum is a maximum
    return largest_on_sphere(forms, directions[place])
