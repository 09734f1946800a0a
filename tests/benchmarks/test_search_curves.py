"""The simulated search: chance has its exact expectation, a perfect model finds at once, a wrong one does not."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.search_curves import (
    OURS,
    PREDICTION,
    RANDOM,
    Pool,
    SearchCurve,
    advantage,
    random_curve,
    search_curves,
    suggested_order,
)
from gmt_tasks.active_learning.acquisition import outlook
from gmt_tasks.active_learning.request import Goal
from models.error_scales import Scale, Transform

RNG = np.random.default_rng(3)


def pool(n: int = 200, noise: float = 0.0) -> Pool:
    truth = RNG.normal(size=n)
    value = truth + noise * RNG.normal(size=n)
    half = np.full(n, 1.6449 * max(noise, 0.05))
    scale, points = Scale(Transform.LINEAR), RNG.normal(size=(n, 3))
    return Pool("k_vrh_gpa", "val", scale, truth, value, value - half, value + half, np.full(n, np.nan), points)


def by_rule(found: list[SearchCurve]) -> dict[str, SearchCurve]:
    return {curve.rule: curve for curve in found}


def test_a_perfect_prediction_needs_as_many_labels_as_there_are_best_ones() -> None:
    found = by_rule(search_curves(pool()))
    assert found[PREDICTION].needed == {0.5: 5.0, 0.8: 8.0}
    assert found[OURS].needed[0.8] <= 2 * 10, "two rounds"
    assert advantage(list(found.values()), OURS, 0.8) > 3


def test_a_prediction_that_says_nothing_is_no_better_than_chance() -> None:
    ratios = []
    for _ in range(15):
        made = pool()
        value = RNG.normal(size=200)
        blind = replace(made, value=value, lower=value - 1, upper=value + 1)
        ratios.append(advantage(search_curves(blind), OURS, 0.5))
    assert 0.6 < np.median(ratios) < 1.7


def test_chance_agrees_with_its_exact_expectation() -> None:
    made = pool()
    many = random_curve(made, seeds=2000)
    found = [np.searchsorted(many.found, share) for share in (0.5, 0.8)]
    # The w-th of k special ones of n stands at w (n + 1) / (k + 1).
    assert many.needed == {0.5: pytest.approx(5 * 201 / 11), 0.8: pytest.approx(8 * 201 / 11)}
    assert found == pytest.approx([100, 160], abs=6)
    assert (np.array(many.low) <= np.array(many.found)).all() and (np.array(many.found) <= np.array(many.high)).all()


def test_every_crystal_is_asked_for_once_and_labels_of_the_pool_decide_nothing() -> None:
    made = pool(noise=0.5)
    seen = outlook(made.scale, made.value, made.lower, made.upper, Goal.MAX)
    order = suggested_order(made, seen)
    assert sorted(order.tolist()) == list(range(200))
    other = replace(made, truth=RNG.permutation(made.truth))
    assert (suggested_order(other, seen) == order).all(), "the rule must not look at the answers"


def test_curves_end_with_everything_found_and_never_fall() -> None:
    for curve in search_curves(pool(120, noise=1.0)):
        assert curve.found[-1] == pytest.approx(1.0) and (np.diff(curve.found) >= -1e-12).all()
        assert (curve.n_pool, curve.n_top, curve.rule != RANDOM or curve.low != curve.high) == (120, 6, True)
