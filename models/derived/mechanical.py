"""Hardness by empirical formulas and measures of elastic anisotropy, from moduli and stiffness tensors.

Both formulas of the hardness are fits to measured Vickers hardnesses of some forty polycrystals, most of them covalent
or ionic, of 5 to 96 GPa. They see no dislocation and no crack: of metals and of layered or molecular crystals they say
little, and below about 5 GPa Chen's fit crosses zero, so a negative hardness means "soft" and nothing else.

Source: X.-Q. Chen et al., Intermetallics 19, 1275 (2011); Y. Tian, B. Xu, Z. Zhao, Int. J. Refract. Met. Hard Mater.
33, 93 (2012); C. M. Kube, AIP Adv. 6, 095209 (2016); C. Zener, Elasticity and Anelasticity of Metals (1948).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.derived.elastic import Columns, Stiffness, StiffnessBatch, Unstable
from models.tensors.voigt import Floats, stiffness_voigt_to_mandel


def hardness_chen(bulk_gpa: Floats, shear_gpa: Floats) -> Floats:
    """Vickers hardness 2 (G^3 / K^2)^0.585 - 3 in GPa, shape of the arguments; NaN where a modulus is not positive.

    Source: X.-Q. Chen et al., Intermetallics 19, 1275 (2011), eq. 6.
    """
    bulk, shear = _positive(bulk_gpa), _positive(shear_gpa)
    return np.asarray(2 * (shear**3 / bulk**2) ** 0.585 - 3, dtype=np.float64)


def hardness_tian(bulk_gpa: Floats, shear_gpa: Floats) -> Floats:
    """Vickers hardness 0.92 (G/K)^1.137 G^0.708 in GPa, shape of the arguments; NaN where a modulus is not positive.

    Source: Y. Tian, B. Xu, Z. Zhao, Int. J. Refract. Met. Hard Mater. 33, 93 (2012), eq. 6.
    """
    bulk, shear = _positive(bulk_gpa), _positive(shear_gpa)
    return np.asarray(0.92 * (shear / bulk) ** 1.137 * shear**0.708, dtype=np.float64)


def log_euclidean_anisotropy(k_voigt: Floats, k_reuss: Floats, g_voigt: Floats, g_reuss: Floats) -> Floats:
    """Distance of the Voigt and Reuss averages of the stiffness, by logarithms: 0 for an isotropic crystal.

    Args:
        k_voigt: upper bound of the bulk modulus in GPa, [n_crystals].
        k_reuss: its lower bound.
        g_voigt: upper bound of the shear modulus.
        g_reuss: its lower bound.

    Returns:
        A^L >= 0, dimensionless, [n_crystals]; a shear ten times too stiff and one ten times too soft give the same.

    Source: C. M. Kube, AIP Adv. 6, 095209 (2016), eq. 4.
    """
    bulk, shear = np.log(k_voigt / k_reuss), np.log(g_voigt / g_reuss)
    return np.asarray(np.sqrt(bulk**2 + 5 * shear**2), dtype=np.float64)


def zener_anisotropy(stiffness_voigt: ArrayLike) -> Floats:
    """Zener ratio 2 c44 / (c11 - c12) of cubic crystals in any orientation; 1 for an isotropic one.

    A cubic stiffness has the eigenvalues 3 K of dilation, c11 - c12 twice and 2 c44 three times. Without that of
    dilation the middle one of five is a threefold one, and the sum says what the twofold ones are.

    Args:
        stiffness_voigt: C_IJ of cubic crystals in GPa, shape [n_crystals, 6, 6].

    Returns:
        Dimensionless, [n_crystals].
    """
    return _zener(*StiffnessBatch(stiffness_voigt).kelvin)


def _zener(values: Floats, vectors: Floats) -> Floats:
    """The same from Kelvin moduli [n_crystals, 6] and their eigenvectors [n_crystals, 6, 6]."""
    dilation = np.abs(vectors[:, :3].sum(axis=1)).argmax(axis=1)
    shears = values[np.arange(6) != dilation[:, None]].reshape(-1, 5)
    threefold = shears[:, 2]
    twofold = (shears.sum(axis=1) - 3 * threefold) / 2
    return np.asarray(threefold / twofold, dtype=np.float64)


def has_cubic_form(stiffness_voigt: ArrayLike) -> NDArray[np.bool_]:
    """Whether stiffness tensors are those of cubic crystals in any orientation, within rounding, [n_crystals].

    Args:
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].
    """
    mandel = stiffness_voigt_to_mandel(stiffness_voigt)
    values = np.linalg.eigvalsh(mandel)
    dilation = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]) / np.sqrt(3.0)
    pressure = mandel @ dilation
    tolerance = 1e-6 * np.abs(values).max(axis=1, initial=0.0)
    isotropic = np.abs(pressure - (pressure @ dilation)[:, None] * dilation).max(axis=1) < tolerance
    # of the five shears two and three are equal; the one of dilation may stand anywhere among them
    shears = np.linalg.eigvalsh(mandel - (pressure @ dilation)[:, None, None] * np.outer(dilation, dilation))
    place = np.abs(shears).argmin(axis=1)
    shears = shears[np.arange(6) != place[:, None]].reshape(-1, 5)
    gaps = np.diff(shears, axis=1) < tolerance[:, None]
    return np.asarray(isotropic & gaps[:, 0] & gaps[:, 3] & (gaps[:, 1] | gaps[:, 2]))


def derive_mechanical(
    moduli: Columns, stiffness_voigt: Stiffness, crystal_system: NDArray[np.str_], unstable: Unstable = Unstable.RAISE
) -> Columns:
    """Hardness and anisotropy of a batch.

    Args:
        moduli: what `derive_elastic` made of the same stiffness tensors.
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].
        crystal_system: of the point group that the tensors obey, [n_crystals].
        unstable: RAISE refuses the batch when a tensor is not positive definite, FLAG gives NaN there.

    Returns:
        `hardness_chen_gpa`, `hardness_tian_gpa`, `log_euclidean_anisotropy` and `zener_anisotropy` (NaN for what is not
        cubic), each [n_crystals].

    Raises:
        UnphysicalTensorError: `unstable` is RAISE and some C_IJ is not positive definite; `.rows` names them.
    """
    batch = StiffnessBatch.of(stiffness_voigt).checked(unstable)
    stable, (values, vectors) = batch.stable, batch.kelvin
    cubic = stable & (np.asarray(crystal_system) == "cubic")
    zener = np.full(len(stable), np.nan)
    zener[cubic] = _zener(values[cubic], vectors[cubic])
    bounds = [np.where(stable, moduli[f"{name}_gpa"], 1.0) for name in ("k_voigt", "k_reuss", "g_voigt", "g_reuss")]
    return {
        "log_euclidean_anisotropy": np.where(stable, log_euclidean_anisotropy(*bounds), np.nan),
        "zener_anisotropy": zener,
        "hardness_chen_gpa": hardness_chen(moduli["k_vrh_gpa"], moduli["g_vrh_gpa"]),
        "hardness_tian_gpa": hardness_tian(moduli["k_vrh_gpa"], moduli["g_vrh_gpa"]),
    }


def _positive(modulus: Floats) -> Floats:
    """Moduli, NaN where they are not positive."""
    values = np.asarray(modulus, dtype=np.float64)
    return np.where(values > 0, values, np.nan)
