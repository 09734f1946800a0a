"""Extremes over all directions of moduli and Poisson's ratios, a whole batch at a time.

Pulled along n, a crystal has Young's modulus 1 / S_nnnn; sheared from n towards m the modulus 1 / (4 S_nmnm); and
Poisson's ratio -S_nnmm / S_nnnn. All are entries of the compliance in a frame whose first axes are n and m. On a grid
of n the best m is an eigenvector of a 2x2 matrix. The best frames are then polished by Newton steps in the group of
rotations, because a grid alone is off by as much as its spacing squared: there the first and second derivatives of an
entry are fixed linear combinations of all entries, found from the generators of rotations. The linear compressibility
is quadratic in n, so its extremes are eigenvalues.

Source: J. F. Nye, Physical Properties of Crystals (1985), ch. VIII; A. Marmier et al., Comput. Phys. Commun. 181, 2102
(2010).
"""

from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.derived.elastic import GPA_INVERSE_IN_PER_TPA, Columns, Unstable, compliance_voigt, stable_stand_ins
from models.tensors.voigt import (
    Floats,
    ShapeError,
    compliance_voigt_to_mandel,
    mandel_to_symmetric,
    symmetric_to_mandel,
)

Singles = NDArray[np.float32]

N_GRID = 400
"""Directions of the starting grid on the half sphere; neighbours are about 7 degrees apart."""

_N_STEPS = 4
_MAX_STEP = 0.2  # radians: a Newton step far from a stationary point may lead anywhere
_APART = np.cos(np.radians(25.0))  # a second start this far from the best: minima of nearly equal depth change places
_CHUNK = 256  # crystals whose values on the grid fit into the cache
_UPPER = np.triu_indices(6)


def half_sphere(n_directions: int) -> Floats:
    """Nearly even directions on the upper half sphere (Fibonacci spiral).

    Args:
        n_directions: how many.

    Returns:
        Unit vectors, shape [n_directions, 3].
    """
    index = np.arange(n_directions)
    z = 1 - (index + 0.5) / n_directions
    azimuth = np.pi * (1 + np.sqrt(5)) * index
    radius = np.sqrt(1 - z * z)
    directions: Floats = np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), z], axis=1)
    return directions


def tangents(directions: Floats) -> Floats:
    """Two orthonormal vectors normal to each unit vector, [..., 3] -> [..., 2, 3]."""
    # the axis that n is least along gives the first without cancellation
    first = np.cross(directions, np.eye(3)[np.abs(directions).argmin(axis=-1)])
    first /= np.linalg.norm(first, axis=-1, keepdims=True)
    return np.stack([first, np.cross(directions, first)], axis=-2)


def young_modulus_along(stiffness_voigt: ArrayLike, directions: ArrayLike) -> Floats:
    """Young's modulus of crystals pulled along given directions.

    Args:
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].
        directions: vectors of any length but zero, in the frame of the tensors, shape [n_directions, 3].

    Returns:
        E(n) in GPa, shape [n_crystals, n_directions].

    Raises:
        UnphysicalTensorError: some C_IJ is not positive definite; `.rows` names them.
        ShapeError: a direction is zero or not finite, or the array is not [n_directions, 3].
    """
    vectors = np.asarray(directions, dtype=np.float64)
    if vectors.ndim != 2 or vectors.shape[1] != 3:
        raise ShapeError(f"directions must have shape [n_directions, 3], got {list(vectors.shape)}.")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not ((lengths > 0) & np.isfinite(lengths)).all():
        raise ShapeError("Some directions are zero or not finite; a direction needs a length.")
    compliance = compliance_voigt_to_mandel(compliance_voigt(stiffness_voigt))
    dyads = _dyads(vectors / lengths, vectors / lengths)
    return np.asarray(GPA_INVERSE_IN_PER_TPA / ((dyads @ compliance) * dyads).sum(axis=-1), dtype=np.float64)


