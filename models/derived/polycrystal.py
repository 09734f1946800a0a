"""Moduli of a random polycrystal: Hashin-Shtrikman bounds and the self-consistent value, for every crystal class.

The grains of the polycrystal are compared with an isotropic medium of moduli K0, G0. In the estimate that results, the
stiffness of every grain is stiffened by the constraint of that medium, K* = 4 G0 / 3 and
G* = G0 (9 K0 + 8 G0) / (6 (K0 + 2 G0)), then averaged as Reuss does, and the constraint is taken away again. A medium
softer than the grain in every strain gives a lower bound, one that is stiffer an upper bound; the best medium lies
where the difference to the grain is just about to lose its sign. A medium with the estimate's own moduli gives the
self-consistent value of spherical grains.

All of this depends on the stiffness only through the eigenvalues l_i of its Mandel form and the weight w_i of pure
dilation in each eigenvector, so no matrix is inverted in the search. With f(x) = sum_i w_i / (l_i - x), the softest or
stiffest K0 that belongs to a G0 is (2 G0 + 1 / f(2 G0)) / 3, and the estimate of K is (1 / f(-2 G*) - 2 G*) / 3.

Source: Z. Hashin and S. Shtrikman, J. Mech. Phys. Solids 10, 343 (1962); J. P. Watt and L. Peselnick, J. Appl. Phys.
51, 1525 (1980); J. G. Berryman, J. Mech. Phys. Solids 53, 2141 (2005); J. M. Brown, Comput. Geosci. 80, 95 (2015).
"""

import numpy as np

from models.derived.elastic import Columns, Stiffness, StiffnessBatch, Unstable
from models.derived.kernels.polycrystal import polycrystal_moduli
from models.tensors.voigt import Floats

_DILATION: Floats = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]) / np.sqrt(3.0)
_NO_WEIGHT = 1e-12  # an eigenvector of pure shear has this weight by rounding, a pole where there is none
_COLUMNS = (
    "k_hs_lower_gpa", "g_hs_lower_gpa", "k_hs_upper_gpa", "g_hs_upper_gpa", "k_self_consistent_gpa",
    "g_self_consistent_gpa",
)  # fmt: skip


POLYCRYSTAL_MODULI: tuple[str, ...] = (
    "k_voigt_gpa", "k_reuss_gpa", "k_vrh_gpa", "g_voigt_gpa", "g_reuss_gpa", "g_vrh_gpa", "young_vrh_gpa",
    "poisson_vrh", "universal_anisotropy", "pugh_ratio", "k_hs_lower_gpa", "k_hs_upper_gpa", "k_self_consistent_gpa",
    "g_hs_lower_gpa", "g_hs_upper_gpa", "g_self_consistent_gpa", "log_euclidean_anisotropy",
)  # fmt: skip
"""Derived numbers that belong to a polycrystal of grains in all directions: moduli with their bounds, and ratios."""


def derive_polycrystal(stiffness_voigt: Stiffness, unstable: Unstable = Unstable.RAISE) -> Columns:
    """Hashin-Shtrikman bounds and self-consistent moduli of random polycrystals.

    Args:
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].
        unstable: RAISE refuses the batch when a tensor is not positive definite, FLAG gives NaN there.

    Returns:
        `k_hs_lower_gpa`, `k_hs_upper_gpa`, `g_hs_lower_gpa`, `g_hs_upper_gpa`, `k_self_consistent_gpa`,
        `g_self_consistent_gpa`, each [n_crystals]: Reuss <= lower <= self-consistent <= upper <= Voigt.

    Raises:
        UnphysicalTensorError: `unstable` is RAISE and some C_IJ is not positive definite; `.rows` names them.
    """
    batch = StiffnessBatch.of(stiffness_voigt).checked(unstable)
    values, vectors = batch.kelvin
    weights = (_DILATION @ vectors) ** 2
    moduli = np.empty((len(_COLUMNS), len(values)))
    polycrystal_moduli(values, np.where(weights < _NO_WEIGHT, 0.0, weights), moduli)
    return dict(zip(_COLUMNS, np.where(batch.stable, moduli, np.nan), strict=True))


def constraint(bulk_gpa: Floats, shear_gpa: Floats) -> tuple[Floats, Floats]:
    """K* and G* with which an isotropic medium constrains a sphere in it, in GPa, shape of the arguments.

    Source: R. Hill, J. Mech. Phys. Solids 13, 89 (1965); an infinite bulk modulus is allowed.
    """
    return 4 * shear_gpa / 3, shear_gpa / 6 * (9 - 10 * shear_gpa / (bulk_gpa + 2 * shear_gpa))
