"""The axes that moyopy takes where a space group leaves a choice: by lengths and angles of the crystal.

Triclinic cells are Niggli-reduced. Of monoclinic axes the least skewed are taken, of pairs of the three shortest
translations normal to b; of orthorhombic axes those with the shortest a, then b: among changes of axes that lead to the
same operations about some origin. In all other systems there is nothing left to choose. Numbers that differ by less
than 10^-8 are equal, and of equal choices the first is taken. What decides is computed in the order of operations in
which moyopy computes it; where rounding could still decide, the answer is "not sure".
"""

import math
from functools import cache, lru_cache
from itertools import permutations, product
from typing import NamedTuple

import moyopy
import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import Floats, Ints
from models.symmetry.settings.shift_equations import (
    N_ROWS,
    origin_equations,
    solve_origins,
    stack_of_one,
)
from models.symmetry.space_group_tables import space_group_table

LAST_TRICLINIC, LAST_MONOCLINIC, LAST_ORTHORHOMBIC = 2, 107, 348  # Hall numbers

_TIE = 1e-8  # of lengths in angstrom, and of sums of cosines, as in moyopy
_ROUNDING = 1e-6  # what is that near to a tie that is broken by rounding is not sure
_MAX_ROUNDS = 100

Plane = tuple[int, int, int, int]
"""Whole numbers: two shortest translations in a plane, each in units of a first and of a second one."""


class Axes(NamedTuple):
    """Conventional axes and origins of many crystals.

    Attributes:
        basis: columns in the basis that the primitive ones refer to, 0 where it is not sure, [n_crystals, 3, 3].
        shift: of the origin, in the same basis, [n_crystals, 3].
    """

    basis: Floats
    shift: Floats


class _Changes(NamedTuple):
    """Changes of conventional axes.

    `matrices` [n, 3, 3]; `allowed` [n]: whether they lead to the same operations about some origin; `origins` [n, 3]:
    about which, in the axes before.
    """

    matrices: Floats
    allowed: NDArray[np.bool_]
    origins: Floats


@cache
def centring(hall_number: int) -> Floats:
    """The conventional basis in moyopy's primitive one, columns, shape [3, 3]."""
    return np.array(moyopy.HallSymbolEntry(hall_number).centering.linear, dtype=np.float64)


def product_in_order(left: Floats, right: Floats) -> Floats:
    """Products of matrices [..., 3, 3]: three terms added from first to last, none of them fused."""
    total = left[..., :, 0, None] * right[..., None, 0, :]
    total += left[..., :, 1, None] * right[..., None, 1, :]
    total += left[..., :, 2, None] * right[..., None, 2, :]
    return np.asarray(total)


def conventional_axes(hall_number: Ints, primitive: Floats, lattice: Floats) -> Axes:
    """The conventional axes that moyopy takes.

    Args:
        hall_number: in its standard setting, 1 to 530, shape [n_crystals].
        primitive: columns, whole numbers: moyopy's primitive standard basis in a reduced one, [n_crystals, 3, 3].
        lattice: columns of the reduced cells in angstrom, right-handed, [n_crystals, 3, 3].
    """
    basis = primitive @ np.array([centring(int(hall)) for hall in hall_number]).reshape(-1, 3, 3)
    axes = Axes(basis, np.zeros((len(basis), 3)))
    for row in np.flatnonzero(hall_number <= LAST_TRICLINIC).tolist():
        columns = product_in_order(lattice[row], basis[row]).T.tolist()
        try:
            axes.basis[row] = basis[row] @ np.array(moyopy.niggli_reduce(columns)[1])
        except ValueError:
            axes.basis[row] = 0.0
    rows = np.flatnonzero((hall_number > LAST_TRICLINIC) & (hall_number <= LAST_MONOCLINIC))
    if len(rows):
        _choose_monoclinic(axes, rows, hall_number[rows], product_in_order(lattice[rows], basis[rows]))
    rows = np.flatnonzero((hall_number > LAST_MONOCLINIC) & (hall_number <= LAST_ORTHORHOMBIC))
    if len(rows):
        cells = product_in_order(lattice[rows], basis[rows])
        changes = _stacked([_orthorhombic_changes(hall) for hall in hall_number[rows].tolist()])
        _choose(axes, rows, changes, _lengths(product_in_order(cells[:, None], changes.matrices))[0])
    return axes


