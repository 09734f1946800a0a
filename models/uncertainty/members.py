"""An ensemble's answer: the mean of its members, and how far they are from it.

Where a crystal class leaves the sign of the piezoelectric tensor open (a turn of the crystal maps the class onto
itself and e onto -e) each member has learnt a sign by chance. Members are brought to one sign there before they are
averaged; otherwise they would cancel and a strong piezoelectric would look like none.
"""

import numpy as np
from numpy.typing import NDArray

from models.quantities import Tensor
from models.tensors.voigt import to_components

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def common_signs(quantity: Tensor, members: Floats, sign_free: Bools) -> Floats:
    """Signs that make the members of each crystal point the same way.

    Args:
        quantity: which tensor; only the piezoelectric one has an open sign.
        members: tensors, [n_members, n_crystals, ...].
        sign_free: the crystal's class leaves the sign open, [n_crystals].

    Returns:
        +1 or -1, [n_members, n_crystals]: all +1 where the sign is not open. The sum over the members is never
        negative: the majority keeps its sign. The order of the members does not matter.
    """
    signs = np.ones(members.shape[:2])
    if quantity is not Tensor.PIEZOELECTRIC or len(members) < 2 or not sign_free.any():
        return signs
    components = np.swapaxes(to_components(quantity, members[:, sign_free]), 0, 1)
    overlaps = components @ np.swapaxes(components, 1, 2)
    leading = np.linalg.eigh(overlaps)[1][:, :, -1]
    chosen = np.where(leading < 0, -1.0, 1.0)
    # the majority keeps its sign; with as many members on either side, the stronger side does
    total = chosen.sum(axis=1)
    turn = np.where(total == 0, leading.sum(axis=1), total) < 0
    chosen[turn] *= -1
    signs[:, sign_free] = chosen.T
    return signs


def with_signs(members: Floats, signs: Floats) -> Floats:
    """Members times their signs, [n_members, n_crystals, ...]."""
    return members * signs.reshape(*signs.shape, *[1] * (members.ndim - 2))


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
    known = np.isfinite(squared)
    farthest = np.where(known, squared, 0.0).max(axis=0, initial=0.0)
    spread = np.sqrt(np.where(known, squared, farthest).mean(axis=0))
    return np.where(known.any(axis=0) & np.isfinite(value), spread, np.nan)
