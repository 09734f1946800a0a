"""The Pareto front of two numbers: the crystals that none beats in one of them without losing in the other."""

from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Sense(StrEnum):
    """Which end of a number is the good one."""

    MAX = "max"
    MIN = "min"


def pareto_front(
    x: ArrayLike, y: ArrayLike, x_sense: Sense = Sense.MAX, y_sense: Sense = Sense.MAX
) -> NDArray[np.int64]:
    """The rows that no other row dominates: none is at least as good in both numbers and better in one.

    Args:
        x: first number, shape [n]; NaN where unknown, which is never on the front.
        y: second number, shape [n].
        x_sense: whether large or small x is good.
        y_sense: likewise for y.

    Returns:
        Positions of the front's rows in the order of x, the best first, shape [n_front]. Equal rows are all on it.
    """
    good_x = np.asarray(x, dtype=np.float64) * (1 if x_sense is Sense.MAX else -1)
    good_y = np.asarray(y, dtype=np.float64) * (1 if y_sense is Sense.MAX else -1)
    rows = np.flatnonzero(np.isfinite(good_x) & np.isfinite(good_y))
    # Best x first, and of equal x the best y: a row is on the front if its y beats that of every better x.
    order = rows[np.lexsort((-good_y[rows], -good_x[rows]))]
    if not len(order):
        return order
    best_before = np.maximum.accumulate(np.concatenate([[-np.inf], good_y[order][:-1]]))
    leads = good_y[order] > best_before
    # A row that equals the last leader is as good as it.
    leader = np.maximum.accumulate(np.where(leads, np.arange(len(order)), 0))
    equal = (good_x[order] == good_x[order][leader]) & (good_y[order] == good_y[order][leader])
    front: NDArray[np.int64] = order[leads | equal]
    return front
