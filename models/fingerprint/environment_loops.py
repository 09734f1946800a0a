"""Compiled loops behind `models.fingerprint.environments`: sums over the neighbours of each atom, atom by atom.

Every sum runs over the neighbours in the order of the search, so it depends on nothing but the crystal.
"""

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Pairs = tuple[Ints, Ints, Floats, Floats]
Shells = tuple[Ints, Ints, Floats, Floats, Floats]

_NO_NEIGHBOR = 1e-2  # added to the weights: an atom without neighbours has the mean 0, and comes there continuously


@compiled
def element_ranks(numbers: Ints, first_atom: Ints) -> tuple[Ints, Ints]:
    """Rank of each atom's element among those of its crystal, [n_atoms], and the number of elements, [n_crystals].

    Args:
        numbers: atomic numbers, shape [n_atoms].
        first_atom: of each crystal and, last, the number of atoms, shape [n_crystals + 1].
    """
    rank, n_elements = np.empty(len(numbers), np.int64), np.zeros(len(first_atom) - 1, np.int64)
    for crystal in range(len(n_elements)):
        start, stop = first_atom[crystal], first_atom[crystal + 1]
        highest = -1
        while True:
            # the next element is the lowest of those above the last one
            lowest = -1
            for atom in range(start, stop):
                if numbers[atom] > highest and (lowest < 0 or numbers[atom] < lowest):
                    lowest = numbers[atom]
            if lowest < 0:
                break
            for atom in range(start, stop):
                if numbers[atom] == lowest:
                    rank[atom] = n_elements[crystal]
            n_elements[crystal] += 1
            highest = lowest
    return rank, n_elements


@compiled
def find_shells(pairs: Pairs, code: Floats, size: Floats, near: float, far: float) -> tuple[Shells, Floats]:
    """The near neighbours of each atom with weights that go to zero at the reach, and how many far ones there are.

    Args:
        pairs: center, neighbour, vector [n_pairs, 3] and distance in angstrom, out to the far reach.
        code: what an atom counts as a neighbour, shape [n_atoms].
        size: cube root of the volume per atom in the crystal of each atom, in angstrom, shape [n_atoms].
        near: reach in such roots.
        far: the same.

    Returns:
        Of the near neighbours: where those of each atom start [n_atoms + 1], the atom, the distance in angstrom, the
        weight, and the direction [n_near, 3]; and sums of weights over the far ones, shape [n_atoms].
    """
    center, neighbor, vector, distance = pairs
    n_atoms, n_near = len(code), 0
    start, distant = np.zeros(n_atoms + 1, np.int64), np.zeros(n_atoms)
    kept = np.empty(len(center), np.int64)
    for pair in range(len(center)):
        atom = center[pair]
        scaled = distance[pair] / size[atom]
        distant[atom] += code[neighbor[pair]] * _envelope(scaled / far)
        kept[n_near] = pair
        n_near += int(scaled < near)
        start[atom + 1] = n_near
    for atom in range(n_atoms):
        start[atom + 1] = max(start[atom + 1], start[atom])
    others, lengths, weights = np.empty(n_near, np.int64), np.empty(n_near), np.empty(n_near)
    directions = np.empty((n_near, 3))
    for place in range(n_near):
        pair = kept[place]
        others[place], lengths[place] = neighbor[pair], distance[pair]
        weights[place] = code[neighbor[pair]] * _envelope(distance[pair] / size[center[pair]] / near)
        for axis in range(3):
            # atoms in the same place have no direction to each other
            directions[place, axis] = vector[pair, axis] / max(distance[pair], 1e-300)
    return (start, others, lengths, weights, directions), distant


@compiled
def _envelope(distance: float) -> float:
    """1 at an atom, smoothly 0 at the distance 1."""
    inside = 1.0 - distance * distance
    return inside * inside * inside


@compiled
def fill_sorted_distances(
    rows: Floats, start: Ints, neighbor: Ints, distance: Floats, element: Ints, reach: Floats, nearest: int
) -> None:
    """Writes the distances to each atom's nearest neighbours of each element, ascending, in angstrom.

    Args:
        rows: filled, one element after the other, shape [n_atoms, n_columns].
        start: where the neighbours of each atom start, shape [n_atoms + 1].
        neighbor: atoms, shape [n_pairs].
        distance: in angstrom, shape [n_pairs].
        element: rank of each atom's element, shape [n_atoms].
        reach: what stands for neighbours that are missing, in angstrom, shape [n_atoms].
        nearest: distances kept per element.
    """
    for atom in range(len(element)):
        row = rows[atom]
        for column in range(len(row)):
            row[column] = reach[atom]
        for pair in range(start[atom], start[atom + 1]):
            first, length = element[neighbor[pair]] * nearest, distance[pair]
            place = first + nearest - 1
            if length < row[place]:
                while place > first and row[place - 1] > length:
                    row[place] = row[place - 1]
                    place -= 1
                row[place] = length


