"""The prediction of an ensemble: the mean of its networks (members), and their spread around it.

The overall sign of the piezoelectric tensor is the hardest thing to learn: many labels leave it open, and in some
crystal classes a rotation of the crystal maps the class onto itself and e onto -e. So the sign is a vote of the
members, and direction and norm are means of theirs, each by itself: averaged as they come, members would cancel and a
strong piezoelectric would look like none.
"""

import numpy as np
from numpy.typing import NDArray

from models.quantities import Tensor
from models.tensors.voigt import to_components

Floats = NDArray[np.float64]

MAX_NORM_CORRECTION = 4.0
"""Members that cancel to a quarter of their norm or less determine no direction; noise is not scaled up further.

Random directions of n members cancel to n^-1/2 of their norm.
"""


def common_signs(quantity: Tensor, members: Floats) -> Floats:
    """Signs that make the members of each crystal point the same way.

    Args:
        quantity: which tensor; only the piezoelectric one has an overall sign to be wrong about.
        members: tensors, [n_members, n_crystals, ...].

    Returns:
        +1 or -1, [n_members, n_crystals]; -1 for members that are reversed. The sum over the members is never
        negative: the majority keeps its sign. The order of the members does not matter.
    """
    if quantity is not Tensor.PIEZOELECTRIC or len(members) < 2:
        return np.ones(members.shape[:2])
    components = np.swapaxes(to_components(quantity, members), 0, 1)
    overlaps = components @ np.swapaxes(components, 1, 2)
    # signs that make the mean longest are hard to find; those of the leading eigenvector are nearly always the same
    leading = np.linalg.eigh(overlaps)[1][:, :, -1]
    chosen = np.where(leading < 0, -1.0, 1.0)
    # the majority keeps its sign; with as many members on either side, the stronger side does
    total = chosen.sum(axis=1)
    reversed_rows = np.where(total == 0, leading.sum(axis=1), total) < 0
    chosen[reversed_rows] *= -1
    signs: Floats = chosen.T
    return signs


def norm_correction(quantity: Tensor, members: Floats) -> Floats:
    """What the mean must be multiplied with to be as large as its members are on average, 1 to MAX_NORM_CORRECTION.

    Only for the tensor whose size a network learns apart from its direction (models/gmtnet/heads.py): there the mean
    size and the mean direction are two answers, and a ranking by size must not suffer from doubt about direction.

    Args:
        quantity: which tensor; 1 for all but the piezoelectric one.
        members: with common signs, [n_members, n_crystals, ...].

    Returns:
        Factors, [n_crystals].
    """
    if quantity is not Tensor.PIEZOELECTRIC:
        return np.ones(members.shape[1])
    components = to_components(quantity, members)
    mean_size = np.linalg.norm(components, axis=2).mean(axis=0)
    size = np.maximum(np.linalg.norm(components.mean(axis=0), axis=1), mean_size / MAX_NORM_CORRECTION)
    factors: Floats = np.divide(mean_size, size, out=np.ones_like(size), where=size > 0)
    return factors


def with_signs(members: Floats, signs: Floats) -> Floats:
    """Members times their signs, [n_members, n_crystals, ...]."""
    return members * signs.reshape(*signs.shape, *[1] * (members.ndim - 2))


def scaled(tensors: Floats, factors: Floats) -> Floats:
    """Tensors [n_crystals, ...] times a factor each, [n_crystals]."""
    return tensors * factors.reshape(-1, *[1] * (tensors.ndim - 1))


def spread_of_tensors(quantity: Tensor, members: Floats, mean: Floats) -> Floats:
    """Root mean square Frobenius distance of the members from the mean tensor.

    Args:
        quantity: which tensor.
        members: [n_members, n_crystals, ...].
        mean: [n_crystals, ...].

    Returns:
        In the tensor's unit, [n_crystals]; 0 for a single member.
    """
    distance = to_components(quantity, members) - to_components(quantity, mean)
    return np.asarray(np.sqrt((distance**2).sum(axis=2).mean(axis=0)))


def spread_of_numbers(members: Floats, value: Floats) -> Floats:
    """Root mean square distance of the members' numbers from the ensemble's number.

    Args:
        members: on the quantity's scale, [n_members, n_crystals]; NaN for a member that has no such number.
        value: on the scale, [n_crystals].

    Returns:
        On the scale, [n_crystals]; 0 for a single member. Members without a number count as far away as the
        farthest of the others; NaN where no member or not the ensemble has one.
    """
    squared = (members - value) ** 2
    has_number = np.isfinite(squared)
    farthest = np.where(has_number, squared, 0.0).max(axis=0, initial=0.0)
    spread = np.sqrt(np.where(has_number, squared, farthest).mean(axis=0))
    return np.where(has_number.any(axis=0) & np.isfinite(value), spread, np.nan)
