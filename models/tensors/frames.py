"""The IEEE frame of a crystal: the Cartesian axes in which handbooks print tensors.

Rules by system, for conventional axes a, b, c (IEEE Std 176-1987, section 3.2):

* cubic: X, Y, Z along a, b, c (for -43m these are the -4 axes);
* tetragonal: Z || c, X || a; in -42m X is a two-fold axis, whichever cell axes that makes;
* trigonal and hexagonal: Z || c, X || a; in 32 and -3m X is a two-fold axis, in 3m and -6m2 X is normal to a mirror;
* orthorhombic: X, Y, Z along a, b, c once they are named such that c < a < b; in mm2 c is the polar axis and a < b;
* monoclinic: Y || b (the unique axis), Z || c, the two shortest translations normal to b named such that c < a;
* triclinic: Z || c, Y normal to the ac plane, axes named such that c < a < b.

What a lattice does not know: the senses of the axes, for which the standard asks for the signs of some piezoelectric
constants. Here they follow the given cell, obtuse angles where the standard asks for them, right-handed always;
`models.tensors.positive_senses` turns them. Where lengths that must be ordered are equal, the order given decides.
"""

from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from models.errors import GmtError
from models.tensors.voigt import Floats

_LENGTH_TOLERANCE = 0.05  # relative: generous, the cell may come from a coarse symmetry search
_COSINE_TOLERANCE = 0.05
_ALONG_AXIS = 1e-8


class FrameError(GmtError, ValueError):
    """A point group is unknown, or a cell is not the conventional cell of its point group."""


class _Family(StrEnum):
    """Crystal families with the rule for their axes."""

    CUBIC = "cubic"
    TETRAGONAL = "tetragonal"
    HEXAGONAL = "hexagonal"
    ORTHORHOMBIC = "orthorhombic"
    MONOCLINIC = "monoclinic"
    TRICLINIC = "triclinic"


_FAMILY_OF: dict[str, _Family] = {
    symbol: family
    for family, symbols in (
        (_Family.CUBIC, "23 m-3 432 -43m m-3m"),
        (_Family.TETRAGONAL, "4 -4 4/m 422 4mm -42m -4m2 4/mmm"),
        (_Family.HEXAGONAL, "3 -3 32 321 312 3m 3m1 31m -3m -3m1 -31m 6 -6 6/m 622 6mm -6m2 -62m 6/mmm"),
        (_Family.ORTHORHOMBIC, "222 mm2 mmm"),
        (_Family.MONOCLINIC, "2 m 2/m"),
        (_Family.TRICLINIC, "1 -1"),
    )
    for symbol in symbols.split()
}

# X in units of a and b where it is not a: settings whose two-fold axes or mirror normals lie between the cell axes.
_X_DIRECTION: dict[str, tuple[int, int]] = {
    "312": (2, 1), "31m": (2, 1), "-31m": (2, 1), "-62m": (2, 1), "-4m2": (1, 1),
}  # fmt: skip

# Last space-group number of each run of groups of one class and setting (International Tables A).
_LAST_NUMBER: tuple[tuple[int, str], ...] = (
    (1, "1"), (2, "-1"), (5, "2"), (9, "m"), (15, "2/m"), (24, "222"), (46, "mm2"), (74, "mmm"), (80, "4"),
    (82, "-4"), (88, "4/m"), (98, "422"), (110, "4mm"), (114, "-42m"), (120, "-4m2"), (122, "-42m"), (142, "4/mmm"),
    (146, "3"), (148, "-3"), (149, "312"), (150, "321"), (151, "312"), (152, "321"), (153, "312"), (155, "321"),
    (156, "3m1"), (157, "31m"), (158, "3m1"), (159, "31m"), (161, "3m1"), (163, "-31m"), (167, "-3m1"), (173, "6"),
    (174, "-6"), (176, "6/m"), (182, "622"), (186, "6mm"), (188, "-6m2"), (190, "-62m"), (194, "6/mmm"), (199, "23"),
    (206, "m-3"), (214, "432"), (220, "-43m"), (230, "m-3m"),
)  # fmt: skip


