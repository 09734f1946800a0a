"""Extremes over all frames of entries of the compliance: shear moduli and Poisson's ratios.

Sheared from n towards m a crystal has the modulus 1 / (4 S_nmnm), and pulled along n Poisson's ratio
-S_nnmm / S_nnnn for m. Both are entries of the compliance in a frame whose first axes are n and m. On a grid of n the
best m is an eigenvector of a 2x2 matrix. The best frames are then polished by Newton steps in the group of rotations:
there the first and second derivatives of an entry are fixed linear combinations of all entries, found from the
generators of rotations.

Source: J. F. Nye, Physical Properties of Crystals (1985), ch. VIII; A. Marmier et al., Comput. Phys. Commun. 181, 2102
(2010).
"""

from enum import IntEnum
from functools import lru_cache
from itertools import combinations_with_replacement

import numpy as np

from models.derived.extremes.sphere import CONVERGED, FLAT, MAX_STEP, Grid, Singles, even_grid, tangents
from models.tensors.voigt import Floats, mandel_to_symmetric, symmetric_to_mandel

N_GRID = 400
"""Directions of the starting grid on the half sphere; neighbours are about 7 degrees apart."""

UPPER = np.triu_indices(6)
"""A compliance is symmetric: its upper half, row by row, stands for both."""

_N_STEPS, _MAX_STEPS = 3, 12
_GRID_CHUNK, _CHUNK = 32, 512  # crystals whose values on the grid, frames whose tensors fit into the cache


class Entry(IntEnum):
    """What is sought over all frames."""

    INVERSE_SHEAR = 0
    POISSON = 1


_NUMERATORS = ((5, 5, 2.0), (0, 1, -1.0))
"""1/G and the numerator of Poisson's ratio in the frame n, m, n x m: row, column, factor of the Mandel compliance."""
_INVERSE_YOUNG = (0, 0, 1.0)
_NEXT, _LAST = np.array([1, 2, 0]), np.array([2, 0, 1])
_PAIRS = np.array([[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]])  # axes of each Mandel row
_SPIN: Floats = np.zeros((3, 3, 3))
_SPIN[[0, 1, 2], [2, 0, 1], [1, 2, 0]] = 1.0
_SPIN[[0, 1, 2], [1, 2, 0], [2, 0, 1]] = -1.0


def dyads(first: Floats, second: Floats) -> Floats:
    """The symmetric part of a b in Mandel form, [..., 3] -> [..., 6]."""
    return symmetric_to_mandel(first[..., :, None] * second[..., None, :])


def products_of_dyads(*pairs: tuple[Floats, Floats]) -> Singles:
    """What makes values a.S.b of a compliance's upper half, for dyads a, b [n, 6], [21, n_pairs n]."""
    weight = np.where(UPPER[0] == UPPER[1], 0.5, 1.0)
    parts = []
    for a, b in pairs:
        matrix = a[:, :, None] * b[:, None, :]
        parts.append(((matrix + matrix.swapaxes(1, 2))[:, UPPER[0], UPPER[1]] * weight).T)
    return np.concatenate(parts, axis=1).astype(np.float32)


@lru_cache(maxsize=1)
def _grid() -> tuple[Grid, Floats, Singles]:
    """Directions, their tangents [N_GRID, 2, 3], and what makes values of a compliance, [21, 7 N_GRID].

    The seven values along n with the tangents s, t: S_nnnn; 4 S_nsns, 4 S_nsnt, 4 S_ntnt; -S_nnss, -S_nnst, -S_nntt.
    """
    grid = even_grid(N_GRID)
    n, pair = grid.directions, tangents(grid.directions)
    s, t = pair[:, 0], pair[:, 1]
    nn, ns, nt = dyads(n, n), dyads(n, s), dyads(n, t)
    shears = [(4 * ns, ns), (4 * ns, nt), (4 * nt, nt)]
    poissons = [(-nn, dyads(s, s)), (-nn, dyads(s, t)), (-nn, dyads(t, t))]
    return grid, pair, products_of_dyads((nn, nn), *shears, *poissons)


def _starts(compliance: Floats) -> Floats:
    """Frames to polish, with rows n, m, n x m: [2, 2, n_crystals, 2, 3, 3], by entry, least or largest, and start."""
    grid, pair, products = _grid()
    # single precision is enough to choose the directions that are polished
    components = compliance[:, UPPER[0], UPPER[1]].astype(np.float32)
    place = np.empty((2, 2, len(compliance), 2), dtype=np.intp)
    mixed = np.empty((2, *place.shape))
    for first in range(0, len(components), _GRID_CHUNK):
        part = slice(first, first + _GRID_CHUNK)
        along = (components[part] @ products).reshape(-1, 7, N_GRID).swapaxes(0, 1)
        for entry, (ss, st, tt) in ((0, along[1:4]), (1, along[4:7] / along[0])):
            middle, half = (ss + tt) / 2, (ss - tt) / 2
            radius = np.sqrt(half * half + st * st)
            for end, values in enumerate((radius - middle, radius + middle)):
                place[entry, end, part] = chosen = grid.best(values)
                mixed[0, entry, end, part] = np.take_along_axis(half, chosen, 1)
                mixed[1, entry, end, part] = np.take_along_axis(st, chosen, 1)
    # the largest over m lies at this angle from the first tangent, the least a right angle further
    angle = np.arctan2(mixed[1], mixed[0]) / 2
    angle[:, 0] += np.pi / 2
    n, (s, t) = grid.directions[place], np.moveaxis(pair[place], -2, 0)
    m = np.cos(angle)[..., None] * s + np.sin(angle)[..., None] * t
    return np.stack([n, m, np.cross(n, m)], axis=-2)


