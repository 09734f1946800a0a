"""The direction along which a crystal responds most to a field along itself: extremes of T_ijk n_i n_j n_k.

Only the totally symmetric part of the tensor takes part, a cubic form on the sphere. The best directions of a grid are
polished by Newton steps, with curvatures turned where they lead downhill.

Source: J. F. Nye, Physical Properties of Crystals (1985), ch. VII, sec. 6 (longitudinal surface).
"""

import numpy as np

from models.derived.directional import half_sphere, tangents
from models.tensors.voigt import Floats

_GRID = half_sphere(300)
_CUBES: Floats = np.einsum("ni,nj,nk->nijk", _GRID, _GRID, _GRID).reshape(len(_GRID), 27).T
_APART = np.abs(_GRID @ _GRID.T) > np.cos(np.radians(25.0))  # too near to be a start of its own
_N_STEPS = 5
_MAX_STEP = 0.2  # radians


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
    values = symmetric.reshape(len(tensors), 27) @ _CUBES
    best = np.abs(values).argmax(axis=1)
    second = np.where(_APART[best], -1.0, np.abs(values)).argmax(axis=1)
    place = np.stack([best, second], axis=1)
    # the form is odd: seen from the other end a minimum is a maximum
    n = _GRID[place] * np.where(np.take_along_axis(values, place, axis=1) < 0, -1.0, 1.0)[..., None]
    for _ in range(_N_STEPS):
        n = _newton_step(symmetric, n)
    polished = np.einsum("cijk,csi,csj,csk->cs", symmetric, n, n, n, optimize=True)
    rows = np.arange(len(n))
    winner = polished.argmax(axis=1)
    # a step too far never makes the answer worse than the grid
    found, grid = polished[rows, winner], np.abs(values[rows, best])
    direction = np.where((found >= grid)[:, None], n[rows, winner], _GRID[best] * np.sign(values[rows, best])[:, None])
    return np.maximum(found, grid), direction


def _newton_step(symmetric: Floats, n: Floats) -> Floats:
    """One step on the sphere towards a maximum, [n_crystals, n_starts, 3]."""
    matrix = np.einsum("cijk,csk->csij", symmetric, n)
    vector = (matrix @ n[..., None])[..., 0]
    normals = tangents(n)
    slope = 3 * (normals @ vector[..., None])[..., 0]
    value = (vector * n).sum(axis=-1)[..., None, None]
    downward, axes = np.linalg.eigh(3 * value * np.eye(2) - 6 * normals @ matrix @ normals.swapaxes(-1, -2))
    size = np.abs(downward).max(axis=-1, keepdims=True) + 1e-300
    along = (axes.swapaxes(-1, -2) @ slope[..., None])[..., 0] / np.maximum(np.abs(downward), 1e-8 * size)
    step = (axes @ along[..., None])[..., 0]
    length = np.linalg.norm(step, axis=-1, keepdims=True)
    step = step * np.minimum(1.0, _MAX_STEP / np.maximum(length, 1e-300))
    moved = n + (step[..., None, :] @ normals)[..., 0, :]
    return np.asarray(moved / np.linalg.norm(moved, axis=-1, keepdims=True), dtype=np.float64)
