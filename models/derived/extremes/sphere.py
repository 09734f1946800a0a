"""Directions, and the largest value of a form of third or fourth degree over all of them.

A totally symmetric tensor T contracted with a unit vector n in every index, T_ij..l n_i n_j .. n_l, has on the sphere
the gradient p (M n - f n) and on its tangents the second derivatives p (p - 1) M - p f, with p the degree, f the value
and M the tensor contracted with n in all indices but two. So Newton steps cost little. They begin at the best
directions of a grid, which by itself would be off by as much as its spacing squared.

Source: J. Nocedal, S. J. Wright, Numerical Optimization (2006), sec. 3.4 (Newton steps with modified curvatures).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.tensors.voigt import Floats

Singles = NDArray[np.float32]

MAX_STEP = 0.2
"""Radians: a Newton step far from a stationary point may lead anywhere."""

FLAT = 1e-8
"""Of the largest curvature: what flat directions are given, so that nothing is divided by zero."""

CONVERGED = 1e-9
"""Of the value: what the next step would bring, and is not worth taking."""

_N_STEPS, _MAX_STEPS = 3, 10
_FULL = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])  # places of a symmetric matrix's entries
_APART = np.cos(np.radians(25.0))  # a second start this far from the best: maxima of nearly equal height change places


def half_sphere(n_directions: int) -> Floats:
    """Nearly even directions on the upper half sphere (Fibonacci spiral).

    Args:
        n_directions: how many.

    Returns:
        Unit vectors, shape [n_directions, 3].
    """
    index = np.arange(n_directions)
    z = 1 - (index + 0.5) / n_directions
    azimuth = np.pi * (1 + np.sqrt(5)) * index
    radius = np.sqrt(1 - z * z)
    directions: Floats = np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), z], axis=1)
    return directions


def tangents(directions: Floats) -> Floats:
    """Two orthonormal vectors normal to each unit vector, [..., 3] -> [..., 2, 3]."""
    # the axis that n is least along gives the first without cancellation
    first = np.cross(directions, np.eye(3)[np.abs(directions).argmin(axis=-1)])
    first /= np.linalg.norm(first, axis=-1, keepdims=True)
    return np.stack([first, np.cross(directions, first)], axis=-2)


class Grid(NamedTuple):
    """Directions from which searches start.

    Attributes:
        directions: unit vectors, shape [n_directions, 3].
        near: which of them are too near to each other to be two starts, [n_directions, n_directions].
    """

    directions: Floats
    near: NDArray[np.bool_]

    def best(self, values: Singles) -> NDArray[np.intp]:
        """The best direction and the best one apart from it, by values [n, n_directions]; places, [n, 2]."""
        best = values.argmax(axis=1)
        second = np.where(self.near[best], np.float32(-np.inf), values).argmax(axis=1)
        return np.stack([best, second], axis=1)


def even_grid(n_directions: int) -> Grid:
    """Directions for what is the same along n and -n."""
    n = half_sphere(n_directions)
    return Grid(n, np.abs(n @ n.T) > _APART)


def odd_grid(n_directions: int) -> Grid:
    """Directions n, and then all -n, for what changes its sign with n."""
    n = half_sphere(n_directions // 2)
    n = np.concatenate([n, -n])
    return Grid(n, n @ n.T > _APART)


def largest_on_sphere(forms: Floats, starts: Floats) -> tuple[Floats, Floats]:
    """Largest value of forms over all directions.

    Args:
        forms: what gives M, as its entries 11, 22, 33, 23, 13, 12, from n (third degree) or from the products of its
            components in the same order (fourth degree), shape [6, 3, n] or [6, 6, n].
        starts: unit vectors to start from, shape [n, n_starts, 3].

    Returns:
        Values [n], never below those at the starts, and where they are, unit vectors [n, 3].
    """
    n = np.ascontiguousarray(starts.reshape(-1, 3).T)
    moving, doubled = np.arange(n.shape[1]), np.repeat(forms, starts.shape[1], axis=2)
    largest, where = np.full(n.shape[1], -np.inf), n.copy()
    for step in range(_MAX_STEPS):
        value, gain, moved = _newton_step(doubled, n)
        near = gain <= CONVERGED * np.abs(value)
        value = np.where(near, value + gain / 2, value)
        better = value > largest[moving]
        largest[moving] = np.where(better, value, largest[moving])
        where[:, moving] = np.where(better, n, where[:, moving])
        n = moved
        # most are there by now; the others go on by themselves
        if step + 1 >= _N_STEPS:
            far = np.flatnonzero(~near)
            moving, doubled, n = moving[far], doubled[:, :, far], n[:, far]
        if not len(moving):
            break
    n_starts = starts.shape[1]
    winner = largest.reshape(-1, n_starts).argmax(axis=1) + n_starts * np.arange(len(starts))
    return largest[winner], where.T[winner]


def _newton_step(forms: Floats, n: Floats) -> tuple[Floats, Floats, Floats]:
    """Value of forms along n [3, n], what a step should bring, each [n], and n after it."""
    x, y, z = n
    degree = 3 if forms.shape[1] == 3 else 4
    products = n if degree == 3 else np.stack([x * x, y * y, z * z, y * z, x * z, x * y])
    m = np.einsum("rcn,cn->rn", forms, products)
    # an orthonormal basis of the tangents without branches (T. Duff et al., J. Comput. Graph. Tech. 6, 1 (2017))
    sign = np.copysign(1.0, z)
    a = -1 / (sign + z)
    b = x * y * a
    axes = np.stack([n, [1 + sign * x * x * a, sign * b, -sign * x], [b, sign + y * y * a, -y]])
    along = np.einsum("ijn,ajn->ain", m[_FULL], axes)
    value = (along[0] * n).sum(axis=0)
    slope = degree * (along[0] * axes[1:]).sum(axis=1)
    # curvature, turned downwards, in the two tangents
    downward = -degree * (degree - 1) * (along[1:, None] * axes[None, 1:]).sum(axis=2)
    middle = (downward[0, 0] + downward[1, 1]) / 2 + degree * value
    half = (downward[0, 0] - downward[1, 1]) / 2
    radius = np.sqrt(half * half + downward[0, 1] ** 2)
    # where the form curves upwards the nearest stationary direction is no maximum: the sign there is turned
    lowest = middle - radius
    least = FLAT * (np.abs(middle) + radius + np.abs(value)) + 1e-100
    middle = middle + np.where(lowest < least, least + np.maximum(-2 * lowest, 0.0), 0.0)
    determinant = middle * middle - radius * radius
    first = ((middle - half) * slope[0] - downward[0, 1] * slope[1]) / determinant
    second = ((middle + half) * slope[1] - downward[0, 1] * slope[0]) / determinant
    gain = slope[0] * first + slope[1] * second
    shorter = np.minimum(1.0, MAX_STEP / np.maximum(np.sqrt(first * first + second * second), 1e-300))
    moved = n + shorter * (first * axes[1] + second * axes[2])
    return value, gain, moved / np.sqrt((moved * moved).sum(axis=0))
