"""The slots in which a crystal is written, in the order in which a network fills them.

The order: space group; the set of elements by rising atomic number, closed; letter and element of each orbit, closed;
the volume per atom and what else of the cell is free; the free parameters of each orbit.

Source of the order of letters: Z. Cao, X. Luo, J. Lv, L. Wang, arXiv:2403.15734 (2024). There the cell comes last; here
it comes before the parameters, so that atoms can be kept apart while they are placed.
"""

from enum import IntEnum

import numpy as np

from models.crystals.crystal import Floats


class SlotKind(IntEnum):
    """What a slot holds."""

    SPACE_GROUP = 0
    ELEMENT = 1
    POSITION = 2
    SPECIES = 3
    VOLUME = 4
    B_OVER_A = 5
    C_OVER_A = 6
    ALPHA = 7
    BETA = 8
    GAMMA = 9
    X = 10
    Y = 11
    Z = 12


CLOSED = 0
"""The category that closes the set of elements and the list of orbits."""

N_CATEGORIES = {SlotKind.SPACE_GROUP: 231, SlotKind.ELEMENT: 101, SlotKind.POSITION: 28, SlotKind.SPECIES: 101}
"""Categories by kind: numbers of space groups, atomic numbers, letters counted from 1."""

N_BINS = 192
"""Nodes of the piecewise linear density of a continuous value: a mixture of triangles, one on each node."""

LEAST_SHARE = 1e-4
"""Of either node in the density at a place between two: no place is impossible because of rounding."""

_RANGES = {
    SlotKind.VOLUME: (np.log(3.0), np.log(200.0)),
    SlotKind.B_OVER_A: (-2.2, 2.2),
    SlotKind.C_OVER_A: (-2.2, 2.6),
    SlotKind.ALPHA: (30.0, 150.0),
    SlotKind.BETA: (30.0, 150.0),
    SlotKind.GAMMA: (30.0, 150.0),
}
"""First and last node: logarithms of volumes and ratios, degrees."""


def is_periodic(kind: SlotKind) -> bool:
    """Whether the last node of a continuous value is followed by the first."""
    return kind >= SlotKind.X


def heights(kind: SlotKind) -> Floats:
    """Height of the triangle of each node, its area being 1: at ends it is half a triangle, [N_BINS]."""
    tall = np.ones(N_BINS)
    if not is_periodic(kind):
        tall[[0, -1]] = 2.0
    return tall


def density(kind: SlotKind, weights: Floats, place: float) -> float:
    """Density at a place, per distance of nodes.

    Args:
        kind: of value.
        weights: probabilities of the nodes, [N_BINS].
        place: in nodes.
    """
    left, right, share = nodes_around(kind, place)
    at_nodes = weights * heights(kind)
    return float((1.0 - share) * at_nodes[left] + share * at_nodes[right])


def to_nodes(kind: SlotKind, value: float) -> float:
    """A continuous value in units of the distance of nodes, from the first one on; ends are cut."""
    if is_periodic(kind):
        return value % 1.0 * N_BINS
    low, high = map(float, _RANGES[kind])
    scaled = value if kind >= SlotKind.ALPHA else float(np.log(value))
    return min(max((scaled - low) / (high - low), 0.0), 1.0) * (N_BINS - 1)


def from_nodes(kind: SlotKind, place: float) -> float:
    """The continuous value at a place between nodes."""
    if is_periodic(kind):
        return place / N_BINS % 1.0
    low, high = _RANGES[kind]
    scaled = low + place / (N_BINS - 1) * (high - low)
    return float(scaled if kind >= SlotKind.ALPHA else np.exp(scaled))


def nodes_around(kind: SlotKind, place: float) -> tuple[int, int, float]:
    """The nodes left and right of a place, and how far it is on the way from one to the other, 0 to 1."""
    left = min(int(place), N_BINS - 1)
    right = (left + 1) % N_BINS if is_periodic(kind) else min(left + 1, N_BINS - 1)
    return left, right, min(max(place - left, LEAST_SHARE), 1 - LEAST_SHARE)