def derive_directional(stiffness_voigt: ArrayLike, unstable: Unstable = Unstable.RAISE) -> Columns:
    """Extremes over all directions of moduli, Poisson's ratios and the linear compressibility.

    Args:
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].
        unstable: RAISE refuses the batch when a tensor is not positive definite, FLAG gives NaN there.

    Returns:
        `young_min_gpa`, `young_max_gpa`, `shear_min_gpa`, `shear_max_gpa`, `poisson_min`, `poisson_max`,
        `linear_compressibility_min_per_tpa`, `linear_compressibility_max_per_tpa`, each [n_crystals]. A negative
        compressibility is a crystal that expands along some axis under pressure, a negative Poisson's ratio one that
        widens along some axis when it is pulled along another.

    Raises:
        UnphysicalTensorError: `unstable` is RAISE and some C_IJ is not positive definite; `.rows` names them.
    """
    usable, stable = stable_stand_ins(stiffness_voigt, unstable)
    compliance = compliance_voigt_to_mandel(compliance_voigt(usable))
    chunks = [compliance[k : k + _CHUNK] for k in range(0, len(compliance), _CHUNK)]
    # in the order of _ENTRIES, the least before the largest
    entries = np.concatenate([_extreme_entries(chunk) for chunk in chunks] or [np.zeros((0, 3, 2))])
    shrinkage = np.linalg.eigvalsh(mandel_to_symmetric(compliance[:, :, :3].sum(axis=2)))  # S_ijkk
    columns: Columns = {
        "young_min_gpa": GPA_INVERSE_IN_PER_TPA / entries[:, 0, 1],
        "young_max_gpa": GPA_INVERSE_IN_PER_TPA / entries[:, 0, 0],
        "shear_min_gpa": GPA_INVERSE_IN_PER_TPA / entries[:, 1, 1],
        "shear_max_gpa": GPA_INVERSE_IN_PER_TPA / entries[:, 1, 0],
        "poisson_min": entries[:, 2, 0],
        "poisson_max": entries[:, 2, 1],
        "linear_compressibility_min_per_tpa": shrinkage[:, 0],
        "linear_compressibility_max_per_tpa": shrinkage[:, 2],
    }
    return {name: np.where(stable, values, np.nan) for name, values in columns.items()}


def _dyads(first: Floats, second: Floats) -> Floats:
    """The symmetric part of a b in Mandel form, [..., 3] -> [..., 6]."""
    return symmetric_to_mandel(first[..., :, None] * second[..., None, :])


_ENTRIES = ((0, 0, 1.0), (5, 5, 2.0), (0, 1, -1.0))
"""1/E, 1/G and the numerator of Poisson's ratio in the frame n, m, n x m: row, column and factor of the Mandel
compliance."""
_YOUNG, _POISSON = 0, 2
_PAIRS = np.array([[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]])  # axes of each Mandel row
_SPIN: Floats = np.zeros((3, 3, 3))
_SPIN[[0, 1, 2], [2, 0, 1], [1, 2, 0]] = 1.0
_SPIN[[0, 1, 2], [1, 2, 0], [2, 0, 1]] = -1.0
_FLAT = 1e-8


@lru_cache(maxsize=1)
def _grid() -> tuple[Floats, Floats, Singles]:
    """Directions [N_GRID, 3], their tangents [N_GRID, 2, 3], and what makes values of components, [21, 7 N_GRID].

    The seven values along n with the tangents s, t: S_nnnn; 4 S_nsns, 4 S_nsnt, 4 S_ntnt; -S_nnss, -S_nnst, -S_nntt.
    """
    n = half_sphere(N_GRID)
    pair = tangents(n)
    s, t = pair[:, 0], pair[:, 1]
    nn, ns, nt = _dyads(n, n), _dyads(n, s), _dyads(n, t)
    products = [(nn, nn), (4 * ns, ns), (4 * ns, nt), (4 * nt, nt)]
    products += [(-nn, _dyads(s, s)), (-nn, _dyads(s, t)), (-nn, _dyads(t, t))]
    matrices = [first[:, :, None] * second[:, None, :] for first, second in products]
    # a compliance is symmetric: its upper half stands for both
    weight = np.where(_UPPER[0] == _UPPER[1], 0.5, 1.0)
    halves = [((m + m.swapaxes(1, 2))[:, _UPPER[0], _UPPER[1]] * weight).T for m in matrices]
    return n, pair, np.concatenate(halves, axis=1).astype(np.float32)


