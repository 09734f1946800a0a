"""Principal dielectric constants and refractive indices, a whole batch at a time.

The electronic tensor (ions clamped) governs optics far above the phonons and below the gap; the total tensor adds the
ions and governs statics.

Source: M. Born and E. Wolf, Principles of Optics (1999), ch. 15.
"""

from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.derived.elastic import Columns
from models.quantities import DERIVED
from models.tensors.voigt import Floats, ShapeError

SIGN_ROUNDING = 1e-6
"""Relative difference below which principal dielectric constants, which come from float32, count as equal."""


class OpticalClass(StrEnum):
    """How many principal dielectric constants the symmetry makes equal: all, those normal to the axis, or none."""

    ISOTROPIC = "isotropic"
    UNIAXIAL = "uniaxial"
    BIAXIAL = "biaxial"


class OpticSign(StrEnum):
    """Which of the two ways an anisotropic crystal refracts."""

    POSITIVE = "+"
    NEGATIVE = "-"


_CLASS_OF_SYSTEM = {
    "cubic": OpticalClass.ISOTROPIC,
    "trigonal": OpticalClass.UNIAXIAL,
    "tetragonal": OpticalClass.UNIAXIAL,
    "hexagonal": OpticalClass.UNIAXIAL,
    "orthorhombic": OpticalClass.BIAXIAL,
    "monoclinic": OpticalClass.BIAXIAL,
    "triclinic": OpticalClass.BIAXIAL,
}
"""Source: J. F. Nye, Physical Properties of Crystals (1985), table 3 and appendix H."""


def principal_values(dielectric: ArrayLike) -> Floats:
    """Eigenvalues of the symmetric part of dielectric tensors.

    Args:
        dielectric: relative permittivity, shape [n_crystals, 3, 3].

    Returns:
        Principal dielectric constants in ascending order, dimensionless, shape [n_crystals, 3]; NaN where a tensor is
        not finite.

    Raises:
        ShapeError: not an array of 3x3 tensors.
    """
    values = np.asarray(dielectric, dtype=np.float64)
    if values.ndim != 3 or values.shape[1:] != (3, 3):
        raise ShapeError(f"a dielectric tensor must have shape [n_crystals, 3, 3], got {list(values.shape)}.")
    # LAPACK refuses a whole batch for one entry that is not finite: such rows are replaced
    finite: NDArray[np.bool_] = np.all(np.isfinite(values), axis=(1, 2), keepdims=True)
    symmetric = np.where(finite, (values + np.swapaxes(values, 1, 2)) / 2, np.eye(3))
    return np.where(finite[:, 0], np.linalg.eigvalsh(symmetric), np.nan)


def principal_indices(eps_electronic: ArrayLike) -> Floats:
    """Principal refractive indices, the square roots of the principal electronic dielectric constants.

    Args:
        eps_electronic: relative permittivity at optical frequency, shape [n_crystals, 3, 3].

    Returns:
        n1 <= n2 <= n3, dimensionless, shape [n_crystals, 3]; all three NaN where a principal value is not positive,
        since light does not propagate there.
    """
    return _indices(principal_values(eps_electronic))


def _indices(values: Floats) -> Floats:
    """Square roots of principal values [n_crystals, 3], NaN where one of a crystal's is not positive."""
    transparent: NDArray[np.bool_] = np.all(values > 0, axis=1, keepdims=True)
    return np.sqrt(np.where(transparent, values, np.nan))


def optical_class(crystal_system: NDArray[np.str_]) -> NDArray[np.str_]:
    """Optical class of crystal systems: a matter of symmetry, whatever values a tensor happens to have.

    Args:
        crystal_system: e.g. "trigonal", shape [n_crystals].

    Returns:
        Values of `OpticalClass`, shape [n_crystals].
    """
    names, system = np.unique(np.asarray(crystal_system, dtype=np.str_), return_inverse=True)
    classes = np.array([_CLASS_OF_SYSTEM[str(name)].value for name in names], dtype=np.str_)
    return np.asarray(classes[system.reshape(-1)])


