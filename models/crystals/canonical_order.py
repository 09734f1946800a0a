"""Canonical order of atoms and canonical origin: a list of atoms that does not depend on how the crystal was given.

Symmetry searches decide within a tolerance, and at its edge their answer depends on which atom comes first and where
the origin lies: of 6,000 real candidates two changed their point group when given in an equivalent representation.
Atoms are put in the order of two sums over their surroundings that no rotation, shift or choice of cell changes; atoms
on which the sums agree are equivalent, and may stand in any order. The first one is the origin.
"""

import numpy as np

from models.crystals.crystal import CrystalBatch, Ints
from models.crystals.neighbor_loops import surroundings
from models.crystals.neighborhood import Neighborhood, find_neighborhood

ORDER_RADIUS_ANGSTROM = 4.5
"""How far the order of atoms looks."""

_WIDTH_ANGSTROM = 2.0
_DECIMALS = 7  # far above rounding errors, far below the tolerances of symmetry searches


def canonical_order(batch: CrystalBatch, neighbors: Neighborhood | None = None) -> CrystalBatch:
    """The same crystals in the same cells, atoms in canonical order, the first atom at the origin.

    Args:
        batch: validated crystals.
        neighbors: of the same crystals, at least out to ORDER_RADIUS_ANGSTROM; searched for if None.

    Returns:
        Fractional coordinates in [0, 1) up to rounding; only the order within equivalent atoms is left to chance.
    """
    return in_order(batch, atom_order(batch, neighbors))


def atom_order(batch: CrystalBatch, neighbors: Neighborhood | None = None) -> Ints:
    """The atoms, crystal by crystal, in canonical order, shape [n_atoms]; arguments as of `canonical_order`."""
    if neighbors is None:
        neighbors = find_neighborhood(batch, np.full(batch.n_crystals, ORDER_RADIUS_ANGSTROM))
    first, second = surroundings(neighbors.pairs[:], batch.numbers, ORDER_RADIUS_ANGSTROM, _WIDTH_ANGSTROM)
    keys = (np.round(second, _DECIMALS), np.round(first, _DECIMALS), batch.numbers, batch.crystal_of_atom)
    return np.lexsort(keys)


def in_order(batch: CrystalBatch, order: Ints) -> CrystalBatch:
    """The crystals with their atoms in the given order, the first one at the origin."""
    frac = batch.frac_coords[order]
    frac = frac - frac[batch.first_atom[:-1]][batch.crystal_of_atom]
    # a coordinate of -1e-17 is 0, not 1 - 1e-17
    frac -= np.floor(frac + 1e-9)
    return CrystalBatch(batch.lattice, frac, batch.numbers[order], batch.crystal_of_atom)
