"""How far apart two crystals are in shape, for crystals that should be one before and after relaxation.

Both are scaled to the same volume per atom, and every atom of either is compared with the atom of its element in the
other whose surroundings are most like its own. The largest difference counts: one misplaced atom shows.
"""

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats
from models.fingerprint.environments import NEAR, find_environments


def structure_distances(first: CrystalBatch, second: CrystalBatch) -> Floats:
    """Distance in shape of pairs of crystals with the same elements, whatever cell, origin or orientation they have.

    It is a root mean square over the distances to the nearest 24 neighbours of each element, in cube roots of the
    volume per atom; enantiomorphs have none. Copies whose cells are strained by up to 3 % and whose atoms are moved by
    0.1 angstrom reach 0.05, by 6 % and 0.2 angstrom 0.08; half of the polymorphs in public data are further apart.

    Args:
        first: validated crystals.
        second: as many, each beside the one it is compared with.

    Returns:
        Shape [n_crystals].
    """
    n = first.n_crystals
    batch = CrystalBatch.join([_of_unit_volume(first), _of_unit_volume(second)])
    environments = find_environments(batch, NEAR)
    distances = np.zeros(n)
    for pair in range(n):
        slices = [slice(batch.first_atom[k], batch.first_atom[k + 1]) for k in (pair, n + pair)]
        elements = [environments.element[atoms] for atoms in slices]
        # columns beyond are of elements that only other crystals have, and averages
        n_columns = (int(elements[0].max()) + 1) * NEAR.nearest
        rows = [environments.rows[atoms, :n_columns] for atoms in slices]
        there = _furthest(rows[0], elements[0], rows[1], elements[1])
        distances[pair] = max(there, _furthest(rows[1], elements[1], rows[0], elements[0]))
    return distances


def _of_unit_volume(batch: CrystalBatch) -> CrystalBatch:
    """The crystals scaled to one unit of volume per atom."""
    volume_per_atom = np.abs(np.linalg.det(batch.lattice)) / batch.atoms_per_crystal
    lattice = batch.lattice / np.cbrt(volume_per_atom)[:, None, None]
    return CrystalBatch(lattice, batch.frac_coords, batch.numbers, batch.crystal_of_atom)


def _furthest(rows: Floats, elements: np.ndarray, others: Floats, other_elements: np.ndarray) -> float:
    """Largest of the distances of atoms to their nearest counterpart; infinite where an element has none."""
    furthest = 0.0
    for row, element in zip(rows, elements, strict=True):
        like = others[other_elements == element]
        nearest = np.sqrt(((like - row) ** 2).mean(axis=1)).min() if len(like) else np.inf
        furthest = max(furthest, float(nearest))
    return furthest
