"""How large the error of a predicted tensor is likely to be, and how likely it is among the worst tenth.

The error is the Frobenius distance from the label over the label's norm plus that of a typical label: relative for what
is large, absolute for what is small. Its logarithm is a linear function of the features of error_features.py, fitted by
ridge regression on held-out crystals, so each feature has a part in it that can be named. Its value goes through a
logistic function, fitted on crystals that were left out of the regression, to the probability of the worst tenth.
Source: A. E. Hoerl, R. W. Kennard, Technometrics 12, 55 (1970); J. Platt, in Advances in Large Margin Classifiers
(2000).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.applicability.error_features import FEATURES

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

RIDGE = 100.0
"""Penalty of the squared weights of standardized features, in crystals."""

WORST_SHARE = 0.1
N_FOLDS = 5
FEWEST = 40
"""Of fewer held-out labels a worst tenth is a handful, and nothing is fitted."""

_ONLY_WORSE = np.array([feature.only_worse for feature in FEATURES.values()])
_NUMBERS = ("typical_norm", "worst_error", "intercept", "slope")
_CLIP = 3.0
_ERROR_FLOOR = 0.05
"""Share of the median error that is added to all: the logarithm of an error of nearly 0 says nothing."""


@dataclass(frozen=True)
class ErrorModel:
    """The fitted function of one tensor.

    Attributes:
        n: number of held-out labels of the full tensor that it was fitted on.
        typical_norm: Frobenius norm of a typical label in the tensor's unit.
        worst_error: error of the best of the worst tenth.
        center, scale: mean and standard deviation of the features, [n_features].
        weights: of the standardized features, [n_features].
        intercept, slope: of the log odds of the worst tenth as a function of the weighted sum.
        element_counts: training crystals with a label that hold an element, by atomic number, [119].
    """

    n: int
    typical_norm: float
    worst_error: float
    center: Floats
    scale: Floats
    weights: Floats
    intercept: float
    slope: float
    element_counts: Floats

    def parts(self, features: Floats) -> Floats:
        """Part of each feature in the logarithm of the error, [n_crystals, n_features]; unknown ones have none."""
        return standardized(features, self.center, self.scale) * self.weights

    def reliability(self, features: Floats) -> Floats:
        """Probability that the error is not among the worst tenth, [n_crystals]."""
        log_odds = self.intercept + self.slope * self.parts(features).sum(axis=1)
        return np.asarray(1.0 / (1.0 + np.exp(log_odds)))

    def to_json(self) -> dict[str, Any]:
        """Plain data for a model card."""
        rows = zip(FEATURES, self.center, self.scale, self.weights, strict=True)
        features = {name: list(map(_short, row)) for name, *row in rows}
        counts = {str(z): int(self.element_counts[z]) for z in np.flatnonzero(self.element_counts)}
        plain = {name: _short(getattr(self, name)) for name in _NUMBERS}
        return {"n": self.n, **plain, "features": features, "element_counts": counts}

    @staticmethod
    def from_json(data: dict[str, Any]) -> "ErrorModel":
        """Reads what `to_json` wrote.

        Raises:
            KeyError: a feature of FEATURES is missing, as in a card of another version.
        """
        columns = np.array([data["features"][name] for name in FEATURES], dtype=np.float64).T
        counts = np.zeros(119)
        for z, count in data["element_counts"].items():
            counts[int(z)] = count
        typical_norm, worst_error, intercept, slope = (float(data[name]) for name in _NUMBERS)
        center, scale, weights = columns
        return ErrorModel(int(data["n"]), typical_norm, worst_error, center, scale, weights, intercept, slope, counts)


def standardized(features: Floats, center: Floats, scale: Floats) -> Floats:
    """Features in standard deviations, at most 3, and 0 where they are unknown; shape as given."""
    return np.nan_to_num(np.clip((features - center) / scale, -_CLIP, _CLIP))


def fit_error_model(
    features: Floats,
    error: Floats,
    is_full: Bools,
    fold: Ints,
    *,
    typical_norm: float,
    element_counts: Floats,
) -> ErrorModel | None:
    """Fits the function on held-out crystals.

    Args:
        features: [n_crystals, n_features].
        error: over the norm of label and typical label, from the full tensor or, as far as they say, from invariants of
            it; NaN where no label says it. [n_crystals]
        is_full: whether an error is that of the full tensor, [n_crystals].
        fold: part of the crystals that is left out together, 0 to N_FOLDS - 1, [n_crystals].
        typical_norm: that the errors are relative to, in the tensor's unit.
        element_counts: see ErrorModel.

    Returns:
        None with fewer than FEWEST full labels.
    """
    is_full = is_full & np.isfinite(error)
    known = np.isfinite(error)
    if is_full.sum() < FEWEST:
        return None
    log_error = np.full(len(error), np.nan)
    for kind in (is_full, known & ~is_full):
        if kind.any():
            # invariants miss part of the error: each kind of label is compared with its own kind
            values = np.log(error[kind] + _ERROR_FLOOR * np.median(error[kind]))
            log_error[kind] = values - values.mean()
    center, scale = _moments(features[known])
    points = standardized(features, center, scale)
    left_out = np.zeros(len(error))
    for k in range(N_FOLDS):
        weights = _ridge(points[known & (fold != k)], log_error[known & (fold != k)])
        left_out[fold == k] = points[fold == k] @ weights
    worst_error = float(np.quantile(error[is_full], 1.0 - WORST_SHARE))
    intercept, slope = _logistic(left_out[is_full], error[is_full] > worst_error)
    weights = _ridge(points[known], log_error[known])
    n_full = int(is_full.sum())
    return ErrorModel(n_full, typical_norm, worst_error, center, scale, weights, intercept, slope, element_counts)


def _moments(features: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of the known values of each feature; 0 and 1 where none is known."""
    has_value = np.isfinite(features)
    n = np.maximum(has_value.sum(axis=0), 1)
    values = np.where(has_value, features, 0.0)
    center = values.sum(axis=0) / n
    scale = np.sqrt((np.where(has_value, features - center, 0.0) ** 2).sum(axis=0) / n)
    return center, np.where(scale > 1e-9, scale, 1.0)


