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
_ATOMS_AT_A_TIME = 1024  # 120,000 neighbours are held at a time, however large the cells


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


class _Shell(NamedTuple):
    """Neighbours of one chunk of crystals with their weights: `weight` goes to zero at the reach."""

    pairs: Neighbors
    weight: Floats
    direction: Floats
    n_atoms: int

    def mean(self, values: Floats) -> Floats:
        """Weighted mean of per-pair values [n_pairs, ...] over each atom's neighbours, shape [n_atoms, ...]."""
        width = int(np.prod(values.shape[1:]))
        flat = np.concatenate([np.ones((len(values), 1)), values.reshape(len(values), width)], axis=1)
        flat *= self.weight[:, None]
        seen, first = np.unique(self.pairs.center, return_index=True)
        total = np.zeros((self.n_atoms, flat.shape[1]))
        total[seen] = np.add.reduceat(flat, first, axis=0) if len(first) else 0.0
        # an atom without neighbours has the mean 0, and comes there continuously
        mean: Floats = (total[:, 1:] / (total[:, :1] + 1e-2)).reshape(self.n_atoms, *values.shape[1:])
        return mean


def find_environments(batch: CrystalBatch, kept: Range = NEAR) -> Environments:
    """The environments of all atoms of a batch, from one search for neighbours.

    Args:
        batch: crystals that `find_malformed` lets pass.
        kept: the neighbours whose distances the rows hold; nothing else depends on it.
    """
    group = np.cumsum(batch.atoms_per_crystal) // _ATOMS_AT_A_TIME
    chunks = np.split(np.arange(batch.n_crystals), np.flatnonzero(np.diff(group)) + 1)
    parts = [_of_chunk(batch.select(chunk), kept) for chunk in chunks]
    width = max(part.rows.shape[1] for part in parts)
    rows, overlaps = [], ClosestPairs()
    for chunk, part in zip(chunks, parts, strict=True):
        # as many columns of absent elements as the widest chunk needs, before the averages
        n_columns = part.rows.shape[1]
        rows.append(np.insert(part.rows, [n_columns - N_AVERAGES] * (width - n_columns), 0.0, axis=1))
        overlaps |= {int(chunk[row]): pair for row, pair in part.overlaps.items()}
    return Environments(
        np.concatenate([part.size for part in parts]),
        np.concatenate(rows),
        np.concatenate([part.summary for part in parts]),
        np.concatenate([part.handedness for part in parts]),
        np.concatenate([part.element for part in parts]),
        overlaps,
    )


def _of_chunk(batch: CrystalBatch, kept: Range) -> Environments:
    """The environments of crystals whose neighbours fit into memory at once."""
    size = np.cbrt(np.abs(np.linalg.det(batch.lattice)) / np.maximum(batch.atoms_per_crystal, 1))
    size_there = size[batch.crystal_of_atom]
    element, n_elements = element_ranks(batch)
    code = 1.0 + _CODE * element
    all_pairs = find_neighborhood(batch, FAR.reach * size).pairs
    scaled = all_pairs.distance / size_there[all_pairs.center]
    pairs = all_pairs.take(scaled < NEAR.reach)
    weight = code[pairs.neighbor] * _cutoff_envelope(scaled[scaled < NEAR.reach] / NEAR.reach)
    # atoms in the same place have no direction to each other
    direction = pairs.vector / np.maximum(pairs.distance, np.finfo(np.float64).tiny)[:, None]
    shell = _Shell(pairs, weight, direction, len(code))
    rows = _sorted_distances(pairs, element, NEAR.reach * size_there, n_elements, NEAR.nearest)
    near, middle = _summaries(rows, n_elements[batch.crystal_of_atom])
    far_weight = code[all_pairs.neighbor] * _cutoff_envelope(scaled / FAR.reach)
    distant = np.bincount(all_pairs.center, far_weight, len(code)) / 10
    averages = [near + middle]
    for _ in range(N_AVERAGES):
        averages.append(_GAIN * shell.mean(averages[-1][pairs.neighbor]))
    contrast = _contrast(np.stack(averages[1:], axis=1), batch.crystal_of_atom, element)
    if kept is FAR:
        rows = _sorted_distances(all_pairs, element, FAR.reach * size_there, n_elements, FAR.nearest)
    return Environments(
        size,
        np.concatenate([rows.reshape(len(code), -1), contrast], axis=1),
        np.stack([near, middle, averages[-1], distant], axis=1),
        _handedness(batch, shell, size),
        element,
        closest_of(all_pairs, batch.crystal_of_atom, MIN_DISTANCE_ANGSTROM),
    )


