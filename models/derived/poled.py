"""Piezoelectric tensors of a poled ceramic, averaged over the orientations of its grains.

Poling turns the polar axes of the grains towards the field: here they fill a cone about the poling axis evenly, and
about their own axes the grains are turned at random (fibre texture). Under that average the parts of a tensor that
transform like spherical harmonics of degree l are scaled by the mean Legendre polynomial of the cone. With c the cosine
of the half angle these are (1 + c) / 2, c (1 + c) / 2 and (5 c^2 - 1) (1 + c) / 8 for l = 1, 2, 3. A third-rank tensor
has no part with l = 0, so a ceramic that was not poled (180 degrees) has no effect at all.

Averaging e takes the strain, averaging d the stress to be the same in all grains: for e what Voigt, for d what Reuss
does for stiffnesses. The movement of domain walls, often half of what is measured, is not in it.

Source: H.-J. Bunge, Texture Analysis in Materials Science (1982), ch. 5 (fibre textures); J. F. Li, M. L. Dunn,
H. Ledbetter, J. Appl. Phys. 86, 4626 (1999).
"""

import numpy as np
from numpy.typing import ArrayLike

from models.derived.extremes.sphere import tangents
from models.tensors.voigt import Floats, ShapeError

_FORBIDDEN = 1e-9
"""Of the tensor's norm: a polar vector shorter than this is a rounding error."""


def polar_axes(piezo: ArrayLike) -> Floats:
    """The direction along which crystals respond to hydrostatic load, T_ijj, which is the axis of a polar class.

    In the classes 1 and m symmetry leaves the polar axis free, or free in a plane: there it is a choice.

    Args:
        piezo: e_ijk or d_ijk in any unit, shape [n_crystals, 3, 3, 3].

    Returns:
        Unit vectors, shape [n_crystals, 3]; NaN for crystals without a polar axis, which cannot be poled.
    """
    tensors = _checked(piezo)
    vectors = np.einsum("cijj->ci", tensors)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    norm = np.sqrt((tensors**2).sum(axis=(1, 2, 3)))[:, None]
    return np.asarray(np.where(length > _FORBIDDEN * norm, vectors, np.nan) / np.where(length > 0, length, 1.0))


def poled_average(piezo: ArrayLike, axes: ArrayLike, half_angle_deg: ArrayLike) -> Floats:
    """Average of a piezoelectric tensor over the grains of a poled ceramic.

    Args:
        piezo: e_ijk (C/m^2) or d_ijk (pC/N, no factors of Voigt's notation), symmetric in j and k, shape
            [n_crystals, 3, 3, 3].
        axes: the axis of each crystal that poling aligns, unit vectors, shape [n_crystals, 3].
        half_angle_deg: of the cone that the axes fill, 0 (all aligned) to 180 (not poled), one or [n_crystals].

    Returns:
        In the same unit in a frame whose third axis is the poling axis, shape [n_crystals, 3, 3, 3]; exactly 0 at 180
        degrees, NaN where the axis is NaN.

    Raises:
        ShapeError: not arrays of tensors and axes of the same crystals, or an angle outside of 0 to 180.
    """
    tensors, n = _checked(piezo), np.asarray(axes, dtype=np.float64)
    angle = np.asarray(half_angle_deg, dtype=np.float64)
    if n.shape != (len(tensors), 3):
        raise ShapeError(f"axes must have shape [{len(tensors)}, 3], got {list(n.shape)}.")
    if not ((angle >= 0) & (angle <= 180)).all():
        raise ShapeError("The half angle of a cone must lie between 0 and 180 degrees.")
    c = np.cos(np.radians(angle))
    scales = (1 + c) / 2, c * (1 + c) / 2, (5 * c**2 - 1) * (1 + c) / 8
    return _fibre_tensors(*_scaled(_about_axis(tensors, n), scales))


def _about_axis(tensors: Floats, n: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """t33, t31, t15 and t14 (without factors) of tensors turned at random about their axis, each [n_crystals]."""
    # for NaN any frame will do, as long as the answer is NaN
    frame = np.concatenate([tangents(np.where(np.isnan(n), np.eye(3)[2], n)), n[:, None]], axis=1)
    turned = np.einsum("cijk,cai,cbj,cdk->cabd", tensors, frame, frame, frame, optimize=True)
    twist = (turned[:, 0, 1, 2] - turned[:, 1, 0, 2]) / 2
    along = (turned[:, 2, 0, 0] + turned[:, 2, 1, 1]) / 2
    return turned[:, 2, 2, 2], along, (turned[:, 0, 0, 2] + turned[:, 1, 1, 2]) / 2, twist


def _scaled(
    constants: tuple[Floats, Floats, Floats, Floats], scales: tuple[Floats, Floats, Floats]
) -> tuple[Floats, Floats, Floats, Floats]:
    """The constants t33, t31, t15, t14 once the parts of l = 1, 2, 3 are scaled."""
    t33, t31, t15, t14 = constants
    first, second, third = scales
    # the totally symmetric part holds a vector and all of l = 3; what is left of t31 and t15 is a second vector
    symmetric, mixed = (t31 + 2 * t15) / 3, t31 - t15
    vector = (t33 + 2 * symmetric) / 5
    s33 = first * 3 * vector + third * (t33 - 3 * vector)
    s31 = first * vector + third * (symmetric - vector)
    return s33, s31 + first * 2 * mixed / 3, s31 - first * mixed / 3, second * t14


def _fibre_tensors(t33: Floats, t31: Floats, t15: Floats, t14: Floats) -> Floats:
    """Tensors that any rotation about the third axis leaves alone, [n_crystals, 3, 3, 3]."""
    tensors = np.zeros((len(t33), 3, 3, 3))
    tensors[:, 2, 2, 2] = t33
    for axis, other, sign in ((0, 1, 1.0), (1, 0, -1.0)):
        tensors[:, 2, axis, axis] = t31
        tensors[:, axis, axis, 2] = tensors[:, axis, 2, axis] = t15
        tensors[:, axis, other, 2] = tensors[:, axis, 2, other] = sign * t14
    return tensors


def _checked(piezo: ArrayLike) -> Floats:
    """Tensors as float64."""
    tensors = np.asarray(piezo, dtype=np.float64)
    if tensors.ndim != 4 or tensors.shape[1:] != (3, 3, 3):
        raise ShapeError(f"a piezoelectric tensor must have shape [n_crystals, 3, 3, 3], got {list(tensors.shape)}.")
    return tensors
