"""Do the least reliable predictions have the largest errors: the worst tenth is found, and what is kept is better.

Errors are measured in three ways, since each hides something: over the norm of the label plus that of a typical label
(what the reliability is fitted to), in the tensor's unit (stiff crystals are the worst), and over the norm of the label
(soft crystals are).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.evaluation.applicability import auroc
from gmt_tasks.evaluation.reliability.held_out_errors import TensorErrors, tensor_errors_of, typical_norm
from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.screening.intervals import size_of
from gmt_tasks.screening.screener import TensorPrediction
from models.applicability.error_model import WORST_SHARE
from models.quantities import TENSORS, Tensor
from models.reliability_columns import reliability_column

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

N_BOOTSTRAP = 500
BOOTSTRAP_PERCENTILES = (5.0, 95.0)
SMALLEST_RANKED = 20


@dataclass(frozen=True)
class ErrorRanking:
    """How well one signal tells large errors of one tensor.

    Attributes:
        quantity: tensor.
        split: "val" (the reliability was fitted there) or "test".
        measure: of the error: "typical", "absolute" or "relative".
        signal: "reliability", or one of what it is made of.
        n: number of full, trustworthy labels.
        auroc: chance that one of the worst tenth is less reliable than one of the others; 0.5 is guessing.
        auroc_low, auroc_high: 90 % bootstrap interval.
        half_error: mean error of the most reliable half, in percent of that of all.
        half_error_low, half_error_high: 90 % bootstrap interval.
    """

    quantity: str
    split: str
    measure: str
    signal: str
    n: int
    auroc: float
    auroc_low: float
    auroc_high: float
    half_error: float
    half_error_low: float
    half_error_high: float


def rank_errors(labels: LabelledCrystals, rows: Rows, prediction: TensorPrediction, split: Split) -> list[ErrorRanking]:
    """How well the reliability, and each signal alone, tell large errors; tensors with 20 full labels or more.

    Args:
        labels: labelled crystals.
        rows: the crystals that have a prediction, in its order.
        prediction: of these crystals.
        split: where they come from.
    """
    rankings = []
    for tensor in prediction.evidence.tensors:
        errors = tensor_errors_of(labels, rows, prediction, tensor)
        known = np.flatnonzero(errors.is_full & np.isfinite(errors.absolute))
        if len(known) < SMALLEST_RANKED:
            continue
        measures = error_measures(errors, typical_norm(labels, tensor))
        for signal, doubt in signals_of(prediction, tensor).items():
            for measure, error in measures.items():
                where = tensor.value, split.value, measure, signal
                rankings.append(rank(where, error[known], np.nan_to_num(doubt[known])))
    return rankings


def error_measures(errors: TensorErrors, typical: float) -> dict[str, Floats]:
    """The errors in the three measures, [n_crystals] each."""
    return {
        "typical": errors.absolute / (errors.norm + typical),
        "absolute": errors.absolute,
        "relative": errors.absolute / np.maximum(errors.norm, 1e-2 * typical),
    }


def signals_of(prediction: TensorPrediction, tensor: Tensor) -> dict[str, Floats]:
    """What may tell a large error of a tensor, larger for less reliable ones, [n_crystals] each; NaN where unknown."""
    column = TENSORS[tensor].error_column
    size = size_of(tensor, prediction.derived.prediction.tensors[tensor])
    radius = prediction.intervals[column]
    return {
        "reliability": 1.0 - prediction.reliability[reliability_column(tensor)],
        "ood_score": prediction.reliability["ood_score"],
        "error radius": radius,
        "error radius over size": radius / size,
        "disagreement": prediction.derived.spread[column] / size,
    }


def rank(where: tuple[str, str, str, str], error: Floats, doubt: Floats) -> ErrorRanking:
    """Both figures with their bootstrap intervals.

    Args:
        where: first four fields of the result.
        error: of each crystal, [n_crystals].
        doubt: larger for less reliable ones, [n_crystals].
    """
    rng = np.random.default_rng(0)
    draws = [rng.integers(len(error), size=len(error)) for _ in range(N_BOOTSTRAP)]

    def with_interval(figure: Callable[[Floats, Floats], float]) -> tuple[float, float, float]:
        low, high = np.percentile([figure(error[draw], doubt[draw]) for draw in draws], BOOTSTRAP_PERCENTILES)
        return figure(error, doubt), float(low), float(high)

    return ErrorRanking(*where, len(error), *with_interval(worst_tenth_auroc), *with_interval(half_coverage_error))


def worst_tenth_auroc(error: Floats, doubt: Floats) -> float:
    """Chance that a crystal of the worst tenth has more doubt than one of the others."""
    n_worst = max(1, round(WORST_SHARE * len(error)))
    order = np.argsort(error, kind="stable")
    return auroc(doubt[order[:-n_worst]], doubt[order[-n_worst:]])


def half_coverage_error(error: Floats, doubt: Floats) -> float:
    """Mean error of the half with the least doubt, in percent of the mean error of all."""
    kept = np.argsort(doubt, kind="stable")[: len(error) // 2]
    return 100.0 * float(error[kept].mean() / error.mean())