def _cutoff_envelope(distance: Floats) -> Floats:
    """1 at an atom, smoothly 0 at the distance 1."""
    return (1.0 - distance**2) ** 3


def element_ranks(batch: CrystalBatch) -> tuple[Ints, Ints]:
    """Rank of each atom's element among those of its crystal, [n_atoms], and the number of elements, [n_crystals]."""
    element_of_crystal = batch.crystal_of_atom * 1000 + batch.numbers
    distinct, index = np.unique(element_of_crystal, return_inverse=True)
    n_elements = np.bincount(distinct // 1000, minlength=batch.n_crystals).astype(np.int64)
    first = np.cumsum(n_elements) - n_elements
    return index - first[batch.crystal_of_atom], n_elements


def _sorted_distances(pairs: Neighbors, element: Ints, reach: Floats, n_elements: Ints, nearest: int) -> Floats:
    """Distances to the nearest neighbours, element by element, in angstrom; shape [n_atoms, n_elements, nearest]."""
    width = int(n_elements.max(initial=1))
    owner = pairs.center * width + element[pairs.neighbor]
    order = np.lexsort((pairs.distance, owner))
    owner = owner[order]
    place = np.arange(len(owner)) - np.searchsorted(owner, owner)
    near = place < nearest
    distances = np.repeat(reach, width * nearest).reshape(-1, nearest)
    distances[owner[near], place[near]] = pairs.distance[order][near]
    return distances.reshape(len(element), width, nearest)


def _summaries(distances: Floats, n_elements: Ints) -> tuple[Floats, Floats]:
    """Two averages of each atom's distances in angstrom, of the nearest ones and of all, [n_atoms] each."""
    rank = np.arange(distances.shape[1])
    code = np.where(rank < n_elements[:, None], 1.0 + _CODE * rank, 0.0)
    code /= code.sum(axis=1, keepdims=True)
    weight = 0.8 ** np.arange(NEAR.nearest)
    near: Floats = np.einsum("aek,ae,k->a", distances, code, weight / weight.sum())
    far: Floats = np.einsum("aek,ae->a", distances, code) / NEAR.nearest
    return near, far


def _contrast(averages: Floats, crystal_of_atom: Ints, element: Ints) -> Floats:
    """Averages in angstrom with the gain on what sets like atoms of a crystal apart only, [n_atoms, N_AVERAGES].

    A cell that is a little longer moves the averages of all atoms alike, and by no more than it moves distances.
    """
    _, kind, count = np.unique(crystal_of_atom * 1000 + element, return_inverse=True, return_counts=True)
    mean = np.stack([np.bincount(kind, column) / count for column in averages.T], axis=1)[kind]
    contrast: Floats = averages - mean + mean / (2 * _GAIN ** np.arange(1, N_AVERAGES + 1))
    return contrast


def _handedness(batch: CrystalBatch, shell: _Shell, size: Floats) -> Floats:
    """Pseudoscalars of each crystal in angstrom: triple products of polar vectors, averaged over pairs of neighbours.

    The vectors are the direction r to a neighbour, the mean direction v around either atom, and Q r, with Q the mean of
    the traceless r r around either atom, near and far: where a site's symmetry forbids v, as between two-fold axes, or
    leaves all v parallel, Q still differs from one atom to the next. Divided by the lengths of the vectors, a product
    says how far atoms would have to move to make it vanish.
    """
    r = shell.direction
    near = shell._replace(weight=shell.weight**2)
    outer = r[:, :, None] * r[:, None, :] - np.eye(3) / 3
    v_near, v_far, q_near, q_far = near.mean(r), shell.mean(r), near.mean(outer), shell.mean(outer)
    here, there = shell.pairs.center, shell.pairs.neighbor

    def along(quadrupole: Floats, atom: Ints) -> Floats:
        vectors: Floats = np.einsum("pij,pj->pi", quadrupole[atom], r)
        return vectors

    v_here, q_here = v_near[here], along(q_near, here)
    products = [
        (v_here, v_far[there]),
        (q_here, along(q_far, there)),
        (v_here, along(q_near, there)),
        (v_here, q_here),
    ]
    crystal = batch.crystal_of_atom[here]
    norm = np.bincount(crystal, shell.weight, batch.n_crystals)
    columns = []
    for first, second in products:
        triple = shell.weight * np.einsum("pi,pi->p", np.cross(first, second), r)
        lengths = shell.weight * (np.linalg.norm(first, axis=1) + np.linalg.norm(second, axis=1))
        scale = np.bincount(crystal, lengths, batch.n_crystals) + 1e-6 * norm
        columns.append(size * np.bincount(crystal, triple, batch.n_crystals) / np.maximum(scale, 1e-12))
    return np.stack(columns, axis=1)
