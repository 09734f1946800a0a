"""Newton steps of entries of a compliance by rotations of the frame; formulas in `models.derived.extremes.frames`.

Source: J. F. Nye, Physical Properties of Crystals (1985), ch. VIII.
"""

from typing import Any

import numpy as np

from models.compiled import compiled

MAX_STEP, FLAT, CONVERGED = 0.2, 1e-8, 1e-9  # as in models.derived.kernels.sphere
N_STEPS, MAX_STEPS = 3, 12
SQRT_HALF, SQRT_TWO = np.sqrt(0.5), np.sqrt(2.0)


@compiled
def two_best(values: Any, directions: Any, apart: float, even: float) -> tuple[int, int]:
    """The best direction and the best one apart from it.

    Args:
        values: on the grid, [n_directions].
        directions: unit vectors, [n_directions, 3].
        apart: cosine above which two directions are too near to each other to be two starts.
        even: 1 where n and -n are the same direction.

    Returns:
        Their places; the first of equal ones.
    """
    first = 0
    for k in range(1, len(values)):
        if values[k] > values[first]:
            first = k
    x, y, z = directions[first]
    second = -1
    for k in range(len(values)):
        if second < 0 or values[k] > values[second]:
            cosine = x * directions[k, 0] + y * directions[k, 1] + z * directions[k, 2]
            if even > 0.0:
                cosine = abs(cosine)
            if cosine <= apart:
                second = k
    return first, second


@compiled
def two_best_of_each(values: Any, directions: Any, apart: float, even: float, places: Any) -> None:
    """`two_best` of values [n, n_directions], to `places`, [n, 2]."""
    for k in range(len(values)):
        places[k, 0], places[k, 1] = two_best(values[k], directions, apart, even)


@compiled
def rotated_upper(axes: Any, tensor: Any, mandel: Any, half: Any, upper: Any) -> None:
    """The upper half, row by row, of a Mandel matrix [6, 6] in the frame of three axes; the last three are room."""
    for row in range(6):
        a = row if row < 3 else (1 if row == 3 else 0)
        b = row if row < 3 else (1 if row == 5 else 2)
        x0, x1, x2 = axes[a, 0], axes[a, 1], axes[a, 2]
        y0, y1, y2 = axes[b, 0], axes[b, 1], axes[b, 2]
        straight = 1.0 if row < 3 else SQRT_TWO
        crossed = straight * SQRT_HALF
        mandel[row, 0], mandel[row, 1], mandel[row, 2] = straight * x0 * y0, straight * x1 * y1, straight * x2 * y2
        mandel[row, 3] = crossed * (x1 * y2 + x2 * y1)
        mandel[row, 4] = crossed * (x0 * y2 + x2 * y0)
        mandel[row, 5] = crossed * (x0 * y1 + x1 * y0)
    for row in range(6):
        for column in range(6):
            half[row, column] = 0.0
        for k in range(6):
            factor = mandel[row, k]
            for column in range(6):
                half[row, column] += factor * tensor[k, column]
    place = 0
    for row in range(6):
        for other in range(row, 6):
            total = 0.0
            for k in range(6):
                total += half[row, k] * mandel[other, k]
            upper[place] = total
            place += 1


@compiled
def expansion(upper: Any, derivatives: Any, is_ratio: int, numbers: Any) -> None:
    """Value, 3 first and 6 second derivatives of an entry by rotations of the frame.

    Args:
        upper: compliance in the frame, upper half, [21].
        derivatives: what makes them of it, of the entry and then of what divides it, [21, 20].
        is_ratio: 1 where the entry is divided (Poisson's ratio, by 1/E along the same n).
        numbers: for the result, at the first ten places, [20].
    """
    for j in range(20):
        numbers[j] = 0.0
    for i in range(21):
        factor = upper[i]
        for j in range(20):
            numbers[j] += factor * derivatives[i, j]
    if is_ratio:
        divisor = numbers[10]
        value = numbers[0] / divisor
        numbers[0] = value
        for j in range(1, 4):
            numbers[j] = (numbers[j] - value * numbers[10 + j]) / divisor
        place = 4
        for j in range(3):
            for k in range(j, 3):
                products = numbers[1 + j] * numbers[11 + k] + numbers[1 + k] * numbers[11 + j]
                numbers[place] = (numbers[place] - value * numbers[10 + place] - products) / divisor
                place += 1