def extreme_entries(compliance: Floats) -> Floats:
    """Least and largest 1/G and Poisson's ratio over all frames.

    Args:
        compliance: in Mandel form in 1/TPa, shape [n_crystals, 6, 6].

    Returns:
        By `Entry`, least before largest, shape [n_crystals, 2, 2]; never worse than the best start.
    """
    if not len(compliance):
        return np.zeros((0, 2, 2))
    frames = _starts(compliance)
    # crystals on the last axis: the arithmetic of small matrices then runs over contiguous numbers
    tensors = np.ascontiguousarray(np.moveaxis(compliance, 0, -1))
    largest = [_Search(entry, tensors, frames[entry]).largest() for entry in Entry]
    return np.moveaxis(np.array([-1.0, 1.0])[:, None] * np.stack(largest), -1, 0)


class _Search:
    """Newton steps from the starts of one entry; arrays end in the axis of what is still on its way."""

    def __init__(self, entry: Entry, tensors: Floats, starts: Floats) -> None:
        self.entry, self.tensors, self.shape = entry, tensors, starts.shape[:3]
        self.axes = np.ascontiguousarray(np.moveaxis(starts.reshape(-1, 3, 3), 0, -1))
        n_crystals = tensors.shape[2]
        self.signs = np.broadcast_to(np.array([-1.0, 1.0])[:, None, None], self.shape).reshape(-1)
        self.crystal = np.broadcast_to(np.arange(n_crystals)[:, None], self.shape).reshape(-1)

    def largest(self) -> Floats:
        """Signs times the extremes, [2, n_crystals]."""
        best = np.full(len(self.signs), -np.inf)
        moving = np.arange(len(best))
        for step in range(_MAX_STEPS):
            # where the curvature vanishes too a step goes a third of the way; other directions are at rest by then
            stretch = 3.0 if step >= _N_STEPS and step % 2 == 0 else 1.0
            values, promised = self._step(stretch)
            near = promised - values <= CONVERGED * np.abs(values)
            best[moving] = np.maximum(best[moving], np.where(near, promised, values))
            # most are there by now; the others go on by themselves
            if step + 1 >= _N_STEPS:
                moving = moving[~near]
                self.axes, self.signs, self.crystal = self.axes[:, :, ~near], self.signs[~near], self.crystal[~near]
            if not len(moving):
                break
        return np.asarray(best.reshape(self.shape).max(axis=2))

    def _step(self, stretch: float) -> tuple[Floats, Floats]:
        """A Newton step of all: signs times the entry before it, and what it should be after it, each [n]."""
        values, promised = np.empty((2, len(self.signs)))
        for first in range(0, len(values), _CHUNK):
            part = slice(first, first + _CHUNK)
            signs = self.signs[part]
            value, slope, curvature = _expansion(
                self.entry, np.take(self.tensors, self.crystal[part], axis=2), self.axes[:, :, part]
            )
            values[part], slope = signs * value, signs * slope
            vectors = _newton_step(slope, signs * curvature, value)
            promised[part] = values[part] + (slope * vectors).sum(axis=0) / 2
            length = np.sqrt((vectors * vectors).sum(axis=0))
            vectors = vectors * np.minimum(stretch, MAX_STEP / np.maximum(length, 1e-300))
            # rotated in their own axes by Cayley's formula, the exponential to second order
            half, axes = vectors[:, None] / 2, self.axes[:, :, part]
            turned = half[_NEXT] * axes[_LAST] - half[_LAST] * axes[_NEXT]
            turned += half[_NEXT] * turned[_LAST] - half[_LAST] * turned[_NEXT]
            self.axes[:, :, part] += turned * 2 / (1 + (half * half).sum(axis=0))
        return values, promised


