"""The neighbors of every atom of a batch, searched once and shared by all who need some of them.

Graphs, canonical order, overlaps and descriptors all look at the atoms around an atom, each as far as it needs. The
search is made once, as far as the farthest of them, and each takes its part: a part has the pairs that a search of its
own would give, bit by bit and in the same order, so that sums over neighbours do not depend on who searched.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats, Ints, rows_of
from models.crystals.neighbor_loops import closer_pairs
from models.crystals.neighbor_search import kth_distances
from models.crystals.neighbors import Bools, Neighbors, find_shells


@dataclass(frozen=True)
class Neighborhood:
    """All pairs of atoms of a batch of crystals that are closer than a radius.

    Attributes:
        pairs: the pairs, by center, then neighbour, then image.
        radius_angstrom: none closer than this is missing, shape [n_crystals].
        crystal_of_atom: ascending, shape [n_atoms].
        centers: atoms whose pairs were searched, shape [n_atoms]; all if None.
    """

    pairs: Neighbors
    radius_angstrom: Floats
    crystal_of_atom: Ints
    centers: Bools | None = None
    _kth: dict[int, Floats] = field(default_factory=dict, repr=False, compare=False)

    def kth_distance(self, k: int) -> Floats:
        """Distance of each atom's k-th nearest neighbour in angstrom, infinite where it has fewer, [n_atoms].

        It is infinite for all atoms that are no centers.
        """
        if k not in self._kth:
            self._kth[k] = kth_distances(self.pairs.center, self.pairs.distance, len(self.crystal_of_atom), k)
        return self._kth[k]

    def within(self, radius_angstrom: float) -> Neighbors:
        """The pairs closer than a radius up to which every crystal was searched."""
        return self.closer(np.full(len(self.crystal_of_atom), radius_angstrom))

    def closer(self, limit_angstrom: Floats, centers: Bools | None = None, *, either_end: bool = False) -> Neighbors:
        """The pairs that are closer than a limit, which every atom has for itself.

        Args:
            limit_angstrom: of each atom, shape [n_atoms].
            centers: atoms whose pairs are wanted, shape [n_atoms]; all if None.
            either_end: the larger limit of the two atoms counts, not that of the center.
        """
        is_center = np.ones(len(limit_angstrom), dtype=np.bool_) if centers is None else np.ascontiguousarray(centers)
        return Neighbors(*closer_pairs(self.pairs[:], limit_angstrom, either_end, is_center))

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
        centers = None if self.centers is None else self.centers[atoms]
        kth = {k: distance[atoms] for k, distance in self._kth.items()}
        return Neighborhood(pairs, self.radius_angstrom[crystals], crystal_of_atom, centers, kth)


def find_neighborhood(
    batch: CrystalBatch,
    radius_angstrom: Floats,
    shells: Sequence[tuple[int, float]] = (),
    centers: Bools | None = None,
) -> Neighborhood:
    """The neighborhood of all crystals of a batch.

    Args:
        batch: crystals whose cells `find_malformed` lets pass.
        radius_angstrom: how far to search, shape [n_crystals].
        shells: pairs of k and a multiple of the distance of a center's k-th neighbour: search at least so far.
        centers: atoms whose pairs are wanted, shape [n_atoms]; all if None. The others are neighbours only.
    """
    arrays = batch.lattice, batch.frac_coords, batch.crystal_of_atom
    pairs, reached, kth = find_shells(*arrays, radius_angstrom, shells, centers)
    kth_of = {k: distance for (k, _), distance in zip(shells, kth, strict=True)}
    return Neighborhood(pairs, reached, batch.crystal_of_atom, centers, kth_of)
