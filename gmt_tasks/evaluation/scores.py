"""Scores of predicted tensors and numbers against labels: those of the GMTNet paper, and what a screening needs.

Fnorm, EwT and success rate are the paper's (norms over 3x3, 3x6 Voigt and 6x6 Voigt entries without weights); the
trimmed mean and the median do not swing with one exploding prediction; rank correlation and hit rate say how good a
list of the best will be.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from gmt_tasks.evaluation.reliability.doubtful_labels import label_doubts
from gmt_tasks.labels.files import LabelledCrystals, Split
from models.quantities import Tensor
from models.tensors.voigt import to_printed

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NONZERO_PIEZO_C_PER_M2 = 1e-3

SINGLE, SPREAD = "one member", "± of members"
"""Predictors, as files name them: mean and standard deviation over the single networks of an ensemble."""


@dataclass(frozen=True)
class TensorMetrics:
    """Errors of predicted tensors over one set of labels; `ewt` in percent, `fnorm` in the tensor's unit.

    Attributes:
        quantity: which tensor.
        labels: which labels ("all", or the subset that published figures are for).
        split: "val" or "test".
        predictor: "model", "one member", "± of members", or "train mean" for the baseline.
        n: number of crystals.
        fnorm: mean Frobenius norm of the error.
        fnorm_trimmed: the same without the worst tenth.
        ewt25, ewt10, ewt5: share with a relative error below 25, 10, 5 %.
        median_relative: median relative error.
        success: share that obeys the crystal's point group (residual below 1e-6).
    """

    quantity: str
    labels: str
    split: str
    predictor: str
    n: int
    fnorm: float
    fnorm_trimmed: float
    ewt25: float
    ewt10: float
    ewt5: float
    median_relative: float
    success: float


@dataclass(frozen=True)
class PropertyMetrics:
    """Errors and ranking quality of a derived property; `mae` in its unit, `top5_hits` in percent."""

    property: str
    split: str
    predictor: str
    n: int
    mae: float
    median_relative: float
    spearman: float
    top5_hits: float


Metrics = TypeVar("Metrics", TensorMetrics, PropertyMetrics)


class ScoredSet(NamedTuple):
    """What is scored: the first four fields of TensorMetrics."""

    quantity: str
    labels: str
    split: str
    predictor: str


def printed_norm(tensors: Floats, quantity: Tensor) -> Floats:
    """Frobenius norm of the entries people print: 3x3, 3x6 Voigt, 6x6 Voigt; [n_crystals]."""
    entries = to_printed(quantity, tensors)
    return np.asarray(np.sqrt((entries**2).sum(axis=(1, 2))))


def tensor_errors(guess: Floats, truth: Floats, quantity: Tensor, sign_free: Bools) -> Floats:
    """Norms of the errors in the tensor's unit, the smaller of both signs where the label's is free, [n_crystals]."""
    error = printed_norm(guess - truth, quantity)
    opposite = np.where(sign_free, printed_norm(guess + truth, quantity), np.inf)
    return np.asarray(np.minimum(error, opposite))


def score_errors(where: ScoredSet, error: Floats, size: Floats, success: Bools) -> TensorMetrics:
    """Metrics of tensors from the norms of their errors and of the labels and whether they obey, each [n_crystals]."""
    relative = error / np.maximum(size, 1e-12)
    ewt25, ewt10, ewt5 = (100.0 * float((relative < x).mean()) for x in (0.25, 0.10, 0.05))
    norms = float(error.mean()), trimmed_mean(error)
    rest = float(np.median(relative)), 100.0 * float(success.mean())
    return TensorMetrics(*where, len(error), *norms, ewt25, ewt10, ewt5, *rest)


def trimmed_mean(error: Floats) -> float:
    """Mean without the worst tenth: one exploding prediction moves a plain mean of hundreds of crystals."""
    return float(np.sort(error)[: max(1, int(np.ceil(0.9 * len(error))))].mean())


def label_sets(labels: LabelledCrystals, rows: NDArray[np.int64], quantity: Tensor) -> dict[str, Bools]:
    """Which labels to score: all, of the primary file, those that nothing speaks against, and e of proven frame."""
    known = ~np.isnan(labels.components[quantity][rows, 0])
    primary = known & labels.primary[quantity][rows]
    trustworthy = known & (label_doubts(labels, rows, quantity) == "")
    if quantity is not Tensor.PIEZOELECTRIC:
        sets = {"all": known, "primary": primary, "trustworthy": trustworthy}
        return {name: chosen for name, chosen in sets.items() if name == "all" or (chosen != known).any()}
    # Zero tensors have no relative error, and labels in an unknown frame none that means something.
    size = np.linalg.norm(np.nan_to_num(labels.components[quantity][rows]), axis=1)
    proven = known & labels.proven_frame[rows] & (size > NONZERO_PIEZO_C_PER_M2)
    nonzero = trustworthy & (size > NONZERO_PIEZO_C_PER_M2)
    return {"all": known, "proven frame, non-zero": proven, "trustworthy, non-zero": nonzero}


def top_hits(predicted: Floats, truth: Floats) -> float:
    """Percentage of the true top 5 % that is in the predicted top 5 %: what a shortlist of a screening is."""
    n_top = max(1, round(0.05 * len(truth)))
    both_top = np.intersect1d(np.argsort(-truth)[:n_top], np.argsort(-predicted)[:n_top])
    return 100.0 * len(both_top) / n_top


def score_numbers(name: str, split: Split, predictor: str, predicted: Floats, truth: Floats) -> PropertyMetrics:
    """Metrics of one derived number; a constant prediction ranks nothing: correlation and hits are NaN."""
    ranks, hits = np.nan, np.nan
    if np.ptp(predicted) > 0 and np.ptp(truth) > 0:
        ranks = float(spearmanr(predicted, truth).statistic)
        hits = top_hits(predicted, truth)
    error = np.abs(predicted - truth)
    relative = float(np.median(error / np.maximum(np.abs(truth), 1e-12)))
    return PropertyMetrics(name, split.value, predictor, len(truth), float(error.mean()), relative, ranks, hits)


def over_networks(scores: Sequence[Metrics]) -> list[Metrics]:
    """Mean and standard deviation of every figure of several networks scored on the same set."""
    means: dict[str, Any] = {}
    spreads: dict[str, Any] = {}
    for field in fields(scores[0]):
        if isinstance(getattr(scores[0], field.name), float):
            values = np.array([getattr(score, field.name) for score in scores])
            means[field.name], spreads[field.name] = float(values.mean()), float(values.std(ddof=1))
    return [replace(scores[0], predictor=SINGLE, **means), replace(scores[0], predictor=SPREAD, **spreads)]
