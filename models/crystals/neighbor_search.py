"""The compiled search behind `models.crystals.neighbors.find_neighbors`: atoms, then partners, then images.

Of a pair of atoms only images are looked at that may lie within the radius: two lattice vectors are bounded by the
heights of the cell, from the third one the sphere cuts an interval. These bounds are generous, the distance decides.
In a large cell the partners of an atom are those in the boxes around its own: time goes with the number of atoms, and
nothing is held but the pairs that are found.
"""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Pairs = tuple[Ints, Ints, Floats, Floats]
Boxes = tuple[Ints, Ints, Ints, Ints]
Axes = tuple[float, float, float, float, float, float]

MAX_ROUNDS = 200
"""Of a reduction, which ends after a few."""

HALF = 0.5 + 1e-6
"""A projection of exactly one half must not flip back and forth on rounding errors."""

_SLACK = 1e-9  # far above the rounding errors of the bounds, relative to the radius
_BOXES_FROM_ATOMS = 100  # in smaller cells all atoms are partners


@compiled
def reduce_cells(cells: Floats, transforms: Floats) -> None:
    """What `models.crystals.neighbors.reduce_lattices` does, in place.

    Args:
        cells: rows a, b, c in angstrom, become the reduced ones, shape [n_crystals, 3, 3].
        transforms: unit matrices, become the integer matrices from the given rows to the reduced ones, same shape.
    """
    for crystal in range(len(cells)):
        cell, transform = cells[crystal], transforms[crystal]
        for _ in range(MAX_ROUNDS):
            is_reduced = True
            for i in range(3):
                for j in range(3):
                    dot = cell[i, 0] * cell[j, 0] + cell[i, 1] * cell[j, 1] + cell[i, 2] * cell[j, 2]
                    squared = cell[j, 0] * cell[j, 0] + cell[j, 1] * cell[j, 1] + cell[j, 2] * cell[j, 2]
                    if i == j or not abs(dot / squared) > HALF:
                        continue
                    steps, is_reduced = np.rint(dot / squared), False
                    for k in range(3):
                        cell[i, k] -= steps * cell[j, k]
                        transform[i, k] -= steps * transform[j, k]
            if is_reduced:
                break


@compiled
def search(
    cells: tuple[Floats, Floats],
    frac_coords: Floats,
    first_atom: Ints,
    radius: Floats,
    is_center: Bools,
    shells: tuple[Ints, Floats],
    kth: Floats,
    capacity: int,
) -> Pairs:
    """All pairs of an atom and an image closer than a radius, but for atoms with themselves.

    Args:
        cells: rows of nearly orthogonal cells, shape [n_crystals, 3, 3], and their heights, [n_crystals, 3], angstrom.
        frac_coords: in these cells, shape [n_atoms, 3].
        first_atom: of each crystal and, last, the number of atoms, shape [n_crystals + 1].
        radius: in angstrom, shape [n_crystals]; becomes larger where `shells` asks for more.
        is_center: atoms whose pairs are wanted, shape [n_atoms].
        shells: numbers k and multiples: the radius is at least so many times the distance of the k-th neighbour of
            every center, shape [n_shells] each.
        kth: for the distance of the k-th neighbour of every center in angstrom, shape [n_shells, n_atoms].
        capacity: how many pairs there may be; with more of them the search takes longer.

    Returns:
        Center, neighbour, vector [n_pairs, 3] and distance in angstrom, by center, then neighbour, then image.
    """
    pairs = np.empty(capacity, np.int64), np.empty(capacity, np.int64), np.empty((capacity, 3)), np.empty(capacity)
    n_pairs = first_atom[0]  # none yet: a constant would be compiled as a type of its own
    for crystal in range(len(radius)):
        start, stop = first_atom[crystal], first_atom[crystal + 1]
        cell, first_pair = (cells[0][crystal], cells[1][crystal], frac_coords[start:stop]), n_pairs
        while True:
            n_pairs, needed = first_pair, 0.0
            boxes = _boxes(cell[2], radius[crystal], cell[1])
            axes = _orthogonal_axes(cell[0])
            for atom in range(stop - start):
                if not is_center[start + atom]:
                    continue
                begin, partners = n_pairs, _partners(atom, boxes)
                n_pairs = _add_pairs_of(atom, start, partners, cell, axes, radius[crystal], pairs, begin)
                if n_pairs > len(pairs[0]):
                    pairs = _with_room_for(2 * n_pairs, pairs)
                    n_pairs = _add_pairs_of(atom, start, partners, cell, axes, radius[crystal], pairs, begin)
                for shell in range(len(kth)):
                    distance = kth_smallest(pairs[3], begin, n_pairs, shells[0][shell])
                    kth[shell, start + atom] = distance
                    needed = max(needed, shells[1][shell] * distance)
            if needed <= radius[crystal]:
                break
            wider = needed * (1.0 + 1e-9) if needed < np.inf else 1.5 * radius[crystal]
            radius[crystal] = max(wider, 1.05 * radius[crystal])
    return pairs[0][:n_pairs], pairs[1][:n_pairs], pairs[2][:n_pairs], pairs[3][:n_pairs]


