"""Compiled loops over the pairs that a search has found: which of them are near enough, and sums over them."""

from math import exp, sqrt

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Pairs = tuple[Ints, Ints, Floats, Floats]


@compiled
def closer_pairs(pairs: Pairs, limit: Floats, either_end: bool, is_center: Bools) -> Pairs:
    """The pairs that are closer than a limit, in the same order.

    Args:
        pairs: center, neighbour, vector [n_pairs, 3] and distance in angstrom.
        limit: of each atom in angstrom, shape [n_atoms].
        either_end: the larger limit of the two atoms counts, not that of the center.
        is_center: atoms whose pairs are wanted, shape [n_atoms].
    """
    center, neighbor, vector, distance = pairs
    kept, n_kept = np.empty(len(center), np.int64), 0
    for pair in range(len(center)):
        bound = limit[center[pair]]
        if either_end:
            bound = max(bound, limit[neighbor[pair]])
        kept[n_kept] = pair
        n_kept += int(distance[pair] < bound and is_center[center[pair]])
    chosen = np.empty(n_kept, np.int64), np.empty(n_kept, np.int64), np.empty((n_kept, 3)), np.empty(n_kept)
    for place in range(n_kept):
        pair = kept[place]
        chosen[0][place], chosen[1][place], chosen[3][place] = center[pair], neighbor[pair], distance[pair]
        for axis in range(3):
            chosen[2][place, axis] = vector[pair, axis]
    return chosen


@compiled
def surroundings(pairs: Pairs, numbers: Ints, radius: float, width: float) -> tuple[Floats, Floats]:
    """Two smooth sums over each atom's neighbours, of their elements and of their own first sums, [n_atoms] each.

    Args:
        pairs: center, neighbour, vector and distance in angstrom, at least out to the radius.
        numbers: atomic numbers, shape [n_atoms].
        radius: from where on neighbours do not count, in angstrom.
        width: of the weights, in angstrom.
    """
    center, neighbor, _, distance = pairs
    first, second = np.zeros(len(numbers)), np.zeros(len(numbers))
    weight = np.zeros(len(center))
    for pair in range(len(center)):
        if distance[pair] < radius:
            # the envelope is zero at the radius: an atom that enters changes nothing at first
            envelope, steps = 1.0 - (distance[pair] / radius) ** 2, distance[pair] / width
            weight[pair] = exp(-steps * steps) * (envelope * envelope * envelope) * sqrt(numbers[neighbor[pair]])
            first[center[pair]] += weight[pair]
    for pair in range(len(center)):
        second[center[pair]] += weight[pair] * first[neighbor[pair]]
    return first, second