def _grid_values(compliance: Floats) -> tuple[Singles, Singles]:
    """Least and largest 1/E, 1/G and Poisson's ratio over m, and the angles at which they are.

    Args:
        compliance: in Mandel form in 1/TPa, shape [n_crystals, 6, 6].

    Returns:
        Values [3, 2, n_crystals, N_GRID]; and of 1/G and Poisson's ratio half their difference between the tangents and
        their mixed entry, [3, 2, n_crystals, N_GRID], which give the angles of m.
    """
    # single precision is enough to choose the directions that are polished
    components = compliance[:, _UPPER[0], _UPPER[1]].astype(np.float32)
    along = (components @ _grid()[2]).reshape(len(compliance), 7, N_GRID).swapaxes(0, 1)
    values, mixed = np.zeros((2, 3, 2, *along.shape[1:]), dtype=np.float32)
    values[0] = along[0]
    for row, (ss, st, tt) in ((1, along[1:4]), (2, along[4:7] / along[0])):
        middle, half = (ss + tt) / 2, (ss - tt) / 2
        radius = np.sqrt(half * half + st * st)
        values[row] = middle - radius, middle + radius
        mixed[row] = half, st
    return values, mixed


def _starts(compliance: Floats) -> Floats:
    """Frames to polish, with rows n, m, n x m: [3, 2, 2, n_crystals, 3, 3], by entry, least or largest, and start."""
    n, pair, _ = _grid()
    values, mixed = _grid_values(compliance)
    signed = values * np.array([-1.0, 1.0], dtype=np.float32)[:, None, None]
    best = signed.argmax(axis=-1)
    near = np.abs(n @ n.T) > _APART
    second = np.where(near[best], -np.inf, signed).argmax(axis=-1)
    place = np.stack([best, second], axis=2)
    half, st = (np.take_along_axis(mixed[:, None, None, part], place[..., None], axis=-1)[..., 0] for part in (0, 1))
    # the largest over m lies at this angle from the first tangent, the least a right angle further
    angle = np.arctan2(st, half, dtype=np.float64) / 2
    angle[:, 0] += np.pi / 2
    m = np.cos(angle)[..., None] * pair[place][..., 0, :] + np.sin(angle)[..., None] * pair[place][..., 1, :]
    return np.stack([n[place], m, np.cross(n[place], m)], axis=-2)


@lru_cache(maxsize=1)
def _derivatives() -> Floats:
    """What makes an entry's value, its 3 first and 9 second derivatives by rotations of all entries, [3, 13, 36].

    A rotation vector w takes the Mandel compliance to exp(L) S exp(L)^T, with L the sum of w_k L_k over the generators.
    In this order: 1/E, 1/G, the numerator of Poisson's ratio.
    """
    basis = mandel_to_symmetric(np.eye(6))
    turned = _SPIN[:, None] @ basis + basis @ _SPIN[:, None].swapaxes(-1, -2)
    generators = symmetric_to_mandel(turned).swapaxes(1, 2)
    rows = []
    for row, column, factor in _ENTRIES:
        entry = np.zeros((6, 6))
        entry[row, column] += factor / 2
        entry[column, row] += factor / 2
        rows += [entry, *(g.T @ entry + entry @ g for g in generators)]
        for a, b in product(generators, generators):
            square = (a @ b + b @ a) / 2
            rows.append(square.T @ entry + entry @ square + a.T @ entry @ b + b.T @ entry @ a)
    return np.stack(rows).reshape(3, 13, 36)


def _extreme_entries(compliance: Floats) -> Floats:
    """Least and largest 1/E, 1/G and Poisson's ratio, [n_crystals, 3, 2]; never worse than the best on the grid."""
    frames = _starts(compliance)
    shape = frames.shape[1:4]
    sign = np.array([-1.0, 1.0])[:, None]
    signs = np.broadcast_to(sign[..., None], shape).reshape(-1)
    best = np.full((len(_ENTRIES), *shape[::2]), -np.inf)  # of sign times the value
    # crystals on the last axis: the arithmetic of small matrices then runs over contiguous numbers
    tensors = np.ascontiguousarray(np.moveaxis(compliance, 0, -1))
    tensors = np.broadcast_to(tensors[:, :, None, None], (6, 6, *shape)).reshape(6, 6, -1)
    for row in range(len(_ENTRIES)):
        axes = np.ascontiguousarray(np.moveaxis(frames[row].reshape(-1, 3, 3), 0, -1))
        for step in range(_N_STEPS):
            values, slope, curvature = _expansion(row, tensors, axes)
            best[row] = np.maximum(best[row], (signs * values).reshape(shape).max(axis=1))
            if step < _N_STEPS - 1:
                axes = _rotated(axes, _newton_step(signs * slope, signs * curvature))
    return np.moveaxis(sign * best, -1, 0)


