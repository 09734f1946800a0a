"""Nets whose nodes are the atoms of crystals and whose struts are their bonds."""

from dataclasses import dataclass

import numpy as np

from models.beam_lattice.net import BeamNets, Floats, Ints, NetArrays, NetProblem, sound_nets
from models.beam_lattice.overlaps import overlapping_struts
from models.crystals.crystal import CrystalBatch
from models.crystals.neighbors import find_neighbors
from models.crystals.radii import COVALENT_RADIUS_ANGSTROM

BOND_TOLERANCE = 0.2
"""A bond is at most this share longer than the sum of both covalent radii: neighbours in fcc metals are. Large cations
are then joined to each other, too; a smaller tolerance leaves these struts out, and those of metals."""

SLENDER = 0.05
"""Radius over length of the struts as which bonds start out."""

_SAME_LENGTH = 1e-3  # lengths of bonds of one orbit differ by less than this share


@dataclass(frozen=True)
class CrystalNets:
    """Nets of crystals.

    Attributes:
        nets: those that could be made.
        crystals: the crystal of each, ascending, shape [n_nets].
        bond_class: bonds of a net between the same elements with the same length share a number, counted over all
            nets, shape [n_struts]; bonds that symmetry maps onto each other share one.
        refused: crystals without a net, with the problem and a detail.
    """

    nets: BeamNets
    crystals: Ints
    bond_class: Ints
    refused: dict[int, tuple[NetProblem, str]]


def nets_of_bonds(crystals: CrystalBatch, tolerance: float = BOND_TOLERANCE) -> CrystalNets:
    """Nets of the bonds of crystals; those whose bonds hold together no net along three directions are refused.

    Args:
        crystals: validated; primitive cells give the smallest matrices.
        tolerance: a bond is at most 1 + tolerance times as long as the sum of the covalent radii (Cordero et al. 2008).
    """
    of_atom = COVALENT_RADIUS_ANGSTROM[crystals.numbers]
    largest = np.zeros(crystals.n_crystals)
    np.maximum.at(largest, crystals.crystal_of_atom, of_atom)
    pairs = find_neighbors(
        crystals.lattice, crystals.frac_coords, crystals.crystal_of_atom, 2 * (1 + tolerance) * largest
    )
    pairs = pairs.take(pairs.distance <= (1 + tolerance) * (of_atom[pairs.center] + of_atom[pairs.neighbor]))
    inverse = np.linalg.inv(crystals.lattice)[crystals.crystal_of_atom[pairs.center]]
    fractional = np.einsum("ni,nij->nj", pairs.vector, inverse)
    image = np.rint(fractional - crystals.frac_coords[pairs.neighbor] + crystals.frac_coords[pairs.center])
    # every bond is found from both of its ends: one of them is kept
    first = np.sign(image[np.arange(len(image)), (image != 0).argmax(axis=1)])
    kept = (pairs.center < pairs.neighbor) | ((pairs.center == pairs.neighbor) & (first > 0))
    pairs, image = pairs.take(kept), image[kept].astype(np.int64)
    ends = np.stack([pairs.center, pairs.neighbor], axis=1)
    # two cations are joined through the anion between them, not past it
    kept = np.delete(np.arange(len(ends)), overlapping_struts(ends, pairs.vector))
    pairs, image, ends = pairs.take(kept), image[kept], ends[kept]
    radius = SLENDER * pairs.distance
    nets, sound, refused = sound_nets(
        NetArrays(crystals.lattice, crystals.frac_coords, crystals.crystal_of_atom, ends, image, radius)
    )
    struts = np.flatnonzero(np.isin(crystals.crystal_of_atom[ends[:, 0]], sound))
    return CrystalNets(nets, sound, _bond_classes(crystals, ends[struts], pairs.distance[struts]), refused)


def _bond_classes(crystals: CrystalBatch, ends: Ints, length: Floats) -> Ints:
    """Numbers of the classes of bonds, see `CrystalNets`, [n_bonds]."""
    elements = np.sort(crystals.numbers[ends], axis=1)
    owner = crystals.crystal_of_atom[ends[:, 0]]
    order = np.lexsort((length, elements[:, 1], elements[:, 0], owner))
    keys = np.column_stack([owner, elements])[order]
    sorted_length = length[order]
    new = (keys[1:] != keys[:-1]).any(axis=1) | (sorted_length[1:] > sorted_length[:-1] * (1 + _SAME_LENGTH))
    classes = np.zeros(len(ends), dtype=np.int64)
    classes[order] = np.cumsum(np.concatenate([np.zeros(min(len(ends), 1), np.bool_), new]))
    return classes
