"""Compiled loops behind the handedness of crystals: polar vectors around atoms, and their triple products."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Shells = tuple[Ints, Ints, Floats, Floats, Floats]
Vector = tuple[float, float, float]

N_COMPONENTS = 4

_NO_NEIGHBOR = 1e-2  # as in environment_loops.py
_NO_VECTOR = 1e-6  # relative length of vectors that are zero by symmetry


@compiled
def handedness(shells: Shells, first_atom: Ints) -> Floats:
    """Pseudoscalars of each crystal: triple products with the directions r to neighbours, shape [n_crystals, 4].

    Of the mean direction v and the mean quadrupole Q around either atom, near and far: r.(v x v'), r.(Qr x Q'r),
    r.(v x Q'r), r.(v x Qr), with a prime at the neighbour; weighted sums, divided by sums of the vectors' lengths.

    Args:
        shells: of the neighbours: where those of each atom start [n_atoms + 1], the atom, the distance, the weight,
            the direction [n_near, 3].
        first_atom: of each crystal and, last, the number of atoms, shape [n_crystals + 1].
    """
    start, neighbor, _, weight, direction = shells
    near, far = _means(start, weight, direction, 2.0), _means(start, weight, direction, 1.0)
    components = np.zeros((len(first_atom) - 1, N_COMPONENTS))
    for crystal in range(len(components)):
        triples, lengths, norm = np.zeros(N_COMPONENTS), np.zeros(N_COMPONENTS), 0.0
        for atom in range(first_atom[crystal], first_atom[crystal + 1]):
            for pair in range(start[atom], start[atom + 1]):
                r, other = _vector(direction[pair]), neighbor[pair]
                v, v_there = _vector(near[atom]), _vector(far[other])
                q, q_there, q_near_there = _along(near[atom], r), _along(far[other], r), _along(near[other], r)
                length, length_q = _length(v), _length(q)
                norm += weight[pair]
                triples[0] += weight[pair] * _triple_product(v, v_there, r)
                triples[1] += weight[pair] * _triple_product(q, q_there, r)
                triples[2] += weight[pair] * _triple_product(v, q_near_there, r)
                triples[3] += weight[pair] * _triple_product(v, q, r)
                lengths[0] += weight[pair] * (length + _length(v_there))
                lengths[1] += weight[pair] * (length_q + _length(q_there))
                lengths[2] += weight[pair] * (length + _length(q_near_there))
                lengths[3] += weight[pair] * (length + length_q)
        for k in range(N_COMPONENTS):
            components[crystal, k] = triples[k] / max(lengths[k] + _NO_VECTOR * norm, 1e-12)
    return components


@compiled
def _means(start: Ints, weights: Floats, direction: Floats, power: float) -> Floats:
    """Means over each atom's neighbours of r, then of xx, xy, xz, yy, yz, zz of r r - 1/3, shape [n_atoms, 9].

    Args:
        start: see `handedness`.
        weights: the same.
        direction: the same.
        power: 1, or 2 for squared weights: the nearest neighbours count more.
    """
    means = np.zeros((len(start) - 1, 9))
    for atom in range(len(means)):
        norm = 0.0
        for pair in range(start[atom], start[atom + 1]):
            weight = weights[pair] if power == 1.0 else weights[pair] * weights[pair]
            norm += weight
            place = 3
            for i in range(3):
                means[atom, i] += weight * direction[pair, i]
                for j in range(i, 3):
                    outer = direction[pair, i] * direction[pair, j] - (1.0 / 3.0 if i == j else 0.0)
                    means[atom, place] += weight * outer
                    place += 1
        for k in range(9):
            means[atom, k] /= norm + _NO_NEIGHBOR
    return means


@compiled
def _vector(means: Floats) -> Vector:
    """The first three numbers of a row."""
    return means[0], means[1], means[2]


@compiled
def _along(means: Floats, r: Vector) -> Vector:
    """Q r, with Q from a row of `_means`."""
    return (
        means[3] * r[0] + means[4] * r[1] + means[5] * r[2],
        means[4] * r[0] + means[6] * r[1] + means[7] * r[2],
        means[5] * r[0] + means[7] * r[1] + means[8] * r[2],
    )


@compiled
def _triple_product(a: Vector, b: Vector, r: Vector) -> float:
    """(a x b) . r."""
    x, y, z = a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
    return x * r[0] + y * r[1] + z * r[2]


@compiled
def _length(a: Vector) -> float:
    """Length of a vector."""
    return sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2])
