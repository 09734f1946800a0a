"""Sound, Debye temperature, minimum thermal conductivity: pymatgen and published numbers as oracles."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.derived.elastic import derive_elastic
from models.derived.thermal import Densities, derive_thermal, sound_velocities

Floats = NDArray[np.float64]

# Gram per cubic centimetre and atoms per cubic angstrom of MgO, from a = 4.2117 angstrom and M = 40.304 g/mol.
_VOLUME = 4.2117**3
MGO = Densities(np.array([4 * 40.304 / 0.602214076 / _VOLUME]), np.array([8 / _VOLUME]))
N_A = 0.602214076  # per mole, times 1e-24


def test_mgo_has_the_debye_temperature_of_its_specific_heat() -> None:
    """From the moduli of Sinogeikin and Bass, PRB 59, R14141 (1999).

    Calorimetric, at 0 K: 946 K, T. H. K. Barron, W. T. Berg, J. A. Morrison, Proc. R. Soc. A 250, 70 (1959).
    """
    columns = derive_thermal(np.array([163.2]), np.array([130.2]), MGO)
    assert columns["density_g_per_cm3"][0] == pytest.approx(3.584, abs=0.002)
    assert columns["debye_temperature_k"][0] == pytest.approx(946, rel=0.01)


def test_random_crystals_agree_with_pymatgen(stable: Floats) -> None:
    from pymatgen.analysis.elasticity.elastic import ElasticTensor
    from pymatgen.core import Composition, Lattice, Structure

    structure = Structure(Lattice.cubic(4.2117), ["Mg", "O"], [[0, 0, 0], [0.5] * 3])
    weight, volume = float(Composition("MgO").weight), structure.volume
    densities = Densities(np.full(5, weight / N_A / volume), np.full(5, 2 / volume))
    elastic = derive_elastic(stable[:5])
    columns = derive_thermal(elastic["k_vrh_gpa"], elastic["g_vrh_gpa"], densities)
    for row, stiffness in enumerate(stable[:5]):
        tensor = ElasticTensor.from_voigt(stiffness)
        oracle: dict[str, Any] = {
            "sound_longitudinal_m_per_s": tensor.long_v(structure),
            "sound_transverse_m_per_s": tensor.trans_v(structure),
            "debye_temperature_k": tensor.debye_temperature(structure),
            "thermal_conductivity_min_clarke_w_per_m_k": tensor.clarke_thermalcond(structure),
            "thermal_conductivity_min_cahill_w_per_m_k": tensor.cahill_thermalcond(structure),
        }
        for name, expected in oracle.items():
            # pymatgen rounds its factor of Cahill to 1 / 2.48
            assert columns[name][row] == pytest.approx(float(expected), rel=1e-3), name


def test_the_mean_velocity_is_that_of_the_mean_inverse_cube(rng: np.random.Generator) -> None:
    bulk, shear, density = rng.uniform(1, 500, size=(3, 100))
    longitudinal, transverse, mean = sound_velocities(bulk, shear, density / 50)
    np.testing.assert_allclose(3 / mean**3, 2 / transverse**3 + 1 / longitudinal**3, rtol=1e-12)
    assert ((transverse < mean) & (mean < longitudinal)).all()
    np.testing.assert_allclose((longitudinal / transverse) ** 2, bulk / shear + 4 / 3, rtol=1e-12)


def test_no_modulus_no_sound() -> None:
    columns = derive_thermal(np.array([100.0, np.nan]), np.array([-5.0, 10.0]), Densities(*np.ones((2, 2))))
    for name, values in columns.items():
        assert np.isnan(values).all() == (name != "density_g_per_cm3"), name
