"""Piezoelectric strain tensors and rotation-invariant piezoelectric figures, a whole batch at a time.

The stress tensor e (C/m^2) is what is predicted; the strain tensor d (pC/N) is the response of a device, d = e C^-1.
With C in GPa, C^-1 is in 1/TPa after a factor 1000, and C/m^2 times 1/TPa is pC/N.

Source: IEEE Std 176-1987, section 2; J. F. Nye, Physical Properties of Crystals (1985), ch. VII.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.derived.elastic import GPA_INVERSE_IN_PER_TPA, Columns, Stiffness, StiffnessBatch
from models.derived.extremes.longitudinal import largest_longitudinal
from models.errors import UnphysicalTensorError
from models.quantities import DERIVED, Tensor
from models.tensors.voigt import (
    Floats,
    ShapeError,
    mandel_to_piezo,
    mandel_to_piezo_strain_voigt,
    piezo_to_mandel,
    stiffness_voigt_to_mandel,
)

_OF_RESPONSE = (
    "e_max_c_per_m2", "e_norm_c_per_m2", "d_max_pc_per_n", "d_norm_pc_per_n", "d_hydrostatic_pc_per_n",
    "e_longitudinal_max_c_per_m2", "d_longitudinal_max_pc_per_n",
)  # fmt: skip


def strain_mandel(piezo: ArrayLike, stiffness_voigt: ArrayLike) -> Floats:
    """d in Mandel form in pC/N, [n_crystals, 3, 6], solved from d C = e; the stiffness must be regular."""
    stiffness = stiffness_voigt_to_mandel(stiffness_voigt)
    symmetric = (stiffness + np.swapaxes(stiffness, -1, -2)) / 2
    solved = np.linalg.solve(symmetric, np.swapaxes(piezo_to_mandel(piezo), -1, -2))
    strain: Floats = np.swapaxes(solved, -1, -2) * GPA_INVERSE_IN_PER_TPA
    return strain


def same_length(piezo: ArrayLike, stiffness_voigt: Stiffness) -> tuple[Floats, StiffnessBatch]:
    """Both tensors as float64, once they are found to belong to the same number of crystals."""
    e = np.asarray(piezo, dtype=np.float64)
    given = stiffness_voigt.symmetric if isinstance(stiffness_voigt, StiffnessBatch) else np.asarray(stiffness_voigt)
    if e.ndim != 4 or e.shape[1:] != (3, 3, 3) or given.shape != (len(e), 6, 6):
        raise ShapeError(
            "piezo must have shape [n_crystals, 3, 3, 3] and stiffness_voigt [n_crystals, 6, 6] of the same crystals, "
            f"got {list(e.shape)} and {list(given.shape)}."
        )
    return e, StiffnessBatch.of(stiffness_voigt)


def piezoelectric_strain_voigt(piezo: ArrayLike, stiffness_voigt: ArrayLike) -> Floats:
    """Piezoelectric strain tensor d = e C^-1, the polarization per unit stress.

    Args:
        piezo: e_ijk in C/m^2, shape [n_crystals, 3, 3, 3].
        stiffness_voigt: C_IJ in GPa at constant field, shape [n_crystals, 6, 6].

    Returns:
        d_iJ in pC/N with 2 on the shear columns, shape [n_crystals, 3, 6].

    Raises:
        UnphysicalTensorError: some C_IJ is not positive definite; `.rows` names them.

    Source: IEEE Std 176-1987, eq. d = e s^E.
    """
    e, c = same_length(piezo, stiffness_voigt)
    rows = np.flatnonzero(~c.stable).tolist()
    if rows:
        raise UnphysicalTensorError(
            f"{len(rows)} of {len(e)} stiffness tensors are not positive definite, first is row {rows[0]}; "
            "d = e C^-1 means nothing there. Drop the rows in .rows.",
            rows,
        )
    return mandel_to_piezo_strain_voigt(strain_mandel(e, c.symmetric))


def derive_piezoelectric(piezo: ArrayLike, stiffness_voigt: Stiffness, piezo_allowed: NDArray[np.bool_]) -> Columns:
    """All derived columns that need the piezoelectric tensor, alone or with the stiffness.

    Where the point group forbids piezoelectricity every number is exactly 0. Elsewhere the d columns are NaN where the
    stiffness is not positive definite (such a crystal has no compliance), and a column is NaN where a tensor that it
    needs is not finite.

    Args:
        piezo: e_ijk in C/m^2, shape [n_crystals, 3, 3, 3].
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].
        piezo_allowed: whether the point group allows the effect, shape [n_crystals].

    Returns:
        Column name of `DERIVED` -> values in its unit, each [n_crystals], in the order of `DERIVED`.

    Raises:
        ShapeError: the three arrays are not of the same crystals.
    """
    e, c = same_length(piezo, stiffness_voigt)
    allowed = np.asarray(piezo_allowed, dtype=np.bool_)
    if allowed.shape != (len(e),):
        raise ShapeError(f"piezo_allowed must have shape [{len(e)}], one flag per crystal, got {list(allowed.shape)}.")
    finite = np.isfinite(e).all(axis=(1, 2, 3))
    stress = np.where((allowed & finite)[:, None, None, None], e, 0.0)
    usable = c.stable
    columns: Columns = {name: np.zeros(len(e)) for name in _OF_RESPONSE}
    # most crystals are not piezoelectric: nothing is computed for them
    rows = np.flatnonzero(stress.any(axis=(1, 2, 3)))
    mandel = piezo_to_mandel(stress[rows])
    # an unstable crystal has no compliance: that of a stand-in
    strain = mandel @ c.compliance_mandel[rows]
    of_rows = _invariants(mandel, strain)
    of_rows["e_longitudinal_max_c_per_m2"] = largest_longitudinal(stress[rows])[0]
    of_rows["d_longitudinal_max_pc_per_n"] = largest_longitudinal(mandel_to_piezo(strain))[0]
    for name, values in of_rows.items():
        columns[name][rows] = values
    for name, values in columns.items():
        computed = finite & usable if Tensor.ELASTIC in DERIVED[name].from_tensors else finite
        # a response that symmetry forbids is 0 whatever the tensors are worth
        columns[name] = np.where(computed | ~allowed, values, np.nan)
    columns["piezo_allowed"] = allowed
    return {name: columns[name] for name in DERIVED if name in columns}


def largest_singular_value(matrices: Floats) -> Floats:
    """Of matrices with three rows, [n_crystals, 3, n] -> [n_crystals]."""
    # the others are not asked for, and lose half their digits in the square
    squares = np.linalg.eigvalsh(matrices @ np.swapaxes(matrices, 1, 2))[:, 2]
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)), dtype=np.float64)


def _invariants(stress: Floats, strain: Floats) -> Columns:
    """The numbers of `DERIVED` from e and d in Mandel form, each [n_crystals, 3, 6].

    Classes such as 32 and -6m2 forbid a hydrostatic response but not the shears it is a difference of: what is left of
    it is a rounding error, and is 0.
    """
    hydrostatic = np.linalg.norm(strain[:, :, :3].sum(axis=2), axis=1)
    strain_norm, stress_norm = (np.sqrt((mandel**2).sum(axis=(1, 2))) for mandel in (strain, stress))
    hydrostatic[hydrostatic < 1e-12 * strain_norm] = 0.0
    return {
        # singular values of the Mandel matrix: the response to the most effective of all strains or stresses
        "e_max_c_per_m2": largest_singular_value(stress),
        "e_norm_c_per_m2": stress_norm,
        "d_max_pc_per_n": largest_singular_value(strain),
        "d_norm_pc_per_n": strain_norm,
        "d_hydrostatic_pc_per_n": hydrostatic,
    }
