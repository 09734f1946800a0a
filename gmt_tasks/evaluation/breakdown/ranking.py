"""How sure the ranking of a property is, and how often the overall sign of e is right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, rankdata

from gmt_tasks.evaluation.breakdown.resampling import LEVEL, bootstrap_interval
from gmt_tasks.evaluation.label_properties import label_properties, label_tensors
from gmt_tasks.evaluation.scores import NONZERO_PIEZO_C_PER_M2, top_hits
from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.screening.screener import TensorPrediction
from models.quantities import Tensor
from models.tensors.voigt import to_components

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class RankingInterval:
    """Ranking figures of the ensemble with 90 % bootstrap intervals over crystals.

    Attributes:
        property, split, n: what is ranked, where, and of how many crystals.
        spearman, spearman_low, spearman_high: rank correlation.
        top5, top5_low, top5_high: percentage of the true top 5 % among the predicted top 5 %.
    """

    property: str
    split: str
    n: int
    spearman: float
    spearman_low: float
    spearman_high: float
    top5: float
    top5_low: float
    top5_high: float


@dataclass(frozen=True)
class SignShare:
    """How often the overall sign of the predicted piezoelectric tensor is that of a label whose sign is proven.

    Attributes:
        split: "val" or "test".
        n, right: labels with a proven sign, and those with a positive overlap of prediction and label.
    """

    split: str
    n: int
    right: int

    def interval(self) -> tuple[float, float]:
        """Exact 90 % interval of the share, 0 to 1."""
        ends = binomtest(self.right, self.n).proportion_ci(LEVEL)
        return float(ends.low), float(ends.high)


def ranking_intervals(
    names: Sequence[str], labels: LabelledCrystals, rows: Rows, prediction: TensorPrediction, split: Split
) -> list[RankingInterval]:
    """Ranking figures of properties on one split.

    Args:
        names: of derived numbers.
        labels: labelled crystals.
        rows: the crystals that have a prediction, in its order.
        prediction: of these crystals.
        split: where they come from.
    """
    truth = label_properties(labels, rows)
    intervals = []
    for name in names:
        known = np.isfinite(truth[name]) & np.isfinite(prediction.derived.columns[name])
        if known.sum() < 2:
            continue
        pair = prediction.derived.columns[name][known], truth[name][known]
        ranks, hits = bootstrap_interval(rank_correlation, *pair), bootstrap_interval(top_hits, *pair)
        figures = rank_correlation(*pair), *ranks, top_hits(*pair), *hits
        intervals.append(RankingInterval(name, split.value, int(known.sum()), *figures))
    return intervals


def rank_correlation(predicted: Floats, truth: Floats) -> float:
    """Spearman's rank correlation, NaN where one of both is constant."""
    first, second = rankdata(predicted), rankdata(truth)
    if not np.ptp(first) or not np.ptp(second):
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def sign_share(labels: LabelledCrystals, rows: Rows, prediction: TensorPrediction, split: Split) -> SignShare:
    """Counts right signs among the labels that prove one; zero tensors, labels or predicted, have none."""
    truth = label_tensors(labels, rows, Tensor.PIEZOELECTRIC)
    predicted = to_components(Tensor.PIEZOELECTRIC, prediction.derived.prediction.tensors[Tensor.PIEZOELECTRIC])
    signed = np.linalg.norm(np.nan_to_num(truth), axis=1) > NONZERO_PIEZO_C_PER_M2
    signed &= predicted.any(axis=1)
    overlap = (truth[signed] * predicted[signed]).sum(axis=1)
    return SignShare(split.value, int(signed.sum()), int((overlap > 0).sum()))
