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

from gmt_tasks.labels.reasons import LabelReason
from models.crystals.neighbors import reduce_lattices
from models.quantities import TENSORS, Tensor
from models.symmetry.search import SymmetryBatch
from models.tensors.frames import FrameError, ieee_rotation, oriented_point_group
from models.tensors.rotate import component_rotation, rotate
from models.tensors.voigt import from_components, from_printed, reorder_vasp_voigt, to_components, to_printed

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MAX_RESIDUAL = 0.1
"""Above it a label is refused; of 5,000 labels of train and val in their right frame one in a thousand reaches 0.07."""

EXPLAINED_RESIDUAL = 0.03
"""A mistake is named when undoing it brings the residual below this and below a quarter of what it was."""

ROUNDING = {quantity: row.label_rounding for quantity, row in TENSORS.items()}
"""Norm of what rounding alone can leave outside of the symmetry, in the tensor's unit; published C are whole GPa."""

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


def evidence(quantity: Tensor, tensors: Floats, symmetry: SymmetryBatch) -> Evidence:
    """Residuals of tensors against the symmetry of their crystals, and what they prove.

    Args:
        quantity: which tensor.
        tensors: in stored shape, frame of the crystals, [n, ...].
        symmetry: of the n crystals; each has a space group.
    """
    found = _residuals(quantity, tensors, symmetry)
    turned = _residuals(quantity, rotate(quantity, tensors, _GENERIC), symmetry)
    order = np.zeros(len(tensors), dtype=np.bool_)
    if quantity in _VOIGT_AXES:
        reordered = _residuals(quantity, _reordered(quantity, tensors, _VASP), symmetry)
        order = np.maximum(found, reordered) > MAX_RESIDUAL
    return Evidence(found, order, np.maximum(found, turned) > MAX_RESIDUAL)


def diagnose(quantity: Tensor, tensor: Floats, symmetry: SymmetryBatch, lattice: Floats) -> tuple[LabelReason, str]:
    """Why one tensor disobeys the symmetry of its crystal.

    Args:
        quantity: which tensor.
        tensor: in stored shape.
        symmetry: of this crystal alone.
        lattice: of the cell as listed, rows in angstrom, [3, 3].

    Returns:
        The reason and a sentence with the residual before and after the mistake is undone.
    """
    if quantity is Tensor.PIEZOELECTRIC and not symmetry.piezo_allowed[0]:
        norm = float(np.linalg.norm(tensor))
        return LabelReason.FORBIDDEN, f"|e| is {norm:.3g} C/m^2 in class {symmetry.point_group[0]}"
    projector = component_rotation(quantity, symmetry.rotations).mean(axis=0)
    before = _off(projector, to_components(quantity, tensor))
    limit = min(EXPLAINED_RESIDUAL, before / 4)
    for reason, name, candidate in _corrections(quantity, tensor, symmetry, lattice):
        after = _off(projector, to_components(quantity, candidate))
        if after < limit:
            return reason, f"residual {before:.2f} becomes {after:.3f} {name}"
    after, angle = _best_rotation(quantity, projector, to_components(quantity, tensor))
    if after < limit:
        return LabelReason.FRAME, f"residual {before:.2f} becomes {after:.3f} after a rotation by {angle:.0f} degrees"
    return LabelReason.SYMMETRY_MISFIT, f"residual {before:.2f} in class {symmetry.point_group[0]}"


def principal_residuals(principal: Floats, symmetry: SymmetryBatch) -> Floats:
    """How far principal dielectric constants are from the degeneracy that the class demands, relative to their norm.

    Args:
        principal: three per crystal in any order, [n, 3].
        symmetry: of the n crystals.
    """
    values = np.sort(principal, axis=1)
    gaps = np.diff(values, axis=1).min(axis=1) / np.sqrt(2)
    spread = np.linalg.norm(values - values.mean(axis=1, keepdims=True), axis=1)
    cubic, uniaxial = symmetry.number >= 195, (symmetry.number >= 75) & (symmetry.number < 195)
    off = np.where(cubic, spread, np.where(uniaxial, gaps, 0.0))
    return np.where(off < ROUNDING[Tensor.DIELECTRIC_ELECTRONIC], 0.0, off / np.linalg.norm(values, axis=1))


def _residuals(quantity: Tensor, tensors: Floats, symmetry: SymmetryBatch) -> Floats:
    before = to_components(quantity, tensors)
    removed = np.linalg.norm(before - to_components(quantity, symmetry.project(quantity, tensors)), axis=1)
    norm = np.linalg.norm(before, axis=1)
    return np.where(removed <= ROUNDING[quantity], 0.0, removed / np.maximum(norm, 1e-12))


def _off(projector: Floats, components: Floats) -> float:
    """Relative residual of one vector of components."""
    return float(np.linalg.norm(components - projector @ components) / np.linalg.norm(components))


_VOIGT_AXES = {Tensor.PIEZOELECTRIC: 1, Tensor.ELASTIC: 2}
_VASP = (4, 5, 3)  # where our 23, 13, 12 stand in the order 12, 23, 13


def _reordered(quantity: Tensor, tensors: Floats, shear: tuple[int, ...]) -> Floats:
    """Tensors whose shear entries are taken from other places of the Voigt order."""
    voigt, order = to_printed(quantity, tensors), [0, 1, 2, *shear]
    if shear == _VASP:
        return from_printed(quantity, reorder_vasp_voigt(voigt, _VOIGT_AXES[quantity]))
    moved = voigt[..., order] if quantity is Tensor.PIEZOELECTRIC else voigt[..., order, :][..., order]
    return from_printed(quantity, moved)