def oriented_point_group(space_group_number: int) -> str:
    """Hermann-Mauguin symbol of the crystal class in the standard setting of a space group.

    The symbol of the class alone does not say whether the two-fold axes of 32 lie along the cell axes (321, as in
    quartz) or between them (312); tensors in the IEEE frame depend on it.

    Args:
        space_group_number: 1 to 230.

    Returns:
        E.g. "321" for P3_121 (152), "-4m2" for P-4m2 (115), "6mm" for P6_3mc (186).

    Raises:
        FrameError: the number is outside 1 to 230.
    """
    if space_group_number < 1:
        raise FrameError(f"Space-group numbers run from 1 to 230, got {space_group_number}.")
    for last, symbol in _LAST_NUMBER:
        if space_group_number <= last:
            return symbol
    raise FrameError(f"Space-group numbers run from 1 to 230, got {space_group_number}.")


def ieee_rotation(conventional_lattice: ArrayLike, point_group: str) -> Floats:
    """Rotation from the frame of a lattice to its IEEE frame.

    Args:
        conventional_lattice: rows a, b, c of the conventional cell in the standard setting (hexagonal axes for
            trigonal classes, unique axis b, polar axis c for mm2, reduced cell for triclinic) in angstrom, in the
            Cartesian frame in which the tensors are given, shape [3, 3].
        point_group: Hermann-Mauguin symbol of the class, best from `oriented_point_group`; without a setting, 32, 3m
            and -3m stand for 321, 3m1 and -3m1.

    Returns:
        Proper rotation R whose rows are X, Y, Z in the input frame; `rotate(quantity, tensor, R)` gives the tensor in
        the IEEE frame. Shape [3, 3], dimensionless.

    Raises:
        FrameError: unknown point group, flat cell, or a cell whose lengths and angles do not fit the class.
    """
    lattice = np.asarray(conventional_lattice, dtype=np.float64)
    family = _FAMILY_OF.get(point_group)
    if family is None:
        raise FrameError(f"{point_group!r} is no crystal class; write one of {', '.join(_FAMILY_OF)}.")
    _refuse_misfit(lattice, family, point_group)
    if family is _Family.MONOCLINIC:
        return _monoclinic(lattice)
    if family is _Family.TRICLINIC:
        return _triclinic(lattice)
    if family is _Family.ORTHORHOMBIC:
        # c < a < b by length; in mm2 the polar axis stays c and a < b
        lengths = np.linalg.norm(lattice, axis=1)
        if point_group == "mm2":
            order = np.append(np.argsort(lengths[:2], kind="stable"), 2)
        else:
            order = np.argsort(lengths, kind="stable")[[1, 2, 0]]
        lattice = lattice[order]
    along_a, along_b = _X_DIRECTION.get(point_group, (1, 0))
    return _frame(along_a * lattice[0] + along_b * lattice[1], lattice[2])


def axes_of_lattice(lattice: ArrayLike) -> str:
    """In words, how the Cartesian axes that tensor components refer to lie to the rows of a lattice.

    Args:
        lattice: rows a, b, c in angstrom, shape [3, 3].

    Returns:
        E.g. "Cartesian x, y, z of the lattice rows: a in the xz plane, b along y, c along z". A row is named where it
        lies along an axis or in a plane of two, which is how a cell that was given by lengths and angles is set up.
    """
    rows = np.asarray(lattice, dtype=np.float64)
    lies = []
    for name, row in zip("abc", rows, strict=True):
        # a right angle leaves a cosine of 1e-16 or so
        directions = np.flatnonzero(np.abs(row) > _ALONG_AXIS * np.linalg.norm(row))
        axes = "".join("xyz"[axis] for axis in directions)
        if len(axes) == 1:
            lies.append(f"{name} along {'-' if row[directions[0]] < 0 else ''}{axes}")
        elif len(axes) == 2:
            lies.append(f"{name} in the {axes} plane")
    return "Cartesian x, y, z of the lattice rows" + (f": {', '.join(lies)}" if lies else " as they stand")


