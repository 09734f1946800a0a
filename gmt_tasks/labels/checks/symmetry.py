"""Does a tensor label obey the symmetry of the crystal beside it, and if not, which known mistake makes it disobey?

The residual is the share of a tensor that the exact projector on the crystal's point group removes, |T - P T| / |T|.
Symmetry cannot show every mistake: of an isotropic tensor or a triclinic crystal it shows none, and in cubic and
orthorhombic crystals no Voigt order of the shear entries of C disobeys it. `evidence` says what it could have shown.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.labels.label_kind import MAX_RESIDUAL, Fault, Floats, ReadLabel, TensorValue, VoigtForm
from gmt_tasks.labels.reasons import LabelReason
from models.crystals.neighbors import reduce_lattices
from models.quantities import TENSORS, Tensor
from models.symmetry.search import SymmetryBatch
from models.tensors.frames import FrameError, ieee_rotation, oriented_point_group
from models.tensors.rotate import component_rotation, rotate
from models.tensors.voigt import from_components, to_components

Flags = NDArray[np.bool_]

EXPLAINED_RESIDUAL = 0.03
"""A mistake is named when undoing it brings the residual below this and below a quarter of what it was."""

EQUALLY_GOOD = 0.01
"""Residuals of two explanations that whole numbers of GPa cannot tell apart."""

PRINCIPAL_ROUNDING = 0.02
"""Distance of principal dielectric constants from degeneracy that rounding alone can leave."""

SMALLEST_FORBIDDEN_C_PER_M2 = 0.02
"""A piezoelectric response below this is a zero of the calculation."""

_GRID = 4000
_STARTS = 6
_ROUNDS = 8
_TRIES = 80


@dataclass(frozen=True)
class Evidence:
    """What the symmetry of each label's crystal can show.

    Attributes:
        residual: |T - P T| / |T|, 0 where the difference is within rounding, [n].
        order: a wrong Voigt order would break the symmetry (or its correction would), [n].
        frame: a wrong frame would, [n].
    """

    residual: Floats
    order: Flags
    frame: Flags


def projected(value: TensorValue, tensors: Floats, symmetry: SymmetryBatch) -> tuple[Floats, Floats]:
    """Tensor labels without what the symmetry of their crystals forbids.

    Args:
        value: which tensor.
        tensors: in stored shape, frame of the crystals, [n, ...].
        symmetry: of the n crystals; each has a space group.

    Returns:
        Components [n, n_components], and the residuals |T - P T| / |T|, 0 where the difference is within rounding, [n].
    """
    before = to_components(value.tensor, tensors)
    after = to_components(value.tensor, symmetry.project(value.tensor, tensors))
    removed = np.linalg.norm(before - after, axis=1)
    relative = removed / np.maximum(np.linalg.norm(before, axis=1), 1e-12)
    return after, np.where(removed <= TENSORS[value.tensor].label_rounding, 0.0, relative)


def evidence(value: TensorValue, tensors: Floats, symmetry: SymmetryBatch) -> Evidence:
    """Residuals of tensors against the symmetry of their crystals, and what they prove; arguments as of `projected`."""
    residual = projected(value, tensors, symmetry)[1]
    # what a wrong frame or order would have left is seen on the tensor with the mistake made
    rotated = projected(value, rotate(value.tensor, tensors, _GENERIC), symmetry)[1]
    order = np.zeros(len(tensors), dtype=np.bool_)
    if value.voigt is not None:
        reordered = projected(value, _reordered(value.voigt, tensors, _VASP), symmetry)[1]
        order = np.maximum(residual, reordered) > value.residual_limit
    return Evidence(residual, order, np.maximum(residual, rotated) > value.residual_limit)


def diagnose(value: TensorValue, tensor: Floats, symmetry: SymmetryBatch, lattice: Floats) -> Fault:
    """Why one tensor disobeys the symmetry of its crystal.

    Args:
        value: which tensor.
        tensor: in stored shape.
        symmetry: of this crystal alone.
        lattice: of the cell as listed, rows in angstrom, [3, 3].

    Returns:
        The reason and a sentence with the residual before and after the mistake is undone.
    """
    quantity, point_group = value.tensor, symmetry.point_group[0]
    projector = component_rotation(quantity, symmetry.rotations).mean(axis=0)
    # the trace of a projector counts the components that it leaves
    if np.trace(projector) < 0.5:
        size = f"|{TENSORS[quantity].symbol}| is {float(np.linalg.norm(tensor)):.3g} {TENSORS[quantity].unit}"
        return LabelReason.FORBIDDEN, f"{size} in class {point_group}"
    before = _relative_residual(projector, to_components(quantity, tensor))
    limit = min(EXPLAINED_RESIDUAL, before / 4)
    fitting = []
    for reason, name, candidate in _corrections(value, tensor, symmetry, lattice):
        after = _relative_residual(projector, to_components(quantity, candidate))
        if after < limit:
            fitting.append((after, reason, name))
    if fitting:
        best = min(after for after, _, _ in fitting)
        # of those that explain it equally well the likeliest comes first; another kind of mistake is mentioned
        equal = [entry for entry in fitting if entry[0] <= best + EQUALLY_GOOD]
        after, reason, name = equal[0]
        others = [f"{other.value} as well, {text}" for _, other, text in equal[1:] if other is not reason]
        return reason, "; ".join([f"residual {before:.2f} becomes {after:.3f} {name}", *others[:1]])
    after, angle = _best_rotation(quantity, projector, to_components(quantity, tensor))
    if after < limit:
        return LabelReason.FRAME, f"residual {before:.2f} becomes {after:.3f} after a rotation by {angle:.0f} degrees"
    return LabelReason.SYMMETRY_MISFIT, f"residual {before:.2f} in class {point_group}"


def principal_law(label: ReadLabel, symmetry: SymmetryBatch) -> tuple[float | None, Fault | None]:
    """Principal dielectric constants have the degeneracy that the class of their crystal demands."""
    principal = label.values["eps_principal"]
    residual = float(principal_residuals(principal[None], symmetry)[0])
    stated = "" if label.row.get("symmetry_consistent", True) else "; the row says so itself"
    if residual <= MAX_RESIDUAL and not stated:
        return residual, None
    detail = f"eps_principal {principal.round(3).tolist()} in class {symmetry.point_group[0]}{stated}"
    return residual, (LabelReason.SYMMETRY_MISFIT, detail)


def response_law(label: ReadLabel, symmetry: SymmetryBatch) -> tuple[float | None, Fault | None]:
    """A piezoelectric response is one that the class of the crystal allows."""
    response = label.values["e_singular_max_ieee"][0]
    if symmetry.piezo_allowed[0] or response <= SMALLEST_FORBIDDEN_C_PER_M2:
        return None, None
    return None, (LabelReason.FORBIDDEN, f"a response in class {symmetry.point_group[0]}")


def principal_residuals(principal: Floats, symmetry: SymmetryBatch) -> Floats:
    """How far principal dielectric constants are from the degeneracy that the class demands, relative to their norm.

    Args:
        principal: three per crystal in any order, [n, 3].
        symmetry: of the n crystals.
    """
    values = np.sort(principal, axis=1)
    gaps = np.diff(values, axis=1).min(axis=1) / np.sqrt(2)
    spread = np.linalg.norm(values - values.mean(axis=1, keepdims=True), axis=1)
    # cubic classes leave one constant, uniaxial ones two, the others three
    cubic, uniaxial = symmetry.number >= 195, (symmetry.number >= 75) & (symmetry.number < 195)
    off = np.where(cubic, spread, np.where(uniaxial, gaps, 0.0))
    return np.where(off < PRINCIPAL_ROUNDING, 0.0, off / np.linalg.norm(values, axis=1))


def _relative_residual(projector: Floats, components: Floats) -> float:
    return float(np.linalg.norm(components - projector @ components) / np.linalg.norm(components))


_VASP = (4, 5, 3)  # where our 23, 13, 12 stand in the order 12, 23, 13


def _reordered(form: VoigtForm, tensors: Floats, shear: tuple[int, ...]) -> Floats:
    """Tensors whose shear entries are taken from other places of the Voigt order."""
    order, voigt = [0, 1, 2, *shear], form.to_voigt(tensors)
    for axis in range(-form.n_axes, 0):
        voigt = np.take(voigt, order, axis)
    return form.from_voigt(voigt)


def _corrections(
    value: TensorValue, tensor: Floats, symmetry: SymmetryBatch, lattice: Floats
) -> Iterator[tuple[LabelReason, str, Floats]]:
    """The tensor with one known mistake undone, likeliest first, with the mistake's name."""
    form = value.voigt
    if form is not None:
        name = "when read in VASP's order 11, 22, 33, 12, 23, 13"
        yield LabelReason.VOIGT_ORDER, name, _reordered(form, tensor, _VASP)
    for reason, name, frame in _frames(symmetry, lattice):
        yield reason, f"when rotated out of {name}", rotate(value.tensor, tensor, frame.T)
    if form is not None:
        for shear in permutations((3, 4, 5)):
            if shear not in (_VASP, (3, 4, 5)):
                yield LabelReason.VOIGT_ORDER, "with its shear entries reordered", _reordered(form, tensor, shear)
        for one, two, name in form.shear_factors:
            scale = np.array([1.0] * 3 + [one] * 3)
            if form.n_axes == 2:
                scale = np.outer(scale, scale)
                scale[3:, 3:] = two
            yield LabelReason.UNIT_FACTOR, name, form.from_voigt(form.to_voigt(tensor) * scale)
    ieee = _ieee_frame(symmetry)
    for rotation in _axis_rotations():
        name = "when rotated out of the IEEE frame with its axes in another order"
        yield LabelReason.FRAME, name, rotate(value.tensor, tensor, (rotation @ ieee).T)


