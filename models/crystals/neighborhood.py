"""The neighbors of every atom of a batch, searched once and shared by all who need some of them.

Graphs, canonical order, overlaps and descriptors all look at the atoms around an atom, each as far as it needs. The
search is made once, as far as the farthest of them, and each takes its part: a part has the pairs that a search of its
own would give, bit by bit and in the same order, so that sums over neighbours do not depend on who searched.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats, Ints, rows_of
from models.crystals.neighbors import Neighbors, find_neighbors


@dataclass(frozen=True)
class Neighborhood:
    """All pairs of atoms of a batch of crystals that are closer than a radius.

    Attributes:
        pairs: the pairs, by center, then neighbour, then image.
        radius_angstrom: none closer than this is missing, shape [n_crystals].
        crystal_of_atom: ascending, shape [n_atoms].
    """

    pairs: Neighbors
    radius_angstrom: Floats
    crystal_of_atom: Ints

    @cached_property
    def _distances(self) -> Floats:
        """Distances in angstrom, ascending around each atom, shape [n_pairs]."""
        return self.pairs.distance[np.lexsort((self.pairs.distance, self.pairs.center))]

    def kth_distance(self, k: int) -> Floats:
        """Distance of each atom's k-th nearest neighbour in angstrom, infinite where it has fewer, [n_atoms]."""
        counts = np.bincount(self.pairs.center, minlength=len(self.crystal_of_atom))
        starts = np.cumsum(counts) - counts
        distance = np.full(len(counts), np.inf)
        enough = counts >= k
        distance[enough] = self._distances[starts[enough] + k - 1]
        return distance

    def within(self, radius_angstrom: float) -> Neighbors:
        """The pairs closer than a radius up to which every crystal was searched."""
        return self.pairs.take(self.pairs.distance < radius_angstrom)

    def select(self, crystals: Ints) -> "Neighborhood":
        """The neighborhood of the crystals of the given indices, in that order."""
        atoms, crystal_of_atom = rows_of(
            np.bincount(self.crystal_of_atom, minlength=len(self.radius_angstrom)), crystals
        )
        rows, center = rows_of(np.bincount(self.pairs.center, minlength=len(self.crystal_of_atom)), atoms)
        new_index = np.zeros(len(self.crystal_of_atom), dtype=np.int64)
        new_index[atoms] = np.arange(len(atoms))
        chosen = self.pairs.take(rows)
        pairs = chosen._replace(center=center, neighbor=new_index[chosen.neighbor])
        return Neighborhood(pairs, self.radius_angstrom[crystals], crystal_of_atom)


def find_neighborhood(batch: CrystalBatch, radius_angstrom: Floats) -> Neighborhood:
    """The neighborhood of all crystals of a batch.

    Args:
        batch: crystals whose cells `find_malformed` lets pass.
        radius_angstrom: how far to search, shape [n_crystals].
    """
    pairs = find_neighbors(batch.lattice, batch.frac_coords, batch.crystal_of_atom, radius_angstrom)
    return Neighborhood(pairs, radius_angstrom, batch.crystal_of_atom)
