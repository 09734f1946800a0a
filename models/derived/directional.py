"""Elastic response along directions: surfaces to plot and their exact extremes, a whole batch at a time.

Young's modulus along n is E(n) = 1 / (S_ijkl n_i n_j n_k n_l), a quartic on the sphere. Its extremes are found on a
grid and then polished by Newton steps on the sphere, because a grid alone is off by as much as its spacing squared. The
linear compressibility is quadratic in n, so its extremes are eigenvalues.

Source: J. F. Nye, Physical Properties of Crystals (1985), ch. VIII; A. Marmier et al., Comput. Phys. Commun. 181, 2102
(2010).
"""

import numpy as np
from numpy.typing import ArrayLike

from models.derived.elastic import GPA_INVERSE_IN_PER_TPA, Columns, Unstable, compliance_voigt, mechanically_stable
from models.tensors.voigt import (
    Floats,
    ShapeError,
    compliance_voigt_to_mandel,
    mandel_to_symmetric,
    symmetric_to_mandel,
)

N_GRID = 800
"""Directions of the starting grid on the half sphere; neighbours are about 5 degrees apart."""

_N_STEPS = 8
_MAX_STEP = 0.2  # radians: a Newton step far from a stationary point may lead anywhere
_N_STARTS = 4  # best grid points that are polished: two minima of nearly equal depth may change places


def half_sphere(n_directions: int) -> Floats:
    """Nearly even directions on the upper half sphere (Fibonacci spiral).

    Args:
        n_directions: how many.

    Returns:
        Unit vectors, shape [n_directions, 3].
    """
    index = np.arange(n_directions)
    z = 1 - (index + 0.5) / n_directions
    azimuth = np.pi * (1 + np.sqrt(5)) * index
    radius = np.sqrt(1 - z * z)
    directions: Floats = np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), z], axis=1)
    return directions


def young_modulus_along(stiffness_voigt: ArrayLike, directions: ArrayLike) -> Floats:
    """Young's modulus of crystals pulled along given directions.

    Args:
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].
        directions: vectors of any length but zero, in the frame of the tensors, shape [n_directions, 3].

    Returns:
        E(n) in GPa, shape [n_crystals, n_directions].

    Raises:
        UnphysicalTensorError: some C_IJ is not positive definite; `.rows` names them.
        ShapeError: a direction is zero or not finite, or the array is not [n_directions, 3].
    """
    vectors = np.asarray(directions, dtype=np.float64)
    if vectors.ndim != 2 or vectors.shape[1] != 3:
        raise ShapeError(f"directions must have shape [n_directions, 3], got {list(vectors.shape)}.")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not ((lengths > 0) & np.isfinite(lengths)).all():
        raise ShapeError("Some directions are zero or not finite; a direction needs a length.")
    compliance = compliance_voigt_to_mandel(compliance_voigt(stiffness_voigt))
    return GPA_INVERSE_IN_PER_TPA / _inverse_young_modulus(compliance, (vectors / lengths)[None])


def _dyads(directions: Floats) -> Floats:
    """n n in Mandel form, [..., 3] -> [..., 6]."""
    return symmetric_to_mandel(directions[..., :, None] * directions[..., None, :])


def _inverse_young_modulus(compliance: Floats, directions: Floats) -> Floats:
    """1 / E in 1/TPa for Mandel compliances [n_crystals, 6, 6] and unit vectors [1 or n_crystals, m, 3]."""
    dyads = _dyads(directions)
    inverse: Floats = ((dyads @ compliance) * dyads).sum(axis=-1)
    return inverse


