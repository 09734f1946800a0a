"""The prediction of an ensemble: the mean of its networks, and their spread around it.

The overall sign of the piezoelectric tensor is the hardest thing to learn: many labels leave it open, and in some
crystal classes a rotation of the crystal maps the class onto itself and e onto -e. So the sign is a vote of the
networks, and direction and norm are means of theirs, each by itself: averaged as they come, tensors would cancel and a
strong piezoelectric would look like none.
"""

import numpy as np
from numpy.typing import NDArray

from models.quantities import Tensor
from models.tensors.voigt import to_components

Floats = NDArray[np.float64]

MAX_NORM_CORRECTION = 4.0
"""Tensors that cancel to a quarter of their norm or less determine no direction; noise is not scaled up further.

Random directions of n networks cancel to n^-1/2 of their norm.
"""


def common_signs(quantity: Tensor, by_network: Floats) -> Floats:
    """Signs that make the networks' tensors of each crystal point the same way.

    Args:
        quantity: which tensor; only the piezoelectric one has an overall sign to be wrong about.
        by_network: tensors, [n_networks, n_crystals, ...].

    Returns:
        +1 or -1, [n_networks, n_crystals]; -1 for tensors that are reversed. The sum over the networks is never
        negative: the majority keeps its sign. The order of the networks does not matter.
    """
    if quantity is not Tensor.PIEZOELECTRIC or len(by_network) < 2:
        return np.ones(by_network.shape[:2])
    components = np.swapaxes(to_components(quantity, by_network), 0, 1)
    overlaps = components @ np.swapaxes(components, 1, 2)
    # signs that make the mean longest are hard to find; those of the leading eigenvector are nearly always the same
    leading = np.linalg.eigh(overlaps)[1][:, :, -1]
    chosen = np.where(leading < 0, -1.0, 1.0)
    # the majority keeps its sign; with as many networks on either side, the stronger side does
    total = chosen.sum(axis=1)
    reversed_rows = np.where(total == 0, leading.sum(axis=1), total) < 0
    chosen[reversed_rows] *= -1
    signs: Floats = chosen.T
    return signs


def norm_correction(quantity: Tensor, by_network: Floats) -> Floats:
    """Factor that makes the mean as large as the networks' tensors are on average, 1 to MAX_NORM_CORRECTION.

    Only for the tensor whose size a network learns apart from its direction (models/gmtnet/heads.py): there the mean
    size and the mean direction are two answers, and a ranking by size must not suffer from doubt about direction.

    Args:
        quantity: which tensor; 1 for all but the piezoelectric one.
        by_network: tensors with common signs, [n_networks, n_crystals, ...].

    Returns:
        Factors, [n_crystals].
    """
    if quantity is not Tensor.PIEZOELECTRIC:
        return np.ones(by_network.shape[1])
    components = to_components(quantity, by_network)
    mean_size = np.linalg.norm(components, axis=2).mean(axis=0)
    size = np.maximum(np.linalg.norm(components.mean(axis=0), axis=1), mean_size / MAX_NORM_CORRECTION)
    factors: Floats = np.divide(mean_size, size, out=np.ones_like(size), where=size > 0)
    return factors


def with_signs(by_network: Floats, signs: Floats) -> Floats:
    """Tensors times the signs of their networks, [n_networks, n_crystals, ...]."""
    return by_network * signs.reshape(*signs.shape, *[1] * (by_network.ndim - 2))


def scaled(tensors: Floats, factors: Floats) -> Floats:
    """Tensors [n_crystals, ...] times a factor each, [n_crystals]."""
    return tensors * factors.reshape(-1, *[1] * (tensors.ndim - 1))


def spread_of_tensors(quantity: Tensor, by_network: Floats, mean: Floats) -> Floats:
    """Root mean square Frobenius distance of the networks' tensors from the mean tensor.

    Args:
        quantity: which tensor.
        by_network: tensors, [n_networks, n_crystals, ...].
        mean: [n_crystals, ...].

    Returns:
        In the tensor's unit, [n_crystals]; 0 for a single network.
    """
    distance = to_components(quantity, by_network) - to_components(quantity, mean)
    return np.asarray(np.sqrt((distance**2).sum(axis=2).mean(axis=0)))


def spread_of_numbers(by_network: Floats, value: Floats) -> Floats:
    """Root mean square distance of the networks' numbers from the ensemble's number.

    Args:
        by_network: on the quantity's scale, [n_networks, ..., n_crystals]; NaN for a network that has no such number.
        value: on the scale, [..., n_crystals].

    Returns:
        On the scale, [..., n_crystals]; 0 for a single network. Networks without a number count as far away as the
        farthest of the others; NaN where no network or not the ensemble has one.
    """
    squared = (by_network - value) ** 2
    has_number = np.isfinite(squared)
    farthest = np.where(has_number, squared, 0.0).max(axis=0, initial=0.0)
    spread = np.sqrt(np.where(has_number, squared, farthest).mean(axis=0))
    return np.where(has_number.any(axis=0) & np.isfinite(value), spread, np.nan)
