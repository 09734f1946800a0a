"""Crystals are validated once, batches are flat and lose nothing."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from models.crystals.crystal import (
    MAX_ATOMS,
    SYMBOLS,
    Crystal,
    CrystalBatch,
    Floats,
    Ints,
    InvalidCrystalError,
    find_invalid,
    reduced_formula,
)
from models.errors import Reason
from models.testing.contract import crystals_of_all_classes, textbook_crystals

CUBE = 4.0 * np.eye(3)
ORIGIN = np.zeros((1, 3))
GOLD = np.array([79])
PAIR = np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]])
SALT = np.array([11, 17])

BAD: dict[str, tuple[Reason, Floats, Floats, Ints]] = {
    "no atoms": (Reason.EMPTY, CUBE, np.zeros((0, 3)), np.zeros(0, np.int64)),
    "NaN in the lattice": (Reason.NONFINITE, np.where(np.eye(3) > 0, np.nan, CUBE), ORIGIN, GOLD),
    "infinite position": (Reason.NONFINITE, CUBE, np.array([[np.inf, 0, 0]]), GOLD),
    "dummy atom": (Reason.UNKNOWN_SPECIES, CUBE, ORIGIN, np.array([0])),
    "element 119": (Reason.UNKNOWN_SPECIES, CUBE, ORIGIN, np.array([119])),
    "too many atoms": (Reason.TOO_LARGE, 60.0 * np.eye(3), np.zeros((MAX_ATOMS + 1, 3)), np.full(MAX_ATOMS + 1, 6)),
    "flat cell": (Reason.DEGENERATE_CELL, np.array([[4.0, 0, 0], [0, 4, 0], [4, 4, 0]]), ORIGIN, GOLD),
    "zero lattice": (Reason.DEGENERATE_CELL, np.zeros((3, 3)), ORIGIN, GOLD),
    "empty space": (Reason.DEGENERATE_CELL, 30.0 * np.eye(3), ORIGIN, GOLD),
    "lengths in nanometres": (Reason.TOO_DENSE, 0.4 * np.eye(3), ORIGIN, GOLD),
    "thin cell": (Reason.TOO_DENSE, np.diag([0.6, 6.0, 6.0]), ORIGIN, GOLD),
    "doubled site": (Reason.OVERLAP, CUBE, np.array([[0, 0, 0], [0.999, 0.001, 0.0]]), SALT),
    "overlap across the border of a skewed cell": (
        Reason.OVERLAP,
        np.array([[4.0, 0, 0], [40.0, 4, 0], [0, 0, 4]]),
        np.array([[0.001, 0, 0], [0.999, 0.0, 0.999]]),
        SALT,
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_crystal_is_refused_with_its_reason(name: str) -> None:
    reason, lattice, frac_coords, numbers = BAD[name]
    with pytest.raises(InvalidCrystalError) as caught:
        Crystal(lattice, frac_coords, numbers)
    assert caught.value.reason is reason
    assert reason.advice in str(caught.value)
    assert caught.value.detail


def test_bad_crystals_are_found_among_good_ones_and_nothing_else_is() -> None:
    bad = [CrystalBatch.from_arrays([lattice], [frac], [z]) for _, lattice, frac, z in BAD.values()]
    good = textbook_crystals().crystals
    parts = [part for k, b in enumerate(bad) for part in (good.select([k % good.n_crystals]), b)]
    found = find_invalid(CrystalBatch.join(parts))
    assert {k: reason for k, (reason, _) in found.items()} == {
        2 * k + 1: reason for k, (reason, *_) in enumerate(BAD.values())
    }


def test_every_reference_crystal_is_valid() -> None:
    assert find_invalid(textbook_crystals().crystals) == {}
    assert find_invalid(crystals_of_all_classes(seed=4).crystals) == {}


def test_the_limit_of_atoms_can_be_chosen() -> None:
    batch = textbook_crystals().crystals
    refused = find_invalid(batch, max_atoms=4)
    assert set(refused) == set(np.flatnonzero(batch.atoms_per_crystal > 4).tolist())


def test_positions_and_species_must_be_as_many() -> None:
    with pytest.raises(InvalidCrystalError, match="1 positions but 2 species"):
        Crystal(CUBE, ORIGIN, SALT)


def test_the_overlapping_atoms_are_named() -> None:
    frac_coords = np.array([[0.5, 0.5, 0.5], [0, 0, 0], [0, 0, 0.05]])
    detail = find_invalid(CrystalBatch.from_arrays([CUBE], [frac_coords], [np.array([1, 2, 3])]))[0][1]
    assert "atoms 1 and 2" in detail
    assert "0.200 angstrom" in detail


def test_a_crystal_is_frozen_all_the_way_down() -> None:
    crystal = Crystal(CUBE, PAIR, SALT)
    with pytest.raises(FrozenInstanceError):
        crystal.lattice = CUBE  # type: ignore[misc]
    for array in (crystal.lattice, crystal.frac_coords, crystal.numbers):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_changing_the_arrays_given_does_not_change_the_crystal() -> None:
    lattice, frac_coords, numbers = CUBE.copy(), PAIR.copy(), SALT.copy()
    crystal = Crystal(lattice, frac_coords, numbers)
    for array in (lattice, frac_coords, numbers):
        array.fill(0)
    assert (crystal.lattice == CUBE).all()
    assert (crystal.frac_coords == PAIR).all()
    assert (crystal.numbers == SALT).all()


def test_a_crystal_is_a_batch_of_one() -> None:
    batch = Crystal(CUBE, PAIR, SALT).as_batch()
    assert batch.n_crystals == 1
    assert batch.atoms_per_crystal.tolist() == [2]
    assert batch.formulas() == ["ClNa"]


def test_splitting_and_joining_gives_the_same_batch() -> None:
    batch = crystals_of_all_classes(seed=4).crystals
    again = CrystalBatch.join(batch.select([k]) for k in range(batch.n_crystals))
    assert_same(again, batch)


def test_a_permutation_and_its_inverse_give_the_same_batch() -> None:
    batch = textbook_crystals().crystals
    order = np.random.default_rng(0).permutation(batch.n_crystals)
    assert_same(batch.select(order).select(np.argsort(order)), batch)
    assert batch.select(order).formulas() == [batch.formulas()[k] for k in order]
    assert not np.array_equal(batch.select(order).numbers, batch.numbers)


def test_a_crystal_may_be_selected_twice_or_none_at_all() -> None:
    batch = textbook_crystals().crystals
    assert batch.select([0, 0, 3]).atoms_per_crystal.tolist() == [9, 9, 5]
    none = batch.select(np.zeros(0, np.int64))
    assert none.n_crystals == 0
    assert len(none.numbers) == 0
    assert_same(CrystalBatch.join([none, batch, none]), batch)


def test_crystals_without_atoms_keep_their_place() -> None:
    frac = [PAIR, np.zeros((0, 3)), ORIGIN]
    batch = CrystalBatch.from_arrays([CUBE] * 3, frac, [SALT, np.zeros(0, np.int64), GOLD])
    assert batch.atoms_per_crystal.tolist() == [2, 0, 1]
    assert batch.first_atom.tolist() == [0, 2, 2, 3]
    assert batch.select([2, 1]).numbers.tolist() == [79]


def test_joining_nothing_gives_an_empty_batch() -> None:
    empty = CrystalBatch.join([])
    assert empty.n_crystals == 0
    assert empty.formulas() == []
    assert find_invalid(empty) == {}


@pytest.mark.parametrize(
    ("numbers", "formula"),
    [
        ([13, 7], "AlN"),
        ([14, 8, 8], "O2Si"),
        ([8, 8, 14, 14, 8, 8], "O2Si"),
        ([29], "Cu"),
        ([8] * 6 + [56, 56, 22, 22], "BaO3Ti"),
        ([], ""),
    ],
)
def test_formulas_are_reduced_and_alphabetical(numbers: list[int], formula: str) -> None:
    assert reduced_formula(np.array(numbers, dtype=np.int64)) == formula


def test_symbols_are_those_of_the_periodic_table() -> None:
    assert len(SYMBOLS) == 119
    assert [SYMBOLS[z] for z in (1, 26, 57, 71, 92, 118)] == ["H", "Fe", "La", "Lu", "U", "Og"]
    assert len(set(SYMBOLS)) == 119


def assert_same(left: CrystalBatch, right: CrystalBatch) -> None:
    for name in ("lattice", "frac_coords", "numbers", "crystal_of_atom"):
        assert np.array_equal(getattr(left, name), getattr(right, name)), name
