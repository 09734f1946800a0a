"""Convex hulls against closed forms and laws, and which competitors are chosen for them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.refinements.records import Competitor
from gmt_tasks.refinement.hull import choose_references, hull_distance, hull_energy

ENDS = [Competitor("a", "Al", 1, -1.0, tried=True), Competitor("b", "N", 2, -2.0, tried=True)]


def compound(formula: str, energy: float | None, crystal_id: str = "c", *, n_atoms: int = 4) -> Competitor:
    return Competitor(crystal_id, formula, n_atoms, energy, tried=energy is not None)


def test_between_two_elements_the_hull_is_a_straight_line() -> None:
    assert hull_distance("AlN", -1.0, ENDS).ev_per_atom == pytest.approx(0.5)
    # three quarters of N: -1/4 - 2 * 3/4
    assert hull_distance("AlN3", -1.75, ENDS).ev_per_atom == pytest.approx(0.0)
    assert hull_distance("AlN", -3.0, ENDS).ev_per_atom == pytest.approx(-1.5), "below the hull of the others"


def test_a_stable_compound_lifts_its_neighbours_and_an_unstable_one_does_not() -> None:
    # AlN at -3: the line from Al (-1) to AlN reaches -2 at Al3N
    assert hull_distance("Al3N", -2.0, [*ENDS, compound("AlN", -3.0)]).ev_per_atom == pytest.approx(0.0)
    without, with_it = (hull_distance("Al3N", -2.0, [*ENDS, *more]) for more in ([], [compound("AlN", 5.0)]))
    assert without.ev_per_atom == pytest.approx(with_it.ev_per_atom)
    assert without.notes == ("the hull is made of elements alone: no competing compound is stored",)
    assert with_it.notes == ()


@settings(max_examples=8, deadline=None)
@given(energies=st.lists(st.floats(-5, 5), min_size=6, max_size=6), shift=st.floats(-3, 3))
def test_no_crystal_lies_below_its_own_hull_and_reference_energies_of_elements_cancel(
    energies: list[float], shift: float
) -> None:
    rng = np.random.default_rng(0)
    compositions = np.concatenate([np.eye(3), rng.dirichlet([1, 1, 1], 3)])
    values = np.array(energies)
    for composition, energy in zip(compositions, values, strict=True):
        lowest = hull_energy(composition, compositions, values)
        assert lowest <= energy + 1e-7
        shifted = hull_energy(composition, compositions, values + shift * compositions[:, 0])
        assert shifted - shift * composition[0] == pytest.approx(lowest, abs=1e-6)


def test_elements_come_first_then_the_same_formula_and_what_was_tried_counts() -> None:
    others = {
        ",Al,": [Competitor(f"al{k}", "Al", k, None, tried=False) for k in (1, 2, 3, 4)],
        ",N,": [Competitor("n", "N", 4, None, tried=True)],
        ",Al,N,": [compound("Al2N", None, "x", n_atoms=3), compound("AlN", None, "y", n_atoms=8)],
    }
    chosen = choose_references("AlN", ",Al,N,", others, 20)
    assert [one.crystal_id for one in chosen] == ["al1", "al2", "al3", "n", "y", "x"]
    assert len(choose_references("AlN", ",Al,N,", others, 4)) == 4
    assert choose_references("AlN", ",Al,N,", others, 0) == []
