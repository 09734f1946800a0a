"""Scores are laws of numbers: exact predictions score perfectly, reversed ones rank backwards."""

import numpy as np
import pytest

from gmt_tasks.evaluation import scores
from gmt_tasks.labels.files import Split
from models.quantities import Tensor

WHERE = scores.ScoredSet("C", "all", "test", "model")


def test_exact_predictions_have_no_error_and_a_perfect_ranking() -> None:
    size = np.array([1.0, 2.0, 4.0])
    exact = scores.score_errors(WHERE, np.zeros(3), size, np.ones(3, dtype=bool))
    assert (exact.fnorm, exact.ewt5, exact.median_relative, exact.success) == (0.0, 100.0, 0.0, 100.0)
    ranked = scores.score_numbers("k_vrh_gpa", Split.TEST, "model", size, size)
    assert (ranked.mae, ranked.median_relative, ranked.spearman) == (0.0, 0.0, pytest.approx(1.0))
    assert ranked.top5_hits == 100.0


def test_shares_and_trimmed_means_count_as_the_paper_does() -> None:
    error = np.array([0.04, 0.07, 0.2, 0.3, 0, 0, 0, 0, 0, 9.0])
    found = scores.score_errors(WHERE, error, np.ones(10), np.arange(10) < 5)
    assert (found.ewt25, found.ewt10, found.ewt5, found.success) == pytest.approx((80.0, 70.0, 60.0, 50.0))
    assert found.fnorm == pytest.approx(error.mean())
    assert found.fnorm_trimmed == pytest.approx(error[:9].mean())


def test_a_reversed_ranking_is_minus_one_and_a_constant_ranks_nothing() -> None:
    truth = np.arange(40.0)
    found = scores.score_numbers("k_vrh_gpa", Split.VAL, "model", -truth, truth)
    assert found.spearman == pytest.approx(-1.0)
    assert found.top5_hits == 0.0
    constant = scores.score_numbers("k_vrh_gpa", Split.VAL, "train mean", np.ones(40), truth)
    assert np.isnan(constant.spearman)
    assert np.isnan(constant.top5_hits)


def test_a_wrong_sign_is_an_error_only_where_the_sign_is_known() -> None:
    truth = np.random.default_rng(0).normal(size=(2, 3, 3, 3))
    truth = truth + truth.swapaxes(2, 3)
    free = np.array([True, False])
    error = scores.tensor_errors(-truth, truth, Tensor.PIEZOELECTRIC, free)
    size = scores.printed_norm(truth, Tensor.PIEZOELECTRIC)
    assert error == pytest.approx([0.0, 2 * size[1]])


def test_norms_count_voigt_entries_once() -> None:
    """e14 = e_123 = e_132 is one printed entry, not two."""
    piezo = np.zeros((1, 3, 3, 3))
    piezo[0, 0, 1, 2] = piezo[0, 0, 2, 1] = 2.0
    assert scores.printed_norm(piezo, Tensor.PIEZOELECTRIC) == pytest.approx([2.0])


def test_networks_are_summed_up_by_mean_and_standard_deviation() -> None:
    each = [scores.score_errors(WHERE, np.full(4, x), np.ones(4), np.ones(4, dtype=bool)) for x in (1.0, 2.0, 6.0)]
    mean, spread = scores.over_networks(each)
    assert (mean.predictor, spread.predictor) == (scores.SINGLE, scores.SPREAD)
    assert mean.fnorm == pytest.approx(3.0)
    assert spread.fnorm == pytest.approx(np.std([1, 2, 6], ddof=1))
    assert (mean.n, mean.quantity) == (4, "C")
