"""The direction along which a crystal responds most to a field along itself: extremes of T_ijk n_i n_j n_k.

Only the totally symmetric part of the tensor takes part, a cubic form on the sphere.

Source: J. F. Nye, Physical Properties of Crystals (1985), ch. VII, sec. 6 (longitudinal surface).
"""

from functools import lru_cache

import numpy as np

from models.derived.extremes.sphere import Grid, largest_on_sphere, odd_grid
from models.tensors.voigt import Floats

_N_GRID = 600


@lru_cache(maxsize=1)
def _grid() -> tuple[Grid, Floats]:
    """Directions, and what makes T_nnn of the 27 entries of T, [27, _N_GRID]."""
    grid = odd_grid(_N_GRID)
    n = grid.directions
    return grid, np.einsum("ni,nj,nk->nijk", n, n, n).reshape(-1, 27).T


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
    grid, cubes = _grid()
    place = grid.best((symmetric.reshape(-1, 27) @ cubes).astype(np.float32))
    forms = np.moveaxis(symmetric[:, [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]], 0, -1)
    # the form is odd: seen from the other end a minimum is a maximum
    return largest_on_sphere(forms, grid.directions[place])
