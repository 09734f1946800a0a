"""Along how many directions the bonded network of a crystal goes on for ever: 3 in diamond, 2 in graphite, 0 in ice.

Two atoms are bonded when they are hardly farther apart than the sum of their covalent radii. A connected piece of the
network that meets its own images along n independent lattice translations is n-dimensional.
Source: G. Cheon et al., Nano Lett. 17, 1915 (2017); P. M. Larsen et al., Phys. Rev. Materials 3, 034003 (2019).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.applicability.kernels.pieces import join_pieces, list_bonds, spread_of_loops
from models.crystals.crystal import CrystalBatch
from models.crystals.graph import CrystalGraph
from models.crystals.radii import COVALENT_RADIUS_ANGSTROM

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BOND_SLACK_ANGSTROM = 0.45
BOND_SLACK_RATIO = 1.15
"""A bond is at most this much longer than the sum of the radii, whichever is more: the first is Cheon's tolerance,
the second is for the alkali metals, whose atoms are farther apart than that."""

_FULL = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])  # places of a symmetric matrix's entries
_PARALLEL = 1e-4
"""Translations within about half a degree of a plane lie in it."""


class Bonds(NamedTuple):
    """Directed bonds of a batch.

    Attributes:
        first: atom index, [n_bonds].
        second: atom index, [n_bonds].
        shift: cell of the second atom's image when the first is in the home cell, integers [n_bonds, 3].
    """

    first: Ints
    second: Ints
    shift: Ints


def find_bonds(crystals: CrystalBatch, graph: CrystalGraph) -> Bonds:
    """The bonds among the edges of a graph.

    Args:
        crystals: the crystals of the graph.
        graph: neighbourhoods of about 12 atoms or more; an atom with more bonds than that keeps the shortest.
    """
    n_edges = len(graph.center)
    bonds = Bonds(np.empty(n_edges, np.int64), np.empty(n_edges, np.int64), np.empty((n_edges, 3), np.int64))
    n_bonds = list_bonds(
        (graph.center, graph.neighbor, graph.vector),
        COVALENT_RADIUS_ANGSTROM[crystals.numbers],
        (BOND_SLACK_ANGSTROM, BOND_SLACK_RATIO),
        crystals.frac_coords,
        np.linalg.inv(crystals.lattice)[crystals.crystal_of_atom],
        bonds[:],
    )
    return Bonds(*(part[:n_bonds] for part in bonds))


def network_dimension(crystals: CrystalBatch, graph: CrystalGraph) -> Ints:
    """Dimension of the bonded network: the largest of all its pieces, 0 to 3, [n_crystals].

    A layered crystal with molecules between its layers is 2; two interpenetrating frameworks are 3.

    Args:
        crystals: the crystals of the graph.
        graph: see `find_bonds`.
    """
    first, second, shift = find_bonds(crystals, graph)
    # a bond that closes a ring leads back to the same atom, or to an image of it: the translation between them
    parent, cell = np.arange(len(crystals.numbers)), np.zeros((len(crystals.numbers), 3), dtype=np.int64)
    join_pieces(first, second, shift, parent, cell)
    products = np.zeros((len(parent), 6))
    spread_of_loops((first, second, shift), parent, cell, crystals.lattice[crystals.crystal_of_atom], products)
    roots = np.flatnonzero(products.any(axis=1))
    values = np.linalg.eigvalsh(products[roots][:, _FULL])
    rank = (values > _PARALLEL * values[:, -1:]).sum(axis=1)
    dimension = np.zeros(crystals.n_crystals, dtype=np.int64)
    np.maximum.at(dimension, crystals.crystal_of_atom[roots], rank)
    return dimension
