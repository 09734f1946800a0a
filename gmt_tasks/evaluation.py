"""Accuracy of a model on held-out labels, beside a baseline that knows nothing of the crystal.

Predictions take the whole path of a screening (graph, network, projector, derived columns). The baseline predicts the
isotropic part of the mean training label for every crystal. Metrics are those of the GMTNet paper (Fnorm, EwT, success
rate; norms over 3x3, 3x6 Voigt and 6x6 Voigt entries without weights) plus what a screening needs: errors and ranking
quality of the properties people sort by.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from gmt_tasks.labels import LabelledCrystals, Split, read_labels
from gmt_tasks.screening import Screener, TensorPrediction
from models.derived.elastic import Unstable, derive_elastic
from models.errors import ModelError
from models.gmtnet.card import find_checkpoint, read_card, write_card
from models.quantities import Tensor
from models.tensors.irreps import change_of_basis
from models.tensors.voigt import from_components, piezo_to_voigt

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NONZERO_PIEZO_C_PER_M2 = 1e-3
N_SCALARS = {Tensor.DIELECTRIC_ELECTRONIC: 1, Tensor.DIELECTRIC_TOTAL: 1, Tensor.PIEZOELECTRIC: 0, Tensor.ELASTIC: 2}
"""How many of a tensor's irreps are scalars; they come first. The isotropic part is what they hold."""


