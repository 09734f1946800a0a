"""The crystals of the Ewald benchmark are what its document says, and their labels are Coulomb energies."""

import numpy as np
import pytest

from benchmarks.long_range.ionic_crystals import (
    LEAST_DISTANCE_ANGSTROM,
    VOLUME_PER_ATOM_A3,
    IonicCrystals,
    random_ionic_crystals,
)
from benchmarks.long_range.pair_sums import pair_sums
from models.crystals.crystal import CrystalBatch, find_invalid
from models.crystals.neighbors import find_neighbors
from models.reference.crystals import in_cell

COULOMB_EV_ANGSTROM = 14.399645
ROCK_SALT = CrystalBatch.from_arrays(
    [2.82 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])], [np.array([[0, 0, 0], [0.5] * 3])], [np.array([11, 17])]
)


@pytest.fixture(scope="module")
def ionic() -> IonicCrystals:
    return random_ionic_crystals(80, (8, 60), seed=5)


def test_random_crystals_are_neutral_valid_and_of_the_asked_size(ionic: IonicCrystals) -> None:
    batch = ionic.crystals
    assert batch.n_crystals == 80
    assert not find_invalid(batch)
    assert np.abs(np.bincount(batch.crystal_of_atom, ionic.charges)).max() == 0
    assert batch.atoms_per_crystal.min() >= 8
    assert batch.atoms_per_crystal.max() <= 60
    density = np.abs(np.linalg.det(batch.lattice)) / batch.atoms_per_crystal
    assert VOLUME_PER_ATOM_A3[0] <= density.min() < density.max() <= VOLUME_PER_ATOM_A3[1]


def test_no_two_ions_are_closer_than_the_least_distance(ionic: IonicCrystals) -> None:
    batch = ionic.crystals
    pairs = find_neighbors(batch.lattice, batch.frac_coords, batch.crystal_of_atom, np.full(batch.n_crystals, 2.5))
    assert LEAST_DISTANCE_ANGSTROM < pairs.distance.min() < LEAST_DISTANCE_ANGSTROM + 0.05


def test_a_seed_gives_the_same_crystals_and_another_one_others(ionic: IonicCrystals) -> None:
    again, other = (random_ionic_crystals(80, (8, 60), seed=seed) for seed in (5, 6))
    assert np.array_equal(again.crystals.frac_coords, ionic.crystals.frac_coords)
    assert not np.array_equal(other.crystals.lattice, ionic.crystals.lattice)


def test_the_energy_of_rock_salt_is_its_madelung_energy() -> None:
    """Madelung constant 1.747565: D. Borwein, J. M. Borwein, K. F. Taylor, J. Math. Phys. 26, 2999 (1985)."""
    expected = -1.747565 * COULOMB_EV_ANGSTROM / 2.82 / 2
    for batch in (ROCK_SALT, in_cell(ROCK_SALT, np.array([[1, 1, 0], [0, 2, 0], [0, 0, 1]]))):
        energy = IonicCrystals(batch, np.where(batch.numbers == 11, 1.0, -1.0)).ewald_energies()
        assert energy[0] == pytest.approx(expected, rel=1e-5)


def test_pair_sums_belong_to_the_crystal_and_not_to_its_cell(ionic: IonicCrystals) -> None:
    few = ionic.crystals.select(range(4))
    for one, large in zip(pair_sums(few), pair_sums(in_cell(few, np.diag([1, 2, 1]))), strict=True):
        assert np.allclose(one, large, rtol=1e-6, atol=1e-6)
