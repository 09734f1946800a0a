"""Searches for the best comparison media of a polycrystal; the formulas are in `models.derived.polycrystal`.

Source: J. M. Brown, Comput. Geosci. 80, 95 (2015); J. G. Berryman, J. Mech. Phys. Solids 53, 2141 (2005).
"""

from typing import Any

import numpy as np

from models.compiled import compiled

N_POINTS, N_LEVELS = 8, 6  # of a search on an interval; every level shrinks it by 2 / (N_POINTS - 1)
N_HALVINGS = 30
N_SECANTS = 3


@compiled
def bulk_estimate(values: Any, weights: Any, g_star: float) -> float:
    """K of the polycrystal under a constraint, which depends on G* alone."""
    dilation = 0.0
    for i in range(6):
        dilation += weights[i] / (values[i] + 2 * g_star)
    return (1 / dilation - 2 * g_star) / 3


@compiled
def shear_estimate(values: Any, weights: Any, k_star: float, g_star: float) -> float:
    """G of the polycrystal under a constraint."""
    dilation, squares, inverses = 0.0, 0.0, 0.0
    for i in range(6):
        inverse = 1 / (values[i] + 2 * g_star)
        inverses += inverse
        dilation += inverse * weights[i]
        squares += inverse * weights[i] * inverse
    # the constraint is 2 G* on every strain and alpha more on dilation: a rank-1 change of the inverse
    alpha = 3 * k_star - 2 * g_star
    return 2.5 / (inverses - (alpha * squares + dilation) / (1 + alpha * dilation)) - g_star


@compiled
def dilation_sum(values: Any, weights: Any, shear: float) -> float:
    """f(2 G0), infinite at an eigenvalue with weight; without a weight there is no pole."""
    total = 0.0
    for i in range(6):
        if weights[i] > 0:
            total += weights[i] / (values[i] - 2 * shear)
    return total


@compiled
def bound(values: Any, weights: Any, shear: float, of_shear: float) -> float:
    """The estimate of G with the medium of a G0 that is just about to lose its sign, or the G* of that medium."""
    medium_bulk = (2 * shear + 1 / dilation_sum(values, weights, shear)) / 3
    g_star = shear / 6 * (9 - 10 * shear / (medium_bulk + 2 * shear))
    return float(shear_estimate(values, weights, 4 * shear / 3, g_star)) if of_shear > 0.0 else g_star


@compiled
def largest_bound(values: Any, weights: Any, ends: tuple[float, float], sign: float, of_shear: float) -> float:
    """Largest sign times `bound` over the media from start to stop, which has one maximum: ever finer grids."""
    start, stop = ends
    best = -np.inf
    for _ in range(N_LEVELS):
        place, highest = 0, -np.inf
        for point in range(N_POINTS):
            value = sign * bound(values, weights, start + (stop - start) * (point / (N_POINTS - 1)), of_shear)
            if value > highest:
                place, highest = point, value
        best = max(best, highest)
        width = stop - start
        left, right = max(place - 1, 0) / (N_POINTS - 1), min(place + 1, N_POINTS - 1) / (N_POINTS - 1)
        start, stop = start + width * left, start + width * right
    return best


@compiled
def softest_and_stiffest(values: Any, weights: Any) -> tuple[float, float]:
    """The largest G0 of a medium softer than the grain with a positive K0, and the least of a stiffer one."""
    soft, bad = values[0] / 2, values[1] / 2
    for _ in range(N_HALVINGS):
        middle = (soft + bad) / 2
        total = dilation_sum(values, weights, middle)
        # beyond the lowest eigenvalue a softer K0 can still help, as long as dilation takes part in it
        if total < 0 and (2 * middle + 1 / total) / 3 >= 0:
            soft = middle
        else:
            bad = middle
    bad, stiff = values[4] / 2, values[5] / 2
    for _ in range(N_HALVINGS):
        middle = (stiff + bad) / 2
        if dilation_sum(values, weights, middle) > 0:
            stiff = middle
        else:
            bad = middle
    return soft, stiff


@compiled
def excess(values: Any, weights: Any, g_star: float) -> tuple[float, float, float]:
    """How much larger the estimate of G is than the G0 that has this G*; K and G0."""
    bulk = bulk_estimate(values, weights, g_star)
    linear = 9 * bulk - 12 * g_star
    medium = (np.sqrt(linear**2 + 192 * bulk * g_star) - linear) / 16
    return shear_estimate(values, weights, 4 * medium / 3, g_star) - medium, bulk, medium


@compiled
def self_consistent(values: Any, weights: Any, shear_low: float, shear_high: float) -> tuple[float, float]:
    """K and G of the medium whose estimate is itself: halvings of an interval of G*, then secants."""
    low, high = 2 / 3 * shear_low, 1.5 * shear_high
    for _ in range(2 * N_HALVINGS // 3):
        middle = (low + high) / 2
        if excess(values, weights, middle)[0] < 0:
            high = middle
        else:
            low = middle
    # the last digits by secants, which need a good start
    first, last = excess(values, weights, low)[0], excess(values, weights, high)[0]
    for _ in range(N_SECANTS):
        difference = last - first
        step = last * (high - low) / difference if difference != 0 else 0.0
        low, high = high, high - step
        first, last = last, excess(values, weights, high)[0]
    _, bulk, medium = excess(values, weights, high)
    return bulk, medium


@compiled
def polycrystal_moduli(values: Any, weights: Any, out: Any) -> None:
    """Bounds of K and G and their self-consistent values.

    Args:
        values: eigenvalues of stiffnesses in Mandel form, ascending, in GPa, [n_crystals, 6].
        weights: of dilation in their eigenvectors, sum 1, [n_crystals, 6].
        out: for K and G of the lower bounds, of the upper bounds, and self-consistent, [6, n_crystals].
    """
    for k in range(len(values)):
        v, w = values[k], weights[k]
        soft, stiff = softest_and_stiffest(v, w)
        out[0, k] = bulk_estimate(v, w, largest_bound(v, w, (0.0, soft), 1.0, 0.0))
        out[1, k] = largest_bound(v, w, (0.0, soft), 1.0, 1.0)
        # 2/3 G0 <= G* <= 3/2 G0: beyond 9/4 of the highest eigenvalue every G* is larger than one that is possible
        farthest = 2.25 * v[5] / 2
        out[2, k] = bulk_estimate(v, w, -largest_bound(v, w, (stiff, farthest), -1.0, 0.0))
        out[3, k] = -largest_bound(v, w, (stiff, farthest), -1.0, 1.0)
        out[4, k], out[5, k] = self_consistent(v, w, out[1, k], out[3, k])
