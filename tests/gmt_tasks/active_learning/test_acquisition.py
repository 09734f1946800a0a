"""Choosing the next calculations: laws of promise, uncertainty and diversity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from gmt_tasks.active_learning.acquisition import (
    CROWDING,
    choose_batch,
    outlook,
    promise,
    uncertainty,
    worth,
)
from gmt_tasks.active_learning.request import Goal
from models.error_scales import Scale, Transform
from models.errors import GmtError
from models.quantities import DERIVED

LINEAR = Scale(Transform.LINEAR)
RNG = np.random.default_rng(7)


def seen(values: list[float], half: float | list[float] = 1.0, goal: Goal = Goal.MAX):  # noqa: ANN201
    centre = np.array(values)
    return outlook(LINEAR, centre, centre - half, centre + half, goal)


def test_promise_is_the_probability_to_beat_the_nth_best_prediction() -> None:
    found = promise(seen([10.0, 8.0, 5.0, 1.0], [1.0, 2.0, 3.0, 4.0]), n_best=2)
    sigma = np.array([1.0, 2.0, 3.0, 4.0]) / 1.6449
    assert found == pytest.approx(ndtr((np.array([10.0, 8.0, 5.0, 1.0]) - 8.0) / sigma))
    assert found[1] == 0.5


def test_a_wider_interval_helps_below_the_threshold_and_hurts_above_it() -> None:
    below = promise(seen([10.0, 5.0, 5.0], [1.0, 1.0, 6.0]), n_best=1)
    assert below[2] > below[1]
    above = promise(seen([10.0, 10.0, 9.0], [1.0, 6.0, 1.0]), n_best=3)
    assert above[0] > above[1]


def test_the_smallest_are_wanted_by_turning_the_scale() -> None:
    values = [3.0, 1.0, 2.0, 8.0]
    least = promise(seen(values, goal=Goal.MIN), n_best=1)
    assert least == pytest.approx(promise(seen([-each for each in values]), n_best=1))
    assert least.argmax() == 1


@pytest.mark.parametrize("name", ["k_vrh_gpa", "eps_total_mean", "e_max_c_per_m2"])
def test_an_end_that_physics_cuts_does_not_make_a_crystal_certain(name: str) -> None:
    scale = DERIVED[name].scale
    assert scale is not None
    lowest = scale.lower if np.isfinite(scale.lower) else 0.0
    values, lower, upper = np.array([5.0, 5.0]), np.array([lowest, 4.9]), np.array([9.0, 5.1])
    found = outlook(scale, values, lower, upper, Goal.MAX)
    assert np.isfinite(found.sigma).all() and found.bounded.all()
    assert found.sigma[0] > found.sigma[1]


def test_without_any_interval_the_order_is_that_of_the_predictions() -> None:
    values = RNG.uniform(0, 100, 50)
    nothing = np.full(50, np.nan)
    found = outlook(LINEAR, values, nothing, nothing, Goal.MAX)
    assert not found.bounded.any()
    score = worth(promise(found, 5), uncertainty(found))
    assert (np.argsort(-score) == np.argsort(-values)).all()


def test_what_symmetry_makes_exact_does_not_make_the_others_certain() -> None:
    values = np.array([0.0, 0.0, 0.0, 5.0, 9.0])
    ends = np.array([0.0, 0.0, 0.0, np.nan, np.nan])
    found = outlook(LINEAR, values, ends, ends, Goal.MAX)
    likely = promise(found, 1)
    assert likely[:3] == pytest.approx(0.0) and 0.1 < likely[3] < likely[4] == 0.5


def test_a_crystal_without_prediction_is_never_chosen() -> None:
    found = seen([1.0, float("nan"), 3.0])
    score = worth(promise(found, 1), uncertainty(found))
    assert score[1] == -np.inf
    assert choose_batch(score, np.zeros((3, 2)), 3).rows.tolist() == [2, 0]
    empty = seen([float("nan")])
    assert len(choose_batch(worth(promise(empty, 1), uncertainty(empty)), np.zeros((1, 2)), 3).rows) == 0


def test_of_two_equally_promising_crystals_the_more_uncertain_comes_first() -> None:
    found = seen([10.0, 10.0, 2.0], [1.0, 3.0, 1.0])
    likely = np.array([0.5, 0.5, 0.1])
    score = worth(likely, uncertainty(found))
    assert score[1] > score[0]
    far = worth(likely, uncertainty(seen([10.0, 10.0, 2.0]), np.array([0.9, 0.1, 0.5])))
    assert far[0] > far[1]


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=30), st.floats(0.5, 4))
def test_uncertainty_is_a_place_and_does_not_change_with_the_unit(widths: list[float], factor: float) -> None:
    half = np.array(widths)
    found = uncertainty(seen([0.0] * len(widths), widths))
    assert ((found >= 0) & (found <= 1)).all()
    order = np.argsort(half, kind="stable")
    assert (np.diff(found[order]) >= 0).all()
    # Powers of two scale without rounding, so ties stay ties.
    assert uncertainty(seen([0.0] * len(widths), (half * 2.0 ** round(factor)).tolist())) == pytest.approx(found)


def test_choices_of_a_batch_avoid_each_other_but_for_a_much_better_one() -> None:
    points = np.array([[0.0, 0.0], [0.01, 0.0], [5.0, 0.0]])
    close = np.array([1.0, 0.9, 0.8])
    assert choose_batch(close, points, 2).rows.tolist() == [0, 2]
    assert choose_batch(close, points, 2, crowding=0.0).rows.tolist() == [0, 1], "the control: without diversity"
    # What a neighbour loses is bounded: a crystal worth more than twice the others is taken all the same.
    assert choose_batch(np.array([1.0, 0.9, 0.9 * CROWDING * 0.9]), points, 2).rows.tolist() == [0, 1]


def test_a_batch_has_no_crystal_twice_and_says_how_alike_each_is() -> None:
    points = RNG.normal(size=(200, 5))
    found = choose_batch(RNG.uniform(size=200), points, 250)
    assert sorted(found.rows.tolist()) == list(range(200))
    assert found.crowding[0] == 0.0
    assert ((found.crowding >= 0) & (found.crowding <= 1)).all()


def test_crystals_in_another_order_are_chosen_the_same() -> None:
    points, score = RNG.normal(size=(80, 4)), RNG.uniform(size=80)
    order = RNG.permutation(80)
    first = choose_batch(score, points, 10).rows
    assert (order[choose_batch(score[order], points[order], 10).rows] == first).all()


def test_no_best_crystals_is_an_error() -> None:
    with pytest.raises(GmtError, match="0 crystals cannot be the best"):
        promise(seen([1.0]), 0)
