"""Constants of the heads from the training labels: where fresh weights start, and how far labels spread from there."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.gmtnet.invariants import mandel_rows
from models.quantities import TENSORS, Tensor
from models.tensors.irreps import change_of_basis

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HeadScales:
    """Constants of one tensor's head, per irrep (see heads.py).

    Attributes:
        mean: of the irreps, zero but for scalars, [irreps dim].
        scale: root mean square about the mean, equal within an irrep, [irreps dim].
        log_norm: mean of ln |label| (DirectionHead).
        spread: standard deviation of ln |label|.
    """

    mean: Floats
    scale: Floats
    log_norm: float = 0.0
    spread: float = 1.0


def linear_scales(quantity: Tensor, components: Floats) -> HeadScales:
    """Constants of a LinearHead: of the irreps of the labels [n_labels, n_components]."""
    return HeadScales(*_moments(quantity, components))


def direction_scales(quantity: Tensor, components: Floats) -> HeadScales:
    """Constants of a DirectionHead: of the irreps of labels divided by their norm, and of the norms.

    Labels below a hundredth of the median norm have no direction and are left out; so are those below 1e-4 of the
    largest, because the median itself may be a rounding error where most labels vanish.
    """
    norms = np.linalg.norm(components, axis=1)
    used = norms > max(1e-2 * np.median(norms), 1e-4 * norms.max())
    logs = np.log(norms[used])
    mean, scale = _moments(quantity, components[used] / norms[used, None])
    return HeadScales(mean, scale, float(logs.mean()), float(logs.std()))


def positive_scales(quantity: Tensor, above_floor: Floats) -> HeadScales:
    """Constants of a PositiveHead: of the irreps of ln (tensor - floor).

    Args:
        quantity: which tensor.
        above_floor: components of labels minus their floor, [n_labels, n_components]; those that are not positive
            definite have no logarithm and are left out.
    """
    # the logarithm is taken in Mandel form, where eigenvalues are those of the tensor
    rows = mandel_rows(quantity)
    size = round(rows.shape[1] ** 0.5)
    values, vectors = np.linalg.eigh((above_floor @ rows).reshape(-1, size, size))
    positive = values[:, 0] > 1e-3 * values[:, -1]
    values, vectors = values[positive], vectors[positive]
    logarithms = np.einsum("nab,nb,ncb->nac", vectors, np.log(values), vectors)
    return HeadScales(*_moments(quantity, logarithms.reshape(len(logarithms), -1) @ rows.T))


def _moments(quantity: Tensor, components: Floats) -> tuple[Floats, Floats]:
    """Mean of the scalars and root mean square of each irrep about it, [irreps dim] each."""
    irreps = components @ change_of_basis(quantity).T
    mean, scale, start = np.zeros(irreps.shape[1]), np.ones(irreps.shape[1]), 0
    for term in TENSORS[quantity].irreps.split("+"):
        count, _, kind = term.partition("x")
        width = 2 * int(kind[:-1]) + 1
        for _ in range(int(count)):
            block = slice(start, start + width)
            # only scalars may have a mean: any other would single out directions
            if width == 1:
                mean[block] = irreps[:, block].mean(axis=0)
            scale[block] = np.sqrt(((irreps[:, block] - mean[block]) ** 2).mean()) + 1e-6
            start += width
    return mean, scale
