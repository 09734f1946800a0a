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
def misfit(lattice: Any, lengths: Any, family: int) -> int:
    """Whether equal lengths and fixed angles of a cell are those of its family: FITS, FLAT or MISFIT."""
    a, b, c = lattice[0], lattice[1], lattice[2]
    volume = a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2])
    volume += a[2] * (b[0] * c[1] - b[1] * c[0])
    if not abs(volume) > 1e-9 * lengths[0] * lengths[1] * lengths[2]:
        return FLAT
    alpha, beta = dot(b, c) / (lengths[1] * lengths[2]), dot(a, c) / (lengths[0] * lengths[2])
    gamma = dot(a, b) / (lengths[0] * lengths[1])
    off = 0.0
    if family != TRICLINIC:
        off = max(abs(alpha), abs(gamma + 0.5 if family == HEXAGONAL else gamma))
        if family != MONOCLINIC:
            off = max(off, abs(beta))
    n_equal = 3 if family == CUBIC else (2 if family in (TETRAGONAL, HEXAGONAL) else 1)
    shortest, longest, total = lengths[0], lengths[0], 0.0
    for k in range(n_equal):
        shortest, longest, total = min(shortest, lengths[k]), max(longest, lengths[k]), total + lengths[k]
    spread = (longest - shortest) / (total / n_equal)
    return MISFIT if off > COSINE_TOLERANCE or spread > LENGTH_TOLERANCE else FITS


@compiled
def set_axis(vector: Any, out: Any) -> None:
    """The unit vector along a vector."""
    length = np.sqrt(dot(vector, vector))
    for k in range(3):
        out[k] = vector[k] / length


@compiled
def set_frame(x: Any, z: Any, out: Any) -> None:
    """Right-handed orthonormal rows with Z along z and X along the part of x normal to it, which x becomes."""
    set_axis(z, out[2])
    along = dot(x, out[2])
    for k in range(3):
        x[k] -= along * out[2, k]
    set_axis(x, out[0])
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        out[1, k] = out[2, i] * out[0, j] - out[2, j] * out[0, i]


@compiled
def set_monoclinic(lattice: Any, short: Any, long: Any, out: Any) -> None:
    """Y along b, Z along c, with c < a the shortest translations normal to b, beta obtuse, a, b, c right-handed.

    `short` and `long` are room for vectors.
    """
    # Gauss reduction: the two shortest vectors of a plane lattice, shorter first
    swapped = dot(lattice[2], lattice[2]) > dot(lattice[0], lattice[0])
    for k in range(3):
        short[k], long[k] = (lattice[0, k], lattice[2, k]) if swapped else (lattice[2, k], lattice[0, k])
    for _ in range(100):  # converges in a few steps; the bound is against rounding that never settles
        steps = np.rint(dot(long, short) / dot(short, short))
        for k in range(3):
            long[k] -= steps * short[k]
        if dot(long, long) >= dot(short, short) * (1 - 1e-12):
            break
        for k in range(3):
            short[k], long[k] = long[k], short[k]
    sign = -1.0 if dot(short, long) > 0 else 1.0
    b = lattice[1]
    volume = sign * (
        (short[1] * long[2] - short[2] * long[1]) * b[0]
        + (short[2] * long[0] - short[0] * long[2]) * b[1]
        + (short[0] * long[1] - short[1] * long[0]) * b[2]
    )
    for k in range(3):
        long[k] = b[k] if volume > 0 else -b[k]
    # the frame with Z along b and X along the part of c normal to it, its axes renamed in a circle
    set_frame(short, long, out)
    for k in range(3):
        out[0, k], out[1, k], out[2, k] = out[1, k], out[2, k], out[0, k]


@compiled
def set_triclinic(lattice: Any, order: tuple[int, int, int], x: Any, z: Any) -> None:
    """What the frame with Z along c and Y normal to the ac plane on the side of b is set from.

    For c < a < b with alpha and beta obtuse; `order` has the rows by length.
    """
    a, b, c = lattice[order[1]], lattice[order[2]], lattice[order[0]]
    sign_a = -1.0 if dot(a, c) > 0 else 1.0
    sign_b = -1.0 if dot(b, c) > 0 else 1.0
    volume = a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2])
    volume += a[2] * (b[0] * c[1] - b[1] * c[0])
    # where they are left-handed all three are turned round: the angles stay as they are
    turned = -1.0 if sign_a * sign_b * volume < 0 else 1.0
    for k in range(3):
        x[k], z[k] = turned * sign_a * a[k], turned * c[k]


@compiled
def by_length(lengths: Any) -> tuple[int, int, int]:
    """Places of three lengths, ascending, ties in their order."""
    first = 0
    for k in range(1, 3):
        if lengths[k] < lengths[first]:
            first = k
    second, third = (first + 1) % 3, (first + 2) % 3
    if second > third:
        second, third = third, second
    if lengths[third] < lengths[second]:
        second, third = third, second
    return first, second, third


@compiled
def set_ieee_frame(lattice: Any, family: int, along: tuple[int, int], polar: int, room: Any, out: Any) -> int:
    """The IEEE frame of one cell.

    Args:
        lattice: rows a, b, c, [3, 3].
        family: one of the six.
        along: X in units of a and b.
        polar: 1 where c is a polar axis of an orthorhombic class.
        room: for vectors on the way, [3, 3].
        out: for the rows X, Y, Z, [3, 3].

    Returns:
        FITS, or FLAT or MISFIT for a cell that has none.
    """
    lengths, x, z = room[0], room[1], room[2]
    for k in range(3):
        lengths[k] = np.sqrt(dot(lattice[k], lattice[k]))
    problem = misfit(lattice, lengths, family)
    if problem != FITS:
        return problem
    order = by_length(lengths)
    if family == MONOCLINIC:
        set_monoclinic(lattice, x, z, out)
        return FITS
    if family == TRICLINIC:
        set_triclinic(lattice, order, x, z)
    else:
        # c < a < b by length; in mm2 the polar axis stays c and a < b
        is_sorted = family == ORTHORHOMBIC and not polar
        shorter = order[1] if is_sorted else (0 if lengths[0] <= lengths[1] else 1)
        for k in range(3):
            z[k] = lattice[order[0] if is_sorted else 2, k]
            x[k] = along[0] * lattice[0, k] + along[1] * lattice[1, k]
            if family == ORTHORHOMBIC:
                x[k] = lattice[shorter, k]
    set_frame(x, z, out)
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
    room = np.empty((3, 3))
    for k in range(len(lattices)):
        family, along = rules[k, 0], (rules[k, 1], rules[k, 2])
        problems[k] = set_ieee_frame(lattices[k], family, along, rules[k, 3], room, out[k])
