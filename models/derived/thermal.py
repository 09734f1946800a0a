"""Sound velocities, Debye temperature and minimum thermal conductivity of polycrystals, from moduli and density.

All of it is the acoustic picture: one longitudinal and two transverse branches without dispersion, in a polycrystal
with the Hill averages of the moduli. The Debye temperature is that of the elastic constants (what a measurement at low
temperature gives), with as many modes as the crystal has atoms. The minimum thermal conductivities belong to a crystal
so hot or disordered that phonons lose their memory within half a period: a lower limit of the lattice's part, far below
what an ordered crystal conducts at room temperature.

Source: O. L. Anderson, J. Phys. Chem. Solids 24, 909 (1963); D. G. Cahill, S. K. Watson, R. O. Pohl, Phys. Rev. B 46,
6131 (1992); D. R. Clarke, Surf. Coat. Technol. 163-164, 67 (2003).
"""

from typing import NamedTuple

import numpy as np

from models.derived.elastic import Columns, young_modulus
from models.tensors.voigt import Floats

BOLTZMANN_J_PER_K = 1.380649e-23
PLANCK_J_S = 6.62607015e-34
_PER_M3 = 1e30  # of one per cubic angstrom
_KG_PER_M3 = 1e3  # of one gram per cubic centimetre
_PA = 1e9  # of one gigapascal


class Densities(NamedTuple):
    """Density of crystals in two measures.

    Attributes:
        grams_per_cm3: mass density, [n_crystals].
        atoms_per_angstrom3: number density, [n_crystals].
    """

    grams_per_cm3: Floats
    atoms_per_angstrom3: Floats


def sound_velocities(bulk_gpa: Floats, shear_gpa: Floats, density_g_per_cm3: Floats) -> tuple[Floats, Floats, Floats]:
    """Longitudinal, transverse and mean (Debye) sound velocity of an isotropic body.

    Args:
        bulk_gpa: bulk modulus, [n_crystals].
        shear_gpa: shear modulus, [n_crystals].
        density_g_per_cm3: mass density, [n_crystals].

    Returns:
        v_l = sqrt((K + 4 G / 3) / rho), v_t = sqrt(G / rho) and v_m = [(2 / v_t^3 + 1 / v_l^3) / 3]^(-1/3) in m/s,
        each [n_crystals]; NaN where a modulus is not positive.

    Source: O. L. Anderson, J. Phys. Chem. Solids 24, 909 (1963), eq. 4 to 7.
    """
    positive = (bulk_gpa > 0) & (shear_gpa > 0)
    density = np.where(positive, density_g_per_cm3 * _KG_PER_M3, np.nan)
    stiffness = np.stack([bulk_gpa + 4 * shear_gpa / 3, shear_gpa]) * _PA
    longitudinal, transverse = np.sqrt(np.where(positive, stiffness, np.nan) / density)
    mean = ((2 / transverse**3 + 1 / longitudinal**3) / 3) ** (-1 / 3)
    return longitudinal, transverse, np.asarray(mean, dtype=np.float64)


def debye_temperature(sound_velocity_m_per_s: Floats, atoms_per_angstrom3: Floats) -> Floats:
    """Debye temperature (h / k_B) (3 n / 4 pi)^(1/3) v_m in K, with n the number of atoms per volume, [n_crystals].

    Source: O. L. Anderson, J. Phys. Chem. Solids 24, 909 (1963), eq. 1.
    """
    wave_number = (3 * atoms_per_angstrom3 * _PER_M3 / (4 * np.pi)) ** (1 / 3)
    return np.asarray(PLANCK_J_S / BOLTZMANN_J_PER_K * wave_number * sound_velocity_m_per_s, dtype=np.float64)


def thermal_conductivity_min_cahill(longitudinal: Floats, transverse: Floats, atoms_per_angstrom3: Floats) -> Floats:
    """Minimum thermal conductivity at high temperature, (1/2) (pi / 6)^(1/3) k_B n^(2/3) (v_l + 2 v_t), [n_crystals].

    Args:
        longitudinal: sound velocity in m/s, [n_crystals].
        transverse: sound velocity in m/s, [n_crystals].
        atoms_per_angstrom3: number density, [n_crystals].

    Returns:
        In W/(m K).

    Source: D. G. Cahill, S. K. Watson, R. O. Pohl, Phys. Rev. B 46, 6131 (1992), eq. 3 far above the Debye temperature.
    """
    number_density = atoms_per_angstrom3 * _PER_M3
    velocities = longitudinal + 2 * transverse
    return np.asarray((np.pi / 6) ** (1 / 3) / 2 * BOLTZMANN_J_PER_K * number_density ** (2 / 3) * velocities)


def thermal_conductivity_min_clarke(young_gpa: Floats, densities: Densities) -> Floats:
    """Minimum thermal conductivity 0.87 k_B m^(-2/3) E^(1/2) rho^(1/6) in W/(m K), m the mean atomic mass.

    Source: D. R. Clarke, Surf. Coat. Technol. 163-164, 67 (2003), eq. 11.
    """
    density = densities.grams_per_cm3 * _KG_PER_M3
    atomic_mass = density / (densities.atoms_per_angstrom3 * _PER_M3)
    factor = 0.87 * BOLTZMANN_J_PER_K * atomic_mass ** (-2 / 3) * density ** (1 / 6)
    return np.asarray(factor * np.sqrt(young_gpa * _PA), dtype=np.float64)


def derive_thermal(bulk_gpa: Floats, shear_gpa: Floats, densities: Densities) -> Columns:
    """Density and all derived columns that need it beside the moduli.

    Args:
        bulk_gpa: Hill average of the bulk modulus, [n_crystals].
        shear_gpa: Hill average of the shear modulus, [n_crystals].
        densities: of the same crystals.

    Returns:
        Column name of `DERIVED` -> values in its unit, each [n_crystals]; but for the density NaN where a modulus is
        not positive.
    """
    longitudinal, transverse, mean = sound_velocities(bulk_gpa, shear_gpa, densities.grams_per_cm3)
    young = np.where(np.isfinite(mean), young_modulus(bulk_gpa, shear_gpa), np.nan)
    number_density = densities.atoms_per_angstrom3
    return {
        "density_g_per_cm3": densities.grams_per_cm3,
        "sound_velocity_m_per_s": mean,
        "sound_longitudinal_m_per_s": longitudinal,
        "sound_transverse_m_per_s": transverse,
        "debye_temperature_k": debye_temperature(mean, number_density),
        "thermal_conductivity_min_cahill_w_per_m_k": thermal_conductivity_min_cahill(
            longitudinal, transverse, number_density
        ),
        "thermal_conductivity_min_clarke_w_per_m_k": thermal_conductivity_min_clarke(young, densities),
    }