def _ieee_frame(symmetry: SymmetryBatch) -> Floats:
    """Rows X, Y, Z of the IEEE frame; in an unusual setting the plain axes of the conventional cell stand in."""
    conventional = symmetry.conventional[0].T
    try:
        return ieee_rotation(conventional, oriented_point_group(int(symmetry.number[0])))
    except FrameError:
        return _a_along_x(conventional)


def _frames(symmetry: SymmetryBatch, lattice: Floats) -> Iterator[tuple[LabelReason, str, Floats]]:
    """Frames in which codes and databases write tensors, as rows in the frame of the listed lattice."""
    conventional, ieee = symmetry.conventional[0].T, _ieee_frame(symmetry)
    yield LabelReason.FRAME, "the IEEE frame", ieee
    yield LabelReason.FRAME, "the frame made of the cell's lengths and angles with a along x", _a_along_x(lattice)
    yield LabelReason.FRAME, "the frame made of the cell's lengths and angles with c along z", _c_along_z(lattice)
    reduced = reduce_lattices(lattice[None])[0][0]
    for name, cell in (("conventional", conventional), ("reduced", reduced)):
        yield LabelReason.CELL_SETTING, f"the frame of the {name} cell with a along x", _a_along_x(cell)
        yield LabelReason.CELL_SETTING, f"the frame of the {name} cell with c along z", _c_along_z(cell)


