"""The surroundings of a crystal's atoms as numbers that no rotation, origin, cell or order of atoms changes.

Everything is made of the neighbours within a multiple of the cube root of the volume per atom, so that it does not
depend on the scale of a crystal. The distances of an atom's nearest neighbours, sorted and element by element, change
by no more than twice what the atoms move; averages of them over neighbours, taken once and again, depend on the
stacking a few layers away. No tolerance and no symmetry search enters: the numbers are continuous, also where a crystal
is nearly symmetric.

Sources: sorted distances as invariants of periodic crystals: D. Widdowson, V. Kurlin, Adv. Neural Inf. Process. Syst.
35 (2022). Handedness as a triple product of polar vectors: A. B. Harris, R. D. Kamien, T. C. Lubensky, Rev. Mod. Phys.
71, 1745 (1999).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from models.crystals.crystal import MIN_DISTANCE_ANGSTROM, CrystalBatch, Floats, Ints
from models.crystals.neighborhood import find_neighborhood
from models.crystals.neighbors import Neighbors, closest_of
from models.fingerprint import environment_loops
from models.fingerprint.environment_loops import (
    contrasts,
    fill_sorted_distances,
    find_shells,
    neighbor_means,
    summaries,
)
from models.fingerprint.handedness_loops import handedness


class Range(NamedTuple):
    """Which neighbours of an atom count.

    Attributes:
        reach: in cube roots of the volume per atom.
        nearest: distances kept per element of the neighbours.
    """

    reach: float
    nearest: int


NEAR = Range(2.0, 24)
"""For every crystal: 33 neighbours on average, enough to tell face-centred from hexagonal packing."""

FAR = Range(3.0, 96)
"""For crystals that may be the same: 113 neighbours, past the layers whose stacking makes a polytype."""

N_AVERAGES = 3
"""Columns of averages at the end of a row: over neighbours, over neighbours of neighbours, and once more."""

ClosestPairs = dict[int, tuple[int, int, float]]
"""Crystal -> the two atoms (0-based) that overlap most, and their distance in angstrom."""

_GAIN = 2.0  # averaging dilutes what distinguishes two stackings; noise it dilutes even more
_CODE = 0.6180339887498949  # elements of a crystal count 1, 1.6, 2.2, ...: exchanged species are seen
_ATOMS_AT_A_TIME = 2048  # 120,000 neighbours are held at a time, however large the cells


@dataclass(frozen=True)
class Environments:
    """What distinguishes crystals, as continuous numbers.

    Attributes:
        size: cube root of the volume per atom in angstrom, shape [n_crystals].
        rows: per atom the sorted distances in angstrom to its nearest neighbours of the crystal's first element (by
            atomic number), of its second and so on, then averages over neighbours in which what sets like atoms of a
            crystal apart is amplified; shape [n_atoms, n_columns].
            Columns of elements that a crystal does not have, and of neighbours too far away, hold the reach.
        summary: averages over near and far neighbours of each atom in angstrom, the last without unit; [n_atoms, 4].
        handedness: pseudoscalars, without unit; zero where the crystal is its own mirror image, opposite for the two
            enantiomorphs; shape [n_crystals, 4].
        overlaps: crystals whose atoms overlap; their other numbers have no meaning.
        element: rank of each atom's element among those of its crystal, shape [n_atoms].
    """

    size: Floats
    rows: Floats
    summary: Floats
    handedness: Floats
    element: Ints
    overlaps: ClosestPairs


def find_environments(batch: CrystalBatch, kept: Range = NEAR) -> Environments:
    """The environments of all atoms of a batch, from one search for neighbours.

    Args:
        batch: crystals that `find_malformed` lets pass.
        kept: the neighbours whose distances the rows hold; nothing else depends on it.
    """
    element, n_elements = element_ranks(batch)
    width = int(n_elements.max(initial=1))
    rows = np.empty((len(element), width * kept.nearest + N_AVERAGES))
    group = np.cumsum(batch.atoms_per_crystal) // _ATOMS_AT_A_TIME
    parts, overlaps = [], ClosestPairs()
    for chunk in np.split(np.arange(batch.n_crystals), np.flatnonzero(np.diff(group)) + 1):
        atoms = slice(batch.first_atom[chunk[0]], batch.first_atom[chunk[-1] + 1]) if len(chunk) else slice(0)
        part = batch.select(chunk)
        *columns, pairs = _fill_rows(rows[atoms], part, (element[atoms], n_elements[chunk]), kept)
        parts.append(columns)
        closest = closest_of(pairs, part.crystal_of_atom, MIN_DISTANCE_ANGSTROM)
        overlaps |= {int(chunk[row]): pair for row, pair in closest.items()}
    size, summary, hands = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Environments(size, rows, summary, hands, element, overlaps)


def _fill_rows(
    rows: Floats, batch: CrystalBatch, elements: tuple[Ints, Ints], kept: Range
) -> tuple[Floats, Floats, Floats, Neighbors]:
    """Writes the rows of crystals whose neighbours fit into memory at once.

    Args:
        rows: of their atoms, shape [n_atoms, n_columns].
        batch: these crystals.
        elements: see `element_ranks`.
        kept: see `find_environments`.

    Returns:
        Their size, summary and handedness (see `Environments`), and the neighbours out to `FAR`.
    """
    element, n_elements = elements
    size = np.cbrt(np.abs(np.linalg.det(batch.lattice)) / np.maximum(batch.atoms_per_crystal, 1))
    size_there = size[batch.crystal_of_atom]
    code = (1.0 + _CODE * element).astype(np.float64, copy=False)
    pairs = find_neighborhood(batch, FAR.reach * size).pairs
    shells, distant = find_shells(pairs[:], code, size_there, NEAR.reach, FAR.reach)
    near_rows = rows if kept is NEAR else np.empty((len(rows), int(n_elements.max(initial=1)) * NEAR.nearest))
    fill_sorted_distances(near_rows, *shells[:3], element, NEAR.reach * size_there, NEAR.nearest)
    weight = 0.8 ** np.arange(NEAR.nearest, dtype=np.float64)
    code_of_rank = 1.0 + _CODE * np.arange(n_elements.max(initial=1), dtype=np.float64)
    near, middle = summaries(near_rows, n_elements[batch.crystal_of_atom], code_of_rank, weight / weight.sum()).T
    averages = neighbor_means(shells, near + middle, _GAIN, N_AVERAGES)
    if kept is FAR:
        starts = np.searchsorted(pairs.center, np.arange(len(element) + 1))
        arrays = starts, pairs.neighbor, pairs.distance
        fill_sorted_distances(rows, *arrays, element, FAR.reach * size_there, FAR.nearest)
    # A cell that is a little longer moves the averages of all atoms alike, and by no more than it moves distances: the
    # gain goes to what sets like atoms of a crystal apart only.
    damping = 2.0 * _GAIN ** np.arange(1.0, N_AVERAGES + 1)
    rows[:, -N_AVERAGES:] = contrasts(averages, element, batch.first_atom, damping)
    summary = np.stack([near, middle, averages[:, -1], distant / 10], axis=1)
    return size, summary, size[:, None] * handedness(shells, batch.first_atom), pairs


def element_ranks(batch: CrystalBatch) -> tuple[Ints, Ints]:
    """Rank of each atom's element among those of its crystal, [n_atoms], and the number of elements, [n_crystals]."""
    return environment_loops.element_ranks(batch.numbers, batch.first_atom)
