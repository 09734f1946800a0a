"""Compiled arithmetic of IEEE frames; the rules are in `models.tensors.frames`."""

from typing import Any

import numpy as np

from models.compiled import compiled

CUBIC, TETRAGONAL, HEXAGONAL, ORTHORHOMBIC, MONOCLINIC, TRICLINIC = range(6)
FITS, FLAT, MISFIT = range(3)
LENGTH_TOLERANCE = 0.05  # relative: generous, the cell may come from a coarse symmetry search
COSINE_TOLERANCE = 0.05


@compiled
def dot(a: Any, b: Any) -> float:
    """a . b of vectors [3]."""
    return float(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])


@compiled
def cross(a: Any, b: Any) -> Any:
    """A x b of vectors [3]."""
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


@compiled
def misfit(lattice: Any, lengths: Any, family: int) -> int:
    """Whether equal lengths and fixed angles of a cell are those of its family: FITS, FLAT or MISFIT."""
    a, b, c = lattice[0], lattice[1], lattice[2]
    if not abs(dot(a, cross(b, c))) > 1e-9 * lengths[0] * lengths[1] * lengths[2]:
        return FLAT
    alpha, beta = dot(b, c) / (lengths[1] * lengths[2]), dot(a, c) / (lengths[0] * lengths[2])
    gamma = dot(a, b) / (lengths[0] * lengths[1])
    off = 0.0
    if family != TRICLINIC:
        off = max(abs(alpha), abs(gamma + 0.5 if family == HEXAGONAL else gamma))
        if family != MONOCLINIC:
            off = max(off, abs(beta))
    n_equal = 3 if family == CUBIC else (2 if family in (TETRAGONAL, HEXAGONAL) else 1)
    equal = lengths[:n_equal]
    spread = (equal.max() - equal.min()) / equal.mean()
    return MISFIT if off > COSINE_TOLERANCE or spread > LENGTH_TOLERANCE else FITS


@compiled
def set_frame(x: Any, z: Any, out: Any) -> None:
    """Right-handed orthonormal rows with Z along z and X along the part of x normal to it."""
    out[2] = z / np.sqrt(dot(z, z))
    normal = x - dot(x, out[2]) * out[2]
    out[0] = normal / np.sqrt(dot(normal, normal))
    out[1] = cross(out[2], out[0])


@compiled
def set_monoclinic(lattice: Any, out: Any) -> None:
    """Y along b, Z along c, with c < a the shortest translations normal to b, beta obtuse, a, b, c right-handed."""
    # Gauss reduction: the two shortest vectors of a plane lattice, shorter first
    short, long = lattice[2], lattice[0]
    if dot(short, short) > dot(long, long):
        short, long = long, short
    for _ in range(100):  # converges in a few steps; the bound is against rounding that never settles
        long = long - np.round(dot(long, short) / dot(short, short)) * short
        if dot(long, long) >= dot(short, short) * (1 - 1e-12):
            break
        short, long = long, short
    if dot(short, long) > 0:
        long = -long
    b = lattice[1]
    if not dot(cross(short, long), b) > 0:
        b = -b
    out[1] = b / np.sqrt(dot(b, b))
    normal = short - dot(short, out[1]) * out[1]
    out[2] = normal / np.sqrt(dot(normal, normal))
    out[0] = cross(out[1], out[2])


@compiled
def set_triclinic(lattice: Any, order: Any, out: Any) -> None:
    """Z along c, Y normal to the ac plane on the side of b, for c < a < b with alpha and beta obtuse."""
    a, b, c = lattice[order[1]], lattice[order[2]], lattice[order[0]]
    if dot(a, c) > 0:
        a = -a
    if dot(b, c) > 0:
        b = -b
    if dot(a, cross(b, c)) < 0:
        a, c = -a, -c  # and b: the angles stay as they are
    set_frame(a, c, out)


@compiled
def set_ieee_frame(lattice: Any, family: int, along: tuple[int, int], polar: int, out: Any) -> int:
    """The IEEE frame of one cell.

    Args:
        lattice: rows a, b, c, [3, 3].
        family: one of the six.
        along: X in units of a and b.
        polar: 1 where c is a polar axis of an orthorhombic class.
        out: for the rows X, Y, Z, [3, 3].

    Returns:
        FITS, or FLAT or MISFIT for a cell that has none.
    """
    lengths = np.array([np.sqrt(dot(row, row)) for row in lattice])
    problem = misfit(lattice, lengths, family)
    if problem != FITS:
        return problem
    order = np.argsort(lengths, kind="mergesort")
    if family == MONOCLINIC:
        set_monoclinic(lattice, out)
    elif family == TRICLINIC:
        set_triclinic(lattice, order, out)
    elif family == ORTHORHOMBIC:
        # c < a < b by length; in mm2 the polar axis stays c and a < b
        if polar:
            set_frame(lattice[0] if lengths[0] <= lengths[1] else lattice[1], lattice[2], out)
        else:
            set_frame(lattice[order[1]], lattice[order[0]], out)
    else:
        set_frame(along[0] * lattice[0] + along[1] * lattice[1], lattice[2], out)
    return FITS


@compiled
def set_ieee_frames(lattices: Any, rules: Any, out: Any, problems: Any) -> None:
    """`set_ieee_frame` of many cells.

    Args:
        lattices: rows a, b, c, [n_crystals, 3, 3].
        rules: family, X in units of a and of b, and whether c is polar, [n_crystals, 4].
        out: for the frames, [n_crystals, 3, 3]; left as they are where there is none.
        problems: for what `set_ieee_frame` returns, [n_crystals].
    """
    for k in range(len(lattices)):
        family, a, b, polar = rules[k]
        problems[k] = set_ieee_frame(lattices[k], family, (a, b), polar, out[k])