@dataclass(frozen=True)
class TensorMetrics:
    """Errors of predicted tensors over one set of labels; `ewt` in percent, `fnorm` in the tensor's unit.

    Attributes:
        quantity: which tensor.
        labels: which labels ("all", or the subset that published figures are for).
        split: "val" or "test".
        predictor: the model, or "train mean" for the baseline.
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
    n: int
    mae: float
    mae_baseline: float
    spearman: float
    top5_hits: float


@dataclass(frozen=True)
class Evaluation:
    """Everything `gmtscreen evaluate` prints."""

    model: str
    sha256: str
    tensors: list[TensorMetrics]
    properties: list[PropertyMetrics]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def evaluate(model: str = "gmtnet", *, data: Path, device: str = "auto") -> Evaluation:
    """Measures a model on the val and test labels of a folder.

    Args:
        model: shipped name or checkpoint path.
        data: folder of label files (see gmt_tasks/labels.py).
        device: "auto", "cpu" or "cuda".
    """
    screener = Screener.load(model, device=device)
    labels = read_labels(data)
    tensors: list[TensorMetrics] = []
    properties: list[PropertyMetrics] = []
    for split in (Split.VAL, Split.TEST):
        rows = labels.rows(split)
        prediction = screener.predict(labels.crystals.select(rows))
        rows = rows[prediction.rows]
        for quantity in Tensor:
            tensors += _tensor_metrics(labels, rows, prediction, quantity, split)
        properties += _property_metrics(labels, rows, prediction, split)
    return Evaluation(str(screener.model_version), screener.model_version.sha256, tensors, properties)


def evaluate_into_card(model: str, *, data: Path, device: str = "auto") -> Evaluation:
    """Measures a model and writes the figures into its card, where `models list` and the database find them."""
    found = evaluate(model, data=data, device=device)
    path = find_checkpoint(model)
    write_card(replace(read_card(path), metrics=found.to_json()), path.parent)
    return found


def train_mean(labels: LabelledCrystals, quantity: Tensor) -> Floats:
    """Isotropic part of the mean training label, orthonormal components [n_components]; 0 for piezoelectricity."""
    values = labels.components[quantity][labels.rows(Split.TRAIN)]
    irreps = change_of_basis(quantity) @ np.nanmean(values, axis=0)
    irreps[N_SCALARS[quantity] :] = 0.0
    return np.asarray(change_of_basis(quantity).T @ irreps)


def _tensor_metrics(
    labels: LabelledCrystals, rows: NDArray[np.int64], prediction: TensorPrediction, quantity: Tensor, split: Split
) -> list[TensorMetrics]:
    result = prediction.derived.prediction
    predicted = result.tensors[quantity]
    again = result.analysis.symmetry.project(quantity, predicted)
    obeys = _norm(again - predicted, quantity) <= 1e-6 * np.maximum(_norm(predicted, quantity), 1e-9)
    baseline = np.broadcast_to(from_components(quantity, train_mean(labels, quantity)), predicted.shape)
    metrics = []
    for name, chosen in _label_sets(labels, rows, quantity).items():
        truth = from_components(quantity, labels.components[quantity][rows[chosen]])
        free = labels.sign_unproven[rows[chosen]] & (quantity is Tensor.PIEZOELECTRIC)
        for who, guess in (("model", predicted[chosen]), ("train mean", baseline[chosen])):
            where = _Where(quantity.value, name, split.value, who)
            error = np.minimum(_norm(guess - truth, quantity), np.where(free, _norm(guess + truth, quantity), np.inf))
            success = obeys[chosen] if who == "model" else np.ones(int(chosen.sum()), dtype=bool)
            metrics.append(_summary(where, error, _norm(truth, quantity), success))
    return metrics


def _label_sets(labels: LabelledCrystals, rows: NDArray[np.int64], quantity: Tensor) -> dict[str, Bools]:
    """Which labels to score: all tensors, those of the primary file, and the piezoelectric ones of proven frame."""
    known = ~np.isnan(labels.components[quantity][rows, 0])
    primary = known & labels.primary[quantity][rows]
    if quantity is not Tensor.PIEZOELECTRIC:
        return {"all": known, "primary": primary} if (known != primary).any() else {"all": known}
    size = np.linalg.norm(np.nan_to_num(labels.components[quantity][rows]), axis=1)
    return {"all": known, "proven frame, non-zero": known & labels.proven_frame[rows] & (size > NONZERO_PIEZO_C_PER_M2)}


def _norm(tensors: Floats, quantity: Tensor) -> Floats:
    """Frobenius norm of the entries people print: 3x3, 3x6 Voigt, 6x6 Voigt; [n_crystals]."""
    entries = piezo_to_voigt(tensors) if quantity is Tensor.PIEZOELECTRIC else tensors
    return np.asarray(np.sqrt((entries**2).sum(axis=(1, 2))))


class _Where(NamedTuple):
    """The first four fields of TensorMetrics."""

    quantity: str
    labels: str
    split: str
    predictor: str


def _summary(where: _Where, error: Floats, size: Floats, success: Bools) -> TensorMetrics:
    relative = error / np.maximum(size, 1e-12)
    kept = np.sort(error)[: max(1, int(np.ceil(0.9 * len(error))))]
    ewt25, ewt10, ewt5 = (100.0 * float((relative < x).mean()) for x in (0.25, 0.10, 0.05))
    return TensorMetrics(
        where.quantity,
        where.labels,
        where.split,
        where.predictor,
        len(error),
        float(error.mean()),
        float(kept.mean()),
        ewt25,
        ewt10,
        ewt5,
        float(np.median(relative)),
        100.0 * float(success.mean()),
    )


def _property_metrics(
    labels: LabelledCrystals, rows: NDArray[np.int64], prediction: TensorPrediction, split: Split
) -> list[PropertyMetrics]:
    columns = prediction.derived.columns
    train = labels.rows(Split.TRAIN)
    metrics = []
    for name in ("eps_electronic_mean", "eps_total_mean", "k_vrh_gpa", "g_vrh_gpa", "e_max_c_per_m2"):
        truth, trained = _true_property(labels, rows, name), _true_property(labels, train, name)
        known = np.isfinite(truth) & np.isfinite(columns[name])
        if known.sum() < 2:
            raise ModelError(f"Fewer than two {split.value} labels for {name}. Add label files to the data folder.")
        metrics.append(_ranking(name, split, columns[name][known], truth[known], float(np.nanmean(trained))))
    return metrics


def _true_property(labels: LabelledCrystals, rows: NDArray[np.int64], name: str) -> Floats:
    """A derived property of the labels themselves, NaN where no label tells it, [n_rows]."""
    if name.startswith("eps_"):
        quantity = Tensor.DIELECTRIC_ELECTRONIC if "electronic" in name else Tensor.DIELECTRIC_TOTAL
        return np.asarray(labels.components[quantity][rows, :3].mean(axis=1))
    if name == "e_max_c_per_m2":
        matrices = labels.components[Tensor.PIEZOELECTRIC][rows].reshape(-1, 3, 6)
        largest = np.full(len(rows), np.nan)
        known = ~np.isnan(matrices[:, 0, 0])
        largest[known] = np.linalg.svd(matrices[known], compute_uv=False)[:, 0]
        return largest
    values = np.full(len(rows), np.nan)
    stiffness = labels.components[Tensor.ELASTIC][rows]
    known = ~np.isnan(stiffness[:, 0])
    values[known] = derive_elastic(from_components(Tensor.ELASTIC, stiffness[known]), Unstable.FLAG)[name]
    return values


def _ranking(name: str, split: Split, predicted: Floats, truth: Floats, mean: float) -> PropertyMetrics:
    ranks = np.corrcoef(rankdata(predicted), rankdata(truth))[0, 1]
    n_top = max(1, round(0.05 * len(truth)))
    hits = np.intersect1d(np.argsort(-truth)[:n_top], np.argsort(-predicted)[:n_top])
    return PropertyMetrics(
        name,
        split.value,
        len(truth),
        float(np.abs(predicted - truth).mean()),
        float(np.abs(mean - truth).mean()),
        float(ranks),
        100.0 * len(hits) / n_top,
    )
