"""The cell of a CIF: six numbers, some of which the crystal system may have to supply, and the lattice they mean."""

import math

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.sources.files.cif.items import Items, parse_number
from gmt_tasks.sources.parsed import RefusedInputError
from models.errors import Doubt, Reason

MIN_THICKNESS_ANGSTROM = 0.01
"""A cell thinner than this sends neighbour searches into endless loops."""

_MAX_LENGTH_ANGSTROM = 1e4

_LENGTHS = tuple(f"_cell_length_{axis}" for axis in "abc")
_ANGLES = tuple(f"_cell_angle_{angle}" for angle in ("alpha", "beta", "gamma"))

Floats = NDArray[np.float64]


def read_cell(items: Items, crystal_system: str) -> tuple[Floats, tuple[str, ...]]:
    """The lattice of a block, and the names of the items that were concluded from the crystal system.

    Args:
        items: the block.
        crystal_system: what its space group belongs to, in small letters; "rhombohedral" for rhombohedral axes; empty
            where it is not known.

    Returns:
        Lattice rows a, b, c in angstrom, shape [3, 3]: c along z, a in the xz plane.

    Raises:
        RefusedInputError: `parse` for what is missing or no number, `nonfinite`, `degenerate_cell`.
    """
    values = {name: _value(items, name) for name in (*_LENGTHS, *_ANGLES)}
    concluded = _conclude(values, crystal_system)
    missing = [name for name, value in values.items() if value is None]
    if missing:
        raise RefusedInputError(Reason.PARSE, f"{items.line('_cell_length_a')}{', '.join(missing)} missing")
    cell = [float(value) for value in values.values() if value is not None]
    if not all(map(math.isfinite, cell)):
        raise RefusedInputError(Reason.NONFINITE, f"{items.line(_LENGTHS[0])}cell {cell}")
    for name, length in zip(_LENGTHS, cell, strict=False):
        if abs(length) >= _MAX_LENGTH_ANGSTROM:
            detail = f"{items.line(name)}{name} {length:g} angstrom, limit {_MAX_LENGTH_ANGSTROM:g}"
            raise RefusedInputError(Reason.DEGENERATE_CELL, detail)
    for name, angle in zip(_ANGLES, cell[3:], strict=True):
        if not 0 < angle < 180:
            raise RefusedInputError(Reason.DEGENERATE_CELL, f"{items.line(name)}{name} {angle:g} is no angle of a cell")
    _check_thickness(items, cell)
    return lattice_of(cell), concluded


def refuse_bad_cell(items: Items) -> None:
    """Raises for a cell that is none whatever its crystal system: that is the first thing to say about a block."""
    names = (*_LENGTHS, *_ANGLES)
    values = [_value(items, name) for name in names]
    if values[0] is None:
        missing = [name for name, value in zip(names, values, strict=True) if value is None]
        raise RefusedInputError(Reason.PARSE, f"{items.line('_cell_length_a')}{', '.join(missing)} missing")
    if None not in values:
        read_cell(items, "")


def doubts_of_lengths(items: Items) -> tuple[str, ...]:
    """A doubt about a length below zero: the axis is reversed, which may be meant or a slip."""
    negative = [name for name in _LENGTHS if (_value(items, name) or 0.0) < 0]
    return (f"{Doubt.CELL}: {', '.join(negative)} below zero, read as the reversed axis",) if negative else ()


def _value(items: Items, name: str) -> float | None:
    """One number of the cell; None where the block does not have the item."""
    column = items.column(name)
    if not column:
        return None
    value = parse_number(column[0])
    if value is None:
        raise RefusedInputError(Reason.PARSE, f"{items.line(name)}{column[0][:60]!r} is no number ({name})")
    return value


def _conclude(values: dict[str, float | None], crystal_system: str) -> tuple[str, ...]:
    """Fills in what follows from the crystal system; returns the names of what was filled in."""
    before = [name for name, value in values.items() if value is None]
    if not before:
        return ()
    a, b, c = _LENGTHS
    alpha, beta, gamma = _ANGLES
    if crystal_system in ("tetragonal", "trigonal", "hexagonal", "cubic", "rhombohedral") and values[b] is None:
        values[b] = values[a]
    if crystal_system in ("cubic", "rhombohedral") and values[c] is None:
        values[c] = values[a]
    if crystal_system == "rhombohedral":
        given = next((values[angle] for angle in _ANGLES if values[angle] is not None), None)
        ideal = dict.fromkeys(_ANGLES, given)
    elif crystal_system in ("trigonal", "hexagonal"):
        ideal = {alpha: 90.0, beta: 90.0, gamma: 120.0}
    else:
        # The dictionary of CIF says that an angle which is left out is a right one.
        ideal = dict.fromkeys(_ANGLES, 90.0) if crystal_system != "triclinic" else {}
    for angle, value in ideal.items():
        if values[angle] is None:
            values[angle] = value
    return tuple(name for name in before if values[name] is not None)


def _check_thickness(items: Items, cell: list[float]) -> None:
    """Refuses a cell without a volume, or a flat one."""
    lengths, cosines = np.array(cell[:3]), np.cos(np.radians(cell[3:]))
    square = 1 + 2 * float(np.prod(cosines)) - float(np.sum(cosines**2))
    volume = abs(float(np.prod(lengths))) * math.sqrt(max(square, 0.0))
    faces = np.abs(np.prod(lengths) / np.where(lengths == 0, 1, lengths)) * np.sqrt(1 - cosines**2)
    if volume == 0 or float((volume / np.maximum(faces, 1e-12)).min()) < MIN_THICKNESS_ANGSTROM:
        detail = f"lengths {cell[:3]} angles {cell[3:]} give a volume of {volume:.3g} angstrom^3"
        raise RefusedInputError(Reason.DEGENERATE_CELL, items.line(_LENGTHS[0]) + detail)


def lattice_of(cell: list[float]) -> Floats:
    """Lattice rows of a, b, c (angstrom), alpha, beta, gamma (degrees): c along z, a in the xz plane; shape [3, 3]."""
    a, b, c, *angles = cell
    alpha, beta, gamma = np.radians(angles)
    cosine = (math.cos(alpha) * math.cos(beta) - math.cos(gamma)) / (math.sin(alpha) * math.sin(beta))
    # The angle between the reciprocal axes a* and b*.
    gamma_star = math.acos(max(-1.0, min(1.0, cosine)))
    return np.array(
        [
            [a * math.sin(beta), 0.0, a * math.cos(beta)],
            [
                -b * math.sin(alpha) * math.cos(gamma_star),
                b * math.sin(alpha) * math.sin(gamma_star),
                b * math.cos(alpha),
            ],
            [0.0, 0.0, c],
        ]
    )