def _newton_step(compliance: Floats, directions: Floats) -> Floats:
    """One Newton step of f(n) = S nnnn on the sphere towards the nearest stationary direction, [n_crystals, m, 3].

    In a tangent basis t_a the slope is 4 t_a (S nn) n and the curvature 4 t_a (S nn) t_b + 8 (t_a n) S (t_b n) less
    4 f delta_ab, the part that keeps n on the sphere.
    """
    strain = mandel_to_symmetric(_dyads(directions) @ compliance)
    # two orthonormal vectors normal to n; the cell axis that n is least along gives the first without cancellation
    axis = np.eye(3)[np.abs(directions).argmin(axis=-1)]
    first = np.cross(directions, axis)
    first /= np.linalg.norm(first, axis=-1, keepdims=True)
    tangents = np.stack([first, np.cross(directions, first)], axis=-2)
    slope = 4 * (tangents @ strain @ directions[..., None])[..., 0]
    mixed = symmetric_to_mandel(tangents[..., :, None] * directions[..., None, None, :])
    curvature = 4 * tangents @ strain @ np.swapaxes(tangents, -1, -2)
    curvature += 8 * mixed @ compliance[:, None] @ np.swapaxes(mixed, -1, -2)
    curvature -= 4 * _inverse_young_modulus(compliance, directions)[..., None, None] * np.eye(2)
    # a flat direction (isotropic plane) has no curvature: the pseudo-inverse stays put there instead of dividing by 0
    step = -(np.linalg.pinv(curvature, rcond=1e-9, hermitian=True) @ slope[..., None])[..., 0]
    length = np.linalg.norm(step, axis=-1, keepdims=True)
    step = step * np.minimum(1.0, _MAX_STEP / np.maximum(length, 1e-300))
    moved = directions + (step[..., None, :] @ tangents)[..., 0, :]
    return np.asarray(moved / np.linalg.norm(moved, axis=-1, keepdims=True), dtype=np.float64)


def _extreme(compliance: Floats, sign: float) -> Floats:
    """Largest value of sign * (1 / E) over all directions, [n_crystals]; never below the best grid point."""
    grid = half_sphere(N_GRID)
    values = sign * _inverse_young_modulus(compliance, grid[None])
    starts = np.argpartition(values, -_N_STARTS, axis=1)[:, -_N_STARTS:]
    best, directions = values.max(axis=1), grid[starts]
    for _ in range(_N_STEPS):
        directions = _newton_step(compliance, directions)
        best = np.maximum(best, (sign * _inverse_young_modulus(compliance, directions)).max(axis=1))
    return np.asarray(best, dtype=np.float64)


def derive_directional(stiffness_voigt: ArrayLike, unstable: Unstable = Unstable.RAISE) -> Columns:
    """Extremes over all directions of Young's modulus and of the linear compressibility.

    Args:
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].
        unstable: RAISE refuses the batch when a tensor is not positive definite, FLAG gives NaN there.

    Returns:
        `young_min_gpa`, `young_max_gpa`, `linear_compressibility_min_per_tpa`, `linear_compressibility_max_per_tpa`,
        each [n_crystals]. A negative compressibility is a crystal that expands along some axis under pressure.

    Raises:
        UnphysicalTensorError: `unstable` is RAISE and some C_IJ is not positive definite; `.rows` names them.
    """
    stiffness = np.asarray(stiffness_voigt, dtype=np.float64)
    stable = mechanically_stable(stiffness)
    if Unstable(unstable) is Unstable.FLAG:
        stiffness = np.where(stable[:, None, None], stiffness, np.eye(6))
    compliance = compliance_voigt_to_mandel(compliance_voigt(stiffness))
    shrinkage = np.linalg.eigvalsh(mandel_to_symmetric(compliance[:, :, :3].sum(axis=2)))  # S_ijkk
    columns: Columns = {
        "young_min_gpa": GPA_INVERSE_IN_PER_TPA / _extreme(compliance, 1.0),
        "young_max_gpa": -GPA_INVERSE_IN_PER_TPA / _extreme(compliance, -1.0),
        "linear_compressibility_min_per_tpa": shrinkage[:, 0],
        "linear_compressibility_max_per_tpa": shrinkage[:, 2],
    }
    return {name: np.where(stable, values, np.nan) for name, values in columns.items()}
