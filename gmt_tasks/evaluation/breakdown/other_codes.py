"""Moduli of another code beside predictions: labels that neither calibrate nor score, with a noise of their own."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.evaluation.breakdown.ranking import rank_correlation
from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.screening.screener import TensorPrediction
from models.quantities import ELASTIC_INVARIANTS

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class OtherCode:
    """Predictions against labels of another code.

    Attributes:
        property, split, n: which modulus, where, and of how many crystals.
        noise: relative standard deviation of these labels around those that the model is judged by.
        median_ratio: median of label over prediction.
        median_relative: median relative error.
        spearman: rank correlation.
    """

    property: str
    split: str
    n: int
    noise: float
    median_ratio: float
    median_relative: float
    spearman: float


def other_codes(labels: LabelledCrystals, rows: Rows, prediction: TensorPrediction, split: Split) -> list[OtherCode]:
    """Hill averages against the labels that have a noise of their own; nothing where there are none."""
    found = []
    for name in ("k_vrh", "g_vrh"):
        column = ELASTIC_INVARIANTS.index(name)
        truth, noise = labels.elastic[rows, column], labels.elastic_noise[rows, column]
        predicted = prediction.derived.columns[f"{name}_gpa"]
        known = (noise > 0) & (truth > 0) & (predicted > 0)
        if known.sum() < 2:
            continue
        ratio = truth[known] / predicted[known]
        middles = float(np.median(ratio)), float(np.median(np.abs(1 / ratio - 1)))
        ranks = rank_correlation(predicted[known], truth[known])
        where = f"{name}_gpa", split.value, int(known.sum())
        found.append(OtherCode(*where, float(np.median(noise[known])), *middles, ranks))
    return found
