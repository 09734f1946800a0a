"""What lies around each atom: sums over its edges."""

from typing import Any

import numpy as np

from models.compiled import compiled

COLUMNS = 25
"""Of the sums: see `surroundings`."""


@compiled
def surroundings(edges: tuple[Any, Any, Any, Any], numbers: Any, radius: Any, negativity: Any, out: Any) -> None:
    """Sums and lowest values over the edges of each atom.

    Args:
        edges: their atoms, each [n_edges], vectors in angstrom, [n_edges, 3], and scaled distances, [n_edges].
        numbers: atomic numbers, [n_atoms].
        radius: covalent radii in angstrom, [n_atoms].
        negativity: electronegativities, [n_atoms].
        out: of every atom the shortest length in units of the covalent bond and the least scaled distance; for bonds,
            then for the shell, the sum of weights, the sums of weights times 11, 22, 33, 23, 13, 12 of the directions,
            and times the directions; the sums of bonds times the difference of electronegativities, between equal
            elements, and the number of edges, [n_atoms, COLUMNS].
    """
    center, neighbor, vector, scaled_distance = edges
    out[:] = 0.0
    out[:, 0] = np.inf
    out[:, 1] = np.inf
    for edge in range(len(center)):
        first, second = center[edge], neighbor[edge]
        x, y, z = vector[edge, 0], vector[edge, 1], vector[edge, 2]
        distance = np.sqrt(x * x + y * y + z * z)
        x, y, z = x / distance, y / distance, z / distance
        length = distance / (radius[first] + radius[second])  # 1 is a covalent bond
        squared = scaled_distance[edge] * scaled_distance[edge]
        envelope = max(1.0 - squared * squared * squared, 0.0) ** 2
        # the small term is for atoms without bonds: their sums must not vanish
        bond = envelope * np.exp(-((max(length - 0.8, 0.0) / 0.25) ** 2)) + 1e-6 * envelope
        sums = out[first]
        sums[0] = min(sums[0], length)
        sums[1] = min(sums[1], scaled_distance[edge])
        for place, weight in ((2, bond), (12, max(1.0 - squared, 0.0) ** 2)):
            sums[place] += weight
            sums[place + 1] += weight * x * x
            sums[place + 2] += weight * y * y
            sums[place + 3] += weight * z * z
            sums[place + 4] += weight * y * z
            sums[place + 5] += weight * x * z
            sums[place + 6] += weight * x * y
            sums[place + 7] += weight * x
            sums[place + 8] += weight * y
            sums[place + 9] += weight * z
        sums[22] += bond * abs(negativity[first] - negativity[second])
        if numbers[first] == numbers[second]:
            sums[23] += bond
        sums[24] += 1.0
