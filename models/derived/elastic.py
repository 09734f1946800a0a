"""Moduli, anisotropy and stability from stiffness tensors, a whole batch at a time.

All of it is rotation invariant and computed in float64 from the symmetric part of C_IJ. A tensor whose lowest
eigenvalue is not positive describes a crystal that would fall apart (Born); its compliance has no physical meaning, so
everything that needs it is refused or flagged, never returned as a plausible number.

Source: R. Hill, Proc. Phys. Soc. A 65, 349 (1952); F. Mouhat and F.-X. Coudert, Phys. Rev. B 90, 224104 (2014).
"""

from enum import StrEnum
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.errors import UnphysicalTensorError
from models.quantities import DERIVED
from models.tensors.voigt import Floats, ShapeError, compliance_voigt_to_mandel, stiffness_voigt_to_mandel

Flags = NDArray[np.bool_]
Columns = dict[str, NDArray[Any]]

GPA_INVERSE_IN_PER_TPA = 1000.0
_ZERO = 1e-9  # an eigenvalue this small beside the largest one is zero within rounding
_NEED_COMPLIANCE = frozenset(
    {
        "k_reuss_gpa", "k_vrh_gpa", "g_reuss_gpa", "g_vrh_gpa", "young_vrh_gpa", "poisson_vrh",
        "universal_anisotropy", "pugh_ratio",
    }
)  # fmt: skip


class Unstable(StrEnum):
    """What to do with a stiffness that is not positive definite."""

    RAISE = "raise"
    FLAG = "flag"


class StiffnessBatch:
    """Stiffness tensors with what derived columns ask of them again and again, each made once.

    Args:
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].

    Attributes:
        symmetric: symmetric part of C_IJ in GPa, shape [n_crystals, 6, 6]: rounding must not decide about stability.
    """

    def __init__(self, stiffness_voigt: ArrayLike) -> None:
        values = np.asarray(stiffness_voigt, dtype=np.float64)
        if values.ndim != 3 or values.shape[1:] != (6, 6):
            raise ShapeError(f"stiffness_voigt must have shape [n_crystals, 6, 6], got {list(values.shape)}.")
        self.symmetric: Floats = (values + np.swapaxes(values, 1, 2)) / 2

    @staticmethod
    def of(stiffness: "Stiffness") -> "StiffnessBatch":
        """The batch itself, or one of tensors C_IJ."""
        return stiffness if isinstance(stiffness, StiffnessBatch) else StiffnessBatch(stiffness)

    @cached_property
    def kelvin(self) -> tuple[Floats, Floats]:
        """Kelvin moduli, ascending in GPa, [n_crystals, 6], NaN where a tensor is not finite, and eigenvectors.

        The latter are columns of [n_crystals, 6, 6] in Mandel form.
        """
        mandel = stiffness_voigt_to_mandel(self.symmetric)
        # LAPACK refuses a whole batch for one entry that is not finite: such rows are replaced
        finite: Flags = np.all(np.isfinite(mandel), axis=(1, 2), keepdims=True)
        values, vectors = np.linalg.eigh(np.where(finite, mandel, np.eye(6)))
        return np.where(finite[:, 0], values, np.nan), vectors

    @cached_property
    def stable(self) -> Flags:
        """Whether every homogeneous strain costs energy, see `mechanically_stable`, [n_crystals]."""
        values = self.kelvin[0]
        return np.asarray(values[:, 0] > _ZERO * np.abs(values).max(axis=1, initial=0.0))

    @cached_property
    def stand_ins(self) -> Floats:
        """The symmetric part, and a stable tensor in the place of what is not positive definite, [n_crystals, 6, 6]."""
        return np.where(self.stable[:, None, None], self.symmetric, np.eye(6))

    @cached_property
    def compliance(self) -> Floats:
        """S_IJ of the stand-ins in Voigt form in 1/GPa, symmetric, [n_crystals, 6, 6]."""
        return _inverse(self.stand_ins)

    @cached_property
    def compliance_mandel(self) -> Floats:
        """The same in Mandel form in 1/TPa, [n_crystals, 6, 6]."""
        return compliance_voigt_to_mandel(self.compliance * GPA_INVERSE_IN_PER_TPA)

    def checked(self, unstable: Unstable) -> "StiffnessBatch":
        """The batch.

        Raises:
            UnphysicalTensorError: `unstable` is RAISE and some C_IJ is not positive definite; `.rows` names them.
        """
        rows = np.flatnonzero(~self.stable) if Unstable(unstable) is Unstable.RAISE else ()
        if len(rows):
            # a tensor that is not finite is worse than any indefinite one
            lowest = self.kelvin[0][rows, 0]
            worst = int(np.argmin(np.where(np.isnan(lowest), -np.inf, lowest)))
            raise UnphysicalTensorError(
                f"{len(rows)} of {len(self.stable)} stiffness tensors are not positive definite; worst is row "
                f"{rows[worst]} with lowest eigenvalue {lowest[worst]:.4g} GPa. Such crystals are mechanically "
                'unstable: drop the rows in .rows, or derive_elastic(..., unstable="flag").',
                np.asarray(rows).tolist(),
            )
        return self