def _choose_monoclinic(axes: Axes, rows: Ints, hall_number: Ints, cells: Floats) -> None:
    """Changes the axes of monoclinic crystals, given their cells before, columns in angstrom, [n, 3, 3].

    They are ranked by the sums of |cos| and of cos of the angles, then by lengths.
    """
    _, metrics = _lengths(cells)
    planes = [_plane(metric) for metric in metrics.tolist()]
    changes = _stacked([_monoclinic_changes(*each) for each in zip(hall_number.tolist(), planes, strict=True)])
    lengths, metric = _lengths(product_in_order(cells[:, None], changes.matrices))
    cosines = metric / (lengths[..., :, None] * lengths[..., None, :])
    angles = np.stack([cosines[..., 1, 2], cosines[..., 0, 2], cosines[..., 0, 1]], axis=-1)
    sums = [np.abs(angles).sum(axis=-1)[..., None], angles.sum(axis=-1)[..., None]]
    _choose(axes, rows, changes, np.concatenate([*sums, lengths], axis=-1))


def _choose(axes: Axes, rows: Ints, changes: _Changes, keys: Floats) -> None:
    """Changes the axes of some crystals by the allowed change with the least keys, [n, n_changes, n_keys]."""
    everyone, is_sure = np.arange(len(rows)), np.any(changes.allowed, axis=1)
    chosen, least = np.zeros(len(rows), np.int64), np.full((len(rows), keys.shape[2]), np.inf)
    for index in range(keys.shape[1]):
        step = keys[:, index] - least
        size = np.abs(step)
        is_sure &= ~((np.abs(size - _TIE) < 1e-3 * _TIE).any(axis=1) & changes.allowed[:, index])
        decides = np.argmax(size >= _TIE, axis=1)
        better = changes.allowed[:, index] & (step[everyone, decides] <= -_TIE)
        chosen[better], least[better] = index, keys[better, index]
    axes.shift[rows] = np.einsum("nij,nj->ni", axes.basis[rows], changes.origins[everyone, chosen])
    axes.basis[rows] = axes.basis[rows] @ changes.matrices[everyone, chosen] * is_sure[:, None, None]


def _lengths(cells: Floats) -> tuple[Floats, Floats]:
    """Lengths of columns, [..., 3], and their products with one another, [..., 3, 3]."""
    metric = product_in_order(np.swapaxes(cells, -1, -2), cells)
    return np.sqrt(np.diagonal(metric, axis1=-2, axis2=-1)), metric


def _plane(metric: list[list[float]]) -> Plane | None:
    """Two shortest translations normal to b, in units of c and a, of one monoclinic cell; None where it is not sure.

    Args:
        metric: products of the cell's columns with one another, in angstrom^2, [3, 3].
    """
    (aa, _, ac), (ab, bb, bc), cc = metric[0], metric[1], metric[2][2]
    normal = max(abs(ab) / math.sqrt(aa * bb), abs(bc) / math.sqrt(bb * cc))
    # moyopy takes the axis opposite to the angle that is farthest from 90 degrees for b
    if abs(ac) / math.sqrt(aa * cc) < _ROUNDING + 2.0 * normal:
        return None
    first, second, short, long, mixed = (1, 0), (0, 1), cc, aa, ac
    for step in range(_MAX_ROUNDS):
        longer, skewed = math.sqrt(short) - math.sqrt(long), 2.0 * abs(mixed) - short
        if _is_near(longer) or _is_near(skewed):
            return None
        if step == 0 and longer <= _TIE and skewed <= _TIE:
            break
        if longer > _TIE:
            first, second, short, long = second, first, long, short
        ratio = mixed / short
        if abs(abs(ratio) % 1.0 - 0.5) < _ROUNDING:
            return None
        n = round(ratio)
        if n == 0:
            break
        second = (second[0] - n * first[0], second[1] - n * first[1])
        long, mixed = long - 2 * n * mixed + n * n * short, mixed - n * short
    if abs(mixed) < _ROUNDING * short:
        return None
    # whichever sign made the pair right-handed before, the angle is not acute at last
    sign = -1 if mixed > 0.0 else 1
    return *first, sign * second[0], sign * second[1]


