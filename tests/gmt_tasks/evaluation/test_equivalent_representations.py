"""Equivalent representations change how a crystal is described and nothing else; controls show that they do so."""

from functools import cache

import numpy as np

from gmt_tasks.evaluation.equivalent_representations import Representation, equivalent_representations
from models.crystals.crystal import CrystalBatch, Floats
from models.crystals.neighbors import find_neighbors
from models.testing.contract import textbook_crystals

TEXTBOOK = textbook_crystals().crystals


@cache
def representations() -> dict[str, Representation]:
    return {each.name: each for each in equivalent_representations(TEXTBOOK, seed=3, max_atoms=40)}


def volume_per_atom(crystals: CrystalBatch) -> Floats:
    return np.abs(np.linalg.det(crystals.lattice)) / crystals.atoms_per_crystal


def surroundings(crystals: CrystalBatch) -> list[Floats]:
    """Distances below 4 angstrom with the elements at both ends, per atom, each distinct one once, by crystal."""
    found = find_neighbors(
        crystals.lattice, crystals.frac_coords, crystals.crystal_of_atom, np.full(crystals.n_crystals, 4.0)
    )
    ends = np.stack([crystals.numbers[found.center], crystals.numbers[found.neighbor]])
    rows = np.column_stack([*ends, np.round(found.distance, 5)])
    owner = crystals.crystal_of_atom[found.center]
    return [np.unique(rows[owner == k], axis=0) for k in range(crystals.n_crystals)]


def test_every_representation_has_the_same_crystals() -> None:
    expected = surroundings(TEXTBOOK)
    for name, each in representations().items():
        assert len(np.unique(each.rows)) == len(each.rows) == each.crystals.n_crystals == len(each.rotation), name
        assert np.allclose(volume_per_atom(each.crystals), volume_per_atom(TEXTBOOK)[each.rows]), name
        assert each.crystals.formulas() == [TEXTBOOK.formulas()[k] for k in each.rows], name
        for found, row in zip(surroundings(each.crystals), each.rows, strict=True):
            assert np.allclose(found, expected[row], atol=2e-5), name


def test_lattices_rotate_by_the_rotation_that_is_given() -> None:
    for name in ("rotation", "improper rotation", "inversion"):
        each = representations()[name]
        assert np.allclose(each.crystals.lattice, TEXTBOOK.lattice @ np.swapaxes(each.rotation, 1, 2))
        assert np.allclose(each.rotation @ np.swapaxes(each.rotation, 1, 2), np.eye(3))
        assert np.allclose(np.linalg.det(each.rotation), 1.0 if name == "rotation" else -1.0)
    assert not np.allclose(representations()["rotation"].rotation[0], representations()["rotation"].rotation[1])


def test_cells_of_the_same_lattice_are_other_cells_of_the_same_lattice() -> None:
    for name, sign in (("unimodular cell", 1.0), ("left-handed cell", -1.0)):
        each = representations()[name]
        cell = each.crystals.lattice @ np.linalg.inv(TEXTBOOK.lattice[each.rows])
        assert np.allclose(cell, np.round(cell))
        assert np.allclose(np.linalg.det(cell), sign)
        assert not np.isclose(cell, np.eye(3)).all(axis=(1, 2)).any()


def test_supercells_have_their_number_of_cells_and_stay_below_the_bound() -> None:
    for name, size in (("2x1x1", 2), ("1x2x1", 2), ("2x2x1", 4), ("2x2x2", 8)):
        each = representations()[f"{name} supercell"]
        assert np.array_equal(each.crystals.atoms_per_crystal, size * TEXTBOOK.atoms_per_crystal[each.rows])
        left_out = np.setdiff1d(np.arange(10), each.rows)
        assert (size * TEXTBOOK.atoms_per_crystal[left_out] > 40).all()
        assert each.crystals.atoms_per_crystal.max() <= 40


def test_the_description_does_change() -> None:
    assert not np.allclose(representations()["origin shift"].crystals.frac_coords, TEXTBOOK.frac_coords)
    assert not np.array_equal(representations()["order of atoms"].crystals.numbers, TEXTBOOK.numbers)
    assert not np.array_equal(representations()["lengths x (1 + 1e-9)"].crystals.lattice, TEXTBOOK.lattice)
    assert not np.array_equal(representations()["other batch"].rows, np.arange(10))
    assert representations()["alone"].per_call == 1
    assert representations()["order of neighbours"].shuffles_neighbors


def test_the_same_seed_tells_the_same_and_another_seed_does_not() -> None:
    again = {each.name: each for each in equivalent_representations(TEXTBOOK, seed=3, max_atoms=40)}
    other = {each.name: each for each in equivalent_representations(TEXTBOOK, seed=4, max_atoms=40)}
    assert np.array_equal(again["rotation"].rotation, representations()["rotation"].rotation)
    assert not np.allclose(other["rotation"].rotation, representations()["rotation"].rotation)


def test_no_crystals_have_no_representations_and_no_complaint() -> None:
    empty = CrystalBatch.from_arrays([], [], [])
    assert all(each.crystals.n_crystals == 0 for each in equivalent_representations(empty))
