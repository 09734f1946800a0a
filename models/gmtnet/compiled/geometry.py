"""Geometry of a batch, compiled: spherical harmonics of edges, and matrices that rotate components."""

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from models.crystals.crystal import Floats
from models.gmtnet.compiled.edges import Edges

Floats32 = NDArray[np.float32]


@compiled
def harmonics_of(x: float, y: float, z: float, out: Floats) -> None:
    """Spherical harmonics of a unit vector to l = 4 as in models/gmtnet/spherical.py, into out [25]."""
    x2, y2, z2 = x * x, y * y, z * z
    x2z2 = x2 + z2
    out[0] = 1.0
    out[1], out[2], out[3] = np.sqrt(3.0) * x, np.sqrt(3.0) * y, np.sqrt(3.0) * z
    d0, d4 = np.sqrt(15.0) * x * z, 0.5 * np.sqrt(15.0) * (z2 - x2)
    out[4], out[5], out[6] = d0, np.sqrt(15.0) * x * y, np.sqrt(5.0) * (y2 - 0.5 * x2z2)
    out[7], out[8] = np.sqrt(15.0) * y * z, d4
    f0, f6 = np.sqrt(42.0) / 6 * (d0 * z + d4 * x), np.sqrt(42.0) / 6 * (d4 * z - d0 * x)
    f1, f5 = np.sqrt(7.0) * d0 * y, np.sqrt(7.0) * d4 * y
    f2, f4 = np.sqrt(168.0) / 8 * (4.0 * y2 - x2z2) * x, np.sqrt(168.0) / 8 * z * (4.0 * y2 - x2z2)
    f3 = 0.5 * np.sqrt(7.0) * y * (2.0 * y2 - 3.0 * x2z2)
    out[9], out[10], out[11], out[12], out[13], out[14], out[15] = f0, f1, f2, f3, f4, f5, f6
    r14, r42, r6 = np.sqrt(14.0), np.sqrt(42.0), np.sqrt(6.0)
    r21, r70, r105, r210 = np.sqrt(21.0), np.sqrt(70.0), np.sqrt(105.0), np.sqrt(210.0)
    out[16] = 0.75 * np.sqrt(2.0) * (f0 * z + f6 * x)
    out[17] = 0.75 * f0 * y + 0.375 * r6 * (f1 * z + f5 * x)
    out[18] = r14 * 3 / 56 * (f6 * x - f0 * z) + 3 / 14 * r21 * f1 * y + 3 / 56 * r210 * (f2 * z + f4 * x)
    out[19] = 3 / 56 * r42 * (f5 * x - f1 * z) + 3 / 28 * r105 * f2 * y + 3 / 28 * r70 * f3 * x
    out[20] = -3 / 28 * r42 * (f2 * x + f4 * z) + 3 / 7 * np.sqrt(7.0) * f3 * y
    out[21] = -3 / 56 * r42 * (f1 * x + f5 * z) + 3 / 28 * r70 * f3 * z + 3 / 28 * r105 * f4 * y
    out[22] = -3 / 56 * r14 * (f0 * x + f6 * z) + 3 / 56 * r210 * (f4 * z - f2 * x) + 3 / 14 * r21 * f5 * y
    out[23] = 0.375 * r6 * (f5 * z - f1 * x) + 0.75 * f6 * y
    out[24] = 0.75 * np.sqrt(2.0) * (f6 * z - f0 * x)


@compiled
def edge_geometry(vector: Floats, scaled_distance: Floats, sum_of_radii: Floats, edges: Edges) -> None:
    """Writes lengths, weights, shares and harmonics of edges whose ends are known.

    Args:
        vector: from center to neighbour in angstrom, [n_edges, 3].
        scaled_distance: distance over the reach, [n_edges].
        sum_of_radii: of both ends in angstrom, [n_edges].
        edges: their other arrays are written.
    """
    values = np.empty(25)
    for r in range(len(edges.starts) - 1):
        total = 0.0
        for e in range(edges.starts[r], edges.starts[r + 1]):
            x, y, z = vector[e, 0], vector[e, 1], vector[e, 2]
            distance = np.sqrt(x * x + y * y + z * z)
            edges.lengths[e, 0] = distance
            edges.lengths[e, 1] = distance / sum_of_radii[e]
            # the envelope of models/gmtnet/layers.py
            t = min(max((scaled_distance[e] - 0.6) / 0.4, 0.0), 1.0)
            w = 1.0 - t * t * t * (10.0 - 15.0 * t + 6.0 * t * t)
            edges.weight[e] = w
            total += w
            harmonics_of(x / distance, y / distance, z / distance, values)
            for k in range(25):
                edges.harmonics[e, k] = values[k]
        for e in range(edges.starts[r], edges.starts[r + 1]):
            edges.share[e] = edges.weight[e] / total
            for k in range(25):
                edges.harmonics[e, k] *= edges.share[e]


@compiled
def wigner_rows(
    rotations: Floats,
    points: Floats,
    inverses: Floats,
    rows: Floats32,
) -> None:
    """Matrices of l = 1 to 4 that rotate components, from harmonics at a few rotated points.

    Args:
        rotations: orthogonal, [n, 3, 3].
        points: unit vectors, [n_points, 3].
        inverses: pseudo-inverses of the harmonics at the points, [n_points, 25].
        rows: out, flat matrices of l = 1, 2, 3, 4 one after the other, [n, 164].
    """
    n_points = len(points)
    values, at = np.empty((n_points, 25)), np.empty(3)
    for n in range(len(rotations)):
        for k in range(n_points):
            for i in range(3):
                at[i] = (
                    rotations[n, i, 0] * points[k, 0]
                    + rotations[n, i, 1] * points[k, 1]
                    + rotations[n, i, 2] * points[k, 2]
                )
            harmonics_of(at[0], at[1], at[2], values[k])
        place = 0
        for degree in range(1, 5):
            start, size = degree * degree, 2 * degree + 1
            for i in range(size):
                for j in range(size):
                    total = 0.0
                    for k in range(n_points):
                        total += values[k, start + i] * inverses[k, start + j]
                    rows[n, place] = total
                    place += 1
