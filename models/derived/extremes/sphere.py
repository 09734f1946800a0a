"""Directions, and the largest value of a form of third or fourth degree over all of them.

A totally symmetric tensor T contracted with a unit vector n in every index, T_ij..l n_i n_j .. n_l, has on the sphere
the gradient p (M n - f n) and on its tangents the second derivatives p (p - 1) M - p f, with p the degree, f the value
and M the tensor contracted with n in all indices but two. So Newton steps cost little. They begin at the best
directions of a grid, which by itself would be off by as much as its spacing squared.

Source: J. Nocedal, S. J. Wright, Numerical Optimization (2006), sec. 3.4 (Newton steps with modified curvatures).
"""

import numpy as np
from numpy.typing import NDArray

from models.derived.kernels.frames import two_best_of_each
from models.derived.kernels.sphere import largest_of_forms
from models.tensors.voigt import Floats

Singles = NDArray[np.float32]

APART = float(np.cos(np.radians(25.0)))
"""A second start this far from the best: maxima of nearly equal height change places."""


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


def best_two(values: Singles, directions: Floats, *, even: bool) -> NDArray[np.int64]:
    """The best direction and the best one apart from it.

    Args:
        values: along the directions, [n, n_directions].
        directions: unit vectors, [n_directions, 3].
        even: whether n and -n are the same direction.

    Returns:
        Places, [n, 2].
    """
    places = np.empty((len(values), 2), dtype=np.int64)
    two_best_of_each(values, directions, APART, float(even), places)
    return places


def largest_on_sphere(forms: Floats, starts: Floats) -> tuple[Floats, Floats]:
    """Largest value of forms over all directions.

    Args:
        forms: what gives M, as its entries 11, 22, 33, 23, 13, 12, from n (third degree) or from the products of its
            components in the same order (fourth degree), shape [n, 6, 3] or [n, 6, 6].
        starts: unit vectors to start from, shape [n, n_starts, 3].

    Returns:
        Values [n], never below those at the starts, and where they are, unit vectors [n, 3].
    """
    values, places = np.empty(len(forms)), np.empty((len(forms), 3))
    largest_of_forms(np.ascontiguousarray(forms), np.array(starts, order="C"), values, places)
    return values, places