@compiled
def _with_room_for(capacity: int, pairs: Pairs) -> Pairs:
    """The same pairs in longer arrays."""
    longer = np.empty(capacity, np.int64), np.empty(capacity, np.int64), np.empty((capacity, 3)), np.empty(capacity)
    for pair in range(len(pairs[0])):
        longer[0][pair], longer[1][pair], longer[3][pair] = pairs[0][pair], pairs[1][pair], pairs[3][pair]
        for axis in range(3):
            longer[2][pair, axis] = pairs[2][pair, axis]
    return longer


@compiled
def kth_smallest(values: Floats, start: int, stop: int, k: int) -> float:
    """The k-th smallest of the numbers from start to stop, infinite where there are fewer."""
    smallest = np.empty(k)
    for place in range(k):
        smallest[place] = np.inf
    for number in range(start, stop):
        value = values[number]
        if value < smallest[k - 1]:
            place = k - 1
            while place > 0 and smallest[place - 1] > value:
                smallest[place] = smallest[place - 1]
                place -= 1
            smallest[place] = value
    kth: float = smallest[k - 1]
    return kth


@compiled
def kth_distances(center: Ints, distance: Floats, n_atoms: int, k: int) -> Floats:
    """Distance of each atom's k-th neighbour, infinite where it has fewer, shape [n_atoms]; `center` ascends."""
    kth, start = np.empty(n_atoms), 0
    for atom in range(n_atoms):
        kth[atom] = np.inf
    while start < len(center):
        stop = start
        while stop < len(center) and center[stop] == center[start]:
            stop += 1
        kth[center[start]] = kth_smallest(distance, start, stop, k)
        start = stop
    return kth


@compiled
def _orthogonal_axes(lattice: Floats) -> Axes:
    """Squared lengths of c, of b across c and of a across both, then a along b and along c, b along c.

    The parts of a vector across the following ones are orthogonal (Gram and Schmidt); the last three numbers are the
    other parts, in multiples of b across c, of c, and of c.
    """
    cc = bc = ac = ab = bb = aa = 0.0
    for k in range(3):
        cc += lattice[2, k] * lattice[2, k]
        bc += lattice[1, k] * lattice[2, k]
        ac += lattice[0, k] * lattice[2, k]
        ab += lattice[0, k] * lattice[1, k]
        bb += lattice[1, k] * lattice[1, k]
        aa += lattice[0, k] * lattice[0, k]
    b_c, a_c = bc / cc, ac / cc
    bb -= bc * b_c
    a_b = (ab - ac * b_c) / bb
    return cc, bb, aa - ac * a_c - a_b * a_b * bb, a_b, a_c, b_c


@compiled
def _add_pairs_of(
    atom: int,
    start: int,
    partners: Ints,
    cell: tuple[Floats, Floats, Floats],
    axes: Axes,
    radius: float,
    pairs: Pairs,
    n_pairs: int,
) -> int:
    """Adds the pairs of one atom as far as there is room; returns how many pairs there are then.

    `atom` and `partners` are numbers in the crystal whose first atom is `start`; `cell` has its rows [3, 3], heights
    [3] and fractional coordinates [n_atoms, 3]. The others are as in `search` and `_orthogonal_axes`.
    """
    lattice, frac = cell[0], cell[2]
    center, neighbor, vector, distance = pairs
    ax, ay, az = lattice[0, 0], lattice[0, 1], lattice[0, 2]
    bx, by, bz = lattice[1, 0], lattice[1, 1], lattice[1, 2]
    cx, cy, cz = lattice[2, 0], lattice[2, 1], lattice[2, 2]
    cc, bb, aa, a_b, a_c, b_c = axes
    limit, generous = radius * radius, radius * radius * (1.0 + _SLACK)
    half_a, inverse_b, inverse_c = sqrt(generous / aa) + _SLACK, 1.0 / sqrt(bb), 1.0 / sqrt(cc)
    f0, f1, f2 = frac[atom, 0], frac[atom, 1], frac[atom, 2]
    for partner in partners:
        d0, d1, d2 = frac[partner, 0] - f0, frac[partner, 1] - f1, frac[partner, 2] - f2
        d0, d1, d2 = d0 - np.floor(d0 + 0.5), d1 - np.floor(d1 + 0.5), d2 - np.floor(d2 + 0.5)
        x, y = d0 * ax + d1 * bx + d2 * cx, d0 * ay + d1 * by + d2 * cy
        z = d0 * az + d1 * bz + d2 * cz
        i, last_i = np.ceil(-half_a - d0), half_a - d0
        while i <= last_i:
            u = i + d0
            left_b = generous - u * u * aa
            shift_b, shift_c = d1 + u * a_b, d2 + u * a_c
            half_b = sqrt(abs(left_b)) * inverse_b + _SLACK
            j, last_j = np.ceil(-half_b - shift_b), half_b - shift_b
            while j <= last_j:
                v = j + shift_b
                left_c = left_b - v * v * bb
                # the part of b along c counts from where b itself lies
                foot = shift_c + (j + d1) * b_c
                half_c = sqrt(abs(left_c)) * inverse_c + _SLACK
                tx, ty, tz = i * ax + j * bx, i * ay + j * by, i * az + j * bz
                k, last_k = np.ceil(-half_c - foot), half_c - foot
                while k <= last_k:
                    vx, vy, vz = x + (tx + k * cx), y + (ty + k * cy), z + (tz + k * cz)
                    square = (vx * vx + vz * vz) + vy * vy
                    # an atom is no neighbour of itself, but of another in the same place
                    if square < limit and (square > 0.0 or atom != partner):
                        if n_pairs < len(center):
                            center[n_pairs], neighbor[n_pairs] = start + atom, start + partner
                            vector[n_pairs, 0], vector[n_pairs, 1], vector[n_pairs, 2] = vx, vy, vz
                            distance[n_pairs] = sqrt(square)
                        n_pairs += 1
                    k += 1.0
                j += 1.0
            i += 1.0
    return n_pairs


