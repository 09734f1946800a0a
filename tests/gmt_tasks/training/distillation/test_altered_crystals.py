"""Crystals made of others: what changes in them, and what does not."""

import numpy as np
import pytest

from gmt_tasks.training.distillation.altered_crystals import (
    N_DISTORTED,
    N_STRAINED,
    REPLACEMENTS,
    off_equilibrium_copies,
    replace_one,
    substituted_copies,
    substitution_scale,
)
from models.crystals.crystal import SYMBOLS, CrystalBatch, find_invalid
from models.crystals.radii import COVALENT_RADIUS_ANGSTROM
from models.testing.contract import textbook_crystals

CRYSTALS = textbook_crystals().crystals


def test_copies_off_equilibrium_keep_their_composition_and_volumes_within_bounds() -> None:
    copies = off_equilibrium_copies(CRYSTALS, seed=1)
    assert copies.n_crystals <= N_STRAINED + N_DISTORTED
    assert set(copies.formulas()) <= set(CRYSTALS.formulas())
    # of polymorphs the formula does not tell which one was copied
    (one,) = np.flatnonzero(np.array(CRYSTALS.formulas()) == CRYSTALS.formulas()[-1])
    per_atom = np.abs(np.linalg.det(copies.lattice)) / copies.atoms_per_crystal
    of_one = per_atom[np.array(copies.formulas()) == CRYSTALS.formulas()[one]]
    given = abs(np.linalg.det(CRYSTALS.lattice[one])) / CRYSTALS.atoms_per_crystal[one]
    assert 1e-4 < np.abs(np.log(of_one / given)).max() < 0.35
    assert not find_invalid(copies)
    assert np.array_equal(copies.lattice, off_equilibrium_copies(CRYSTALS, seed=1).lattice)
    assert not np.array_equal(copies.lattice, off_equilibrium_copies(CRYSTALS, seed=2).lattice)  # control


def test_replacements_are_symmetric_and_never_the_element_itself() -> None:
    for old, others in REPLACEMENTS.items():
        assert old not in others
        assert all(old in REPLACEMENTS[int(new)] for new in others)
    assert SYMBOLS.index("Ge") in REPLACEMENTS[SYMBOLS.index("Si")]
    assert SYMBOLS.index("He") not in REPLACEMENTS


@pytest.mark.parametrize("seed", range(20))
def test_one_element_is_replaced_by_one_that_the_crystal_has_not(seed: int) -> None:
    numbers = np.array([SYMBOLS.index(symbol) for symbol in ("Ga", "N", "Ga", "Al")])
    changed = replace_one(numbers, np.random.default_rng(seed))
    (places,) = np.nonzero(changed != numbers)
    assert len(set(numbers[places])) == 1
    assert np.array_equal(places, np.flatnonzero(numbers == numbers[places[0]]))
    (new,) = set(changed[places])
    assert new in REPLACEMENTS[int(numbers[places[0]])]
    assert new not in numbers


def test_a_crystal_of_a_noble_gas_has_no_substituted_copy() -> None:
    numbers = np.full(4, SYMBOLS.index("Ar"))
    assert np.array_equal(replace_one(numbers, np.random.default_rng(0)), numbers)


def test_the_cell_of_a_substituted_copy_is_filled_as_before_within_two_per_cent() -> None:
    copies = substituted_copies(CRYSTALS, 200, seed=3)
    assert 100 < copies.n_crystals <= 200
    volume = np.asarray(COVALENT_RADIUS_ANGSTROM) ** 3

    def filled(crystals: object) -> np.ndarray:
        spheres = np.bincount(crystals.crystal_of_atom, weights=volume[crystals.numbers])  # type: ignore[attr-defined]
        return spheres / np.abs(np.linalg.det(crystals.lattice))  # type: ignore[attr-defined]

    # every copy is as full as some crystal with the same coordinates
    shares = np.log(filled(copies)[:, None] / filled(CRYSTALS)[None])
    assert np.abs(shares).min(axis=1).max() < 0.0201
    assert not find_invalid(copies)
    assert not set(copies.formulas()) <= set(CRYSTALS.formulas())
    assert np.array_equal(copies.numbers, substituted_copies(CRYSTALS, 200, seed=3).numbers)


def test_the_scale_of_silicon_made_germanium_is_that_of_their_radii() -> None:
    lattice, frac_coords = 2.715 * (np.ones((3, 3)) - np.eye(3)), np.array([[0.0, 0.0, 0.0], [0.25, 0.25, 0.25]])
    silicon = CrystalBatch.from_arrays([lattice], [frac_coords], [np.full(2, SYMBOLS.index("Si"))])
    germanium = np.full(len(silicon.numbers), SYMBOLS.index("Ge"))
    radius = np.asarray(COVALENT_RADIUS_ANGSTROM)
    wanted = radius[SYMBOLS.index("Ge")] / radius[SYMBOLS.index("Si")]
    np.testing.assert_allclose(substitution_scale(silicon, germanium), [wanted])
    np.testing.assert_allclose(substitution_scale(silicon, silicon.numbers), [1.0])  # control
