"""The comparison sees what became worse, forgives what chance and the margin explain, and keeps its false alarms."""

import numpy as np
import pytest

from gmt_tasks.retraining.gate.paired_comparison import (
    ALPHA,
    SMALLEST_GROUP,
    Measure,
    MeasureOutcome,
    _resampled_means,
    compare,
)
from models.errors import ModelError

N = 200
FORMULAS = [f"F{k // 2}" for k in range(N)]  # two polymorphs each


def measure(change: float, *, noise: float = 0.1, margin: float = 0.0, seed: int = 0, name: str = "m") -> Measure:
    rng = np.random.default_rng(seed)
    current = rng.gamma(2.0, 0.5, N)
    return Measure(name, "all", current, current + change + noise * rng.normal(size=N), margin)


def outcomes(*measures: Measure) -> list[MeasureOutcome]:
    return [each.outcome for each in compare(measures, FORMULAS)]


def test_worse_and_better_are_seen_and_chance_is_not() -> None:
    assert outcomes(measure(0.05), measure(-0.05, seed=1), measure(0.0, seed=2)) == ["worse", "better", "same"]


def test_a_growth_within_the_margin_is_forgiven_and_one_beyond_it_is_not() -> None:
    assert outcomes(measure(0.05, margin=0.06)) == ["same"]
    assert outcomes(measure(0.05, margin=0.02)) == ["worse"]


def test_the_same_model_is_the_same_even_where_every_digit_agrees() -> None:
    same = measure(0.0, noise=0.0)
    rounding = Measure("r", "all", same.current, same.current * (1 + 1e-7), margin=1e-3)
    assert outcomes(same, rounding) == ["same", "same"]


def test_exchanging_the_models_exchanges_better_and_worse() -> None:
    forth = [measure(0.04, margin=0.01), measure(-0.05, seed=3), measure(0.0, seed=4)]
    back = [Measure(m.name, m.group, m.candidate, m.current, m.margin) for m in forth]
    turned = {
        MeasureOutcome.BETTER: MeasureOutcome.WORSE,
        MeasureOutcome.WORSE: MeasureOutcome.BETTER,
        MeasureOutcome.SAME: MeasureOutcome.SAME,
    }
    assert [turned[each] for each in outcomes(*forth)] == outcomes(*back)
    assert outcomes(*forth) == ["worse", "better", "same"]


def test_unknown_values_take_no_part_and_small_groups_are_left_out() -> None:
    known = measure(0.05)
    few = Measure(
        "few", "cubic", np.where(np.arange(N) < SMALLEST_GROUP - 1, known.current, np.nan), known.candidate, 0.0
    )
    holes = Measure("holes", "all", np.where(np.arange(N) % 2, known.current, np.nan), known.candidate, 0.0)
    found = compare([few, holes], FORMULAS)
    assert [(each.name, each.n) for each in found] == [("holes", N // 2)]
    assert found[0].current == pytest.approx(np.nanmean(holes.current))
    with pytest.raises(ModelError, match="None of 1 measures has 20"):
        compare([few], FORMULAS)


def test_the_standard_error_is_that_of_means_of_formulas() -> None:
    """Against the textbook: polymorphs with equal changes count once, not twice."""
    rng = np.random.default_rng(5)
    change = np.repeat(rng.normal(size=N // 2), 2)
    found = compare([Measure("m", "all", np.zeros(N), change, 0.0)], FORMULAS, n_resamples=4000)[0]
    by_formula = change[::2].std() / np.sqrt(N // 2)
    assert found.error == pytest.approx(by_formula, rel=0.06)
    alone = compare([Measure("m", "all", np.zeros(N), change, 0.0)], [str(k) for k in range(N)], n_resamples=4000)[0]
    assert alone.error == pytest.approx(by_formula / np.sqrt(2), rel=0.06)  # negative control


def test_false_alarms_over_sixty_measures_stay_at_their_stated_rate() -> None:
    """Sixty correlated measures without any difference: a single test at 5 % each would alarm nearly always."""
    n_trials, alarms, single = 120, 0, 0
    for trial in range(n_trials):
        rng = np.random.default_rng(trial)
        common = rng.normal(size=(N, 1))
        change = 0.5 * common + rng.standard_t(5, size=(N, 60))
        measures = [Measure(str(k), "all", np.zeros(N), change[:, k], 0.0) for k in range(60)]
        found = compare(measures, FORMULAS, n_resamples=300, seed=trial)
        alarms += any(each.outcome is MeasureOutcome.WORSE for each in found)
        single += any((each.candidate - each.current) > 1.645 * each.error for each in found)
    assert alarms / n_trials < 3 * ALPHA  # 4.4 standard deviations of 120 trials above the promise
    assert single / n_trials > 0.8  # negative control: without the correction


def test_a_draw_without_a_value_has_the_mean() -> None:
    change = np.full((3, 1), np.nan)
    change[0] = 2.0
    mean, resampled = _resampled_means(change, ["a", "b", "c"], 50, 0)
    assert mean.tolist() == [2.0]
    assert resampled[:, 0].tolist() == [2.0] * 50