def _a_along_x(lattice: Floats) -> Floats:
    """Rows X, Y, Z: a along X, b in the XY plane."""
    x, z = lattice[0], np.cross(lattice[0], lattice[1])
    return _unit_rows(x, np.cross(z, x), z)


def _c_along_z(lattice: Floats) -> Floats:
    """Rows X, Y, Z: c along Z, a in the XZ plane."""
    z, y = lattice[2], np.cross(lattice[2], lattice[0])
    return _unit_rows(np.cross(y, z), y, z)


def _unit_rows(*rows: Floats) -> Floats:
    frame: Floats = np.stack([row / np.linalg.norm(row) for row in rows])
    return frame


@lru_cache(maxsize=1)
def _axis_rotations() -> tuple[Floats, ...]:
    """The 24 proper rotations that map the axes x, y, z onto themselves."""
    matrices = [np.eye(3)[list(axes)] for axes in permutations(range(3))]
    signed = [matrix * np.array(signs)[:, None] for matrix in matrices for signs in product((1, -1), repeat=3)]
    return tuple(matrix for matrix in signed if np.linalg.det(matrix) > 0)


def _random_rotations(n_rotations: int, seed: int) -> Floats:
    """Rotations spread evenly over all orientations, [n_rotations, 3, 3]."""
    q = np.random.default_rng(seed).normal(size=(n_rotations, 4))
    w, x, y, z = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


