"""How close the closest atoms of a crystal are, in units of the sum of their covalent radii."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import SYMBOLS, CrystalBatch, Floats, Ints
from models.crystals.neighbors import find_neighbors
from models.crystals.radii import COVALENT_RADIUS_ANGSTROM

LEAST_RATIO = 0.7
"""Below it atoms overlap: in 4 of 10,000 crystals of the Materials Project they do."""

LEAST_RATIO_OF_ACTINIDES = 0.6
"""The same for a pair with an actinide: U-O of uranyls is at 0.68, and short U-U and Np-Np bonds are at 0.65."""

_REACH = 1.0
_ACTINIDE = 89


@dataclass(frozen=True)
class PairDistances:
    """The pair of atoms of every crystal that is closest for its elements, relative to what is the least for them.

    Attributes:
        ratio: distance over the sum of the covalent radii; infinite where no pair is within the reach, [n_crystals].
        least: what the ratio should be at least, shape [n_crystals].
        atoms: the two, 0-based within the crystal and the same for an atom and its own image, -1 where no pair is
            within the reach, shape [n_crystals, 2].
        numbers: atomic numbers of the two, 0 where there are none, shape [n_crystals, 2].
        distance_angstrom: between them; infinite where there is none, shape [n_crystals].
    """

    ratio: Floats
    least: Floats
    atoms: Ints
    numbers: Ints
    distance_angstrom: Floats

    @property
    def passed(self) -> NDArray[np.bool_]:
        """Whether no pair is closer than the least, shape [n_crystals]."""
        return np.asarray(self.ratio >= self.least)

    def sentence(self, crystal: int) -> str:
        """The closest pair of a crystal that has one."""
        one, other = (SYMBOLS[number] for number in self.numbers[crystal].tolist())
        first, second = self.atoms[crystal].tolist()
        return (
            f"{one}-{other} (atoms {first} and {second}, 0-based) {self.distance_angstrom[crystal]:.3f} angstrom, "
            f"{self.ratio[crystal]:.3f} of the sum of their covalent radii, least {self.least[crystal]:g}"
        )


def pair_distances(
    batch: CrystalBatch, least: float = LEAST_RATIO, least_of_actinides: float = LEAST_RATIO_OF_ACTINIDES
) -> PairDistances:
    """The shortest distance of any two atoms of each crystal relative to their covalent radii.

    Periodic images count, also those of the atom itself.

    Args:
        batch: crystals whose cells `find_malformed` lets pass.
        least: smallest ratio that passes, at most 1: pairs farther apart than the sum of the radii are not looked at.
        least_of_actinides: the same for pairs with an actinide.

    Returns:
        One pair per crystal; the same ratio for any cell, order or origin.
    """
    n_crystals = batch.n_crystals
    radius = COVALENT_RADIUS_ANGSTROM[batch.numbers]
    largest = np.zeros(n_crystals)
    np.maximum.at(largest, batch.crystal_of_atom, radius)
    pairs = find_neighbors(batch.lattice, batch.frac_coords, batch.crystal_of_atom, 2 * _REACH * largest)
    ratios = pairs.distance / (radius[pairs.center] + radius[pairs.neighbor])
    near = np.flatnonzero(ratios <= _REACH)
    of_pair = batch.numbers[np.stack([pairs.center[near], pairs.neighbor[near]], axis=1)]
    limits = np.where((of_pair >= _ACTINIDE).any(axis=1), least_of_actinides, least)
    owner = batch.crystal_of_atom[pairs.center[near]]
    # the first of each crystal after the sort is its closest
    order = np.lexsort((ratios[near] / limits, owner))
    crystals, rows = np.unique(owner[order], return_index=True)
    closest = order[rows]
    found = PairDistances(
        np.full(n_crystals, np.inf),
        np.full(n_crystals, least),
        np.full((n_crystals, 2), -1, np.int64),
        np.zeros((n_crystals, 2), np.int64),
        np.full(n_crystals, np.inf),
    )
    rows = near[closest]
    found.ratio[crystals], found.least[crystals] = ratios[rows], limits[closest]
    found.numbers[crystals], found.distance_angstrom[crystals] = of_pair[closest], pairs.distance[rows]
    atoms = np.stack([pairs.center[rows], pairs.neighbor[rows]], axis=1)
    found.atoms[crystals] = atoms - batch.first_atom[crystals][:, None]
    return found
