"""How close an atom comes to others while it is placed: loops as machine code."""

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@compiled
def mark_separate(
    sites: Floats, radii: Floats, own_radius: float, lattice: Floats, least: float, is_separate: Bools
) -> None:
    """Marks the candidates whose first site keeps its distance from all others and from all images of the cell.

    Args:
        sites: of each candidate: first its own site, then all others, fractional, [n_candidates, n_sites, 3].
        radii: of the sites in angstrom, [n_sites].
        own_radius: of the first site.
        lattice: rows in angstrom, [3, 3].
        least: distance over the sum of radii below which sites are too close.
        is_separate: written, [n_candidates].
    """
    for candidate in range(sites.shape[0]):
        separate = True
        for site in range(sites.shape[1]):
            bound = least * (own_radius + radii[site])
            bound = bound * bound
            dx = sites[candidate, site, 0] - sites[candidate, 0, 0]
            dy = sites[candidate, site, 1] - sites[candidate, 0, 1]
            dz = sites[candidate, site, 2] - sites[candidate, 0, 2]
            dx -= np.rint(dx)
            dy -= np.rint(dy)
            dz -= np.rint(dz)
            for i in range(-1, 2):
                for j in range(-1, 2):
                    for k in range(-1, 2):
                        u, v, w = dx + i, dy + j, dz + k
                        x = u * lattice[0, 0] + v * lattice[1, 0] + w * lattice[2, 0]
                        y = u * lattice[0, 1] + v * lattice[1, 1] + w * lattice[2, 1]
                        z = u * lattice[0, 2] + v * lattice[1, 2] + w * lattice[2, 2]
                        square = x * x + y * y + z * z
                        # a site is at no distance from itself, and only from itself
                        if square < bound and not (site == 0 and i == 0 and j == 0 and k == 0):
                            separate = False
                            break
                    if not separate:
                        break
                if not separate:
                    break
            if not separate:
                break
        is_separate[candidate] = separate
