"""Errors of predicted tensors on labelled crystals: from full tensors, else from what invariants say of them.

The error that reliability is about is the Frobenius distance over the norm of the label plus that of a typical label:
relative for what is large, absolute for what is small. A relative error alone would call every soft crystal bad, an
absolute one every stiff one.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.evaluation.reliability.doubtful_labels import DoubtfulLabel, label_doubts
from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.screening.screener import TensorPrediction
from models.quantities import ELASTIC_INVARIANTS, Tensor
from models.tensors.voigt import to_components

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.int64]

BULK_NORM, SHEAR_NORM = 9.0, 20.0
"""Squared Frobenius norm of the isotropic stiffness of K and G: 9 K² + 20 G²."""


class TensorErrors(NamedTuple):
    """Errors of one tensor.

    Attributes:
        absolute: Frobenius distance from the label in the tensor's unit, NaN where no label says it, [n_crystals].
        norm: of the label, in the same sense, [n_crystals].
        is_full: whether they are those of a full, trustworthy tensor, [n_crystals].
    """

    absolute: Floats
    norm: Floats
    is_full: Bools


def tensor_errors_of(
    labels: LabelledCrystals, rows: Rows, prediction: TensorPrediction, quantity: Tensor
) -> TensorErrors:
    """Errors of a predicted tensor; doubtful labels and tensors that symmetry forbids have none.

    Args:
        labels: labelled crystals.
        rows: the crystals that have a prediction, in its order.
        prediction: of these crystals.
        quantity: which tensor.
    """
    predicted = prediction.derived.prediction
    tensors = predicted.tensors[quantity]
    components = to_components(quantity, tensors)
    truth = labels.components[quantity][rows]
    is_full = ~np.isnan(truth[:, 0])
    absolute, norm = np.linalg.norm(components - truth, axis=1), np.linalg.norm(truth, axis=1)
    if quantity is Tensor.PIEZOELECTRIC:
        opposite = np.linalg.norm(components + truth, axis=1)
        absolute = np.where(labels.sign_unproven[rows], np.minimum(absolute, opposite), absolute)
        is_full &= predicted.analysis.symmetry.piezo_allowed
    elif quantity in _FROM_INVARIANTS:
        weak_error, weak_norm = _FROM_INVARIANTS[quantity](labels, rows, tensors)
        absolute, norm = np.where(is_full, absolute, weak_error), np.where(is_full, norm, weak_norm)
    if quantity is Tensor.PIEZOELECTRIC:
        absolute = np.where(predicted.analysis.symmetry.piezo_allowed, absolute, np.nan)
    is_doubtful = label_doubts(labels, rows, quantity) != ""
    return TensorErrors(np.where(is_doubtful, np.nan, absolute), norm, is_full & ~is_doubtful)


def doubtful_labels(
    labels: LabelledCrystals, rows: Rows, prediction: TensorPrediction, split: Split
) -> list[DoubtfulLabel]:
    """Every doubtful tensor label of some crystals, the largest error first.

    Args:
        labels: labelled crystals.
        rows: the crystals that have a prediction, in its order.
        prediction: of these crystals.
        split: where they come from.
    """
    formulas = labels.crystals.select(rows).formulas()
    doubtful = []
    for tensor, values in prediction.derived.prediction.tensors.items():
        truth = labels.components[tensor][rows]
        off = np.linalg.norm(to_components(tensor, values) - truth, axis=1)
        for k, reason in enumerate(label_doubts(labels, rows, tensor)):
            if reason:
                name = labels.ids[rows[k]]
                doubtful.append(DoubtfulLabel(tensor.value, split.value, name, formulas[k], reason, float(off[k])))
    return sorted(doubtful, key=lambda label: (label.quantity, -label.error))


def typical_norm(labels: LabelledCrystals, quantity: Tensor) -> float:
    """Median norm of the training labels of a tensor that are not 0, in its unit."""
    norms = np.linalg.norm(labels.components[quantity][labels.rows(Split.TRAIN)], axis=1)
    return float(np.median(norms[norms > 0]))


def _isotropic_errors(labels: LabelledCrystals, rows: Rows, stiffness: Floats) -> tuple[Floats, Floats]:
    """Error and norm of the isotropic part where only moduli are known, in GPa, NaN elsewhere, [n_rows] each."""
    bulk, shear = (labels.elastic[rows, ELASTIC_INVARIANTS.index(name)] for name in ("k_vrh", "g_vrh"))
    predicted_bulk = stiffness[:, :3, :3].sum(axis=(1, 2)) / 9.0
    diagonal = np.trace(stiffness[:, :3, :3], axis1=1, axis2=2) - 3.0 * predicted_bulk
    predicted_shear = (diagonal + 2.0 * np.trace(stiffness[:, 3:, 3:], axis1=1, axis2=2)) / 10.0
    error = np.sqrt(BULK_NORM * (predicted_bulk - bulk) ** 2 + SHEAR_NORM * (predicted_shear - shear) ** 2)
    is_positive = (bulk > 0) & (shear > 0)
    norm = np.sqrt(BULK_NORM * bulk**2 + SHEAR_NORM * shear**2)
    return np.where(is_positive, error, np.nan), norm


def _principal_errors(labels: LabelledCrystals, rows: Rows, electronic: Floats) -> tuple[Floats, Floats]:
    """Error and norm of the eigenvalues of ε∞, or of their mean where no more is known, else NaN, [n_rows] each."""
    mean = np.trace(electronic, axis1=1, axis2=2) / 3.0
    error, norm = np.sqrt(3.0) * np.abs(mean - labels.eps_mean[rows, 0]), np.sqrt(3.0) * labels.eps_mean[rows, 0]
    principal = labels.eps_principal[rows]
    known = ~np.isnan(principal[:, 0])
    error = np.where(known, np.linalg.norm(np.linalg.eigvalsh(electronic) - principal, axis=1), error)
    return error, np.where(known, np.linalg.norm(principal, axis=1), norm)


def _mean_errors(labels: LabelledCrystals, rows: Rows, total: Floats) -> tuple[Floats, Floats]:
    """Error and norm of the mean ε0 where it is known, NaN elsewhere, [n_rows] each."""
    mean = np.trace(total, axis1=1, axis2=2) / 3.0
    return np.sqrt(3.0) * np.abs(mean - labels.eps_mean[rows, 1]), np.sqrt(3.0) * labels.eps_mean[rows, 1]


_FROM_INVARIANTS = {
    Tensor.DIELECTRIC_ELECTRONIC: _principal_errors,
    Tensor.DIELECTRIC_TOTAL: _mean_errors,
    Tensor.ELASTIC: _isotropic_errors,
}
"""What invariants say of the error of a tensor whose label is not known in full."""