def _ridge(points: Floats, values: Floats) -> Floats:
    """Weights of a ridge regression without intercept: values and features have the mean 0.

    Features that can only make an error larger have no negative weight: those that get one are left out in turn.
    """
    weights = np.zeros(points.shape[1])
    used = np.ones(points.shape[1], dtype=np.bool_)
    while True:
        chosen = points[:, used]
        weights[:] = 0.0
        weights[used] = np.linalg.solve(chosen.T @ chosen + RIDGE * np.eye(used.sum()), chosen.T @ values)
        wrong = _ONLY_WORSE & (weights < 0)
        if not wrong.any():
            return weights
        used &= ~wrong


def _logistic(score: Floats, is_worst: Bools) -> tuple[float, float]:
    """Intercept and slope of the log odds of the worst as a function of a score, by Newton's method.

    A weak penalty on the slope keeps it finite where a score separates a handful of crystals perfectly.
    """
    design = np.stack([np.ones(len(score)), score], axis=1)
    penalty = np.diag([0.0, 0.1])
    parameters = np.array([np.log(WORST_SHARE / (1.0 - WORST_SHARE)), 1.0])
    for _ in range(50):
        probability = 1.0 / (1.0 + np.exp(-design @ parameters))
        gradient = design.T @ (is_worst - probability) - penalty @ parameters
        curvature = (design * (probability * (1.0 - probability))[:, None]).T @ design + penalty
        step = np.linalg.solve(curvature, gradient)
        # whole steps overshoot where nearly all probabilities are 0 or 1
        parameters = parameters + step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
    return float(parameters[0]), max(float(parameters[1]), 0.0)


def _short(value: float) -> float:
    """Six significant digits: a card is for reading."""
    return float(f"{value:.6g}")