@lru_cache(maxsize=1)
def _derivatives() -> Floats:
    """What makes an entry's value, its 3 first and 6 second derivatives by rotations of all entries, [3, 10, 36].

    A rotation vector w takes the Mandel compliance to exp(L) S exp(L)^T, with L the sum of w_k L_k over the generators.
    In this order: 1/G, the numerator of Poisson's ratio, its denominator 1/E. Second derivatives as 11, 12, 13, 22, 23,
    33.
    """
    basis = mandel_to_symmetric(np.eye(6))
    turned = _SPIN[:, None] @ basis + basis @ _SPIN[:, None].swapaxes(-1, -2)
    generators = symmetric_to_mandel(turned).swapaxes(1, 2)
    rows = []
    for row, column, factor in (*_NUMERATORS, _INVERSE_YOUNG):
        entry = np.zeros((6, 6))
        entry[row, column] += factor / 2
        entry[column, row] += factor / 2
        rows += [entry, *(g.T @ entry + entry @ g for g in generators)]
        for a, b in combinations_with_replacement(generators, 2):
            square = (a @ b + b @ a) / 2
            rows.append(square.T @ entry + entry @ square + a.T @ entry @ b + b.T @ entry @ a)
    return np.stack(rows).reshape(3, 10, 36)


def _expansion(entry: Entry, tensors: Floats, axes: Floats) -> tuple[Floats, Floats, Floats]:
    """Value of an entry in frames, and its first and second derivatives by rotations of the frame.

    Args:
        entry: which.
        tensors: compliances in Mandel form, shape [6, 6, n].
        axes: the frames, one axis per row, shape [3, 3, n].

    Returns:
        Shapes [n], [3, n] and [6, n].
    """
    first, second = axes[_PAIRS[0]], axes[_PAIRS[1]]
    shear = first[:, [1, 0, 0]] * second[:, [2, 2, 1]] + first[:, [2, 2, 1]] * second[:, [1, 0, 0]]
    mandel = np.concatenate([first * second, shear / np.sqrt(2.0)], axis=1)
    mandel[3:] *= np.sqrt(2.0)
    half = np.einsum("rin,icn->rcn", mandel, tensors)
    rotated = np.einsum("rcn,scn->rsn", half, mandel).reshape(36, -1)
    numbers = _derivatives()[entry] @ rotated
    value, slope, curvature = numbers[0], numbers[1:4], numbers[4:]
    if entry is Entry.POISSON:
        # derivatives of a quotient: Poisson's ratio is divided by 1/E along the same n
        divisor = _derivatives()[2] @ rotated
        value = value / divisor[0]
        slope = (slope - value * divisor[1:4]) / divisor[0]
        products = slope[_ROW] * divisor[1:4][_COLUMN] + slope[_COLUMN] * divisor[1:4][_ROW]
        curvature = (curvature - value * divisor[4:] - products) / divisor[0]
    return value, slope, curvature


_ROW, _COLUMN = np.triu_indices(3)


def _newton_step(slope: Floats, curvature: Floats, value: Floats) -> Floats:
    """Rotation vectors [3, n] towards the nearest maximum, from derivatives [3, n] and [6, n] and values [n]."""
    downward = -curvature
    # a flat direction (rotation about n, an isotropic plane) has no curvature: a little of it avoids dividing by 0
    least = FLAT * (np.abs(downward).max(axis=0) + 1e-6 * np.abs(value)) + 1e-100
    minors, determinant = _minors(downward + least * _UNIT)
    # curved upwards along some axis, the nearest stationary frame is no maximum: the sign there is turned
    upwards = np.flatnonzero((downward[0] + least <= 0) | (minors[5] <= 0) | (determinant <= 0))
    if len(upwards):
        bent = downward[:, upwards]
        shift = least[upwards] - 2 * np.minimum(_lowest_eigenvalue(bent), 0.0)
        minors[:, upwards], determinant[upwards] = _minors(bent + shift * _UNIT)
    return np.asarray((minors[_SQUARE] * slope).sum(axis=1) / determinant)


_SQUARE = np.array([[0, 1, 2], [1, 3, 4], [2, 4, 5]])
_UNIT = np.array([1.0, 0, 0, 1, 0, 1])[:, None]


def _minors(entries: Floats) -> tuple[Floats, Floats]:
    """Minors of symmetric matrices, the inverse times the determinant, [6, n], and the determinants, [n]."""
    minors = entries[_MINOR[0]] * entries[_MINOR[1]] - entries[_MINOR[2]] * entries[_MINOR[3]]
    return minors, (entries[:3] * minors[:3]).sum(axis=0)


_MINOR = np.array([[3, 2, 1, 0, 1, 0], [5, 4, 4, 5, 2, 3], [4, 1, 2, 2, 0, 1], [4, 5, 3, 2, 4, 1]])


def _lowest_eigenvalue(entries: Floats) -> Floats:
    """Of symmetric matrices [6, n], in closed form, [n]; O. K. Smith, Commun. ACM 4, 168 (1961)."""
    mean = (entries[0] + entries[3] + entries[5]) / 3
    a, b, c, d, e, f = deviation = entries - mean * _UNIT
    radius = np.sqrt((a * a + d * d + f * f + 2 * (b * b + c * c + e * e)) / 6) + 1e-300
    determinant = _minors(deviation / radius)[1]
    angle = np.arccos(np.clip(determinant / 2, -1.0, 1.0)) / 3
    return np.asarray(mean + 2 * radius * np.cos(angle + 2 * np.pi / 3))