def _is_near(difference: float) -> bool:
    """Whether a difference of lengths or squares may or may not count as one."""
    return 0.1 * _TIE < abs(difference) < 10.0 * _TIE


@lru_cache(maxsize=4096)
def _monoclinic_changes(hall_number: int, plane: Plane | None) -> _Changes:
    """Pairs of two shortest translations in a plane and their negative sum, in the order in which they are tried."""
    if plane is None:
        return _Changes(np.tile(np.eye(3), (24, 1, 1)), np.zeros(24, np.bool_), np.zeros((24, 3)))
    triple = np.array([plane[:2], plane[2:], (-plane[0] - plane[2], -plane[1] - plane[3])])
    pairs, signs = np.array(list(permutations(range(3), 2))), np.array(list(product((1, -1), repeat=3)))
    grid = np.zeros((len(pairs), len(signs), 3, 3))
    grid[:, :, [2, 0], 2] = signs[None, :, :1] * triple[pairs[:, 0], None]
    grid[:, :, [2, 0], 0] = signs[None, :, 1:2] * triple[pairs[:, 1], None]
    grid[:, :, 1, 1] = signs[None, :, 2]
    changes = grid.reshape(-1, 3, 3)
    return _tested(hall_number, changes[np.linalg.det(changes) > 0.0])


@cache
def _orthorhombic_changes(hall_number: int) -> _Changes:
    """The six orders of axes, three of them with the first one inverted."""
    orders = [[0, 1, 2], [2, 0, 1], [1, 2, 0], [1, 0, 2], [0, 2, 1], [2, 1, 0]]
    changes = np.array([np.eye(3)[order] for order in orders]).swapaxes(1, 2)
    changes[3:, :, 0] *= -1.0
    return _tested(hall_number, changes)


def _stacked(changes: list[_Changes]) -> _Changes:
    return _Changes(*(np.stack(parts) for parts in zip(*changes, strict=True)))


def _tested(hall_number: int, matrices: Floats) -> _Changes:
    """Which changes of the axes of a table lead to the same operations about some origin, and about which."""
    table = space_group_table(hall_number)
    equations = origin_equations(table.rotations.astype(np.int64), table.generators)
    changes = np.linalg.inv(table.basis) @ matrices @ table.basis
    inverse = np.linalg.inv(changes)
    is_whole = np.abs(changes - np.rint(changes)).max(axis=(1, 2)) < _ROUNDING
    rotations = np.rint(inverse[:, None] @ table.rotations @ changes[:, None])
    same = (rotations[:, None] == table.rotations[equations.generators][:, None]).all(axis=(3, 4))
    before = (table.translations @ inverse.swapaxes(1, 2))[np.arange(len(matrices))[:, None], same.argmax(axis=2)]
    steps = (before - table.translations[equations.generators]).reshape(-1, N_ROWS) * equations.is_row
    origins, misfit = solve_origins(stack_of_one(equations), steps)
    allowed = is_whole & same.any(axis=2).all(axis=1) & (misfit < _ROUNDING)
    return _Changes(matrices, allowed, np.einsum("ij,njk,nk->ni", table.basis, changes, origins))
