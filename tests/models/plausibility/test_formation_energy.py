"""Formation energies: what references do to energies, which columns a crystal has, and the hull that is shipped."""

import numpy as np
import pytest

from models.crystals.crystal import SYMBOLS, CrystalBatch
from models.crystals.formula import formula_amounts
from models.plausibility.formation_energy import (
    N_ELEMENTS,
    EnergyReferences,
    energy_references,
    known_hull,
    reference_columns,
)


def made_of(*formulas: str) -> CrystalBatch:
    """Crystals of the given formulas, atoms anywhere."""
    numbers = [
        np.repeat(list(amounts), np.array(list(amounts.values()), dtype=int))
        for amounts in map(formula_amounts, formulas)
    ]
    return CrystalBatch.from_arrays([5 * np.eye(3)] * len(numbers), [np.zeros((len(z), 3)) for z in numbers], numbers)


def shares_of(columns: np.ndarray, part: int) -> dict[str, float]:  # type: ignore[type-arg]
    """Shares by symbol in one of the three parts of a row."""
    row = columns[part * N_ELEMENTS : (part + 1) * N_ELEMENTS]
    return {SYMBOLS[z]: float(row[z]) for z in np.flatnonzero(row)}


def test_metals_with_a_u_and_anions_differ_from_the_same_elements_elsewhere() -> None:
    oxide, sulfide, alloy = reference_columns(made_of("Fe2O3", "FeS", "FeAl"))
    assert shares_of(oxide, 0) == {"O": 0.6, "Fe": 0.4}
    assert (shares_of(oxide, 1), shares_of(oxide, 2)) == ({"Fe": 0.4}, {"O": 0.6})
    assert (shares_of(sulfide, 1), shares_of(sulfide, 2)) == ({}, {"S": 0.5})
    assert (shares_of(alloy, 1), shares_of(alloy, 2)) == ({}, {})


def test_formation_energies_are_energies_minus_references_of_atoms() -> None:
    shifts = np.full(3 * N_ELEMENTS, np.nan)
    shifts[N_ELEMENTS:] = 0.0
    shifts[[11, 17]] = -1.3, -1.8
    shifts[2 * N_ELEMENTS + 17] = 0.6
    references = EnergyReferences(shifts, (0.1, 0.2))
    batch = made_of("Na", "NaCl", "Na3Cl3", "KCl")
    energies = references.formation_energies(batch, np.array([-1.3, -3.2, -3.2, -3.2]))
    np.testing.assert_allclose(energies[:3], [0.0, -1.95, -1.95])
    assert np.isnan(energies[3]), "potassium has no reference here"
    assert references.half_widths(np.array([0.0, 5.0])).tolist() == [0.1, 0.2]


def test_the_shipped_references_know_most_elements_and_are_wider_at_high_forces() -> None:
    references = energy_references()
    elements = references.shifts_ev[1:N_ELEMENTS]
    assert np.isfinite(elements).sum() > 80
    assert (elements[np.isfinite(elements)] < 2).all()
    low, high = references.half_width_ev_per_atom
    assert 0.01 < low < high < 0.5
    known = np.flatnonzero(np.isfinite(elements)) + 1
    assert np.isfinite(references.shifts_ev.reshape(3, N_ELEMENTS)[:, known]).all()


def test_the_shipped_hull_holds_known_compounds_and_parts_of_it_their_elements_alone() -> None:
    hull = known_hull()
    np.testing.assert_allclose(hull.fractions.sum(axis=1), 1)
    assert len(hull.fractions) > 10_000 and hull.formation_ev_per_atom.max() < 0.1
    elements = np.array([8, 14])
    fractions, energies = hull.part(elements)
    np.testing.assert_allclose(fractions.sum(axis=1), 1)
    assert fractions[:2].tolist() == [[1, 0], [0, 1]] and energies[:2].tolist() == [0, 0]


@pytest.mark.parametrize("number", [2, 18])
def test_noble_gases_without_compounds_have_no_reference_or_a_small_one(number: int) -> None:
    value = energy_references().shifts_ev[number]
    assert np.isnan(value) or abs(value) < 0.5