_SHEAR_FACTORS: dict[Tensor, tuple[tuple[float, float, str], ...]] = {
    # factor of entries with one shear index, with two, and what it undoes
    Tensor.PIEZOELECTRIC: (
        (0.5, 1.0, "without a factor 2 on its shear columns"),
        (2.0, 1.0, "with its shear columns doubled"),
        (0.5**0.5, 1.0, "out of Mandel form"),
    ),
    Tensor.ELASTIC: (
        (1.0, 0.5, "without a factor 2 on its shear block"),
        (1.0, 2.0, "with its shear block doubled"),
        (0.5, 0.25, "without factors 2 and 4 on its shear entries"),
        (2.0, 4.0, "with its shear entries times 2 and 4"),
        (0.5**0.5, 0.5, "out of Mandel form"),
    ),
}


def _corrections(
    quantity: Tensor, tensor: Floats, symmetry: SymmetryBatch, lattice: Floats
) -> Iterator[tuple[LabelReason, str, Floats]]:
    """The tensor with one known mistake undone, likeliest first, with the mistake's name."""
    if quantity in _VOIGT_AXES:
        yield (
            LabelReason.VOIGT_ORDER,
            "when read in VASP's order 11, 22, 33, 12, 23, 13",
            _reordered(quantity, tensor, _VASP),
        )
        for shear in permutations((3, 4, 5)):
            if shear not in (_VASP, (3, 4, 5)):
                yield LabelReason.VOIGT_ORDER, "with its shear entries reordered", _reordered(quantity, tensor, shear)
        for one, two, name in _SHEAR_FACTORS[quantity]:
            factors = np.array([1.0] * 3 + [one] * 3)
            scale = factors if quantity is Tensor.PIEZOELECTRIC else np.outer(factors, factors)
            if quantity is Tensor.ELASTIC:
                scale[3:, 3:] = two
            yield LabelReason.UNIT_FACTOR, name, from_printed(quantity, to_printed(quantity, tensor) * scale)
    for reason, name, frame in _frames(symmetry, lattice):
        yield reason, f"when rotated out of {name}", rotate(quantity, tensor, frame.T)


def _frames(symmetry: SymmetryBatch, lattice: Floats) -> Iterator[tuple[LabelReason, str, Floats]]:
    """Frames in which codes and databases write tensors, as rows in the frame of the listed lattice."""
    conventional = symmetry.conventional[0].T
    try:
        ieee = ieee_rotation(conventional, oriented_point_group(int(symmetry.number[0])))
    except FrameError:  # an unusual setting: the plain axes of its conventional cell stand in
        ieee = _a_along_x(conventional)
    yield LabelReason.FRAME, "the IEEE frame", ieee
    yield LabelReason.FRAME, "the frame made of the cell's lengths and angles with a along x", _a_along_x(lattice)
    yield LabelReason.FRAME, "the frame made of the cell's lengths and angles with c along z", _c_along_z(lattice)
    reduced = reduce_lattices(lattice[None])[0][0]
    for name, cell in (("conventional", conventional), ("reduced", reduced)):
        yield LabelReason.CELL_SETTING, f"the frame of the {name} cell with a along x", _a_along_x(cell)
        yield LabelReason.CELL_SETTING, f"the frame of the {name} cell with c along z", _c_along_z(cell)
    for turn in _axis_turns():
        yield LabelReason.FRAME, "the IEEE frame with its axes in another order", turn @ ieee


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
def _axis_turns() -> tuple[Floats, ...]:
    """The 24 proper rotations that map the axes x, y, z onto themselves."""
    turns = [
        np.eye(3)[list(p)] * np.array(s)[:, None] for p in permutations(range(3)) for s in product((1, -1), repeat=3)
    ]
    return tuple(turn for turn in turns if np.linalg.det(turn) > 0)


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
    """Residual after the best rotation and its angle in degrees; infinity where any tensor could be turned to fit.

    A tensor with as many components as the class leaves free, plus three for the rotation, fits after some rotation
    whatever it is: there a fit proves nothing.
    """
    if round(np.trace(projector)) + 3 >= len(components):
        return np.inf, 0.0
    rotations, matrices = _rotation_grid(quantity)
    off = _offs(projector, matrices @ components)
    best, rotation = np.inf, rotations[0]
    for start in np.argsort(off)[:_STARTS]:
        here, turn = float(off[start]), rotations[start]
        for k in range(_ROUNDS):
            nearby = _small_rotations(_TRIES, 0.3 * 0.45**k, seed=k) @ turn
            found = _offs(
                projector, to_components(quantity, rotate(quantity, from_components(quantity, components), nearby))
            )
            if found.min() < here:
                here, turn = float(found.min()), nearby[int(np.argmin(found))]
        if here < best:
            best, rotation = here, turn
        if best < EXPLAINED_RESIDUAL / 3:
            break
    return best, float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))


def _offs(projector: Floats, turned: Floats) -> Floats:
    """Relative residuals of turned components [n, n_components], [n]."""
    off: Floats = np.linalg.norm(turned - turned @ projector.T, axis=1) / np.linalg.norm(turned[0])
    return off


def _small_rotations(n_rotations: int, width_rad: float, seed: int) -> Floats:
    """Rotations by about the given angle around random axes, [n_rotations, 3, 3]."""
    x, y, z = np.random.default_rng(seed).normal(scale=width_rad, size=(3, n_rotations))
    zero = np.zeros(n_rotations)
    skew = np.moveaxis(np.array([[zero, -z, y], [z, zero, -x], [-y, x, zero]]), -1, 0)
    # Cayley's map: exactly orthogonal for any skew matrix
    return np.asarray(np.linalg.solve(np.eye(3) - skew / 2, np.eye(3) + skew / 2), dtype=np.float64)