@compiled
def lowest_eigenvalue(a: float, b: float, c: float, d: float, e: float, f: float) -> float:
    """Of a symmetric matrix with the entries 11, 12, 13, 22, 23, 33; O. K. Smith, Commun. ACM 4, 168 (1961)."""
    mean = (a + d + f) / 3.0
    a, d, f = a - mean, d - mean, f - mean
    radius = np.sqrt((a * a + d * d + f * f + 2.0 * (b * b + c * c + e * e)) / 6.0) + 1e-300
    a, b, c, d, e, f = a / radius, b / radius, c / radius, d / radius, e / radius, f / radius
    determinant = a * (d * f - e * e) + b * (c * e - b * f) + c * (b * e - c * d)
    angle = np.arccos(min(max(determinant / 2.0, -1.0), 1.0)) / 3.0
    return float(mean + 2.0 * radius * np.cos(angle + 2.0 * np.pi / 3.0))


@compiled
def newton_vector(numbers: Any, sign: float, vector: Any) -> float:
    """Rotation vector towards the nearest maximum of sign times an entry; gives what half of the slope promises."""
    slope0, slope1, slope2 = sign * numbers[1], sign * numbers[2], sign * numbers[3]
    a, b, c = -sign * numbers[4], -sign * numbers[5], -sign * numbers[6]
    d, e, f = -sign * numbers[7], -sign * numbers[8], -sign * numbers[9]
    # a flat direction (rotation about n, an isotropic plane) has no curvature: a little of it avoids dividing by 0
    largest = max(abs(a), abs(b), abs(c), abs(d), abs(e), abs(f))
    shift = FLAT * (largest + 1e-6 * abs(numbers[0])) + 1e-100
    for attempt in range(2):
        a_, d_, f_ = a + shift, d + shift, f + shift
        m0, m1, m2 = d_ * f_ - e * e, c * e - b * f_, b * e - c * d_
        m3, m4, m5 = a_ * f_ - c * c, b * c - a_ * e, a_ * d_ - b * b
        determinant = a_ * m0 + b * m1 + c * m2
        if attempt == 1 or not (a_ <= 0.0 or m5 <= 0.0 or determinant <= 0.0):
            break
        # curved upwards along some axis, the nearest stationary frame is no maximum: the sign there is turned
        shift -= 2.0 * min(lowest_eigenvalue(a, b, c, d, e, f), 0.0)
    vector[0] = (m0 * slope0 + m1 * slope1 + m2 * slope2) / determinant
    vector[1] = (m1 * slope0 + m3 * slope1 + m4 * slope2) / determinant
    vector[2] = (m2 * slope0 + m4 * slope1 + m5 * slope2) / determinant
    return float((slope0 * vector[0] + slope1 * vector[1] + slope2 * vector[2]) / 2.0)


@compiled
def turn(axes: Any, vector: Any, stretch: float) -> None:
    """Turns axes [3, 3] in themselves by Cayley's formula, the exponential to second order."""
    length = np.sqrt(vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2)
    shorter = min(stretch, MAX_STEP / max(length, 1e-300))
    h0, h1, h2 = vector[0] * shorter / 2.0, vector[1] * shorter / 2.0, vector[2] * shorter / 2.0
    factor = 2.0 / (1.0 + h0 * h0 + h1 * h1 + h2 * h2)
    for k in range(3):
        a0, a1, a2 = axes[0, k], axes[1, k], axes[2, k]
        t0, t1, t2 = h1 * a2 - h2 * a1, h2 * a0 - h0 * a2, h0 * a1 - h1 * a0
        axes[0, k] = a0 + factor * (t0 + h1 * t2 - h2 * t1)
        axes[1, k] = a1 + factor * (t1 + h2 * t0 - h0 * t2)
        axes[2, k] = a2 + factor * (t2 + h0 * t1 - h1 * t0)


