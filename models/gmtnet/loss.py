"""The loss of training: robust relative errors of full tensors and of whatever invariants are known instead.

Labels are masked, so one batch may hold a crystal with a full stiffness beside one with a mean dielectric constant
only. An error of a tensor is divided by sqrt(|label| * typical |label|): half way between absolute errors (the Fnorm
metric, ruled by the largest tensors) and relative errors (the EwT metric). Positive invariants are compared by their
logarithms.
"""

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor as TorchTensor

from models.gmtnet.invariants import elastic_invariants, largest_singular_value, symmetric_matrix
from models.quantities import SCALAR_BEND, SCALAR_UNIT, Scalar, Tensor

Predicted = dict[Tensor | Scalar, TorchTensor]


class LossKind(StrEnum):
    """What an error of a full tensor costs."""

    RELATIVE = "relative"  # robust, between absolute and relative
    HUBER = "huber"  # Huber loss of each component with its bend at one unit, as published


@dataclass(frozen=True)
class Targets:
    """Labels of a batch as tensors on a device; NaN where a label is missing.

    Attributes:
        components: per quantity, [n_crystals, n_components] in its unit.
        sign_unproven: the overall sign of the piezoelectric label is not known, [n_crystals].
        eps_mean: mean dielectric constant (electronic, total), [n_crystals, 2].
        eps_principal: ascending eigenvalues of the electronic dielectric tensor, [n_crystals, 3].
        elastic: ELASTIC_INVARIANTS, [n_crystals, 12].
        elastic_noise: their relative standard deviation where they come from another code, else 0, [n_crystals, 12].
        piezo_singular: largest singular value of the Voigt matrix of e in the IEEE frame, C/m², [n_crystals].
        piezo_to_ieee: map from components of e to that matrix, [n_crystals, 18, 18].
        scalars: in the order of Scalar (eV, 0 or 1, eV per atom, 1, sqrt(eV per atom)), [n_crystals, 5].
        stiffness_noise: relative standard deviation of a stiffness that a potential had a part in, else 0,
            [n_crystals].
    """

    components: dict[Tensor, TorchTensor]
    sign_unproven: TorchTensor
    eps_mean: TorchTensor
    eps_principal: TorchTensor
    elastic: TorchTensor
    elastic_noise: TorchTensor
    piezo_singular: TorchTensor
    piezo_to_ieee: TorchTensor
    scalars: TorchTensor
    stiffness_noise: TorchTensor


@dataclass(frozen=True)
class TypicalNorms:
    """Median Frobenius norm of the training labels per quantity, in its unit: the scale of the loss."""

    norms: dict[Tensor, float]


def multi_task_loss(
    predicted: Predicted, targets: Targets, typical: TypicalNorms, kind: LossKind = LossKind.RELATIVE
) -> dict[str, TorchTensor]:
    """Loss of each kind of label, summed over the labels of a batch and divided by the number of its crystals.

    A kind without a label in the batch is left out. Dividing by all crystals keeps a rare kind from being blown up when
    a batch holds one label of it.

    Args:
        predicted: components per quantity, [n_crystals, n_components], and scalars [n_crystals, 1].
        targets: labels of the same crystals.
        typical: scale per quantity.
        kind: what an error of a full tensor costs.
    """
    error_of = {LossKind.RELATIVE: robust_error, LossKind.HUBER: huber_error}[kind]
    losses: dict[str, TorchTensor] = {}
    for quantity, label in targets.components.items():
        labelled = _labelled(label)
        if quantity in predicted and labelled.any():
            sign_free = targets.sign_unproven[labelled] & (quantity is Tensor.PIEZOELECTRIC)
            given, norm = predicted[quantity][labelled], typical.norms[quantity]
            noise = targets.stiffness_noise[labelled] * (quantity is Tensor.ELASTIC)
            error = error_of(given - label[labelled], label[labelled], norm, noise)
            # a label of either sign: the network decides which one it is
            opposite = error_of(given + label[labelled], label[labelled], norm, noise)
            error = torch.where(sign_free, torch.minimum(error, opposite), error)
            losses[quantity.value] = error.sum() / len(label)
    _add_dielectric(losses, predicted, targets, typical)
    if Tensor.ELASTIC in predicted:
        _add_elastic(losses, predicted[Tensor.ELASTIC], targets)
    if Tensor.PIEZOELECTRIC in predicted:
        _add_piezoelectric(losses, predicted[Tensor.PIEZOELECTRIC], targets, typical)
    _add_scalars(losses, predicted, targets)
    return losses


def _labelled(label: TorchTensor) -> TorchTensor:
    """Crystals with any label, [n]."""
    return ~torch.isnan(label).flatten(1).all(dim=1)