@compiled
def summaries(rows: Floats, n_elements: Ints, code: Floats, weight: Floats) -> Floats:
    """Two averages of each atom's distances in angstrom, of the nearest ones and of all, shape [n_atoms, 2].

    Args:
        rows: see `fill_sorted_distances`, shape [n_atoms, n_columns].
        n_elements: in the crystal of each atom, shape [n_atoms].
        code: what each element counts, shape [most elements].
        weight: what each neighbour counts in the first average, shape [nearest].
    """
    averages = np.zeros((len(rows), 2))
    for atom in range(len(rows)):
        norm, column = 0.0, 0
        for kind in range(n_elements[atom]):
            norm += code[kind]
        for kind in range(n_elements[atom]):
            near = all_of_kind = 0.0
            for place in range(len(weight)):
                near += rows[atom, column] * weight[place]
                all_of_kind += rows[atom, column]
                column += 1
            averages[atom, 0] += near * (code[kind] / norm)
            averages[atom, 1] += all_of_kind * (code[kind] / norm)
        averages[atom, 1] /= len(weight)
    return averages


@compiled
def extreme_distances(rows: Floats, element: Ints, first_atom: Ints, nearest: int) -> Floats:
    """Smallest distances over the atoms of each crystal, then largest, to the first and to the last of its elements.

    Args:
        rows: see `fill_sorted_distances`, shape [n_atoms, n_columns].
        element: rank of each atom's element, shape [n_atoms].
        first_atom: of each crystal and, last, the number of atoms, shape [n_crystals + 1].
        nearest: distances per element.

    Returns:
        In angstrom, shape [n_crystals, 4 * nearest].
    """
    extremes = np.empty((len(first_atom) - 1, 4 * nearest))
    for crystal in range(len(extremes)):
        start, stop = first_atom[crystal], first_atom[crystal + 1]
        last = 0
        for atom in range(start, stop):
            last = max(last, element[atom])
        for kind in range(2):
            column = kind * last * nearest
            for place in range(nearest):
                lowest = highest = rows[start, column + place]
                for atom in range(start + 1, stop):
                    lowest = min(lowest, rows[atom, column + place])
                    highest = max(highest, rows[atom, column + place])
                extremes[crystal, kind * nearest + place] = lowest
                extremes[crystal, (2 + kind) * nearest + place] = highest
    return extremes


@compiled
def neighbor_means(shells: Shells, values: Floats, gain: float, n_times: int) -> Floats:
    """Weighted means over neighbours, of these means, and so on, each times the gain; shape [n_atoms, n_times].

    Args:
        shells: see `find_shells`.
        values: of the atoms, shape [n_atoms].
        gain: averaging dilutes what distinguishes atoms.
        n_times: how often.
    """
    start, neighbor, _, weight, _ = shells
    means = np.empty((len(values), n_times))
    for step in range(n_times):
        for atom in range(len(values)):
            norm = total = 0.0
            for pair in range(start[atom], start[atom + 1]):
                norm += weight[pair]
                total += weight[pair] * (values[neighbor[pair]] if step == 0 else means[neighbor[pair], step - 1])
            means[atom, step] = gain * (total / (norm + _NO_NEIGHBOR))
    return means


@compiled
def contrasts(averages: Floats, element: Ints, first_atom: Ints, damping: Floats) -> Floats:
    """Averages minus the mean over like atoms of the crystal, and a part of this mean, shape [n_atoms, n_columns].

    Args:
        averages: in angstrom, shape [n_atoms, n_columns].
        element: rank of each atom's element, shape [n_atoms].
        first_atom: of each crystal and, last, the number of atoms, shape [n_crystals + 1].
        damping: the mean counts so many times less, shape [n_columns].
    """
    contrast = np.empty(averages.shape)
    for crystal in range(len(first_atom) - 1):
        atoms = range(first_atom[crystal], first_atom[crystal + 1])
        for column in range(averages.shape[1]):
            total, count = np.zeros(len(atoms)), np.zeros(len(atoms))
            for atom in atoms:
                total[element[atom]] += averages[atom, column]
                count[element[atom]] += 1.0
            for atom in atoms:
                mean = total[element[atom]] / count[element[atom]]
                contrast[atom, column] = averages[atom, column] - mean + mean / damping[column]
    return contrast
