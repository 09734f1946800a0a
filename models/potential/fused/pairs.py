"""Pairs of atoms within the cutoff, each once: what depends on their distance serves both directions."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import Floats, Ints
from models.crystals.neighbors import Neighbors


class Pairs(NamedTuple):
    """Pairs of atoms, and the edges in both directions, sorted by the atom they end at.

    Attributes:
        first, second: atoms of each pair, shape [n_pairs].
        vector: from the first to the second in angstrom, shape [n_pairs, 3].
        starts: where the edges that end at an atom begin and, last, the number of edges, shape [n_atoms + 1].
        source: atom that an edge comes from, shape [n_edges].
        pair: that an edge belongs to, shape [n_edges].
        reverse: whether the edge ends at the second atom of its pair, shape [n_edges].
    """

    first: Ints
    second: Ints
    vector: Floats
    starts: Ints
    source: Ints
    pair: Ints
    reverse: NDArray[np.bool_]

    @staticmethod
    def of(neighbors: Neighbors, n_atoms: int) -> "Pairs":
        """Pairs from neighbors that name each of them in both directions."""
        # Of an atom and its own images: one of two opposite vectors. They are exactly opposite, so this decides.
        x, y, z = neighbors.vector.T
        ahead = (x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0))))
        same = neighbors.center == neighbors.neighbor
        once = neighbors.take(np.where(same, ahead, neighbors.center < neighbors.neighbor))
        n_pairs = len(once.center)
        target, source = (np.concatenate(ends) for ends in (once[:2], once[1::-1]))
        order = np.argsort(target, kind="stable")
        starts = np.searchsorted(target[order], np.arange(n_atoms + 1))
        pair = np.tile(np.arange(n_pairs), 2)[order]
        return Pairs(once.center, once.neighbor, once.vector, starts, source[order], pair, order >= n_pairs)
