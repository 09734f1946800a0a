"""Principal dielectric constants and refractive indices, a whole batch at a time.

The electronic tensor (ions clamped) governs optics far above the phonons and below the gap; the total tensor adds the
ions and governs statics.

Source: M. Born and E. Wolf, Principles of Optics (1999), ch. 15.
"""

from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.derived.elastic import Columns
from models.quantities import DERIVED, Tensor
from models.tensors.voigt import Floats, ShapeError

CLASS_TOLERANCE = 1e-3
"""Two principal dielectric constants closer than this share of the largest magnitude count as equal."""


class OpticalClass(StrEnum):
    """How many of the principal dielectric constants differ: none, one from two equal ones, or all."""

    ISOTROPIC = "isotropic"
    UNIAXIAL = "uniaxial"
    BIAXIAL = "biaxial"


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
    values = principal_values(eps_electronic)
    transparent: NDArray[np.bool_] = np.all(values > 0, axis=1, keepdims=True)
    return np.sqrt(np.where(transparent, values, np.nan))


def optical_class(eps_electronic: ArrayLike) -> NDArray[np.str_]:
    """Optical class from the degeneracy of the principal dielectric constants.

    Args:
        eps_electronic: relative permittivity at optical frequency, shape [n_crystals, 3, 3].

    Returns:
        Values of `OpticalClass`, shape [n_crystals]; "" where the tensor is not finite.
    """
    values = principal_values(eps_electronic)
    limit = CLASS_TOLERANCE * np.abs(values).max(axis=1, initial=0.0)
    # values are ascending, so that equal ones are neighbours
    pair = np.diff(values, axis=1).min(axis=1, initial=np.inf) <= limit
    all_three = values[:, 2] - values[:, 0] <= limit
    conditions = [np.isnan(limit), all_three, pair]
    choices = ["", OpticalClass.ISOTROPIC.value, OpticalClass.UNIAXIAL.value]
    return np.select(conditions, [np.str_(choice) for choice in choices], default=np.str_(OpticalClass.BIAXIAL.value))


def derive_dielectric(eps_electronic: ArrayLike, eps_total: ArrayLike) -> Columns:
    """All derived columns that need dielectric tensors.

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
    indices = principal_indices(eps_electronic)
    columns: Columns = {
        "refractive_index": indices.mean(axis=1),
        "birefringence": indices[:, 2] - indices[:, 0],
        "optical_class": optical_class(eps_electronic),
    }
    for prefix, values in (("eps_electronic", electronic), ("eps_total", total)):
        columns |= {
            f"{prefix}_mean": values.mean(axis=1),
            f"{prefix}_min": values[:, 0],
            f"{prefix}_max": values[:, 2],
        }
    dielectric = {Tensor.DIELECTRIC_ELECTRONIC, Tensor.DIELECTRIC_TOTAL}
    return {name: columns[name] for name, row in DERIVED.items() if dielectric.issuperset(row.from_tensors)}
