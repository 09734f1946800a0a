"""Empty layers of a cell: what tells a slab, a wire or a molecule in a box from a crystal.

A calculation of a surface or of a single layer repeats it with vacuum between. Its tensors per volume of the cell have
no meaning. Bonds do not tell it from a layered crystal (graphene in a box and graphite are both two-dimensional), the
width of the empty layer does: along some lattice planes no atom, with its van der Waals radius, reaches into it.
"""

from collections import defaultdict
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import CrystalBatch
from models.crystals.neighbor_search import reduce_cells
from models.crystals.radii import VDW_RADIUS_ANGSTROM

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MIN_VACUUM_ANGSTROM = 6.0
"""An empty layer as wide as this is no gap between the layers of a crystal: those are below 3."""

_MIN_SPACING_ANGSTROM = MIN_VACUUM_ANGSTROM + 2.0
"""Lattice planes closer than this leave no room: even a layer of hydrogen is 2.4 thick."""


def vacuum_width(crystals: CrystalBatch) -> Floats:
    """Width of the widest empty layer between lattice planes in angstrom, 0 where all are narrow, [n_crystals].

    Only sets of parallel planes that are at least 8 angstrom apart are searched; they are finitely many and do not
    depend on the choice of the cell.

    Args:
        crystals: validated crystals.
    """
    lattice, transform = crystals.lattice.copy(), np.broadcast_to(np.eye(3), crystals.lattice.shape).copy()
    reduce_cells(lattice, transform)
    frac = np.einsum("ni,nij->nj", crystals.frac_coords, np.linalg.inv(transform)[crystals.crystal_of_atom])
    owner, plane = _wide_planes(lattice)
    width = np.zeros(crystals.n_crystals)
    if not len(owner):
        return width
    reciprocal = np.einsum("pi,pji->pj", plane.astype(np.float64), np.linalg.inv(lattice)[owner])
    spacing = 1.0 / np.linalg.norm(reciprocal, axis=1)
    counts = crystals.atoms_per_crystal[owner]
    plane_of_row = np.repeat(np.arange(len(owner)), counts)
    start = crystals.first_atom[owner] - (np.cumsum(counts) - counts)
    atom = np.arange(len(plane_of_row)) + start[plane_of_row]
    height = np.einsum("ri,ri->r", frac[atom], plane[plane_of_row]) % 1.0
    radius = VDW_RADIUS_ANGSTROM[crystals.numbers[atom]] / spacing[plane_of_row]
    np.maximum.at(width, owner, spacing * _widest_gap(height, radius, plane_of_row, len(owner)))
    return width


def _wide_planes(lattice: Floats) -> tuple[Ints, Ints]:
    """Miller indices (without common divisor, one sign) of planes far apart: crystal [n], indices [n, 3]."""
    # |h| = |g . a| <= |a| / spacing
    bound = np.floor(np.linalg.norm(lattice, axis=2) / _MIN_SPACING_ANGSTROM).astype(np.int64)
    inverse = np.linalg.inv(lattice)
    owners, planes = [np.zeros(0, np.int64)], [np.zeros((0, 3), np.int64)]
    rows_of_bound = defaultdict(list)
    for crystal, limits in enumerate(map(tuple, bound.tolist())):
        rows_of_bound[limits].append(crystal)
    # in the order of the bounds
    for limits in sorted(rows_of_bound):
        if any(limits):
            grid, rows = _grid_of_planes(limits), np.array(rows_of_bound[limits])
            size = np.linalg.norm(np.einsum("gi,nji->ngj", grid.astype(np.float64), inverse[rows]), axis=2)
            row, which = np.nonzero(size * _MIN_SPACING_ANGSTROM <= 1.0)
            owners.append(rows[row])
            planes.append(grid[which])
    return np.concatenate(owners), np.concatenate(planes)


@lru_cache(maxsize=1024)
def _grid_of_planes(limits: tuple[int, int, int]) -> Ints:
    """Miller indices up to the limits without common divisor, one of each pair of opposite planes, [n, 3]."""
    grid = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in limits), indexing="ij"), axis=-1).reshape(-1, 3)
    grid = grid[len(grid) // 2 + 1 :]
    coprime: Ints = grid[np.gcd.reduce(grid, axis=1) == 1]
    return coprime


def _widest_gap(height: Floats, radius: Floats, group: Ints, n_groups: int) -> Floats:
    """Largest uncovered part of a circle of length 1 under intervals height +- radius, per group [n_groups].

    Args:
        height: centres in [0, 1), [n].
        radius: half lengths, [n].
        group: which circle, every one of them occurs, [n].
        n_groups: number of circles.
    """
    # Three rounds of the circle: gaps are taken from the middle one, into which the others may reach.
    rounds = np.repeat([-1.0, 0.0, 1.0], len(height))
    lower, upper = np.tile(height - radius, 3) + rounds, np.tile(height + radius, 3) + rounds
    group = np.tile(group, 3)
    order = np.lexsort((lower, group))
    lower, upper, group, middle = lower[order], upper[order], group[order], (rounds == 0)[order]
    # The running maximum of all upper ends so far; groups are put far apart so that none reaches into another's.
    apart = (2.0 * np.abs(upper).max() + 4.0) * group
    covered = np.maximum.accumulate(upper + apart) - apart
    gap = np.where((group[1:] == group[:-1]) & middle[1:], lower[1:] - covered[:-1], 0.0)
    widest = np.zeros(n_groups)
    np.maximum.at(widest, group[1:], gap)
    return widest
