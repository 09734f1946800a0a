"""Extended XYZ: frames of a count, a line of key=value pairs with the lattice, and one line per atom.

Source of the format: https://github.com/libAtoms/extxyz (README, "Extended XYZ specification and parsing tools").
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.sources.files.inputs import FileInput, TextFile
from gmt_tasks.sources.files.text_bytes import decode_text
from gmt_tasks.sources.files.text_jobs import TextJob
from gmt_tasks.sources.parsed import ParsedCrystal, Refusal, RefusedInputError, atomic_numbers, require_finite
from models.errors import Reason

_PAIR = re.compile(r"""([A-Za-z_][\w.:-]*)(?:=("[^"]*"|'[^']*'|\{[^}]*\}|\[[^\]]*\]|[^\s"'{[]\S*))?""")
_BRACKETS = re.compile(r"[\[\]{},]")
_DEFAULT_PROPERTIES = "species:S:1:pos:R:3"
_SPECIES = ("species", "element", "symbol", "symbols")
_POSITIONS = ("pos", "positions")
_IDS = ("id", "material_id", "name")
_STRUCTURAL = ("lattice", "properties", "pbc", *_IDS)
_MAX_COMMENT = 100_000  # of the whole line; real ones have some hundred characters
_MAX_DIGITS = 9  # of a number of atoms


def split_frames(file: TextFile) -> Iterator[FileInput]:
    """The frames of a file, streamed, named `label#frame`, 0-based; what follows a bad count is lost."""
    lines = file.lines()
    limit = file.options.max_text_bytes
    frame = 0
    for number, first in lines:
        if not isinstance(first, Refusal) and not first.strip():
            continue
        source_id, place = f"{file.label}#{frame}", f"{file.label} frame {frame}"
        frame += 1
        count = b"" if isinstance(first, Refusal) else first.strip()
        n_more = int(count) + 1 if count.isdigit() and len(count) <= _MAX_DIGITS else 0
        fault = first if isinstance(first, Refusal) else None
        parts = [] if isinstance(first, Refusal) else [first]
        size = 0
        while n_more and fault is None and (following := next(lines, None)):
            _, line = following
            if isinstance(line, Refusal):
                fault = line
                break
            size += len(line)
            if size > limit:
                fault = Refusal(Reason.TOO_LARGE, f"from line {number}: more than {limit} bytes")
            parts.append(line)
            n_more -= 1
        if fault is None:
            text, notes = decode_text(b"".join(parts))
            yield FileInput(source_id, file.job(text, number), notes, place, number)
        else:
            yield FileInput(source_id, fault, place=place)
        # Without a count nobody knows where the next frame begins.
        if fault is not None or not count.isdigit():
            return


def read_frame(job: TextJob) -> ParsedCrystal:
    """Reads one frame; energies, names and other pairs of its second line travel along.

    Args:
        job: the frame, from the line of its count on.

    Raises:
        RefusedInputError: `parse` with the line, `empty`, `nonfinite`, `unknown_species`, `degenerate_cell`.
    """
    lines, first_line = job.text.split("\n"), job.first_line
    n_atoms = _count(lines[0], first_line)
    if len(lines) < n_atoms + 2:
        raise RefusedInputError(Reason.PARSE, f"line {first_line}: {n_atoms} atoms announced, the file ends before")
    pairs = _pairs(lines[1], first_line + 1)
    if "lattice" not in pairs:
        detail = f"line {first_line + 1}: no Lattice=, so this is a molecule and no crystal"
        raise RefusedInputError(Reason.PARSE, detail)
    values = _floats(_BRACKETS.sub(" ", pairs["lattice"]).split(), first_line + 1)
    if len(values) != 9:
        detail = f"line {first_line + 1}: Lattice has {len(values)} numbers, expected 9"
        raise RefusedInputError(Reason.PARSE, detail)
    lattice = values.reshape(3, 3)  # the format lists a, b, c one after the other
    numbers, notes, positions = _atoms(lines[2 : n_atoms + 2], pairs, first_line)
    require_finite(lattice, positions)
    if abs(np.linalg.det(lattice)) < 1e-6:
        raise RefusedInputError(Reason.DEGENERATE_CELL, f"line {first_line + 1}: the lattice has no volume")
    frac_coords = np.linalg.solve(lattice.T, positions.T).T.astype(np.float64)
    axes = _BRACKETS.sub(" ", pairs.get("pbc", "T T T")).split()
    if any(axis.upper() not in ("T", "TRUE", "1") for axis in axes):
        notes += (f"pbc: the file says {pairs['pbc'][:20]}, read as periodic along all axes",)
    source_id = next((pairs[key] for key in _IDS if pairs.get(key)), None)
    extra: dict[str, Any] = {key: value for key, value in pairs.items() if key not in _STRUCTURAL}
    return ParsedCrystal(lattice, frac_coords, numbers, notes, source_id, extra)


def _atoms(
    lines: list[str], pairs: dict[str, str], first_line: int
) -> tuple[NDArray[np.int64], tuple[str, ...], NDArray[np.float64]]:
    """Atomic numbers [n_atoms], notes about isotopes, and Cartesian positions in angstrom [n_atoms, 3]."""
    species_at, position_at, n_columns = _columns(pairs.get("properties", _DEFAULT_PROPERTIES), first_line + 1)
    rows = [line.split() for line in lines]
    for number, row in enumerate(rows, start=first_line + 2):
        if len(row) < n_columns:
            raise RefusedInputError(Reason.PARSE, f"line {number}: {len(row)} columns, expected {n_columns}")
    labels = [row[species_at] for row in rows]
    numbers, notes = atomic_numbers([int(x) if x.isdecimal() and len(x) < 4 else x for x in labels])
    positions = [_floats(row[position_at : position_at + 3], n) for n, row in enumerate(rows, start=first_line + 2)]
    return numbers, notes, np.array(positions).reshape(-1, 3)


def _count(line: str, number: int) -> int:
    """The number of atoms of a frame."""
    word = line.strip()
    if not (word.isascii() and word.isdecimal() and len(word) <= _MAX_DIGITS):
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


def _floats(words: list[str], number: int) -> NDArray[np.float64]:
    """The numbers of a line."""
    try:
        return np.array([float(word) for word in words])
    except ValueError as error:
        raise RefusedInputError(Reason.PARSE, f"line {number}: {error}") from error


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
