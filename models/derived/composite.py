"""Mixtures of two isotropic phases, and the dielectric constant of a polycrystal of grains in all directions.

All estimates have one form: the property of every part is raised by the constraint of a surrounding medium, averaged as
for parts in series, and the constraint is taken away again. Without a medium that is the lower Wiener (or Reuss) bound,
in an infinitely stiff one the upper; the weakest and the strongest part as the medium give the Hashin-Shtrikman bounds,
the matrix gives Maxwell Garnett's formula and the mixture itself the self-consistent (Bruggeman) value. A grain of a
polycrystal counts as three parts of equal weight, one per principal direction.

Valid for static fields and grains that are small beside the sample but large enough to have bulk properties; grain
boundaries, pores and space charges are not in it.

Source: Z. Hashin and S. Shtrikman, J. Appl. Phys. 33, 3125 (1962) and J. Mech. Phys. Solids 11, 127 (1963); J. P. Watt,
G. F. Davies, R. J. O'Connell, Rev. Geophys. Space Phys. 14, 541 (1976); D. A. G. Bruggeman, Ann. Phys. 416, 636 (1935);
J. C. Maxwell Garnett, Philos. Trans. R. Soc. A 203, 385 (1904).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from models.derived.dielectric import principal_values
from models.derived.polycrystal import constraint
from models.tensors.voigt import Floats, ShapeError


class DielectricBounds(NamedTuple):
    """Relative dielectric constant of a mixture, dimensionless, in ascending order; all of one shape.

    Attributes:
        wiener_lower: parts in series, the lowest value of any arrangement.
        hs_lower: lowest of an arrangement without preferred direction.
        self_consistent: parts that are all alike in shape and place.
        hs_upper: highest of an arrangement without preferred direction.
        wiener_upper: parts in parallel, the highest value of any arrangement.
    """

    wiener_lower: Floats
    hs_lower: Floats
    self_consistent: Floats
    hs_upper: Floats
    wiener_upper: Floats


class ElasticBounds(NamedTuple):
    """Hashin-Shtrikman bounds of the moduli of an isotropic mixture in GPa; all of one shape."""

    k_lower_gpa: Floats
    k_upper_gpa: Floats
    g_lower_gpa: Floats
    g_upper_gpa: Floats


def dielectric_polycrystal(dielectric: ArrayLike) -> DielectricBounds:
    """Bounds and self-consistent value of a polycrystal without texture, of crystals of any class.

    The self-consistent value e solves sum_i (e_i - e) / (e_i + 2 e) = 0, which is 4 e^3 - s2 e - s3 = 0 with the
    elementary symmetric polynomials s2 and s3 of the principal constants: its one positive root has a closed form.

    Args:
        dielectric: relative permittivity, shape [n_crystals, 3, 3].

    Returns:
        Dimensionless, each [n_crystals]; NaN where a principal constant is not positive or not finite.

    Raises:
        ShapeError: not an array of 3x3 tensors.
    """
    principal = principal_values(dielectric)
    principal = np.where((principal > 0).all(axis=1, keepdims=True), principal, np.nan)
    first, second, third = principal.T
    pairs = first * second + second * third + third * first
    # rounding may take the cosine of an isotropic crystal, which is 1, beyond it
    cosine = np.minimum(3 * np.sqrt(3) * first * second * third / pairs**1.5, 1.0)
    consistent = np.sqrt(pairs / 3) * np.cos(np.arccos(cosine) / 3)
    weights = np.full_like(principal, 1 / 3)
    return _bounds(principal, weights, consistent)


def dielectric_mixture(first: ArrayLike, second: ArrayLike, fraction_second: ArrayLike) -> DielectricBounds:
    """Bounds and Bruggeman's value of a mixture of two isotropic phases.

    Args:
        first: relative permittivity of one phase, any shape.
        second: of the other, of a shape that goes with it.
        fraction_second: volume fraction of the second phase, 0 to 1.

    Returns:
        Dimensionless, each of the joint shape.

    Raises:
        ShapeError: a constant is not positive or a fraction not between 0 and 1.
    """
    phases, weights = _two_phases(first, second, fraction_second)
    linear = ((3 * weights - 1) * phases).sum(axis=-1)
    product = phases[..., 0] * phases[..., 1]
    root = np.sqrt(linear**2 + 8 * product)
    # of the two forms of the positive root the one without a difference of nearly equal numbers
    consistent = np.where(linear > 0, (linear + root) / 4, 2 * product / (root - np.minimum(linear, 0.0)))
    return _bounds(phases, weights, consistent)


def maxwell_garnett(matrix: ArrayLike, inclusions: ArrayLike, fraction: ArrayLike) -> Floats:
    """Relative dielectric constant of a matrix with separate spheres in it.

    It is the Hashin-Shtrikman bound of the matrix' side at any fraction, and as a description of real spheres good up
    to a fraction of about 0.3, beyond which they touch.

    Args:
        matrix: relative permittivity of the matrix, any shape.
        inclusions: of the spheres, of a shape that goes with it.
        fraction: volume fraction of the spheres, 0 to 1.

    Returns:
        Dimensionless, of the joint shape.

    Raises:
        ShapeError: a constant is not positive or a fraction not between 0 and 1.

    Source: J. C. Maxwell Garnett, Philos. Trans. R. Soc. A 203, 385 (1904).
    """
    phases, weights = _two_phases(matrix, inclusions, fraction)
    return _in_medium(phases, weights, 2 * phases[..., 0])


def elastic_mixture(
    bulk_gpa: tuple[ArrayLike, ArrayLike], shear_gpa: tuple[ArrayLike, ArrayLike], fraction_second: ArrayLike
) -> ElasticBounds:
    """Hashin-Shtrikman bounds of a mixture of two isotropic phases.

    Where the phase with the larger bulk modulus has the smaller shear modulus, the medium takes the smaller (larger) of
    each, after Walpole; the bounds hold but are not the best then.

    Args:
        bulk_gpa: bulk modulus of both phases.
        shear_gpa: shear modulus of both phases.
        fraction_second: volume fraction of the second phase, 0 to 1.

    Returns:
        Each of the joint shape.

    Raises:
        ShapeError: a modulus is not positive or a fraction not between 0 and 1.

    Source: Z. Hashin and S. Shtrikman, J. Mech. Phys. Solids 11, 127 (1963); L. J. Walpole, J. Mech. Phys. Solids 14,
        151 (1966).
    """
    bulk, weights = _two_phases(*bulk_gpa, fraction_second)
    shear, _ = _two_phases(*shear_gpa, fraction_second)
    k_soft, g_soft = constraint(bulk.min(axis=-1), shear.min(axis=-1))
    k_hard, g_hard = constraint(bulk.max(axis=-1), shear.max(axis=-1))
    return ElasticBounds(
        _in_medium(bulk, weights, k_soft),
        _in_medium(bulk, weights, k_hard),
        _in_medium(shear, weights, g_soft),
        _in_medium(shear, weights, g_hard),
    )


def _bounds(parts: Floats, weights: Floats, consistent: Floats) -> DielectricBounds:
    """All bounds of parts [..., n_parts] with their weights, around a self-consistent value [...]."""
    lower, upper = (_in_medium(parts, weights, 2 * end) for end in (parts.min(axis=-1), parts.max(axis=-1)))
    series = _in_medium(parts, weights, np.zeros_like(lower))
    return DielectricBounds(series, lower, consistent, upper, np.asarray((weights * parts).sum(axis=-1)))


def _in_medium(parts: Floats, weights: Floats, star: Floats) -> Floats:
    """The estimate under a constraint, [..., n_parts] -> [...]."""
    return np.asarray(1 / (weights / (parts + star[..., None])).sum(axis=-1) - star, dtype=np.float64)


def _two_phases(first: ArrayLike, second: ArrayLike, fraction_second: ArrayLike) -> tuple[Floats, Floats]:
    """Constants and volume fractions of two phases, each [..., 2]."""
    arrays = (np.asarray(values, dtype=np.float64) for values in (first, second, fraction_second))
    one, two, fraction = np.broadcast_arrays(*arrays)
    if not ((one > 0) & (two > 0)).all():
        raise ShapeError("A constant of a phase must be positive.")
    if not ((fraction >= 0) & (fraction <= 1)).all():
        raise ShapeError("A volume fraction must lie between 0 and 1.")
    return np.stack([one, two], axis=-1), np.stack([1 - fraction, fraction], axis=-1)
