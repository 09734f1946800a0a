"""Energies above the hull: by hand where the hull is a line, unknown where it cannot be known, never 0 by default."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.refinements.records import Competitor
from gmt_tasks.refinement.hull import MOST_PER_ELEMENT, choose_references, hull_distance, hull_energy


def competitor(formula: str, energy: float | None, name: str = "", n_atoms: int = 2) -> Competitor:
    return Competitor(name or f"{formula} {energy}", formula, n_atoms, energy, energy is not None)


AL, N = competitor("Al", -3.0), competitor("N", -8.0)


def test_a_binary_is_measured_from_the_line_between_its_neighbours() -> None:
    others = [AL, N, competitor("AlN3", -8.0)]
    # AlN is 1/3 Al and 2/3 AlN3 in atoms: (-3 - 2 * 8) / 3
    distance = hull_distance("AlN", -6.0, others)
    assert distance.ev_per_atom == pytest.approx(-6.0 + 19 / 3)
    assert (distance.n_references, distance.notes) == (3, ())


def test_a_polymorph_is_measured_from_the_lower_one_and_lies_below_the_hull_of_higher_ones() -> None:
    assert hull_distance("AlN", -7.0, [AL, N, competitor("AlN", -7.4)]).ev_per_atom == pytest.approx(0.4)
    assert hull_distance("AlN", -7.5, [AL, N, competitor("AlN", -7.4)]).ev_per_atom == pytest.approx(-0.1)


def test_without_an_element_there_is_no_hull_and_the_note_names_it() -> None:
    distance = hull_distance("AlN", -7.0, [AL, competitor("N", None), competitor("AlN", -7.4)])
    assert distance.ev_per_atom is None
    assert "crystal of N alone" in distance.notes[0]
    assert hull_distance("AlN", -7.0, []).ev_per_atom is None


def test_a_hull_of_elements_alone_says_so() -> None:
    distance = hull_distance("AlN", -7.0, [AL, N])
    assert distance.ev_per_atom == pytest.approx(-1.5)
    assert "elements alone" in distance.notes[0]
    assert hull_distance("Al", -2.5, [AL]).notes == ()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.floats(-5, 0)), min_size=1, max_size=8))
def test_it_is_the_lowest_mixture_of_two(points: list[tuple[int, float]]) -> None:
    """In a binary system the hull at a composition is the lowest of all lines between two crystals around it."""
    fractions = np.array([0.0, 1.0, *(n / 6 for n, _ in points)])
    energies = np.array([0.0, 0.0, *(energy for _, energy in points)])
    lines = []
    for x, left in zip(fractions, energies, strict=True):
        for y, right in zip(fractions, energies, strict=True):
            if x <= 0.4 <= y:
                lines.append(left if x == y else left + (right - left) * (0.4 - x) / (y - x))
    found = hull_energy(np.array([0.6, 0.4]), np.stack([1 - fractions, fractions], axis=1), energies)
    assert found == pytest.approx(min(lines), abs=1e-9)


def test_references_are_elements_first_then_polymorphs_then_each_part_in_turn_small_cells_first() -> None:
    others = {
        ",Al,": [competitor("Al", None, f"al{k}", k) for k in range(1, 6)],
        ",N,": [competitor("N", None, "n", 8)],
        ",O,": [],
        ",Al,N,": [competitor("AlN", None, "aln", 4)],
        ",Al,O,": [competitor("Al2O3", None, f"al2o3-{k}", k) for k in (10, 30)],
        ",N,O,": [],
        ",Al,N,O,": [competitor("Al2N2O", None, "other", 5), competitor("AlNO", None, "polymorph", 12)],
    }
    names = [one.crystal_id for one in choose_references("AlNO", ",Al,N,O,", others, 20)]
    assert names[: MOST_PER_ELEMENT + 2] == ["al1", "al2", "al3", "n", "polymorph"]
    assert set(names) == {"al1", "al2", "al3", "n", "polymorph", "other", "al2o3-10", "aln", "al2o3-30"}
    assert names[-1] == "al2o3-30"
    assert [one.crystal_id for one in choose_references("AlNO", ",Al,N,O,", others, 4)] == names[:4]