Stiffness: TypeAlias = ArrayLike | StiffnessBatch
"""C_IJ in GPa, shape [n_crystals, 6, 6], or a batch of such."""


def min_eigenvalue(stiffness_voigt: ArrayLike) -> Floats:
    """Lowest eigenvalue of the stiffness in Mandel form, the energy of the softest strain.

    Args:
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].

    Returns:
        Eigenvalue in GPa, shape [n_crystals]; NaN where the tensor is not finite.
    """
    return StiffnessBatch(stiffness_voigt).kelvin[0][:, 0]


def mechanically_stable(stiffness_voigt: ArrayLike) -> Flags:
    """Whether every homogeneous strain costs energy (Born stability, any crystal system).

    Args:
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].

    Returns:
        True where the lowest eigenvalue is positive beyond rounding (1e-9 of the largest), shape [n_crystals].
    """
    return StiffnessBatch(stiffness_voigt).stable


def compliance_voigt(stiffness_voigt: ArrayLike) -> Floats:
    """Compliance S = C^-1 in Voigt form, with its factors 2 and 4.

    Args:
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].

    Returns:
        S_IJ in 1/TPa, shape [n_crystals, 6, 6].

    Raises:
        UnphysicalTensorError: some C_IJ is not positive definite; `.rows` names them.
    """
    return StiffnessBatch(stiffness_voigt).checked(Unstable.RAISE).compliance * GPA_INVERSE_IN_PER_TPA


def _inverse(matrices: Floats) -> Floats:
    """Matrix inverses, kept symmetric, shape [n_crystals, 6, 6]."""
    inverse = np.linalg.inv(matrices)
    return np.asarray((inverse + np.swapaxes(inverse, 1, 2)) / 2, dtype=np.float64)


def bulk_modulus_voigt(stiffness_voigt: ArrayLike) -> Floats:
    """Upper (Voigt) bound of the polycrystal bulk modulus.

    Args:
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].

    Returns:
        K_V in GPa, shape [n_crystals].

    Source: R. Hill, Proc. Phys. Soc. A 65, 349 (1952).
    """
    bulk: Floats = StiffnessBatch(stiffness_voigt).symmetric[:, :3, :3].sum(axis=(1, 2)) / 9
    return bulk


def shear_modulus_voigt(stiffness_voigt: ArrayLike) -> Floats:
    """Upper (Voigt) bound of the polycrystal shear modulus.

    Args:
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].

    Returns:
        G_V in GPa, shape [n_crystals].

    Source: R. Hill, Proc. Phys. Soc. A 65, 349 (1952).
    """
    longitudinal, transverse, shear = _voigt_sums(StiffnessBatch(stiffness_voigt).symmetric)
    return (longitudinal - transverse + 3 * shear) / 15


def bulk_modulus_reuss(stiffness_voigt: ArrayLike) -> Floats:
    """Lower (Reuss) bound of the polycrystal bulk modulus.

    Args:
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].

    Returns:
        K_R in GPa, shape [n_crystals].

    Raises:
        UnphysicalTensorError: some C_IJ is not positive definite; `.rows` names them.

    Source: R. Hill, Proc. Phys. Soc. A 65, 349 (1952).
    """
    bulk: Floats = GPA_INVERSE_IN_PER_TPA / compliance_voigt(stiffness_voigt)[:, :3, :3].sum(axis=(1, 2))
    return bulk


def shear_modulus_reuss(stiffness_voigt: ArrayLike) -> Floats:
    """Lower (Reuss) bound of the polycrystal shear modulus.

    Args:
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].

    Returns:
        G_R in GPa, shape [n_crystals].

    Raises:
        UnphysicalTensorError: some C_IJ is not positive definite; `.rows` names them.

    Source: R. Hill, Proc. Phys. Soc. A 65, 349 (1952).
    """
    longitudinal, transverse, shear = _voigt_sums(compliance_voigt(stiffness_voigt))
    return 15 * GPA_INVERSE_IN_PER_TPA / (4 * (longitudinal - transverse) + 3 * shear)