@compiled
def _boxes(frac: Floats, radius: float, heights: Floats) -> Boxes:
    """The atoms of a crystal by boxes that are at least as high as the radius.

    Args:
        frac: fractional coordinates, shape [n_atoms, 3].
        radius: in angstrom.
        heights: of the cell in angstrom, shape [3].

    Returns:
        Number of boxes along each axis [3], box of each atom by its numbers along the axes [n_atoms, 3], where each box
        starts in the list of atoms [n_boxes + 1], and this list: by box, then ascending [n_atoms].
    """
    n_boxes, box, n_atoms = np.empty(3, np.int64), np.zeros((len(frac), 3), np.int64), len(frac)
    for axis in range(3):
        most = heights[axis] / (radius * (1.0 + _SLACK)) if n_atoms >= _BOXES_FROM_ATOMS else 1.0
        n_boxes[axis] = max(int(min(most, n_atoms)), 1)
    while n_boxes[0] * n_boxes[1] * n_boxes[2] > 4 * n_atoms:
        for axis in range(3):
            n_boxes[axis] = max(n_boxes[axis] * 3 // 4, 1)
    start = np.zeros(n_boxes[0] * n_boxes[1] * n_boxes[2] + 1, np.int64)
    for atom in range(n_atoms):
        for axis in range(3):
            place = frac[atom, axis]
            box[atom, axis] = min(int((place - np.floor(place)) * n_boxes[axis]), n_boxes[axis] - 1)
        start[(box[atom, 0] * n_boxes[1] + box[atom, 1]) * n_boxes[2] + box[atom, 2] + 1] += 1
    filled, atoms = np.empty(len(start), np.int64), np.empty(n_atoms, np.int64)
    filled[0] = 0
    for k in range(1, len(start)):
        start[k] += start[k - 1]
        filled[k] = start[k]
    for atom in range(n_atoms):
        key = (box[atom, 0] * n_boxes[1] + box[atom, 1]) * n_boxes[2] + box[atom, 2]
        atoms[filled[key]] = atom
        filled[key] += 1
    return n_boxes, box, start, atoms


@compiled
def _partners(atom: int, boxes: Boxes) -> Ints:
    """The atoms in the box of an atom and in those around it, ascending."""
    n_boxes, box, start, by_box = boxes
    n_atoms, has_boxes = len(by_box), max(n_boxes[0], n_boxes[1], n_boxes[2]) > 3
    is_near, partners, n_partners = np.zeros(n_atoms, np.bool_), np.empty(n_atoms, np.int64), 0
    low, high = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for axis in range(3):
        low[axis] = box[atom, axis] - 1 if n_boxes[axis] > 3 else 0
        high[axis] = box[atom, axis] + 1 if n_boxes[axis] > 3 else n_boxes[axis] - 1
    for i in range(low[0], high[0] + 1 if has_boxes else low[0]):
        for j in range(low[1], high[1] + 1):
            for k in range(low[2], high[2] + 1):
                key = ((i % n_boxes[0]) * n_boxes[1] + j % n_boxes[1]) * n_boxes[2] + k % n_boxes[2]
                for place in range(start[key], start[key + 1]):
                    is_near[by_box[place]] = True
    for other in range(n_atoms):
        partners[n_partners] = other
        n_partners += int(is_near[other] or not has_boxes)
    return partners[:n_partners]
