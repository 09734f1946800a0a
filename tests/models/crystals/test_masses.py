"""Atomic masses beside pymatgen's, the density of a crystal with a known one."""

import numpy as np
import pytest
from pymatgen.core import Element, Structure

from models.crystals.crystal import CrystalBatch
from models.crystals.masses import ATOMIC_MASSES, densities
from models.testing.contract import textbook_crystals


def test_masses_are_those_of_pymatgen_up_to_bismuth() -> None:
    expected = [float(Element.from_Z(number).atomic_mass) for number in range(1, 84)]
    np.testing.assert_allclose(ATOMIC_MASSES[1:84], expected, rtol=6e-4)
    assert len(ATOMIC_MASSES) == 119
    assert np.isnan(ATOMIC_MASSES[0])


def test_densities_are_those_of_pymatgen() -> None:
    batch = textbook_crystals().crystals
    got = densities(batch)
    for row in range(batch.n_crystals):
        atoms = batch.crystal_of_atom == row
        structure = Structure(batch.lattice[row], batch.numbers[atoms].tolist(), batch.frac_coords[atoms])
        assert got.grams_per_cm3[row] == pytest.approx(float(structure.density), rel=6e-4)
        assert got.atoms_per_angstrom3[row] == pytest.approx(len(structure) / structure.volume, rel=1e-12)


def test_a_left_handed_cell_has_a_density_too() -> None:
    """Rock salt, a = 5.6402 angstrom: 2.163 g/cm^3 (CRC Handbook: 2.17)."""
    lattice = 5.6402 / 2 * np.array([[1.0, 0, 1], [0, 1, 1], [1, 1, 0]])
    assert np.linalg.det(lattice) < 0
    salt = CrystalBatch.from_arrays([lattice], [np.array([[0.0] * 3, [0.5] * 3])], [np.array([11, 17])])
    assert densities(salt).grams_per_cm3[0] == pytest.approx(2.163, abs=0.002)