def optic_sign(eps_electronic: ArrayLike, optical_class: NDArray[np.str_]) -> NDArray[np.str_]:
    """Optic sign of uniaxial and biaxial crystals.

    With principal values e1 <= e2 <= e3 the optic axes include with the axis of e3 an angle V of
    tan(V)^2 = (1/e1 - 1/e2) / (1/e2 - 1/e3): the crystal is positive where V < 45 degrees, which is where
    2/e2 > 1/e1 + 1/e3. For two equal values this is the rule of uniaxial crystals, positive where n_e > n_o.

    Args:
        eps_electronic: relative permittivity at optical frequency, shape [n_crystals, 3, 3].
        optical_class: values of `OpticalClass`, shape [n_crystals].

    Returns:
        Values of `OpticSign`, shape [n_crystals]; "" for isotropic crystals, where the principal values coincide or V
        is 45 degrees within rounding, and where one of them is not positive.

    Source: M. Born and E. Wolf, Principles of Optics (1999), sec. 15.3; J. F. Nye (1985), appendix H.
    """
    return _sign(principal_values(eps_electronic), optical_class)


def _sign(values: Floats, optical_class: NDArray[np.str_]) -> NDArray[np.str_]:
    """The same from principal values, [n_crystals, 3]."""
    lowest, middle, highest = (_indices(values) ** 2).T
    excess = 2 - middle / lowest - middle / highest
    # what is not above the limit, NaN included, has no sign
    signed = (np.abs(excess) > SIGN_ROUNDING) & (optical_class != OpticalClass.ISOTROPIC.value)
    sign = np.where(excess > 0, OpticSign.POSITIVE.value, OpticSign.NEGATIVE.value)
    return np.where(signed, sign, "")


def optical_columns(eps_electronic: ArrayLike, crystal_system: NDArray[np.str_]) -> Columns:
    """The derived columns that need the symmetry of the crystal beside its electronic tensor.

    Args:
        eps_electronic: relative permittivity at optical frequency, shape [n_crystals, 3, 3].
        crystal_system: of the point group that the tensors obey, shape [n_crystals].

    Returns:
        `optical_class` and `optic_sign`, each [n_crystals]; "" where the tensor is not finite.
    """
    values = principal_values(eps_electronic)
    classes = np.where(np.isfinite(values).all(axis=1), optical_class(crystal_system), "")
    return {"optical_class": classes, "optic_sign": _sign(values, classes)}


def derive_dielectric(eps_electronic: ArrayLike, eps_total: ArrayLike) -> Columns:
    """All derived numbers that need nothing but dielectric tensors.

    Args:
        eps_electronic: electronic (clamped-ion) relative permittivity, shape [n_crystals, 3, 3].
        eps_total: total (static) relative permittivity, shape [n_crystals, 3, 3].

    Returns:
        Column name of `DERIVED` -> values in its unit, each [n_crystals], in the order of `DERIVED`. Refractive index
        and birefringence are NaN where an eigenvalue is not positive; every number is NaN where its tensor is not
        finite.

    Raises:
        ShapeError: not arrays of 3x3 tensors, or of different numbers of crystals.
    """
    electronic, total = principal_values(eps_electronic), principal_values(eps_total)
    if len(electronic) != len(total):
        raise ShapeError(f"{len(electronic)} electronic but {len(total)} total dielectric tensors; give one each.")
    indices = _indices(electronic)
    columns: Columns = {
        "refractive_index": indices.mean(axis=1),
        "birefringence": indices[:, 2] - indices[:, 0],
    }
    for prefix, values in (("eps_electronic", electronic), ("eps_total", total)):
        columns |= {
            f"{prefix}_mean": values.mean(axis=1),
            f"{prefix}_min": values[:, 0],
            f"{prefix}_max": values[:, 2],
        }
    return {name: columns[name] for name in DERIVED if name in columns}
