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

from collections.abc import Sequence
from enum import StrEnum
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.errors import GmtError
from models.tensors import kernels
from models.tensors.kernels import FITS, FLAT, set_ieee_frames
from models.tensors.voigt import Floats

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

_CODES = {
    _Family.CUBIC: kernels.CUBIC,
    _Family.TETRAGONAL: kernels.TETRAGONAL,
    _Family.HEXAGONAL: kernels.HEXAGONAL,
    _Family.ORTHORHOMBIC: kernels.ORTHORHOMBIC,
    _Family.MONOCLINIC: kernels.MONOCLINIC,
    _Family.TRICLINIC: kernels.TRICLINIC,
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


@cache
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
    if point_group not in _FAMILY_OF:
        raise FrameError(f"{point_group!r} is no crystal class; write one of {', '.join(_FAMILY_OF)}.")
    if lattice.shape != (3, 3) or not np.isfinite(lattice).all():
        raise FrameError(f"A lattice is 3x3 finite numbers in angstrom, got shape {list(lattice.shape)}.")
    rotations, problems = _frames(lattice[None], [point_group])
    if problems[0] != FITS:
        raise _misfit_error(lattice, point_group, flat=problems[0] == FLAT)
    return np.asarray(rotations[0])


def ieee_rotations(conventional_lattices: ArrayLike, point_groups: Sequence[str]) -> Floats:
    """The same of many lattices.

    Args:
        conventional_lattices: see `ieee_rotation`, shape [n_crystals, 3, 3].
        point_groups: known classes, n_crystals of them.

    Returns:
        Shape [n_crystals, 3, 3]; NaN for a cell that is flat, not finite or does not fit its class.
    """
    rotations, problems = _frames(np.asarray(conventional_lattices, dtype=np.float64), point_groups)
    rotations[problems != FITS] = np.nan
    return rotations


def _frames(lattices: Floats, point_groups: Sequence[str]) -> tuple[Floats, NDArray[np.int64]]:
    """Frames [n_crystals, 3, 3], and what is wrong with a cell that has none, [n_crystals]."""
    rules = [
        (_CODES[_FAMILY_OF[group]], *_X_DIRECTION.get(group, (1, 0)), int(group == "mm2")) for group in point_groups
    ]
    rotations, problems = np.empty((len(rules), 3, 3)), np.empty(len(rules), dtype=np.int64)
    rows = np.array(rules, dtype=np.int64).reshape(-1, 4)
    set_ieee_frames(np.ascontiguousarray(lattices).reshape(-1, 3, 3), rows, rotations, problems)
    return rotations, problems


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


def _misfit_error(lattice: Floats, point_group: str, *, flat: bool) -> FrameError:
    """Why a cell has no frame."""
    if flat:
        return FrameError("The conventional cell is flat; check its rows a, b, c.")
    lengths = np.linalg.norm(lattice, axis=1)
    unit = lattice / lengths[:, None]
    cosines = np.array([unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1]])
    angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    return FrameError(
        f"A cell with lengths {np.round(lengths, 4).tolist()} angstrom and angles {np.round(angles, 2).tolist()} "
        f"degrees is not the conventional {_FAMILY_OF[point_group]} cell of class {point_group}; give it in its "
        "standard setting."
    )
