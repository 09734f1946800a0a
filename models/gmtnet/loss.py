"""What training minimises: robust relative errors of full tensors and of whatever invariants are known instead.

Everything happens in orthonormal components (models/tensors/voigt.py), in which the Euclidean norm is the Frobenius
norm. Labels are masked, so one batch may hold a crystal with a full stiffness beside one with a mean dielectric
constant only. An error is divided by sqrt(|label| * typical |label|): half way between absolute errors (the Fnorm
metric, ruled by the largest tensors) and relative errors (the EwT metric).
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor as TorchTensor

from models.quantities import TENSORS, Tensor
from models.tensors.irreps import change_of_basis

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Targets:
    """Labels of a batch as tensors on a device; NaN where a label is missing.

    Attributes:
        components: per quantity, [n_crystals, n_components] in its unit.
        sign_unproven: the overall sign of the piezoelectric label is not known, [n_crystals].
        eps_mean: mean dielectric constant (electronic, total), [n_crystals, 2].
        eps_principal: ascending eigenvalues of the electronic dielectric tensor, [n_crystals, 3].
        moduli: Voigt bulk and shear modulus in GPa, [n_crystals, 2].
        moduli_weight: trust in `moduli` (1 for Voigt bounds, less where a Hill average stands in), [n_crystals].
    """

    components: dict[Tensor, TorchTensor]
    sign_unproven: TorchTensor
    eps_mean: TorchTensor
    eps_principal: TorchTensor
    moduli: TorchTensor
    moduli_weight: TorchTensor


@dataclass(frozen=True)
class TypicalNorms:
    """Median Frobenius norm of the training labels per quantity, in its unit: the scale of the loss."""

    norms: dict[Tensor, float]


def multi_task_loss(
    predicted: dict[Tensor, TorchTensor], targets: Targets, typical: TypicalNorms
) -> dict[str, TorchTensor]:
    """Mean loss of each kind of label in a batch; kinds without a label in the batch are left out.

    Args:
        predicted: components per quantity, [n_crystals, n_components].
        targets: labels of the same crystals.
        typical: scale per quantity.
    """
    losses: dict[str, TorchTensor] = {}
    for quantity, label in targets.components.items():
        known = ~torch.isnan(label[:, 0])
        if known.any():
            sign_free = targets.sign_unproven[known] & (quantity is Tensor.PIEZOELECTRIC)
            losses[quantity.value] = _tensor_loss(
                predicted[quantity][known], label[known], sign_free, typical.norms[quantity]
            ).mean()
    for k, quantity in enumerate((Tensor.DIELECTRIC_ELECTRONIC, Tensor.DIELECTRIC_TOTAL)):
        mean = predicted[quantity][:, :3].mean(dim=1, keepdim=True)
        _add(losses, f"{quantity.value}_mean", mean, targets.eps_mean[:, k : k + 1], typical.norms[quantity] / 3**0.5)
    _add_eigenvalues(losses, predicted[Tensor.DIELECTRIC_ELECTRONIC], targets, typical)
    functionals = torch.as_tensor(VOIGT_MODULI, dtype=targets.moduli.dtype, device=targets.moduli.device)
    moduli = predicted[Tensor.ELASTIC] @ functionals.T
    scale = typical.norms[Tensor.ELASTIC]
    for k, (name, share) in enumerate((("k_voigt", 0.25), ("g_voigt", 0.12))):
        _add(losses, name, moduli[:, k : k + 1], targets.moduli[:, k : k + 1], share * scale, targets.moduli_weight)
    return losses


def _add_eigenvalues(
    losses: dict[str, TorchTensor], predicted: TorchTensor, targets: Targets, typical: TypicalNorms
) -> None:
    known = ~torch.isnan(targets.eps_principal[:, 0])
    if known.any():
        values = torch.linalg.eigvalsh(symmetric_matrix(predicted[known]))
        _add(losses, "eps_principal", values, targets.eps_principal[known], typical.norms[Tensor.DIELECTRIC_ELECTRONIC])


def symmetric_matrix(components: TorchTensor) -> TorchTensor:
    """Matrices [n, 3, 3] from the six orthonormal components (11, 22, 33, √2·23, √2·13, √2·12) [n, 6]."""
    half = components[:, 3:] * 0.5**0.5
    xx, yy, zz = components[:, 0], components[:, 1], components[:, 2]
    yz, xz, xy = half[:, 0], half[:, 1], half[:, 2]
    return torch.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz], dim=1).reshape(-1, 3, 3)


def _tensor_loss(predicted: TorchTensor, label: TorchTensor, sign_free: TorchTensor, typical: float) -> TorchTensor:
    """Robust error per crystal, [n]; the smaller of both signs where the label's sign is unproven."""
    loss = _robust(predicted - label, label, typical)
    return torch.where(sign_free, torch.minimum(loss, _robust(predicted + label, label, typical)), loss)


