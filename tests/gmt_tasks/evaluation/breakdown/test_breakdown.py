"""Figures beside the averages, on made-up labels: known shares, known differences, known noise."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from gmt_tasks.evaluation.breakdown import stability
from gmt_tasks.evaluation.breakdown.networks import network_errors
from gmt_tasks.evaluation.breakdown.other_codes import other_codes
from gmt_tasks.evaluation.breakdown.ranking import SignShare, rank_correlation, sign_share
from gmt_tasks.evaluation.breakdown.resampling import bootstrap_interval
from gmt_tasks.labels.files import LabelledCrystals, Split
from models.quantities import ELASTIC_INVARIANTS, Tensor
from models.tensors.voigt import from_components
from tests.gmt_tasks.training.test_data import N, labelled

RNG = np.random.default_rng(0)
ROWS = np.arange(N)


def predicted(tensors: dict[Tensor, Any], by_network: dict[Tensor, Any] | None = None, **columns: Any) -> Any:
    result = SimpleNamespace(tensors=tensors, by_network=by_network or {})
    return SimpleNamespace(derived=SimpleNamespace(prediction=result, columns=columns))


def with_piezo(signs: list[int]) -> tuple[LabelledCrystals, Any]:
    """Labels of proven signs, and predictions whose overlap with them has the given signs."""
    data = labelled()
    truth = np.random.default_rng(1).normal(size=(N, 18))
    data.components[Tensor.PIEZOELECTRIC][:] = truth
    data.sign_unproven[:] = False
    return data, from_components(Tensor.PIEZOELECTRIC, truth * np.array(signs)[:, None])


def test_rank_correlations_are_those_of_scipy_and_lie_in_their_intervals() -> None:
    first = RNG.normal(size=60)
    second = first + RNG.normal(size=60)
    second[:5] = second[0]  # ties
    value = rank_correlation(first, second)
    assert value == pytest.approx(spearmanr(first, second).statistic)
    low, high = bootstrap_interval(rank_correlation, first, second)
    assert low < value < high
    assert np.isnan(rank_correlation(first, np.ones(60)))


def test_a_bootstrap_interval_of_a_mean_is_that_of_the_normal_distribution() -> None:
    values = RNG.normal(size=400)
    low, high = bootstrap_interval(np.mean, values)
    assert (low, high) == bootstrap_interval(np.mean, values)
    error = values.std() / 20
    assert (low, high) == pytest.approx(
        (values.mean() - 1.645 * error, values.mean() + 1.645 * error), abs=0.15 * error
    )


def test_signs_are_counted_where_label_and_prediction_have_one() -> None:
    data, tensors = with_piezo([1, 1, -1, 1, 1, -1, 1, 0, 1, 1])
    data.sign_unproven[0] = True
    share = sign_share(data, ROWS, predicted({Tensor.PIEZOELECTRIC: tensors}), Split.VAL)
    assert (share.n, share.right) == (8, 6)
    low, high = share.interval()
    assert low < 0.75 < high
    # a coin: the exact interval of 5 of 10
    assert SignShare("val", 10, 5).interval() == pytest.approx((0.2224, 0.7776), abs=1e-3)


def test_long_trainings_that_are_better_show_a_difference_whose_interval_leaves_out_zero() -> None:
    data = labelled()
    truth = RNG.normal(size=(N, 6))
    data.components[Tensor.DIELECTRIC_ELECTRONIC][:] = truth
    quantity = Tensor.DIELECTRIC_ELECTRONIC
    off = np.array([0.1, 0.1, 0.3, 0.3])
    networks = np.stack([from_components(quantity, truth + error * np.eye(6)[0]) for error in off])
    prediction = predicted({}, {quantity: networks})
    (every, *_), *_ = (network_errors(data, ROWS, prediction, Split.VAL, epochs) for epochs in ([26, 26, 12, 12],))
    assert every.fnorm == pytest.approx(off) and every.n == N
    assert every.short_minus_long == pytest.approx(0.2)
    assert every.low > 0
    # negative control: all of one length
    same = network_errors(data, ROWS, prediction, Split.VAL, [12] * 4)[0]
    assert np.isnan(same.short_minus_long)


def test_only_labels_with_a_noise_of_their_own_stand_beside_predictions() -> None:
    data = labelled()
    column = ELASTIC_INVARIANTS.index("k_vrh")
    data.elastic[:, column] = 100.0
    data.elastic_noise[4:, column] = 0.036
    columns = {"k_vrh_gpa": np.linspace(70.0, 90.0, N), "g_vrh_gpa": np.ones(N)}
    (found,) = other_codes(data, ROWS, predicted({}, **columns), Split.TEST)
    assert (found.property, found.n, found.noise) == ("k_vrh_gpa", N - 4, 0.036)
    assert found.median_ratio == pytest.approx(np.median(100.0 / columns["k_vrh_gpa"][4:]))


def test_a_logistic_regression_finds_the_odds_that_made_its_data() -> None:
    rng = np.random.default_rng(2)
    features = rng.normal([3.0, 5.0], [0.5, 2.0], size=(20_000, 2))
    odds = -1.0 + features @ np.array([1.2, -0.3])
    intercept, weights = stability.fit_logistic(features, rng.random(20_000) < 1 / (1 + np.exp(-odds)))
    assert weights == pytest.approx([1.2, -0.3], abs=0.08)
    assert intercept == pytest.approx(-1.0, abs=0.25)


def test_detection_is_half_for_chance_and_nothing_without_both_classes() -> None:
    scores = np.arange(6.0)
    assert stability.detection(scores, scores > 3) == 1.0
    assert stability.detection(np.ones(6), scores > 3) == 0.5
    assert np.isnan(stability.detection(scores, scores > 9))
