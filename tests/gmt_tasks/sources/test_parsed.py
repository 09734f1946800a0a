"""Species labels and occupancies: what is an element, what is disorder."""

import numpy as np
import pytest

from gmt_tasks.sources.parsed import RefusedInputError, atomic_number, atomic_numbers, ordered_species, require_finite
from models.crystals.crystal import SYMBOLS
from models.errors import Reason


@pytest.mark.parametrize("charge", ["", "+", "2+", "3-", "0+", "2.5+", "+2"])
def test_every_element_is_known_with_and_without_an_oxidation_state(charge: str) -> None:
    assert [atomic_number(symbol + charge) for symbol in SYMBOLS[1:]] == list(range(1, 119))


@pytest.mark.parametrize("label", ["X", "Qq", "", "fe", "FE", "Fe1", "H2O", "Va", "12", "Fe++x", "X0+"])
def test_what_is_no_element_is_not_guessed(label: str) -> None:
    assert atomic_number(label) is None


def test_isotopes_are_hydrogen_and_a_note_says_so() -> None:
    numbers, notes = atomic_numbers(["D", "O", "T", "H"])
    assert numbers.tolist() == [1, 8, 1, 1]
    assert notes == ("isotope_merged: D read as H (2 sites)",)
    assert atomic_numbers(["H", "O"])[1] == ()


@pytest.mark.parametrize("label", [0, 119, -1, 1.5, float("nan"), True, None, [1], 6.3e18])
def test_numbers_outside_the_table_are_unknown_species(label: object) -> None:
    with pytest.raises(RefusedInputError) as refused:
        atomic_numbers([8, label])
    assert refused.value.reason is Reason.UNKNOWN_SPECIES
    assert "site 1" in refused.value.detail


def test_whole_numbers_as_floats_are_atomic_numbers() -> None:
    assert atomic_numbers([8.0, 22])[0].tolist() == [8, 22]


@pytest.mark.parametrize(
    ("species", "reason"),
    [
        ([[("Fe", 0.5), ("Co", 0.5)]], Reason.DISORDERED),
        ([[("Fe", 0.9)]], Reason.DISORDERED),
        ([[("Fe", 1.3)]], Reason.OCCUPANCY),
        ([[("Fe", 1.5), ("Co", -0.5)]], Reason.OCCUPANCY),
        ([[("Fe", float("nan"))]], Reason.OCCUPANCY),
        ([[("Fe", 0.0)]], Reason.DISORDERED),
    ],
)
def test_shared_partial_and_overfull_sites_are_refused(species: list, reason: Reason) -> None:
    with pytest.raises(RefusedInputError) as refused:
        ordered_species([[("O", 1.0)], *species])
    assert refused.value.reason is reason
    assert "site 1" in refused.value.detail


@pytest.mark.parametrize("total", [0.995, 1.005])
def test_occupancies_within_a_per_cent_of_one_are_rounded_with_a_note(total: float) -> None:
    labels, notes = ordered_species([[("Fe", total)], [("O", 1.0)]])
    assert labels == ["Fe", "O"]
    assert len(notes) == 1 and notes[0].startswith("occupancy_rounded: 1 sites")


def test_full_sites_need_no_note() -> None:
    assert ordered_species([[("Fe", 1.0)]]) == (["Fe"], ())


def test_two_oxidation_states_of_one_element_on_one_site_are_that_element() -> None:
    assert ordered_species([[("Fe2+", 0.5), ("Fe3+", 0.5)]])[0] == ["Fe2+"]


def test_non_finite_numbers_are_named_by_site() -> None:
    positions = np.zeros((3, 3))
    positions[2, 1] = np.inf
    with pytest.raises(RefusedInputError, match="site 2") as refused:
        require_finite(np.eye(3), positions)
    assert refused.value.reason is Reason.NONFINITE
    require_finite(np.eye(3), np.zeros((3, 3)))
