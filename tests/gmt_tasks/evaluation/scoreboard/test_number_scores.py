"""Scores of numbers against scikit-learn and scipy, and laws of their intervals."""

import math

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from gmt_tasks.evaluation.scoreboard.number_scores import MAE, RMSE, SPEARMAN, mean_figure, number_figures

RNG = np.random.default_rng(5)
TRUTH = RNG.normal(50, 20, 200)
PREDICTED = TRUTH + RNG.normal(3, 8, 200)


def test_figures_are_those_of_other_implementations() -> None:
    figures = number_figures(PREDICTED, TRUTH)
    assert figures[MAE].value == pytest.approx(mean_absolute_error(TRUTH, PREDICTED))
    assert figures[RMSE].value == pytest.approx(root_mean_squared_error(TRUTH, PREDICTED))
    ranks = np.corrcoef(rankdata(PREDICTED), rankdata(TRUTH))[0, 1]
    assert figures[SPEARMAN].value == pytest.approx(ranks)


def test_the_interval_holds_the_figure_and_is_as_wide_as_the_standard_error_says() -> None:
    error = np.abs(PREDICTED - TRUTH)
    figure = mean_figure(error)
    assert figure.low < figure.value < figure.high
    # 90 % of a normal distribution lie within 1.645 standard deviations
    width = 2 * 1.645 * error.std(ddof=1) / math.sqrt(len(error))
    assert figure.high - figure.low == pytest.approx(width, rel=0.1)
    assert mean_figure(np.tile(error, 16)).high - figure.value < (figure.high - figure.value) / 3, "more crystals"


def test_nothing_and_constants_have_no_figure_that_means_nothing() -> None:
    assert all(math.isnan(figure.value) for figure in number_figures(np.zeros(0), np.zeros(0)).values())
    constant = number_figures(np.full(200, 50.0), TRUTH)
    assert math.isnan(constant[SPEARMAN].value) and constant[MAE].value > 0