_GENERIC: Floats = _random_rotations(1, 5)[0]
"""A rotation that maps no crystal class onto itself: what a wrong frame is represented by."""


@lru_cache(maxsize=len(TENSORS))
def _rotation_grid(quantity: Tensor) -> tuple[Floats, Floats]:
    """Rotations and their matrices on the components of a tensor."""
    rotations = _random_rotations(_GRID, 11)
    return rotations, component_rotation(quantity, rotations)


def _best_rotation(quantity: Tensor, projector: Floats, components: Floats) -> tuple[float, float]:
    """Residual after the best rotation and its angle in degrees; infinity where any tensor could be rotated to fit.

    A tensor with as many components as the class leaves free, plus three for the rotation, fits after some rotation
    whatever it is: there a fit proves nothing.
    """
    if round(np.trace(projector)) + 3 >= len(components):
        return np.inf, 0.0
    rotations, matrices = _rotation_grid(quantity)
    residuals = _relative_residuals(projector, matrices @ components)
    tensor = from_components(quantity, components)
    best, best_rotation = np.inf, rotations[0]
    for start in np.argsort(residuals)[:_STARTS]:
        residual, rotation = float(residuals[start]), rotations[start]
        # a random descent: the residual has many shallow minima and its gradient is not worth the algebra
        for k in range(_ROUNDS):
            nearby = _small_rotations(_TRIES, 0.3 * 0.45**k, seed=k) @ rotation
            tried = _relative_residuals(projector, to_components(quantity, rotate(quantity, tensor, nearby)))
            if tried.min() < residual:
                residual, rotation = float(tried.min()), nearby[int(np.argmin(tried))]
        if residual < best:
            best, best_rotation = residual, rotation
        if best < EXPLAINED_RESIDUAL / 3:
            break
    return best, float(np.degrees(np.arccos(np.clip((np.trace(best_rotation) - 1) / 2, -1, 1))))


def _relative_residuals(projector: Floats, rotated: Floats) -> Floats:
    """Of rotated components [n, n_components] of one tensor, [n]."""
    residuals: Floats = np.linalg.norm(rotated - rotated @ projector.T, axis=1) / np.linalg.norm(rotated[0])
    return residuals


def _small_rotations(n_rotations: int, width_rad: float, seed: int) -> Floats:
    """Rotations by about the given angle around random axes, [n_rotations, 3, 3]."""
    x, y, z = np.random.default_rng(seed).normal(scale=width_rad, size=(3, n_rotations))
    zero = np.zeros(n_rotations)
    skew = np.moveaxis(np.array([[zero, -z, y], [z, zero, -x], [-y, x, zero]]), -1, 0)
    # Cayley's map: exactly orthogonal for any skew matrix
    return np.asarray(np.linalg.solve(np.eye(3) - skew / 2, np.eye(3) + skew / 2), dtype=np.float64)
