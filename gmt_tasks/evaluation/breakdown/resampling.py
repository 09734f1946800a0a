"""Bootstrap intervals over crystals, for figures that have no formula of their own for an interval."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

N_RESAMPLED = 2000
LEVEL = 0.9
"""Intervals hold the middle 90 % of what resampled crystals give."""


def bootstrap_interval(statistic: Callable[..., float], *values: NDArray[Any]) -> tuple[float, float]:
    """The middle 90 % of a statistic over samples of crystals drawn with replacement; the same at every call.

    Args:
        statistic: of arrays of crystals, one argument per array; NaN where a sample has none.
        values: one array per argument, each [n_crystals, ...].

    Returns:
        Lower and upper end, NaN for fewer than two crystals.

    Source: B. Efron, R. J. Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
    """
    n = len(values[0])
    if n < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(0)
    sampled = np.empty(N_RESAMPLED)
    for k in range(N_RESAMPLED):
        rows = rng.integers(0, n, n)
        sampled[k] = statistic(*(array[rows] for array in values))
    low, high = np.nanquantile(sampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
