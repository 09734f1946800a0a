"""Extended XYZ: frames of a count, a line of key=value pairs with the lattice, and one line per atom.

Source of the format: https://github.com/libAtoms/extxyz (README, "Extended XYZ specification and parsing tools").
"""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.sources.parsed import ParsedCrystal, RefusedInputError, atomic_numbers, require_finite
from models.errors import Reason

_PAIR = re.compile(r"""([A-Za-z_][\w.:-]*)(?:=("[^"]*"|'[^']*'|\{[^}]*\}|\[[^\]]*\]|[^\s"'{[]\S*))?""")
_DEFAULT_PROPERTIES = "species:S:1:pos:R:3"
_SPECIES = ("species", "element", "symbol", "symbols")
_POSITIONS = ("pos", "positions")
_IDS = ("id", "material_id", "name")
_STRUCTURAL = ("lattice", "properties", "pbc", *_IDS)
_MAX_COMMENT = 100_000  # of the whole line; real ones have some hundred characters


def read_frame(text: str, first_line: int) -> ParsedCrystal:
    """Reads one frame; energies, names and other pairs of its second line travel along.

    Args:
        text: the frame, from the line of its count on.
        first_line: 1-based line of that line in the file.

    Raises:
        RefusedInputError: `parse` with the line, `empty`, `nonfinite`, `unknown_species`, `degenerate_cell`.
    """
    lines = text.split("\n")
    n_atoms = _count(lines[0], first_line)
    if len(lines) < n_atoms + 2:
        raise RefusedInputError(Reason.PARSE, f"line {first_line}: {n_atoms} atoms announced, the file ends before")
    pairs = _pairs(lines[1], first_line + 1)
    if "lattice" not in pairs:
        detail = f"line {first_line + 1}: no Lattice=, so this is a molecule and no crystal"
        raise RefusedInputError(Reason.PARSE, detail)
    lattice = _lattice(pairs["lattice"], first_line + 1)
    species_at, position_at, n_columns = _columns(pairs.get("properties", _DEFAULT_PROPERTIES), first_line + 1)
    rows = [line.split() for line in lines[2 : n_atoms + 2]]
    short = next((k for k, row in enumerate(rows) if len(row) < n_columns), None)
    if short is not None:
        where = f"line {first_line + 2 + short}"
        raise RefusedInputError(Reason.PARSE, f"{where}: {len(rows[short])} columns, expected {n_columns}")
    labels = [row[species_at] for row in rows]
    numbers, notes = atomic_numbers([int(x) if x.isdecimal() and len(x) < 4 else x for x in labels])
    positions = _positions(rows, position_at, first_line + 2)
    require_finite(lattice, positions)
    if abs(np.linalg.det(lattice)) < 1e-6:
        raise RefusedInputError(Reason.DEGENERATE_CELL, f"line {first_line + 1}: the lattice has no volume")
    frac_coords = np.linalg.solve(lattice.T, positions.T).T.astype(np.float64)
    source_id = next((pairs[key] for key in _IDS if pairs.get(key)), None)
    extra: dict[str, Any] = {key: value for key, value in pairs.items() if key not in _STRUCTURAL}
    return ParsedCrystal(lattice, frac_coords, numbers, notes + _open_axes(pairs), source_id, extra)


def _count(line: str, number: int) -> int:
    """The number of atoms of a frame."""
    word = line.strip()
    if not (word.isascii() and word.isdecimal() and len(word) < 10):
        raise RefusedInputError(Reason.PARSE, f"line {number}: {word[:40]!r} is no number of atoms")
    if int(word) == 0:
        raise RefusedInputError(Reason.EMPTY, f"line {number}: 0 atoms")
    return int(word)


def _pairs(line: str, number: int) -> dict[str, str]:
    """The key=value pairs of the second line, keys of structure in small letters; a bare key is true."""
    if len(line) > _MAX_COMMENT:
        raise RefusedInputError(Reason.PARSE, f"line {number}: {len(line)} characters, limit {_MAX_COMMENT}")
    pairs = {}
    for key, value in _PAIR.findall(line):
        name = key.lower() if key.lower() in _STRUCTURAL else key
        pairs[name] = value.strip("\"'") if value else "T"
    return pairs


def _floats(words: list[str], where: str) -> NDArray[np.float64]:
    try:
        return np.array([float(word) for word in words])
    except ValueError as error:
        raise RefusedInputError(Reason.PARSE, f"{where}: {error}") from error


def _lattice(text: str, number: int) -> NDArray[np.float64]:
    """Lattice rows from 9 numbers, shape [3, 3]; the format lists a, b, c one after the other."""
    values = _floats(re.sub(r"[\[\]{},]", " ", text).split(), f"line {number}")
    if len(values) != 9:
        raise RefusedInputError(Reason.PARSE, f"line {number}: Lattice has {len(values)} numbers, expected 9")
    return values.reshape(3, 3)


def _columns(properties: str, number: int) -> tuple[int, int, int]:
    """Column of the species, first column of the positions, and the number of columns."""
    parts = properties.split(":")
    starts: dict[str, int] = {}
    n_columns = 0
    for name, size in zip(parts[::3], parts[2::3], strict=False):
        starts[name.lower()] = n_columns
        n_columns += int(size) if size.isdecimal() and len(size) < 4 else 0
    species = next((starts[name] for name in _SPECIES if name in starts), None)
    positions = next((starts[name] for name in _POSITIONS if name in starts), None)
    if species is None or positions is None or n_columns < positions + 3:
        raise RefusedInputError(Reason.PARSE, f"line {number}: Properties={properties[:80]!r} lacks species or pos")
    return species, positions, n_columns


def _positions(rows: list[list[str]], start: int, first_line: int) -> NDArray[np.float64]:
    """Cartesian positions in angstrom, shape [n_atoms, 3]."""
    parts = [_floats(row[start : start + 3], f"line {first_line + k}") for k, row in enumerate(rows)]
    return np.array(parts).reshape(-1, 3)


def _open_axes(pairs: dict[str, str]) -> tuple[str, ...]:
    """A note when the file says that the crystal does not repeat along every axis."""
    words = re.sub(r"[\[\]{},]", " ", pairs.get("pbc", "T T T")).split()
    if all(word.upper() in ("T", "TRUE", "1") for word in words):
        return ()
    return (f"pbc: the file says {pairs['pbc'][:20]}, read as periodic along all axes",)
