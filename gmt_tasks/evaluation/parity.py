"""Predictions beside labels, crystal by crystal, for pictures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.evaluation.label_properties import label_properties
from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.screening.screener import TensorPrediction
from models.quantities import INTERVALS

DRAWN = ("eps_electronic_mean", "eps_total_mean", "k_vrh_gpa", "g_vrh_gpa", "e_norm_c_per_m2")
"""Properties that say most about a tensor in one number."""


@dataclass(frozen=True)
class ParityPoints:
    """One property of labelled crystals that have a prediction.

    Attributes:
        property: name of the derived column.
        split: "val" or "test".
        label, predicted: in the property's unit, [n] each.
        lower, upper: ends of the 90 % interval, NaN without one, [n] each.
    """

    property: str
    split: str
    label: list[float]
    predicted: list[float]
    lower: list[float]
    upper: list[float]


def parity_points(
    labels: LabelledCrystals, rows: NDArray[np.int64], prediction: TensorPrediction, split: Split
) -> list[ParityPoints]:
    """Points of every property in DRAWN.

    Args:
        labels: labelled crystals.
        rows: the crystals that have a prediction, in its order.
        prediction: of these crystals.
        split: where they come from.
    """
    truth = label_properties(labels, rows)
    properties = []
    for name in DRAWN:
        predicted = np.asarray(prediction.derived.columns[name], dtype=np.float64)
        # Labels of one kind say nothing of the properties of another.
        known = np.isfinite(truth[name]) & np.isfinite(predicted)
        ends = [prediction.intervals[end][known].tolist() for end in INTERVALS[name]]
        label, value = truth[name][known].tolist(), predicted[known].tolist()
        properties.append(ParityPoints(name, split.value, label, value, *ends))
    return properties
