"""Crystals from a database that ASE wrote (.db, SQLite); runs in a sandboxed child like every table.

Read without ASE: one table `systems` with a row per structure, arrays as little-endian bytes, numbers as int32 (int64
where ASE wrote them so), positions (Cartesian) and cell as float64.
Source of the format: ASE 3.29, ase/db/sqlite.py (`init_statements`, `SQLite3Database.deblob`).
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.sources.json_records import own_identifier
from gmt_tasks.sources.json_shapes import periodicity_notes
from gmt_tasks.sources.parsed import (
    ParsedCrystal,
    Refusal,
    RefusedInputError,
    atomic_numbers,
    block_of_readings,
    fractional,
    reading_or_refusal,
    require_finite,
)
from gmt_tasks.sources.source import SourceBlock
from gmt_tasks.sources.stated_composition import composition_notes
from models.errors import Reason, SourceError

ROWS_PER_BLOCK = 1024
_ROWS = "SELECT numbers, positions, cell, pbc, key_value_pairs FROM systems WHERE id >= ? ORDER BY id"


class AseDatabase:
    """One ASE database.

    Args:
        path: the file.
        label: how its rows are named: `label#row`, row 0-based.

    Raises:
        SourceError: not SQLite, or not a database of ASE's.
    """

    def __init__(self, path: Path, label: str) -> None:
        self._label = label
        try:
            # Immutable: no lock, no journal; the file is only looked at.
            self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
            # One text that is no UTF-8 would cost every row of its block.
            self._connection.text_factory = partial(str, encoding="utf-8", errors="replace")
            self._ids = [row[0] for row in self._connection.execute("SELECT id FROM systems ORDER BY id")]
        except sqlite3.Error as error:
            raise SourceError(f"{label} is not a readable ASE database ({error}). Give one, or export CIF.") from error
        if not all(isinstance(number, int) for number in self._ids):
            raise SourceError(f"{label} has rows without a number. Write the database again.")
        n_rows = len(self._ids)
        self.group_ends = [min(row + ROWS_PER_BLOCK, n_rows) for row in range(0, n_rows, ROWS_PER_BLOCK)]

    def blocks(self, first_position: int, start_row: int = 0) -> Iterator[SourceBlock]:
        """Blocks of at most 1,024 rows from row `start_row` on; row 0 has input position `first_position`."""
        for end in self.group_ends:
            if end > start_row:
                rows = self._connection.execute(_ROWS, (self._ids[start_row],)).fetchmany(end - start_row)
                readings = [reading_or_refusal(_crystal, *row) for row in rows]
                # The ids were read when the table was opened; rows that were deleted since leave a gap.
                missing = Refusal(Reason.PARSE, "the row was announced and is not there")
                readings += [missing] * (end - start_row - len(rows))
                named = enumerate(readings, start_row)
                ids = [reading.source_id or f"{self._label}#{row}" for row, reading in named]
                yield block_of_readings(first_position + start_row, readings, ids)
                start_row = end


def _crystal(numbers: Any, positions: Any, cell: Any, pbc: Any, pairs: Any) -> ParsedCrystal:
    """One row; `pairs` is JSON text that travels along."""
    lattice = _array(cell, "cell", "<f8")
    if lattice.size != 9:
        raise RefusedInputError(Reason.PARSE, f"the cell has {lattice.size} numbers, expected 9")
    atoms = _array(positions, "positions", "<f8")
    # Eight bytes per atom are int64: positions have three times eight.
    is_wide = isinstance(numbers, bytes) and len(numbers) * 3 == atoms.nbytes and atoms.size > 0
    species = _array(numbers, "numbers", "<i8" if is_wide else "<i4")
    if atoms.size != 3 * len(species):
        raise RefusedInputError(Reason.PARSE, f"{atoms.size} position numbers for {len(species)} atoms")
    lattice, atoms = lattice.reshape(3, 3), atoms.reshape(-1, 3)
    require_finite(lattice, atoms)
    frac_coords = fractional(lattice, atoms)
    atomic, _ = atomic_numbers(species.tolist())
    # One bit per axis.
    notes = periodicity_notes("pbc", [pbc >> axis & 1 for axis in range(3)] if isinstance(pbc, int) else True)
    extra: dict[str, Any] = {}
    with contextlib.suppress(ValueError, RecursionError, TypeError):  # what cannot be read is left out
        content = json.loads(pairs)
        extra = content if isinstance(content, dict) else {}
    notes += composition_notes(extra, atomic)
    own_id, _, id_key = own_identifier([extra])
    extra.pop(id_key, None)
    return ParsedCrystal(lattice, frac_coords, atomic, notes, own_id, extra)


def _array(value: Any, name: str, kind: str) -> NDArray[Any]:
    """The numbers of a blob."""
    if not isinstance(value, bytes) or len(value) % np.dtype(kind).itemsize:
        raise RefusedInputError(Reason.PARSE, f"{name} is not an array")
    return np.frombuffer(value, dtype=kind)
