"""Crystals from Parquet, columnar all the way: no Python object per crystal, a few microseconds per row.

Runs in a sandboxed child (gmt_tasks/sources/files/tables/table.py): a crafted Parquet file can crash the native reader.

Columns: an id (optional; `ID_KEYS` and the index that pandas writes), and `lattice` (9 or 3 x 3 numbers, rows a b c,
angstrom), `species` (atomic numbers or symbols), `frac_coords` (3n or n x 3 numbers), or those of OPTIMADE or ASE with
Cartesian positions; every other column travels along as metadata. Tables whose structures are objects or JSON text are
read row by row as records. A null, a wrong length or an unknown symbol costs that row alone; a row group that cannot
be decoded costs its rows alone.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from db.records import RejectedInput
from gmt_tasks.sources.files.tables.columns import (
    Flags,
    Ints,
    as_numpy,
    flatten,
    float_values,
    is_text,
    rows_with,
    texts_of,
)
from gmt_tasks.sources.files.tables.layout import OPTIMADE, Layout, layout_of
from gmt_tasks.sources.files.tables.stated_columns import (
    Atoms,
    contradictions,
    declares_other_species,
    doubts,
    incomplete_rows,
)
from gmt_tasks.sources.json_records import refused_or_parsed
from gmt_tasks.sources.metadata import bounded_metadata, with_note
from gmt_tasks.sources.parsed import ID_KEYS, MIN_VOLUME, Floats, Refusal, atomic_number, block_of_readings, is_isotope
from gmt_tasks.sources.row_errors import error_text, read_in_parts
from gmt_tasks.sources.source import ROWS_PER_BLOCK, SourceBlock, join_blocks, rejected_rows
from models.crystals.crystal import CrystalBatch
from models.crystals.primitive import MAX_LISTED_ATOMS
from models.errors import Reason, SourceError

VALUES_PER_BLOCK = 4 << 20
"""Values of the longest column in a block, about: 32 MiB."""

_INDEX = "__index_level_0__"
"""The column in which pandas keeps an index that has no name."""
_ID_COLUMNS = (*ID_KEYS, _INDEX)


class TableFile:
    """One Parquet file of crystals.

    Args:
        path: the file.
        label: how its rows are named when they have no id: `label#row`, row 0-based.

    Raises:
        SourceError: not a Parquet file, a column is missing or of a kind that holds no crystals, or more rows are
            announced than the file has bytes.
    """

    def __init__(self, path: Path, label: str) -> None:
        self._label = label
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{label} is not a readable Parquet file ({error}). Write it again.") from error
        layout_of(self._file.schema_arrow, label)
        groups = [self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups)]
        self.group_ends: list[int] = np.cumsum(groups, dtype=np.int64).tolist()
        n_bytes = path.stat().st_size
        if sum(groups) > n_bytes or any(n_rows < 0 for n_rows in groups):
            raise SourceError(f"{label} announces {sum(groups)} rows in {n_bytes} bytes. Write it again.")

    def blocks(self, first_position: int, start_row: int = 0) -> Iterator[SourceBlock]:
        """Blocks of at most 4,096 rows from row `start_row` on; row 0 has input position `first_position`."""
        row = 0
        for group, end in enumerate(self.group_ends):
            if end > start_row:
                yield from self._group(group, first_position, max(start_row, row), row, end)
            row = end

    def _group(self, group: int, first_position: int, start_row: int, row: int, end: int) -> Iterator[SourceBlock]:
        """The blocks of one row group; if it turns out undecodable, the rest of its rows are rejected."""
        content = self._file.metadata.row_group(group)
        n_values: int = max(content.column(column).num_values for column in range(content.num_columns))
        # Fewer rows at once where those of the group are long, so that memory stays bounded.
        n_fitting = max(1, VALUES_PER_BLOCK * content.num_rows // max(n_values, 1))
        try:
            for batch in self._file.iter_batches(batch_size=min(ROWS_PER_BLOCK, n_fitting), row_groups=[group]):
                skip = max(0, min(start_row - row, batch.num_rows))
                row += batch.num_rows
                if skip < batch.num_rows:
                    part = batch.slice(skip)
                    yield read_rows(part, self._label, row - part.num_rows, first_position)
        except (pa.ArrowException, OSError) as error:
            detail = f"row group {group} cannot be decoded: {str(error)[:200]}"
            yield from rejected_rows(self._label, first_position, (max(row, start_row), end), Reason.PARSE, detail)


def read_records(batch: pa.RecordBatch, label: str, first_row: int, first_position: int) -> SourceBlock:
    """One block from one record batch, each row read as a record; see `read_batch`."""
    ids, readings, places = _ids(batch, label, first_row), [], []
    for number, row in enumerate(batch.to_pylist(), first_row):
        # A null says nothing that its absence does not.
        content = {name: value for name, value in row.items() if value is not None and name != _INDEX}
        reading, place = refused_or_parsed(content), f"{label} row {number}"
        readings.append(
            replace(reading, detail=f"{place}: {reading.detail}") if isinstance(reading, Refusal) else reading
        )
        places.append(place)
    named = [reading.source_id or name for reading, name in zip(readings, ids, strict=True)]
    return block_of_readings(first_position + first_row, readings, named, places)


@dataclass(frozen=True)
class _Columns:
    """The crystals of a record batch as flat arrays: values, and the row of each."""

    n_rows: int
    cells: Floats
    cell_row: Ints
    positions: Floats
    position_row: Ints
    numbers: Ints
    atom_row: Ints
    isotopes: Flags
    problems: "list[_Problem]"

    @property
    def n_atoms(self) -> Ints:
        """Atoms of each row, shape [n_rows]."""
        return np.bincount(self.atom_row, minlength=self.n_rows)


_Problem = tuple[Flags, Reason, str]
"""Rows that are no crystals, with the reason and what is wrong; the first one that names a row counts."""


def read_rows(batch: pa.RecordBatch, label: str, first_row: int, first_position: int) -> SourceBlock:
    """The block that `read_batch` makes of a record batch; a row at which it fails is refused, and that row alone."""

    def read(rows: range) -> SourceBlock:
        return read_batch(batch.slice(rows.start, len(rows)), label, first_row + rows.start, first_position)

    def refuse(row: int, error: Exception) -> SourceBlock:
        place = first_row + row
        return next(rejected_rows(label, first_position, (place, place + 1), Reason.PARSE, error_text(error)))

    parts = read_in_parts(read, range(batch.num_rows), refuse)
    return parts[0] if len(parts) == 1 else join_blocks(parts)


def read_batch(batch: pa.RecordBatch, label: str, first_row: int, first_position: int) -> SourceBlock:
    """One block from one record batch; its row 0 is row `first_row` of the file.

    Args:
        batch: the columns, any number of rows.
        label: name of the file, for rows without an id.
        first_row: row of the file at which the batch begins.
        first_position: input position of row 0 of the file.

    Returns:
        The block of input positions first_position + first_row and on.
    """
    layout = layout_of(batch.schema, label)
    if layout is None or (layout is OPTIMADE and declares_other_species(batch)):
        return read_records(batch, label, first_row, first_position)
    columns = _columns(batch, layout)
    n_rows, n_atoms = columns.n_rows, columns.n_atoms
    bad = np.logical_or.reduce([flags for flags, _, _ in columns.problems])
    for name, flags in contradictions(batch, Atoms(columns.numbers, columns.atom_row, n_rows, ~bad)).items():
        detail = f"{name} says other elements or ratios than the atoms listed have"
        columns.problems.append((flags, Reason.COMPOSITION_MISMATCH, detail))
    bad = np.logical_or.reduce([flags for flags, _, _ in columns.problems])
    if layout.is_cartesian:
        columns, bad = _made_fractional(columns, bad)
    good = np.flatnonzero(~bad)
    crystals = CrystalBatch(
        _keep(columns.cells, bad, columns.cell_row).reshape(-1, 3, 3),
        _keep(columns.positions, bad, columns.position_row).reshape(-1, 3),
        _keep(columns.numbers, bad, columns.atom_row),
        np.repeat(np.arange(len(good)), n_atoms[good]),
    )
    start = first_position + first_row
    ids = _ids(batch, label, first_row)
    rejected = []
    for row in np.flatnonzero(bad).tolist():
        reason, detail = next((reason, detail) for flags, reason, detail in columns.problems if flags[row])
        rejected.append(RejectedInput(start + int(row), ids[row], reason, f"{label} row {first_row + row}: {detail}"))
    metadata = _metadata(batch, layout, columns)
    good_ids, good_metadata = [ids[row] for row in good], [metadata[row] for row in good]
    places = [f"{label} row {first_row + row}" for row in good.tolist()]
    return SourceBlock(start, start + n_rows, start + good, good_ids, crystals, good_metadata, rejected, places)


def _columns(batch: pa.RecordBatch, layout: Layout) -> _Columns:
    """The three columns of a batch, and what is wrong with its rows one by one."""
    n_rows = batch.num_rows
    lattice, cell_row, cell_broken = flatten(batch.column(layout.lattice))
    species, atom_row, species_broken = flatten(batch.column(layout.species))
    positions, position_row, positions_broken = flatten(batch.column(layout.positions))
    numbers, unknown, isotopes = _numbers(species)
    n_atoms = np.bincount(atom_row, minlength=n_rows)
    problems: list[_Problem] = [
        (
            cell_broken | (np.bincount(cell_row, minlength=n_rows) != 9),
            Reason.PARSE,
            f"{layout.lattice} is not 9 numbers",
        ),
        (species_broken, Reason.PARSE, f"{layout.species} is null or holds a null"),
        (
            positions_broken | (np.bincount(position_row, minlength=n_rows) != 3 * n_atoms),
            Reason.PARSE,
            f"{layout.positions} is not three numbers per species",
        ),
        (n_atoms > MAX_LISTED_ATOMS, Reason.TOO_LARGE, f"more than {MAX_LISTED_ATOMS} atoms"),
        (rows_with(atom_row[unknown], n_rows), Reason.UNKNOWN_SPECIES, f"a label in {layout.species} is no element"),
        (incomplete_rows(batch), Reason.DISORDERED, "structure_features says that the sites listed are not all atoms"),
    ]
    cells, coords = float_values(lattice), float_values(positions)
    return _Columns(n_rows, cells, cell_row, coords, position_row, numbers, atom_row, isotopes, problems)


def _made_fractional(columns: _Columns, bad: Flags) -> tuple[_Columns, Flags]:
    """Turns the Cartesian positions of the rows that are not bad into fractional ones; gives the bad rows then.

    As in the readers of single records, what is not finite or has no volume is refused before a matrix is inverted.
    """
    rows = np.flatnonzero(~bad)
    cells = columns.cells[~bad[columns.cell_row]].reshape(-1, 3, 3)
    is_used = ~bad[columns.position_row]
    vectors = columns.positions[is_used].reshape(-1, 3)
    owner = np.repeat(np.arange(len(rows)), columns.n_atoms[rows])
    nonfinite = ~np.isfinite(cells).all(axis=(1, 2)) | rows_with(owner[~np.isfinite(vectors).all(axis=1)], len(rows))
    with np.errstate(all="ignore"):
        volumes = np.abs(np.linalg.det(np.where(nonfinite[:, None, None], np.eye(3), cells)))
        flat = ~((volumes >= MIN_VOLUME) & np.isfinite(volumes))
        inverse = np.linalg.inv(np.where((nonfinite | flat)[:, None, None], np.eye(3), cells))
        fractional = np.einsum("ai,aij->aj", vectors, inverse[owner])
    for local, reason, detail in (
        (nonfinite, Reason.NONFINITE, "lattice entries or positions are not finite"),
        (flat, Reason.DEGENERATE_CELL, "the cell has no volume"),
    ):
        flags = np.zeros(columns.n_rows, dtype=bool)
        flags[rows[local]] = True
        columns.problems.append((flags, reason, detail))
        bad = bad | flags
    positions = columns.positions.copy()
    positions[is_used] = fractional.ravel()
    return replace(columns, positions=positions), bad


def _keep(values: NDArray[Any], bad: Flags, row_of_value: Ints) -> NDArray[Any]:
    """The values of the rows that are not bad."""
    return values[~bad[row_of_value]] if bad.any() else values


def _numbers(species: pa.Array) -> tuple[Ints, Flags, Flags]:
    """Atomic number of each value, which values are no element, and which are isotopes read as hydrogen."""
    if pa.types.is_dictionary(species.type):
        species = species.dictionary_decode()
    if is_text(species.type):
        encoded = species.dictionary_encode()
        labels = [label or "" for label in texts_of(encoded.dictionary)] + [""]
        indices = as_numpy(encoded.indices.fill_null(len(labels) - 1)).astype(np.int64)
        numbers = np.array([atomic_number(label) or 0 for label in labels], dtype=np.int64)[indices]
        return numbers, numbers == 0, np.array([is_isotope(label) for label in labels])[indices]
    values = float_values(species)
    whole = np.isfinite(values) & (values == np.rint(values)) & (np.abs(values) < 2**31)
    numbers = np.where(whole, values, 0).astype(np.int64)
    return numbers, ~whole | (numbers < 1), np.zeros(len(numbers), dtype=bool)


def _ids(batch: pa.RecordBatch, label: str, first_row: int) -> list[str]:
    """The ids of the rows: of each the first id column that is not null, `label#row` where there is none."""
    fallback = [f"{label}#{row}" for row in range(first_row, first_row + batch.num_rows)]
    columns = []
    for name in _id_columns(batch):
        column = batch.column(name)
        if not (pa.types.is_integer(column.type) or is_text(column.type)):
            column = pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
        columns.append(pc.cast(column, pa.string()))
    if not columns:
        return fallback
    ids = texts_of(pc.coalesce(*columns))
    return [own or name for own, name in zip(ids, fallback, strict=True)]


def _id_columns(batch: pa.RecordBatch) -> list[str]:
    """The columns that hold ids; only our own may be of any type."""
    names = [name for name in _ID_COLUMNS if batch.schema.names.count(name) == 1]
    kinds = {name: batch.column(name).type for name in names}
    return [name for name in names if name == "id" or is_text(kinds[name]) or pa.types.is_integer(kinds[name])]


def _metadata(batch: pa.RecordBatch, layout: Layout, columns: _Columns) -> list[str | None]:
    """JSON text of the other columns of each row, built column by column, and notes where there are any."""
    used = {*layout.names, *_id_columns(batch)[:1], _INDEX}
    named = zip(batch.schema.names, batch.columns, strict=True)
    parts = [_json_members(name, column) for name, column in named if name not in used]
    texts: list[str | None] = [None] * batch.num_rows
    if parts:
        # A null value leaves no member: "null" says nothing that its absence does not. (Not null_handling="skip",
        # which drops a row whose parts are all null and so shifts every row after it.)
        members = [pc.fill_null(pc.binary_join_element_wise(part, ", ", ""), "") for part in parts]
        joined = pc.utf8_rtrim(pc.binary_join_element_wise(*members, ""), ", ")
        whole: list[str] = pc.binary_join_element_wise("{", joined, "}", "").to_pylist()
        texts = [None if text == "{}" else bounded_metadata(text, ()) for text in whole]
    notes = doubts(batch, columns.n_atoms)
    for row in np.flatnonzero(rows_with(columns.atom_row[columns.isotopes], batch.num_rows)).tolist():
        notes.setdefault(row, []).append("isotope_merged: D or T read as H")
    for row, row_notes in notes.items():
        for note in reversed(row_notes):  # each goes to the front
            texts[row] = with_note(texts[row], note)
    return texts


def _json_members(name: str, column: pa.Array) -> pa.Array:
    """`"name": value` as JSON text for each row of a column; null where the value is null or not finite."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    key = json.dumps(name) + ": "
    # Quotes, backslashes and control characters must be escaped in JSON, and what is no UTF-8 cannot be searched.
    needs_escapes = False
    if is_text(kind):
        try:
            column.validate(full=True)
            needs_escapes = bool(pc.any(pc.match_substring_regex(column, r'["\\\x00-\x1f]')).as_py())
        except pa.ArrowInvalid:
            needs_escapes = True
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_finite(column), column, None)
        values = pc.cast(column, pa.string())
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        values = pc.cast(column, pa.string())
    elif is_text(kind) and not needs_escapes:
        values = pc.binary_join_element_wise('"', pc.cast(column, pa.string()), '"', "")
    else:
        content = texts_of(column) if is_text(kind) else column.to_pylist()
        texts = [None if value is None else json.dumps(value, default=str) for value in content]
        values = pa.array(texts, pa.string())
    return pc.binary_join_element_wise(pa.scalar(key), values, "")
