"""Newton steps of forms of third or fourth degree on the sphere; the formulas are in `models.derived.extremes.sphere`.

Source: J. Nocedal, S. J. Wright, Numerical Optimization (2006), sec. 3.4; for the tangents T. Duff et al., J. Comput.
Graph. Tech. 6, 1 (2017).
"""

from typing import Any

import numpy as np

from models.compiled import compiled

MAX_STEP = 0.2
"""Radians: a Newton step far from a stationary point may lead anywhere."""

FLAT = 1e-8
"""Of the largest curvature: what flat directions are given, so that nothing is divided by zero."""

CONVERGED = 1e-9
"""Of the value: what the next step would bring, and is not worth taking."""

N_STEPS, MAX_STEPS = 3, 10


@compiled
def newton_step(form: Any, n: Any, m: Any) -> tuple[float, float]:
    """Value of a form along n and what a step should bring; n is moved.

    Args:
        form: gives M as its entries 11, 22, 33, 23, 13, 12 from n, [6, 3], or from its products, [6, 6].
        n: unit vector, [3].
        m: room for six numbers.
    """
    x, y, z = n[0], n[1], n[2]
    if form.shape[1] == 3:
        degree = 3.0
        for r in range(6):
            m[r] = form[r, 0] * x + form[r, 1] * y + form[r, 2] * z
    else:
        degree = 4.0
        for r in range(6):
            squares = form[r, 0] * x * x + form[r, 1] * y * y + form[r, 2] * z * z
            m[r] = squares + form[r, 3] * y * z + form[r, 4] * x * z + form[r, 5] * x * y
    # an orthonormal basis s, t of the tangents without branches
    sign = np.copysign(1.0, z)
    a = -1.0 / (sign + z)
    b = x * y * a
    s0, s1, s2 = 1.0 + sign * x * x * a, sign * b, -sign * x
    t0, t1, t2 = b, sign + y * y * a, -y
    n0 = m[0] * x + m[5] * y + m[4] * z
    n1 = m[5] * x + m[1] * y + m[3] * z
    n2 = m[4] * x + m[3] * y + m[2] * z
    value = n0 * x + n1 * y + n2 * z
    slope_s = degree * (n0 * s0 + n1 * s1 + n2 * s2)
    slope_t = degree * (n0 * t0 + n1 * t1 + n2 * t2)
    p0 = m[0] * s0 + m[5] * s1 + m[4] * s2
    p1 = m[5] * s0 + m[1] * s1 + m[3] * s2
    p2 = m[4] * s0 + m[3] * s1 + m[2] * s2
    q0 = m[0] * t0 + m[5] * t1 + m[4] * t2
    q1 = m[5] * t0 + m[1] * t1 + m[3] * t2
    q2 = m[4] * t0 + m[3] * t1 + m[2] * t2
    # curvature, turned downwards, in the two tangents
    second = -degree * (degree - 1.0)
    ss = second * (p0 * s0 + p1 * s1 + p2 * s2)
    st = second * (p0 * t0 + p1 * t1 + p2 * t2)
    tt = second * (q0 * t0 + q1 * t1 + q2 * t2)
    middle = (ss + tt) / 2.0 + degree * value
    half = (ss - tt) / 2.0
    radius = np.sqrt(half * half + st * st)
    # where the form curves upwards the nearest stationary direction is no maximum: the sign there is turned
    lowest = middle - radius
    least = FLAT * (abs(middle) + radius + abs(value)) + 1e-100
    if lowest < least:
        middle += least + max(-2.0 * lowest, 0.0)
    determinant = middle * middle - radius * radius
    along_s = ((middle - half) * slope_s - st * slope_t) / determinant
    along_t = ((middle + half) * slope_t - st * slope_s) / determinant
    shorter = min(1.0, MAX_STEP / max(np.sqrt(along_s * along_s + along_t * along_t), 1e-300))
    x += shorter * (along_s * s0 + along_t * t0)
    y += shorter * (along_s * s1 + along_t * t1)
    z += shorter * (along_s * s2 + along_t * t2)
    length = np.sqrt(x * x + y * y + z * z)
    n[0], n[1], n[2] = x / length, y / length, z / length
    return value, slope_s * along_s + slope_t * along_t


@compiled
def largest_from(form: Any, n: Any, where: Any, m: Any) -> float:
    """Largest value that Newton steps from n reach; n is moved, the best direction goes to `where`, [3]."""
    largest = -np.inf
    where[:] = n
    for step in range(MAX_STEPS):
        x, y, z = n[0], n[1], n[2]
        value, gain = newton_step(form, n, m)
        near = gain <= CONVERGED * abs(value)
        if near:
            value += gain / 2.0
        if value > largest:
            largest = value
            where[0], where[1], where[2] = x, y, z
        if near and step + 1 >= N_STEPS:
            break
    return largest


@compiled
def largest_of_forms(forms: Any, starts: Any, values: Any, places: Any) -> None:
    """Largest value of each form over all starts.

    Args:
        forms: see `newton_step`, [n_crystals, 6, 3 or 6].
        starts: unit vectors, [n_crystals, n_starts, 3]; they are moved.
        values: for the largest values, [n_crystals].
        places: for where they are, [n_crystals, 3].
    """
    where, m = np.empty(3), np.empty(6)
    for k in range(len(forms)):
        values[k] = -np.inf
        places[k] = starts[k, 0]
        for start in range(starts.shape[1]):
            value = largest_from(forms[k], starts[k, start], where, m)
            if value > values[k]:
                values[k] = value
                places[k] = where