def _robust(error: TorchTensor, label: TorchTensor, typical: float) -> TorchTensor:
    """sqrt(x² + c²) - c of x = |error| / sqrt(|label| * typical): quadratic below c = 0.1, then linear."""
    size = (label.square().sum(dim=1) + (0.3 * typical) ** 2).sqrt()
    x_squared = error.square().sum(dim=1) / (size * typical)
    return (x_squared + 0.01).sqrt() - 0.1


def _add(
    losses: dict[str, TorchTensor],
    name: str,
    predicted: TorchTensor,
    label: TorchTensor,
    typical: float,
    weight: TorchTensor | None = None,
) -> None:
    known = ~torch.isnan(label[:, 0])
    if known.any():
        each = _robust(predicted[known] - label[known], label[known], typical)
        losses[name] = each.mean() if weight is None else (each * weight[known]).mean()


@dataclass(frozen=True)
class HeadScales:
    """Constants of one tensor's head, per irrep of its labels (see TensorHead).

    Attributes:
        mean: of the irreps of the labels divided by their norm, zero but for scalars, [irreps dim].
        scale: root mean square about the mean, equal within an irrep, [irreps dim].
        log_norm: mean of ln |label|.
        spread: standard deviation of ln |label|.
    """

    mean: Floats
    scale: Floats
    log_norm: float
    spread: float


def head_scales(quantity: Tensor, components: Floats, *, by_norm: bool) -> HeadScales:
    """Constants that give each irrep of the head's output a spread of about one over the training labels.

    Args:
        quantity: which tensor.
        components: labels, [n_labels, n_components].
        by_norm: divide each label by its norm first (heads with a learned magnitude).
    """
    norms = np.linalg.norm(components, axis=1)
    used = components[norms > 1e-2 * np.median(norms)]
    norms = norms[norms > 1e-2 * np.median(norms)]
    irreps = (used / norms[:, None] if by_norm else used) @ change_of_basis(quantity).T
    mean, scale, start = np.zeros(irreps.shape[1]), np.ones(irreps.shape[1]), 0
    for count, degree in _blocks(TENSORS[quantity].irreps):
        for _ in range(count):
            block = slice(start, start + 2 * degree + 1)
            if degree == 0:
                mean[block] = irreps[:, block].mean(axis=0)
            scale[block] = np.sqrt(((irreps[:, block] - mean[block]) ** 2).mean()) + 1e-6
            start += 2 * degree + 1
    logs = np.log(norms)
    return (
        HeadScales(mean, scale, float(logs.mean()), float(logs.std())) if by_norm else HeadScales(mean, scale, 0.0, 1.0)
    )


def _blocks(irreps: str) -> list[tuple[int, int]]:
    """Multiplicity and degree of each term: (1, 0), (1, 2) for 1x0e+1x2e."""
    return [(int(part.split("x")[0]), int(part.split("x")[1][:-1])) for part in irreps.split("+")]


VOIGT_MODULI: Floats = change_of_basis(Tensor.ELASTIC)[:2] / np.array([[3.0], [2.0 * 5.0**0.5]])
"""Rows that give K_V and G_V in GPa from the 21 orthonormal components of a stiffness, [2, 21]: its scalar irreps."""
