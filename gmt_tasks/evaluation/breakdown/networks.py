"""Which networks of an ensemble are the better ones: every network by itself, and long trainings against short ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.evaluation.breakdown.resampling import bootstrap_interval
from gmt_tasks.evaluation.scores import label_sets, tensor_errors, trimmed_mean
from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.screening.screener import TensorPrediction
from models.quantities import Tensor
from models.tensors.voigt import from_components

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class NetworkErrors:
    """Errors of the single networks of an ensemble on one set of labels.

    Attributes:
        quantity, labels, split, n: which tensor, which labels, where, and of how many crystals.
        fnorm: mean Frobenius norm of the error by network, in the tensor's unit.
        fnorm_trimmed: the same without the worst tenth.
        short_minus_long: mean error of the networks of the shortest training minus that of the longest, in the tensor's
            unit, positive where long ones are better; NaN where all were trained for as long.
        low, high: 90 % bootstrap interval of it over crystals.
    """

    quantity: str
    labels: str
    split: str
    n: int
    fnorm: list[float]
    fnorm_trimmed: list[float]
    short_minus_long: float
    low: float
    high: float


def network_errors(
    labels: LabelledCrystals, rows: Rows, prediction: TensorPrediction, split: Split, epochs: Sequence[int]
) -> list[NetworkErrors]:
    """Errors of every network of an ensemble; nothing of a single network.

    Args:
        labels: labelled crystals.
        rows: the crystals that have a prediction, in its order.
        prediction: of these crystals.
        split: where they come from.
        epochs: of the training of each network; empty where it is unknown.
    """
    found = []
    for quantity, by_network in prediction.derived.prediction.by_network.items():
        if len(by_network) < 2:
            continue
        for name, chosen in label_sets(labels, rows, quantity).items():
            if not chosen.any():
                continue
            truth = from_components(quantity, labels.components[quantity][rows[chosen]])
            sign_free = labels.sign_unproven[rows[chosen]] & (quantity is Tensor.PIEZOELECTRIC)
            errors = np.array([tensor_errors(one[chosen], truth, quantity, sign_free) for one in by_network])
            means, trimmed = errors.mean(axis=1).tolist(), [trimmed_mean(one) for one in errors]
            where = quantity.value, name, split.value, errors.shape[1]
            found.append(NetworkErrors(*where, means, trimmed, *_short_against_long(errors, epochs)))
    return found


def _short_against_long(errors: Floats, epochs: Sequence[int]) -> tuple[float, float, float]:
    """Mean difference of errors [n_networks, n_crystals] with its interval, NaN where there is nothing to compare."""
    lengths = np.asarray(epochs)
    if len(lengths) != len(errors) or not np.ptp(lengths):
        return (float("nan"),) * 3
    short, long = (errors[lengths == end].mean(axis=0) for end in (lengths.min(), lengths.max()))
    difference = short - long
    return float(difference.mean()), *bootstrap_interval(np.mean, difference)
