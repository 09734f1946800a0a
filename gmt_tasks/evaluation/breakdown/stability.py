"""Fits the stability classifier of a model on labels of train and val, and measures it on others.

Only the files of full tensors hold unstable crystals: recovered tensors are positive definite, because their source
lists no others, and would show where a label comes from.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from gmt_tasks.evaluation.applicability import auroc
from gmt_tasks.evaluation.breakdown.resampling import bootstrap_interval
from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.screening.screener import Screener, TensorPrediction
from models.crystals.crystal_systems import crystal_systems
from models.derived.elastic import min_eigenvalue
from models.quantities import Tensor
from models.tensors.voigt import from_components
from models.uncertainty.stability import StabilityClassifier, stability_features

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.int64]

FEWEST_UNSTABLE = 20
LEAST_AUROC = 0.65
"""A model whose classifier is worse in cross-validation has none."""

PENALTY = 1.0
"""Of the squared weights of standardised features."""

N_FOLDS, N_REPEATS = 5, 10
COLUMN = "elastic_stability_probability"


@dataclass(frozen=True)
class StabilityScores:
    """How well unstable labels are separated from stable ones.

    Attributes:
        split: "val" (it was fitted there, too) or "test".
        n, n_unstable: labels of full tensors, and those that are not positive definite.
        auroc, low, high: of the classifier, with a 90 % bootstrap interval over crystals.
        auroc_eigenvalue: of the lowest predicted eigenvalue alone.
        expected: unstable crystals that the probabilities add up to.
    """

    split: str
    n: int
    n_unstable: int
    auroc: float
    low: float
    high: float
    auroc_eigenvalue: float
    expected: float


def fit_stability(screener: Screener, labels: LabelledCrystals) -> StabilityClassifier | None:
    """The classifier of a model; None where unstable labels are too few or nothing tells them apart.

    Args:
        screener: the model.
        labels: labelled crystals; the test part is not looked at.
    """
    judged = labels.primary[Tensor.ELASTIC] & (labels.split != Split.TEST.value)
    asked = np.flatnonzero(judged & ~np.isnan(labels.components[Tensor.ELASTIC][:, 0]))
    if min(unstable_labels(labels, asked).sum(), len(asked)) < FEWEST_UNSTABLE:
        return None
    prediction = screener.predict(labels.crystals.select(asked))
    rows = asked[prediction.rows]
    features, unstable = features_of(prediction), unstable_labels(labels, rows)
    held_out = labels.split[rows] == Split.VAL.value
    formulas = np.array(labels.crystals.select(rows).formulas())
    pooled, of_folds, of_held_out = [], [], []
    for repeat in range(N_REPEATS):
        fold = folds_of(formulas, repeat)
        scores = np.full(len(rows), np.nan)
        for k in range(N_FOLDS):
            intercept, weights = fit_logistic(features[fold != k], unstable[fold != k])
            scores[fold == k] = intercept + features[fold == k] @ weights
            of_folds.append(detection(scores[fold == k], unstable[fold == k]))
        pooled.append(detection(scores, unstable))
        of_held_out.append(detection(scores[held_out], unstable[held_out]))
    if not np.mean(pooled) >= LEAST_AUROC:
        return None
    intercept, weights = fit_logistic(features, unstable)
    counts = len(rows), int(unstable.sum()), float(np.mean(pooled)), float(np.nanstd(of_folds))
    of_val = int(held_out.sum()), int(unstable[held_out].sum()), float(np.mean(of_held_out))
    return StabilityClassifier(intercept, tuple(weights.tolist()), *counts, *of_val)


def stability_scores(
    labels: LabelledCrystals, rows: Rows, prediction: TensorPrediction, split: Split
) -> list[StabilityScores]:
    """How good the classifier is on one split; nothing for a model without, or where no label is unstable.

    Args:
        labels: labelled crystals.
        rows: the crystals that have a prediction, in its order.
        prediction: of these crystals.
        split: where they come from.
    """
    probability = np.asarray(prediction.reliability[COLUMN], dtype=np.float64)
    judged = labels.primary[Tensor.ELASTIC][rows] & np.isfinite(probability)
    if not judged.any():
        return []
    unstable = unstable_labels(labels, rows[judged])
    if not unstable.any() or unstable.all():
        return []
    score = 1 - probability[judged]
    eigenvalue = -np.asarray(prediction.derived.columns["elastic_min_eigenvalue_gpa"][judged], dtype=np.float64)
    ends = bootstrap_interval(detection, score, unstable)
    figures = detection(score, unstable), *ends, detection(eigenvalue, unstable), float(score.sum())
    return [StabilityScores(split.value, len(score), int(unstable.sum()), *figures)]


def unstable_labels(labels: LabelledCrystals, rows: Rows) -> Bools:
    """Whether the stiffness labels of the crystals `rows` are not positive definite, [n_rows]."""
    return np.asarray(min_eigenvalue(from_components(Tensor.ELASTIC, labels.components[Tensor.ELASTIC][rows])) <= 0)


def features_of(prediction: TensorPrediction) -> Floats:
    """Features of predicted crystals, [n_crystals, n_features]."""
    system = crystal_systems(prediction.derived.prediction.analysis.symmetry.number)
    return stability_features(prediction.derived.columns, system)


def fit_logistic(features: Floats, positive: Bools) -> tuple[float, Floats]:
    """Logistic regression with a penalty on the weights of standardised features.

    Args:
        features: [n_rows, n_features].
        positive: the class, [n_rows].

    Returns:
        Intercept and weights [n_features] of the features as they are.
    """
    centre, width = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-9)
    scaled = np.column_stack([np.ones(len(features)), (features - centre) / width])

    def cost(weights: Floats) -> tuple[float, Floats]:
        log_odds, penalised = scaled @ weights, np.concatenate([[0.0], weights[1:]])
        loss = np.logaddexp(0, log_odds) - positive * log_odds
        slope = scaled.T @ (1 / (1 + np.exp(-log_odds)) - positive)
        return float(loss.sum() + PENALTY / 2 * (penalised**2).sum()), slope + PENALTY * penalised

    found = np.asarray(minimize(cost, np.zeros(scaled.shape[1]), jac=True).x)
    weights = found[1:] / width
    return float(found[0] - centre @ weights), weights


def detection(score: Floats, positive: Bools) -> float:
    """How often a positive has a higher score than a negative, ties half; NaN where one class is empty."""
    return auroc(score[~positive], score[positive]) if positive.any() and not positive.all() else float("nan")


def folds_of(formulas: NDArray[np.str_], seed: int) -> Rows:
    """The fold of every crystal: those of one formula share it, [n_crystals]."""
    names, place = np.unique(formulas, return_inverse=True)
    return np.asarray((np.random.default_rng(seed).permutation(len(names)) % N_FOLDS)[place])