def _expansion(row: int, tensors: Floats, axes: Floats) -> tuple[Floats, Floats, Floats]:
    """Value of one of `_ENTRIES` in frames, and its first and second derivatives by rotations of the frame.

    Args:
        row: of `_ENTRIES`.
        tensors: compliances in Mandel form, shape [6, 6, n].
        axes: the frames, one axis per row, shape [3, 3, n].

    Returns:
        Shapes [n], [3, n] and [3, 3, n].
    """
    first, second = axes[_PAIRS[0]], axes[_PAIRS[1]]
    shear = first[:, [1, 0, 0]] * second[:, [2, 2, 1]] + first[:, [2, 2, 1]] * second[:, [1, 0, 0]]
    mandel = np.concatenate([first * second, shear / np.sqrt(2.0)], axis=1)
    mandel[3:] *= np.sqrt(2.0)
    half, rotated = np.zeros((2, 6, 6, axes.shape[-1]))
    for index in range(6):
        half += mandel[:, index, None] * tensors[index]
    for index in range(6):
        rotated += half[:, index, None] * mandel[:, index]
    rotated = rotated.reshape(36, -1)
    numbers = _derivatives()[row] @ rotated
    value, slope, curvature = numbers[0], numbers[1:4], numbers[4:].reshape(3, 3, -1)
    if row == _POISSON:
        # derivatives of a quotient: Poisson's ratio is divided by 1/E along the same n
        divisor = _derivatives()[0] @ rotated
        value = value / divisor[0]
        slope = (slope - value * divisor[1:4]) / divisor[0]
        products = slope[:, None] * divisor[None, 1:4]
        curvature = curvature - value * divisor[4:].reshape(3, 3, -1) - products - products.swapaxes(0, 1)
        curvature /= divisor[0]
    if row == _YOUNG:
        # no rotation about n changes 1/E; half of a commutator with the others would be left in the mixed derivatives
        slope[0] = curvature[0] = curvature[:, 0] = 0.0
    return value, slope, curvature


def _newton_step(slope: Floats, curvature: Floats) -> Floats:
    """Rotation vectors [3, n] towards the nearest maximum, from derivatives [3, n] and [3, 3, n]."""
    # a flat direction (rotation about n, an isotropic plane) has no curvature: a little of it avoids dividing by 0
    size = np.sqrt((curvature * curvature).sum(axis=(0, 1))) + 1e-300
    matrix = np.eye(3)[..., None] * (_FLAT * size) - curvature
    # curved upwards along some axis, the nearest stationary frame is no maximum: the sign there is turned
    lowest = _lowest_eigenvalue(matrix)
    matrix += np.eye(3)[..., None] * np.where(lowest < 0, _FLAT * size - 2 * lowest, 0.0)
    # the inverse of a symmetric matrix: cross products of its rows over its determinant
    adjugate = np.cross(matrix[[1, 2, 0]], matrix[[2, 0, 1]], axis=1)
    step = (adjugate * slope[:, None]).sum(axis=0) / (matrix[0] * adjugate[0]).sum(axis=0)
    length = np.sqrt((step * step).sum(axis=0))
    return np.asarray(step * np.minimum(1.0, _MAX_STEP / np.maximum(length, 1e-300)))


def _lowest_eigenvalue(matrices: Floats) -> Floats:
    """Of symmetric matrices [3, 3, n], in closed form, [n]; O. K. Smith, Commun. ACM 4, 168 (1961)."""
    mean = (matrices[0, 0] + matrices[1, 1] + matrices[2, 2]) / 3
    deviation = matrices - np.eye(3)[..., None] * mean
    radius = np.sqrt((deviation * deviation).sum(axis=(0, 1)) / 6) + 1e-300
    determinant = (deviation[0] * np.cross(deviation[1], deviation[2], axis=0)).sum(axis=0)
    angle = np.arccos(np.clip(determinant / (2 * radius**3), -1.0, 1.0)) / 3
    return np.asarray(mean + 2 * radius * np.cos(angle + 2 * np.pi / 3))


def _rotated(axes: Floats, vectors: Floats) -> Floats:
    """Frames [3, 3, n] rotated by vectors [3, n] in their own axes; Cayley's formula, exp to second order."""
    spin = np.tensordot(_SPIN / 2, vectors, axes=(0, 0))
    factor = 2 / (1 + (vectors * vectors).sum(axis=0) / 4)
    turned = (spin[:, :, None] * axes).sum(axis=1)
    return np.asarray(axes + factor * (turned + (spin[:, :, None] * turned).sum(axis=1)))
