"""Scores of predicted numbers, with 90 % bootstrap intervals over crystals."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from gmt_tasks.evaluation.breakdown.resampling import bootstrap_interval
from gmt_tasks.evaluation.scoreboard.board import NAN, Figure

Floats = NDArray[np.float64]

MAE, RMSE, SPEARMAN = "MAE", "RMSE", "Spearman"
NUMBER_COLUMNS = (MAE, RMSE, SPEARMAN)


def number_figures(predicted: Floats, truth: Floats) -> dict[str, Figure]:
    """Mean absolute error with its interval, root mean square error, and rank correlation.

    Args:
        predicted: finite, in the unit of the truth, [n_crystals].
        truth: [n_crystals].

    Returns:
        By the names of `NUMBER_COLUMNS`; all NaN without crystals, no correlation for a constant.
    """
    if not len(truth):
        return {name: Figure(NAN) for name in NUMBER_COLUMNS}
    error = np.abs(predicted - truth)
    ranks = NAN
    if len(truth) > 2 and np.ptp(predicted) > 0 and np.ptp(truth) > 0:
        ranks = float(spearmanr(predicted, truth).statistic)
    return {
        MAE: mean_figure(error),
        RMSE: Figure(float(np.sqrt((error**2).mean()))),
        SPEARMAN: Figure(ranks),
    }


def mean_figure(values: Floats) -> Figure:
    """A mean over crystals with its interval; NaN without crystals."""
    return Figure(float(values.mean()), *bootstrap_interval(_mean, values)) if len(values) else Figure(NAN)


def _mean(values: Floats) -> float:
    return float(values.mean())
