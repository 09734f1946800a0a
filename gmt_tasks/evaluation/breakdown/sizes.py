"""Coverage by size of the piezoelectric response: the large ones are what a screen looks for."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.evaluation.calibration import held_out_errors, inside_intervals
from gmt_tasks.evaluation.label_properties import label_properties
from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.screening.screener import TensorPrediction
from models.quantities import DERIVED, INTERVALS, TENSORS, Tensor

Rows = NDArray[np.int64]

SIZES_C_PER_M2 = ((0.0, 0.5), (0.5, 1.5), (1.5, None))
"""Norms of e of small, moderate and large responses."""

SIZE = "e_norm_c_per_m2"
LABEL, PREDICTION = "label", "prediction"


@dataclass(frozen=True)
class SizeCoverage:
    """How often the truth lies inside among crystals of one size.

    Attributes:
        quantity: a derived number, or the error column of the tensor.
        split: "val" (optimistic: the widths come from there) or "test".
        by: "label" or "prediction": whose norm of e is between `lower` and `upper`. Conformal prediction promises
            nothing for crystals chosen by their labels, which nobody knows before; those chosen by their predictions
            are what a screen looks at.
        lower, upper: ends of the norm in C/m²; no upper end for large ones.
        n, inside: crystals with label and interval, and those whose label is inside.
    """

    quantity: str
    split: str
    by: str
    lower: float
    upper: float | None
    n: int
    inside: int


def size_coverage(
    labels: LabelledCrystals, rows: Rows, prediction: TensorPrediction, split: Split
) -> list[SizeCoverage]:
    """Coverage of everything that is made of e alone, by the size of e.

    Args:
        labels: labelled crystals.
        rows: the crystals that have a prediction, in its order.
        prediction: of these crystals, with intervals.
        split: where they come from.
    """
    truth, errors = label_properties(labels, rows), held_out_errors(labels, rows, prediction)
    sizes = {LABEL: truth[SIZE], PREDICTION: prediction.derived.columns[SIZE]}
    names = [name for name in INTERVALS if DERIVED[name].from_tensors == (Tensor.PIEZOELECTRIC,)]
    found = []
    for name in (*names, TENSORS[Tensor.PIEZOELECTRIC].error_column):
        inside, width = inside_intervals(name, truth, errors[name], prediction)
        bounded = np.isfinite(errors[name].error) & np.isfinite(width)
        for by, size in sizes.items():
            for lower, upper in SIZES_C_PER_M2:
                chosen = bounded & (size > lower) & (size <= (np.inf if upper is None else upper))
                counts = int(chosen.sum()), int(inside[chosen].sum())
                if counts[0]:
                    found.append(SizeCoverage(name, split.value, by, lower, upper, *counts))
    return found
