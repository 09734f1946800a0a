"""Stiffness under stress: the change of the Cauchy stress with strain."""

from functools import partial

import numpy as np
import pytest

from models.crystals.crystal import CrystalBatch
from models.potential.steps import run_together
from models.potential.strained import HeldCrystal, held_crystal_steps
from models.reference.crystals import textbook_crystals
from models.tensors.voigt import stiffness_voigt_to_mandel, symmetric_to_mandel
from models.testing.pair_potential import PairPotential

BOOKS = textbook_crystals()
POTENTIAL = PairPotential()


def held(crystal: CrystalBatch) -> HeldCrystal:
    results, failures = run_together(POTENTIAL, {0: partial(held_crystal_steps, crystal)})
    assert not failures
    return results[0][0]


def strained(crystal: CrystalBatch, strain: np.ndarray) -> CrystalBatch:
    lattice = crystal.lattice @ (np.eye(3) + strain)
    return CrystalBatch(lattice, crystal.frac_coords, crystal.numbers, crystal.crystal_of_atom)


@pytest.mark.parametrize("strain", [np.diag([-0.05] * 3), np.diag([-0.03, 0.01, 0.04])], ids=["pressed", "stretched"])
def test_stiffness_is_the_change_of_the_cauchy_stress(strain: np.ndarray) -> None:
    """Of rocksalt, all of whose atoms stay where symmetry holds them under the strains that are tried."""
    given = strained(BOOKS.crystals.select([BOOKS.names.index("rocksalt MgO")]), strain)
    start = held(given)
    for axis in range(3):
        step = np.zeros((3, 3))
        step[axis, axis] = 1e-4
        both = [POTENTIAL.evaluate(strained(start.crystal, sign * step)).stress_gpa[0] for sign in (1, -1)]
        change = symmetric_to_mandel((both[0] - both[1]) / 2e-4)
        stiffness = stiffness_voigt_to_mandel(start.stiffness_gpa)
        # the Cauchy stress of a stressed crystal has an antisymmetric derivative too, which no stiffness can hold
        sigma, delta = symmetric_to_mandel(start.stress_gpa), symmetric_to_mandel(np.eye(3))
        antisymmetric = 0.5 * (np.outer(sigma, delta) - np.outer(delta, sigma))
        expected = (stiffness - antisymmetric)[:, axis]
        np.testing.assert_allclose(change, expected, atol=5e-3 * np.abs(expected).max())


def test_under_pressure_the_bulk_modulus_is_the_change_of_the_pressure_with_volume() -> None:
    given = BOOKS.crystals.select([BOOKS.names.index("rocksalt MgO")])
    for factor in (0.95, 1.05):
        start = held(CrystalBatch(given.lattice * factor, given.frac_coords, given.numbers, given.crystal_of_atom))
        scales = np.array([1 + 1e-4, 1 - 1e-4])
        pressures = [
            -np.trace(POTENTIAL.evaluate(strained(start.crystal, (scale - 1) * np.eye(3))).stress_gpa[0]) / 3
            for scale in scales
        ]
        slope = -(pressures[0] - pressures[1]) / (scales[0] ** 3 - scales[1] ** 3)
        bulk = start.stiffness_gpa[:3, :3].sum() / 9
        assert bulk == pytest.approx(slope, rel=2e-3)
        # negative control: the curvature of the energy by stretch is off by a third of the pressure
        assert abs(-np.trace(start.stress_gpa) / 3) > 0.05 * abs(bulk)
