"""Surfaces of nets as triangles: a closed prism for each strut, a closed ball at each end.

Parts overlap at nodes; each by itself is closed with outward normals, which programs that slice for printing unite.
The polygon of a prism has the area of the strut's circle, so that every strut has the volume pi r^2 L.
"""

from itertools import product

import numpy as np

from models.beam_lattice.net import BeamNets, Floats, Ints
from models.errors import GmtError

N_SIDES = 24
"""Sides of a prism."""

MAX_TRIANGLES = 4_000_000
"""Of one mesh, 200 MB as binary STL."""

_N_RINGS = 11  # of a ball, between its poles


class LargeMeshError(GmtError):
    """A block has more triangles than a program for printing opens."""


def block_mesh(net: BeamNets, n_cells: int, size: float, n_sides: int = N_SIDES) -> Floats:
    """Triangles of a block of n_cells x n_cells x n_cells cells of one net.

    Struts that leave the block are drawn to their ends; every end has a ball as thick as the thickest strut there.

    Args:
        net: a batch of one.
        n_cells: along each lattice vector.
        size: length of the first lattice vector in the mesh.
        n_sides: of a prism.

    Returns:
        Corners, anticlockwise seen from outside, shape [n_triangles, 3, 3].

    Raises:
        LargeMeshError: it would have more than MAX_TRIANGLES.
    """
    scale = size / float(np.linalg.norm(net.lattice[0, 0]))
    cells = np.array(list(product(range(n_cells), repeat=3)), dtype=np.float64) @ net.lattice[0]
    of_cell = net.frac_coords[net.ends[:, 0]] @ net.lattice[0]
    starts = scale * (cells[:, None] + of_cell).reshape(-1, 3)
    ends = starts + scale * np.tile(net.vector, (len(cells), 1))
    radius = scale * np.tile(net.radius, len(cells))
    expected = 4 * n_sides * len(starts) + 2 * n_sides * _N_RINGS * len(net.frac_coords) * n_cells**3
    if expected > MAX_TRIANGLES:
        raise LargeMeshError(
            f"A block of {n_cells}^3 cells has about {expected:,} triangles, more than {MAX_TRIANGLES:,}. Take fewer "
            "cells, and repeat the block in the program that prints."
        )
    both, radii = np.concatenate([starts, ends]), np.tile(radius, 2)
    # ends that several struts share are one
    _, first, place = np.unique(np.round(both / (1e-6 * size)), axis=0, return_index=True, return_inverse=True)
    thickest = np.zeros(len(first))
    np.maximum.at(thickest, place.ravel(), radii)
    return np.concatenate([prisms(starts, ends, radius, n_sides), balls(both[first], thickest, n_sides)])


def prisms(starts: Floats, ends: Floats, radius: Floats, n_sides: int = N_SIDES) -> Floats:
    """Triangles of closed prisms, shape [4 n_sides n, 3, 3].

    Args:
        starts: centres of their first faces, [n, 3].
        ends: of their last ones, [n, 3].
        radius: of circles with the area of their faces, [n].
        n_sides: of the faces.
    """
    axis = ends - starts
    axis = axis / np.linalg.norm(axis, axis=1, keepdims=True)
    # the unit vector that is least along the axis is never parallel to it
    across = np.cross(axis, np.eye(3)[np.abs(axis).argmin(axis=1)])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    other = np.cross(axis, across)
    angle = 2 * np.pi * np.arange(n_sides) / n_sides
    circle = np.cos(angle)[:, None] * across[:, None] + np.sin(angle)[:, None] * other[:, None]
    circle *= (radius * np.sqrt(2 * np.pi / (n_sides * np.sin(2 * np.pi / n_sides))))[:, None, None]
    low, high = starts[:, None] + circle, ends[:, None] + circle
    points = np.concatenate([low, high, starts[:, None], ends[:, None]], axis=1)
    k = np.arange(n_sides)
    after = (k + 1) % n_sides
    bottom, top = np.full(n_sides, 2 * n_sides), np.full(n_sides, 2 * n_sides + 1)
    corners = [(k, after, k + n_sides), (after, after + n_sides, k + n_sides), (bottom, after, k)]
    corners.append((top, k + n_sides, after + n_sides))
    return _triangles(points, np.concatenate([np.stack(each, axis=1) for each in corners]))


def balls(centers: Floats, radius: Floats, n_sides: int = N_SIDES) -> Floats:
    """Triangles of closed balls, shape [n_triangles, 3, 3].

    Args:
        centers: [n, 3].
        radius: of the spheres on which their corners lie, [n].
        n_sides: corners of a circle of latitude.
    """
    polar = np.pi * np.arange(1, _N_RINGS + 1) / (_N_RINGS + 1)
    azimuth = 2 * np.pi * np.arange(n_sides) / n_sides
    ring = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros(n_sides)], axis=1)
    rings = np.sin(polar)[:, None, None] * ring + np.cos(polar)[:, None, None] * np.array([0.0, 0.0, 1.0])
    unit = np.concatenate([rings.reshape(-1, 3), [[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]])
    k = np.arange(n_sides)
    after = (k + 1) % n_sides
    north, south = len(unit) - 2, len(unit) - 1
    corners = [np.stack([np.full(n_sides, north), k, after], axis=1)]
    for first in range(0, n_sides * (_N_RINGS - 1), n_sides):
        above, below = first, first + n_sides
        corners.append(np.stack([above + k, below + k, below + after], axis=1))
        corners.append(np.stack([above + k, below + after, above + after], axis=1))
    last = n_sides * (_N_RINGS - 1)
    corners.append(np.stack([np.full(n_sides, south), last + after, last + k], axis=1))
    points = centers[:, None] + radius[:, None, None] * unit
    return _triangles(points, np.concatenate(corners))


def _triangles(points: Floats, corners: Ints) -> Floats:
    """Corners [n_parts * n, 3, 3] of parts with points [n_parts, n_points, 3] and the same triangles [n, 3]."""
    return points[:, corners].reshape(-1, 3, 3)