def _frame(x: Floats, z: Floats) -> Floats:
    """Right-handed orthonormal rows with Z along z and X along the part of x normal to it."""
    z_unit = z / np.linalg.norm(z)
    normal = x - (x @ z_unit) * z_unit
    x_unit = normal / np.linalg.norm(normal)
    return np.stack([x_unit, np.cross(z_unit, x_unit), z_unit])


def _monoclinic(lattice: Floats) -> Floats:
    """Y along b, Z along c, with c < a the shortest translations normal to b, beta obtuse, a, b, c right-handed."""
    c, a = _shortest_pair(lattice[2], lattice[0])
    b = lattice[1] if np.cross(c, a) @ lattice[1] > 0 else -lattice[1]
    y_unit = b / np.linalg.norm(b)
    normal = c - (c @ y_unit) * y_unit
    z_unit = normal / np.linalg.norm(normal)
    return np.stack([np.cross(y_unit, z_unit), y_unit, z_unit])


def _shortest_pair(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """Gauss reduction: the two shortest vectors of a plane lattice, shorter first, at an obtuse (or right) angle."""
    short, long = (first, second) if first @ first <= second @ second else (second, first)
    for _ in range(100):  # converges in a few steps; the bound is against rounding that never settles
        long = long - np.round(long @ short / (short @ short)) * short
        if long @ long >= short @ short * (1 - 1e-12):
            break
        short, long = long, short
    return short, long if short @ long <= 0 else -long


def _triclinic(lattice: Floats) -> Floats:
    """Z along c, Y normal to the ac plane on the side of b, for c < a < b with alpha and beta obtuse."""
    a, b, c = lattice[np.argsort(np.linalg.norm(lattice, axis=1), kind="stable")[[1, 2, 0]]]
    a = -a if a @ c > 0 else a
    b = -b if b @ c > 0 else b
    if np.linalg.det(np.stack([a, b, c])) < 0:
        a, c = -a, -c  # and b: the angles stay as they are
    return _frame(a, c)


def _refuse_misfit(lattice: Floats, family: _Family, point_group: str) -> None:
    """Refuses a cell whose equal lengths and fixed angles are not those of the crystal family."""
    if lattice.shape != (3, 3) or not np.isfinite(lattice).all():
        raise FrameError(f"A lattice is 3x3 finite numbers in angstrom, got shape {list(lattice.shape)}.")
    lengths = np.linalg.norm(lattice, axis=1)
    if abs(np.linalg.det(lattice)) <= 1e-9 * np.prod(lengths):
        raise FrameError("The conventional cell is flat; check its rows a, b, c.")
    unit = lattice / lengths[:, None]
    cosines = np.array([unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1]])
    wanted = {
        _Family.HEXAGONAL: [0, 0, -0.5],
        _Family.MONOCLINIC: [0, np.nan, 0],
        _Family.TRICLINIC: [np.nan] * 3,
    }
    off = np.nan_to_num(np.abs(cosines - np.asarray(wanted.get(family, [0, 0, 0]), dtype=np.float64)))
    equal = {_Family.CUBIC: 3, _Family.TETRAGONAL: 2, _Family.HEXAGONAL: 2}.get(family, 1)
    spread = float(np.ptp(lengths[:equal]) / lengths[:equal].mean())
    if off.max() > _COSINE_TOLERANCE or spread > _LENGTH_TOLERANCE:
        angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
        raise FrameError(
            f"A cell with lengths {np.round(lengths, 4).tolist()} angstrom and angles {np.round(angles, 2).tolist()} "
            f"degrees is not the conventional {family} cell of class {point_group}; give it in its standard setting."
        )