@compiled
def polished(axes: Any, tensor: Any, sign: float, derivatives: Any, is_ratio: int, room: Any) -> float:
    """Largest sign times an entry that Newton steps from a frame reach; the frame is moved.

    Args:
        axes: rows n, m, n x m, [3, 3].
        tensor: compliance in Mandel form, [6, 6].
        sign: -1 for the least.
        derivatives: see `expansion`.
        is_ratio: see `expansion`.
        room: for numbers on the way, [2, 6, 6].
    """
    upper, numbers, vector = np.empty(21), np.empty(20), np.empty(3)
    best = -np.inf
    for step in range(MAX_STEPS):
        # where the curvature vanishes too a step goes a third of the way; other directions are at rest by then
        stretch = 3.0 if step >= N_STEPS and step % 2 == 0 else 1.0
        rotated_upper(axes, tensor, room[0], room[1], upper)
        expansion(upper, derivatives, is_ratio, numbers)
        value = sign * numbers[0]
        gain = newton_vector(numbers, sign, vector)
        near = gain <= CONVERGED * abs(value)
        best = max(best, value + gain if near else value)
        if near and step + 1 >= N_STEPS:
            break
        turn(axes, vector, stretch)
    return best


@compiled
def extremes(along: Any, tensors: Any, grid: tuple[Any, Any], apart: float, derivatives: Any, out: Any) -> None:
    """Least and largest entries over all frames, times -1 and 1.

    Args:
        along: the seven values on the grid, [n_crystals, 7, n_directions].
        tensors: compliances in Mandel form, [n_crystals, 6, 6].
        grid: its directions, [n_directions, 3], and their tangents, [n_directions, 2, 3].
        apart: see `two_best`.
        derivatives: by entry, see `expansion`, [2, 21, 20].
        out: for the result by entry, least before largest, [n_crystals, 2, 2].
    """
    directions, tangents = grid
    n_directions = len(directions)
    values = np.empty((2, n_directions), np.float32)
    axes, room = np.empty((3, 3)), np.empty((2, 6, 6))
    two = np.float32(2.0)
    for k in range(len(tensors)):
        on_grid = along[k]
        for entry in range(2):
            first = 1 + 3 * entry
            for j in range(n_directions):
                divisor = on_grid[0, j] if entry == 1 else np.float32(1.0)
                ss, tt = on_grid[first, j] / divisor, on_grid[first + 2, j] / divisor
                st = on_grid[first + 1, j] / divisor
                middle, half = (ss + tt) / two, (ss - tt) / two
                radius = np.sqrt(half * half + st * st)
                values[0, j] = radius - middle
                values[1, j] = radius + middle
            for end in range(2):
                sign = -1.0 if end == 0 else 1.0
                best = -np.inf
                for place in two_best(values[end], directions, apart, 1.0):
                    divisor = on_grid[0, place] if entry == 1 else np.float32(1.0)
                    half = (on_grid[first, place] - on_grid[first + 2, place]) / two / divisor
                    # the largest over m lies at this angle from the first tangent, the least a right angle further
                    angle = np.arctan2(float(on_grid[first + 1, place] / divisor), float(half)) / 2.0
                    if end == 0:
                        angle += np.pi / 2.0
                    cosine, sine = np.cos(angle), np.sin(angle)
                    for i in range(3):
                        axes[0, i] = directions[place, i]
                        axes[1, i] = cosine * tangents[place, 0, i] + sine * tangents[place, 1, i]
                    for i in range(3):
                        j, m = (i + 1) % 3, (i + 2) % 3
                        axes[2, i] = axes[0, j] * axes[1, m] - axes[0, m] * axes[1, j]
                    best = max(best, polished(axes, tensors[k], sign, derivatives[entry], entry, room))
                out[k, entry, end] = best
