"""Electromechanical coupling and figures of merit: what e, C and the dielectric tensor say together.

e is per strain, C at constant field, and the predicted dielectric constant at constant strain, as perturbation theory
in a fixed cell gives them. With the vacuum permittivity eps0, e C^-1 e^T / eps0 is what the free crystal polarises more
than the clamped one; the dielectric constant at constant stress is eps + e C^-1 e^T / eps0.

Source: IEEE Std 176-1987, sections 2 and 4; D. A. Berlincourt, D. R. Curran, H. Jaffe, in Physical Acoustics 1A (1964),
ch. 3; S. Priya, IEEE Trans. Ultrason. Ferroelectr. Freq. Control 57, 2610 (2010).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.derived.dielectric import principal_values
from models.derived.elastic import Columns, Stiffness
from models.derived.piezoelectric import largest_singular_value, same_length, strain_mandel
from models.tensors.voigt import Floats, ShapeError, piezo_to_mandel

EPS0_PC_PER_V_M = 8.8541878188
"""Vacuum permittivity in pF/m: pC/N times C/m^2 over it is a relative permittivity."""


def coupling_tensor(piezo: ArrayLike, stiffness_voigt: ArrayLike) -> Floats:
    """How much larger the dielectric tensor of the free crystal is than that of the clamped one.

    Args:
        piezo: e_ijk in C/m^2, shape [n_crystals, 3, 3, 3].
        stiffness_voigt: positive definite C_IJ in GPa at constant field, shape [n_crystals, 6, 6].

    Returns:
        e C^-1 e^T / eps0, relative permittivity, shape [n_crystals, 3, 3].
    """
    e = piezo_to_mandel(piezo)
    return np.asarray(strain_mandel(piezo, stiffness_voigt) @ np.swapaxes(e, -1, -2) / EPS0_PC_PER_V_M)


def derive_coupling(
    piezo: ArrayLike, stiffness_voigt: Stiffness, eps_total: ArrayLike, piezo_allowed: NDArray[np.bool_]
) -> Columns:
    """Largest coupling factor, voltage constant and product d g over all loads.

    k^2 is the part of the energy put in that comes out in the other form: (stored mutual energy)^2 over the product of
    elastic and dielectric energy, at the most effective combination of stress and field. With the largest eigenvalue L
    of eps^-1/2 (e C^-1 e^T / eps0) eps^-1/2 it is L / (1 + L). No geometry of a device (k_33, k_t, k_p) has more.

    Args:
        piezo: e_ijk in C/m^2, shape [n_crystals, 3, 3, 3].
        stiffness_voigt: C_IJ in GPa at constant field, shape [n_crystals, 6, 6].
        eps_total: relative permittivity at constant strain, shape [n_crystals, 3, 3].
        piezo_allowed: whether the point group allows the effect, shape [n_crystals].

    Returns:
        `k_coupling_max` (0 to 1), `g_max_mv_m_per_n` (field per stress at open electrodes, largest singular value of
        eps^-1 d in Mandel form) and `dg_max_per_tpa` (electric energy per squared stress, twice), each [n_crystals]:
        exactly 0 where piezo_allowed is False, else NaN where C or eps is not positive definite or a tensor not finite.

    Raises:
        ShapeError: the arrays are not of the same crystals.
    """
    e, c = same_length(piezo, stiffness_voigt)
    eps = np.asarray(eps_total, dtype=np.float64)
    if eps.shape != (len(e), 3, 3):
        raise ShapeError(f"eps_total must have shape [{len(e)}, 3, 3], got {list(eps.shape)}.")
    allowed = np.asarray(piezo_allowed, dtype=np.bool_)
    columns = {
        name: np.where(allowed, np.nan, 0.0) for name in ("k_coupling_max", "g_max_mv_m_per_n", "dg_max_per_tpa")
    }
    # most crystals are not piezoelectric: nothing is computed for them
    rows = np.flatnonzero(np.isfinite(e).all(axis=(1, 2, 3)) & c.stable & allowed)
    rows = rows[principal_values(eps[rows])[:, 0] > 0]
    for name, values in _figures(piezo_to_mandel(e[rows]), c.compliance_mandel[rows], eps[rows]).items():
        columns[name][rows] = values
    return columns


def _figures(stress: Floats, compliance: Floats, eps: Floats) -> Columns:
    """The figures of e and C^-1 in Mandel form and of eps that all are usable, each [n_crystals]."""
    clamped = (eps + np.swapaxes(eps, 1, 2)) / 2
    # strain over permittivity: pC/N / (pF/m) is V m/N, and (pC/N)^2 / (pF/m) is 1/TPa
    strain = stress @ compliance
    gain = strain @ np.swapaxes(stress, 1, 2) / EPS0_PC_PER_V_M
    gain = (gain + np.swapaxes(gain, 1, 2)) / 2
    ratio = np.maximum(np.linalg.eigvalsh(_whitened(clamped, gain))[:, 2], 0.0)
    free = (clamped + gain) * EPS0_PC_PER_V_M
    product = _whitened(free, strain @ np.swapaxes(strain, 1, 2))
    return {
        "k_coupling_max": np.sqrt(ratio / (1 + ratio)),
        "g_max_mv_m_per_n": 1e3 * largest_singular_value(np.asarray(np.linalg.solve(free, strain), dtype=np.float64)),
        "dg_max_per_tpa": np.maximum(np.linalg.eigvalsh(product)[:, 2], 0.0),
    }


def _whitened(metric: Floats, matrices: Floats) -> Floats:
    """L^-1 M L^-T with L L^T the metric: its eigenvalues are those of metric^-1 M, [n_crystals, 3, 3]."""
    inverse = np.linalg.inv(np.linalg.cholesky(metric))
    return np.asarray(inverse @ matrices @ np.swapaxes(inverse, 1, 2), dtype=np.float64)