def _voigt_sums(matrix: Floats) -> tuple[Floats, Floats, Floats]:
    """11 + 22 + 33, 12 + 13 + 23 and 44 + 55 + 66 of Voigt matrices, each [n_crystals]."""
    diagonal = np.diagonal(matrix, axis1=1, axis2=2)
    transverse = matrix[:, 0, 1] + matrix[:, 0, 2] + matrix[:, 1, 2]
    return diagonal[:, :3].sum(axis=1), transverse, diagonal[:, 3:].sum(axis=1)


def young_modulus(bulk_gpa: Floats, shear_gpa: Floats) -> Floats:
    """Young's modulus of an isotropic body, 9KG / (3K + G), in GPa, shape of the arguments."""
    return 9 * bulk_gpa * shear_gpa / (3 * bulk_gpa + shear_gpa)


def poisson_ratio(bulk_gpa: Floats, shear_gpa: Floats) -> Floats:
    """Poisson's ratio of an isotropic body, (3K - 2G) / (6K + 2G), dimensionless, shape of the arguments."""
    return (3 * bulk_gpa - 2 * shear_gpa) / (6 * bulk_gpa + 2 * shear_gpa)


def universal_anisotropy(stiffness_voigt: ArrayLike) -> Floats:
    """Universal elastic anisotropy 5 G_V/G_R + K_V/K_R - 6; 0 for an isotropic crystal.

    Args:
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].

    Returns:
        A^U >= 0, dimensionless, shape [n_crystals].

    Raises:
        UnphysicalTensorError: some C_IJ is not positive definite; `.rows` names them.

    Source: S. I. Ranganathan and M. Ostoja-Starzewski, Phys. Rev. Lett. 101, 055504 (2008).
    """
    shear = shear_modulus_voigt(stiffness_voigt) / shear_modulus_reuss(stiffness_voigt)
    bulk = bulk_modulus_voigt(stiffness_voigt) / bulk_modulus_reuss(stiffness_voigt)
    return 5 * shear + bulk - 6


def derive_elastic(stiffness_voigt: Stiffness, unstable: Unstable = Unstable.RAISE) -> Columns:
    """All derived columns that need the stiffness alone.

    Args:
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].
        unstable: RAISE refuses the batch when a tensor is not positive definite; FLAG keeps such rows with
            `mechanically_stable` False and NaN in every column that needs the compliance (all columns but
            `mechanically_stable` if the tensor itself is not finite).

    Returns:
        Column name of `DERIVED` -> values in its unit, each [n_crystals], in the order of `DERIVED`.

    Raises:
        UnphysicalTensorError: `unstable` is RAISE and some C_IJ is not positive definite; `.rows` names them.
    """
    # rows without a compliance get that of a stable stand-in, so that the batch is inverted at once
    batch = StiffnessBatch.of(stiffness_voigt).checked(unstable)
    columns = _all_columns(batch)
    for name in _NEED_COMPLIANCE:
        columns[name] = np.where(batch.stable, columns[name], np.nan)
    columns["mechanically_stable"] = batch.stable
    return {name: columns[name] for name in DERIVED if name in columns}


def _all_columns(batch: StiffnessBatch) -> Columns:
    """Columns from the tensors as they are and, where a compliance is needed, from their stable stand-ins."""
    longitudinal, transverse, shear = _voigt_sums(batch.symmetric)
    k_voigt = batch.symmetric[:, :3, :3].sum(axis=(1, 2)) / 9
    g_voigt = (longitudinal - transverse + 3 * shear) / 15
    # Reuss: uniform stress, hence sums over the compliance
    compliance = batch.compliance
    longitudinal, transverse, shear = _voigt_sums(compliance)
    k_reuss = 1 / compliance[:, :3, :3].sum(axis=(1, 2))
    g_reuss = 15 / (4 * (longitudinal - transverse) + 3 * shear)
    k_hill, g_hill = (k_voigt + k_reuss) / 2, (g_voigt + g_reuss) / 2
    with np.errstate(divide="ignore", invalid="ignore"):  # rows of unstable crystals are replaced by NaN afterwards
        return {
            "k_voigt_gpa": k_voigt,
            "k_reuss_gpa": k_reuss,
            "k_vrh_gpa": k_hill,
            "g_voigt_gpa": g_voigt,
            "g_reuss_gpa": g_reuss,
            "g_vrh_gpa": g_hill,
            "young_vrh_gpa": young_modulus(k_hill, g_hill),
            "poisson_vrh": poisson_ratio(k_hill, g_hill),
            "universal_anisotropy": 5 * g_voigt / g_reuss + k_voigt / k_reuss - 6,
            "pugh_ratio": k_hill / g_hill,
            "elastic_min_eigenvalue_gpa": batch.kelvin[0][:, 0],
        }
