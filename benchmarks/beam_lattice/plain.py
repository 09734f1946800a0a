"""What one would write otherwise: one net after the other, one strut after the other, the textbooks' 12 x 12 matrix.

The element has axes of its own, the matrix of the frame is inverted with its null space left out, and the stiffness is
the affine part less the relaxation. Nothing is shared with the homogenizer but the definition of a net.
"""

import numpy as np
from numpy.typing import NDArray

from models.beam_lattice.net import BeamNets

Floats = NDArray[np.float64]

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def plain_stiffness(net: BeamNets, poisson_ratio: float = 0.3) -> Floats:
    """C_IJ / E_s of one net with rigid joints, [6, 6]."""
    lattice = net.lattice[0]
    n = len(net.frac_coords)
    stiffness, drive, affine = np.zeros((6 * n, 6 * n)), np.zeros((6 * n, 6)), np.zeros((6, 6))
    for (first, second), image, radius in zip(net.ends, net.image, net.radius, strict=True):
        vector = (net.frac_coords[second] + image - net.frac_coords[first]) @ lattice
        element = element_stiffness(vector, radius, poisson_ratio)
        jumps = np.zeros((12, 6))
        for column, (i, j) in enumerate(VOIGT):
            strain = np.zeros((3, 3))
            strain[i, j] += 0.5
            strain[j, i] += 0.5
            # the far end is displaced by the strain against the near one
            jumps[6:9, column] = strain @ vector
        places = np.concatenate([6 * first + np.arange(6), 6 * second + np.arange(6)])
        for a in range(12):
            for b in range(12):
                stiffness[places[a], places[b]] += element[a, b]
            drive[places[a]] += element[a] @ jumps
        affine += jumps.T @ element @ jumps
    relaxed = np.linalg.pinv(stiffness, rcond=1e-12, hermitian=True) @ drive
    matrix: Floats = (affine - drive.T @ relaxed) / abs(np.linalg.det(lattice))
    return matrix


def element_stiffness(vector: Floats, radius: float, poisson_ratio: float) -> Floats:
    """Stiffness of a beam's two ends (three displacements, three rotations each), [12, 12].

    Source: J. S. Przemieniecki, Theory of Matrix Structural Analysis (1968), eq. 5.116 without shear.
    """
    length = np.linalg.norm(vector)
    area, inertia = np.pi * radius**2, np.pi * radius**4 / 4
    axial, torsion = area / length, 2 * inertia / (2 * (1 + poisson_ratio)) / length
    w, m, r = 12 * inertia / length**3, 6 * inertia / length**2, inertia / length
    k = np.zeros((12, 12))
    for place, value in ((0, axial), (3, torsion)):
        k[place, place] = k[place + 6, place + 6] = value
        k[place, place + 6] = k[place + 6, place] = -value
    # bending across y goes with rotation about z, across z with rotation about y of the other sign
    for shift, turn, sign in ((1, 5, 1.0), (2, 4, -1.0)):
        near, far = [shift, turn], [shift + 6, turn + 6]
        k[np.ix_(near, near)] = [[w, sign * m], [sign * m, 4 * r]]
        k[np.ix_(far, far)] = [[w, -sign * m], [-sign * m, 4 * r]]
        k[np.ix_(near, far)] = [[-w, sign * m], [-sign * m, 2 * r]]
        k[np.ix_(far, near)] = k[np.ix_(near, far)].T
    x = vector / length
    helper = np.eye(3)[np.argmin(np.abs(x))]
    y = np.cross(helper, x) / np.linalg.norm(np.cross(helper, x))
    axes = np.kron(np.eye(4), np.stack([x, y, np.cross(x, y)]))
    matrix: Floats = axes.T @ k @ axes
    return matrix