def huber_error(
    error: TorchTensor, _label: TorchTensor, typical: float, _noise: TorchTensor | None = None
) -> TorchTensor:
    """Mean Huber loss of the components, [n]; in units of a typical component, so that tensors can be added up."""
    errors = torch.nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none")
    cost: TorchTensor = errors.mean(dim=1) * (error.shape[1] ** 0.5 / typical)
    return cost


def robust_error(
    error: TorchTensor, label: TorchTensor, typical: float, noise: TorchTensor | None = None
) -> TorchTensor:
    """sqrt(x² + c²) - c of x = |error| / sqrt(|label| * typical), [n]: quadratic below c, then linear.

    c is 0.1, and more where the label has noise [n]: within the noise of its label an error counts little.
    """
    # part of the typical norm keeps labels near zero from counting without bound
    size = (label.square().sum(dim=1) + (0.3 * typical) ** 2).sqrt()
    x_squared = error.square().sum(dim=1) / (size * typical)
    bend_squared = 0.01 if noise is None else 0.01 + noise.square()
    bend = 0.1 if noise is None else (0.01 + noise.square()).sqrt()
    return (x_squared + bend_squared).sqrt() - bend


def _add_dielectric(
    losses: dict[str, TorchTensor], predicted: Predicted, targets: Targets, typical: TypicalNorms
) -> None:
    """Mean dielectric constants, and eigenvalues of the electronic tensor."""
    for k, quantity in enumerate((Tensor.DIELECTRIC_ELECTRONIC, Tensor.DIELECTRIC_TOTAL)):
        label = targets.eps_mean[:, k : k + 1]
        labelled = _labelled(label)
        if quantity in predicted and labelled.any():
            mean = predicted[quantity][labelled, :3].mean(dim=1, keepdim=True)
            errors = robust_error(mean - label[labelled], label[labelled], typical.norms[quantity] / 3**0.5)
            losses[f"{quantity.value}_mean"] = errors.sum() / len(label)
    labelled = _labelled(targets.eps_principal)
    if Tensor.DIELECTRIC_ELECTRONIC in predicted and labelled.any():
        label = targets.eps_principal[labelled]
        values = torch.linalg.eigvalsh(symmetric_matrix(predicted[Tensor.DIELECTRIC_ELECTRONIC][labelled]))  # ascending
        errors = robust_error(values - label, label, typical.norms[Tensor.DIELECTRIC_ELECTRONIC])
        losses["eps_principal"] = errors.sum() / len(labelled)


def _add_elastic(losses: dict[str, TorchTensor], predicted: TorchTensor, targets: Targets) -> None:
    """Moduli and directional extremes, by their logarithms; mean over the labels of each crystal."""
    labelled = _labelled(targets.elastic)
    if not labelled.any():
        return
    label = targets.elastic[labelled]
    values = elastic_invariants(predicted[labelled])
    # a compressibility may be negative and a soft crystal has no compliance: both have no logarithm
    usable = (label > 0) & (values > 0)
    error = torch.where(usable, values.clamp(min=1e-3).log() - torch.where(usable, label, 1.0).log(), 0.0)
    # quadratic below the bend, then linear: within the noise of its label an error counts little
    bend = (0.05**2 + targets.elastic_noise[labelled].square()).sqrt()
    errors = ((error.square() + bend.square()).sqrt() - bend).sum(dim=1) / usable.sum(dim=1).clamp(min=1)
    losses["elastic_invariants"] = errors.sum() / len(labelled)


def _add_piezoelectric(
    losses: dict[str, TorchTensor], predicted: TorchTensor, targets: Targets, typical: TypicalNorms
) -> None:
    """Largest singular value in the IEEE frame."""
    labelled = ~torch.isnan(targets.piezo_singular)
    if labelled.any():
        label = targets.piezo_singular[labelled][:, None]
        values = largest_singular_value(predicted[labelled], targets.piezo_to_ieee[labelled])[:, None]
        errors = robust_error(values - label, label, typical.norms[Tensor.PIEZOELECTRIC])
        losses["piezo_singular"] = errors.sum() / len(labelled)


def _add_scalars(losses: dict[str, TorchTensor], predicted: Predicted, targets: Targets) -> None:
    """Huber errors in units of each scalar, cross entropy of being a metal."""
    for k, scalar in enumerate(Scalar):
        if scalar not in predicted:
            continue
        labelled = ~torch.isnan(targets.scalars[:, k])
        if labelled.any():
            values, label = predicted[scalar][labelled, 0], targets.scalars[labelled, k]
            if scalar is Scalar.METAL:
                errors = torch.nn.functional.binary_cross_entropy_with_logits(values, label, reduction="none")
            else:
                unit, bend = SCALAR_UNIT[scalar], SCALAR_BEND[scalar]
                errors = torch.nn.functional.huber_loss(values / unit, label / unit, reduction="none", delta=bend)
            losses[scalar.value] = errors.sum() / len(labelled)
