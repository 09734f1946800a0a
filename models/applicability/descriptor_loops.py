"""Compiled loops behind `models.applicability.descriptor`: weighted sums over the edges of each atom."""

from math import exp, sqrt

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_UNBONDED = 1e-6  # the sums of atoms without bonds must not vanish


@compiled
def sums_over_edges(
    edges: tuple[Ints, Ints, Floats, Floats], radius: Floats, negativity: Floats, numbers: Ints
) -> tuple[Floats, Floats]:
    """What the descriptor needs of each atom's edges; bonds and edges of the shell have weights of their own.

    Args:
        edges: center, neighbour, vector in angstrom [n_edges, 3] and distance over the reach of the center.
        radius: covalent, of each atom, in angstrom, [n_atoms].
        negativity: electronegativity of each atom, [n_atoms].
        numbers: atomic numbers, [n_atoms].

    Returns:
        Sum of bonds, lowest length in sums of radii, lowest scaled distance, sums of bonds times the contrast of
        electronegativity and of those between equal atoms, [n_atoms, 5]; and of bonds and of the shell the mean
        direction r and the rows of the mean of r r - 1/3, [n_atoms, 2, 12].
    """
    center, neighbor, vector, scaled_distance = edges
    sums, moments, total = np.zeros((len(numbers), 5)), np.zeros((len(numbers), 2, 12)), np.zeros((len(numbers), 2))
    for atom in range(len(numbers)):
        sums[atom, 1] = sums[atom, 2] = np.inf
    for edge in range(len(center)):
        i, j, scaled = center[edge], neighbor[edge], scaled_distance[edge]
        distance = sqrt(vector[edge, 0] ** 2 + vector[edge, 1] ** 2 + vector[edge, 2] ** 2)
        length = distance / (radius[i] + radius[j])  # 1 is a covalent bond
        square = scaled * scaled
        envelope, shell = max(1.0 - square * square * square, 0.0) ** 2, max(1.0 - square, 0.0) ** 2
        longer = max(length - 0.8, 0.0) / 0.25
        bond = envelope * exp(-longer * longer) + _UNBONDED * envelope
        sums[i, 0] += bond
        sums[i, 1], sums[i, 2] = min(sums[i, 1], length), min(sums[i, 2], scaled)
        sums[i, 3] += bond * abs(negativity[i] - negativity[j])
        if numbers[i] == numbers[j]:
            sums[i, 4] += bond
        for kind in range(2):
            weight = shell if kind else bond
            total[i, kind] += weight
            for k in range(3):
                along = weight * (vector[edge, k] / distance)
                moments[i, kind, k] += along
                for m in range(3):
                    moments[i, kind, 3 + 3 * k + m] += along * (vector[edge, m] / distance)
    for atom in range(len(numbers)):
        for kind in range(2):
            for k in range(12):
                moments[atom, kind, k] /= total[atom, kind]
            for k in range(3):
                moments[atom, kind, 3 + 4 * k] -= 1.0 / 3.0
    return sums, moments
