"""Crystals from Parquet, columnar all the way: no Python object per crystal, a few microseconds per row.

Runs in a sandboxed child (gmt_tasks/sources/files/tables/table.py): a crafted Parquet file can crash the native reader.

Columns: `id` (text, optional), `lattice` (9 or 3 x 3 numbers, rows a b c, angstrom), `species` (atomic numbers or
symbols), `frac_coords` (3n or n x 3 numbers); every other column travels along as metadata. A null, a wrong length or
an unknown symbol costs that row alone; a row group that cannot be decoded costs its rows alone.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from db.records import RejectedInput
from gmt_tasks.sources.metadata import bounded_metadata
from gmt_tasks.sources.parsed import atomic_number, is_isotope
from gmt_tasks.sources.row_errors import error_text, read_in_parts
from gmt_tasks.sources.source import ROWS_PER_BLOCK, SourceBlock, join_blocks, rejected_rows
from models.crystals.crystal import CrystalBatch
from models.crystals.primitive import MAX_LISTED_ATOMS
from models.errors import Reason, SourceError

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

VALUES_PER_BLOCK = 4 << 20
"""Values of the longest column in a block, about: 32 MiB."""

_CRYSTAL_COLUMNS = ("lattice", "species", "frac_coords")


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
        _check_columns(self._file.schema_arrow, label)
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


def _check_columns(schema: pa.Schema, label: str) -> None:
    """Raises unless the three columns of a crystal are there and are lists."""
    missing = [name for name in _CRYSTAL_COLUMNS if schema.names.count(name) != 1]
    if missing and set(missing) <= set(schema.names):
        raise SourceError(f"{label} has the column {missing[0]} twice. Write it again with one of them.")
    if missing:
        raise SourceError(
            f"{label} has no column {', '.join(missing)} (it has {', '.join(schema.names[:12])}). Crystals need "
            "lattice (9 or 3x3, angstrom), species (atomic numbers or symbols) and frac_coords (n x 3)."
        )
    wrong = [name for name in _CRYSTAL_COLUMNS if not _is_list(schema.field(name).type)]
    if wrong:
        raise SourceError(f"Column {wrong[0]} of {label} is {schema.field(wrong[0]).type}, expected a list column.")


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
    n_rows = batch.num_rows
    lattice, cell_row, cell_broken = _flatten(batch.column("lattice"))
    species, species_row, species_broken = _flatten(batch.column("species"))
    coords, coord_row, coords_broken = _flatten(batch.column("frac_coords"))
    numbers, unknown, isotopes = _numbers(species)
    n_atoms = np.bincount(species_row, minlength=n_rows)
    problems = [
        (cell_broken | (np.bincount(cell_row, minlength=n_rows) != 9), Reason.PARSE, "lattice is not 9 numbers"),
        (species_broken, Reason.PARSE, "species is null or holds a null"),
        (
            coords_broken | (np.bincount(coord_row, minlength=n_rows) != 3 * n_atoms),
            Reason.PARSE,
            "frac_coords is not three numbers per species",
        ),
        (n_atoms > MAX_LISTED_ATOMS, Reason.TOO_LARGE, f"more than {MAX_LISTED_ATOMS} atoms"),
        (_rows_with(species_row[unknown], n_rows), Reason.UNKNOWN_SPECIES, "a label in species is no element"),
    ]
    bad = np.logical_or.reduce([flags for flags, _, _ in problems])
    good = np.flatnonzero(~bad)
    crystals = CrystalBatch(
        _keep(_float_values(lattice), bad, cell_row).reshape(-1, 3, 3),
        _keep(_float_values(coords), bad, coord_row).reshape(-1, 3),
        _keep(numbers, bad, species_row),
        np.repeat(np.arange(len(good)), n_atoms[good]),
    )
    start = first_position + first_row
    ids = _ids(batch, label, first_row)
    rejected = []
    for row in np.flatnonzero(bad).tolist():
        reason, detail = next((reason, detail) for flags, reason, detail in problems if flags[row])
        rejected.append(RejectedInput(start + int(row), ids[row], reason, f"{label} row {first_row + row}: {detail}"))
    metadata = _metadata(batch, _rows_with(species_row[isotopes], n_rows))
    good_ids, good_metadata = [ids[row] for row in good], [metadata[row] for row in good]
    places = [f"{label} row {first_row + row}" for row in good.tolist()]
    return SourceBlock(start, start + n_rows, start + good, good_ids, crystals, good_metadata, rejected, places)


def _keep(values: NDArray[Any], bad: Flags, row_of_value: Ints) -> NDArray[Any]:
    """The values of the rows that are not bad."""
    return values[~bad[row_of_value]] if bad.any() else values


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _flatten(column: pa.Array) -> tuple[pa.Array, Ints, Flags]:
    """The innermost values of a list column, the row of each, and the rows with nulls or ragged triples."""
    broken = _numpy(column.is_null())
    row_of_value = np.arange(len(column))
    depth = 0
    while _is_list(column.type):
        counts = _numpy(pc.fill_null(pc.list_value_length(column), 0)).astype(np.int64)
        if depth:  # 3 x 3 and n x 3: every inner list is a vector
            broken[row_of_value[counts != 3]] = True
        row_of_value = np.repeat(row_of_value, counts)
        column = pc.list_flatten(column)
        depth += 1
    if column.null_count:
        broken[row_of_value[_numpy(column.is_null())]] = True
    return column, row_of_value, broken


def _numbers(species: pa.Array) -> tuple[Ints, Flags, Flags]:
    """Atomic number of each value, which values are no element, and which are isotopes read as hydrogen."""
    if pa.types.is_dictionary(species.type):
        species = species.dictionary_decode()
    if pa.types.is_string(species.type) or pa.types.is_large_string(species.type):
        encoded = species.dictionary_encode()
        labels = [label or "" for label in _texts(encoded.dictionary)] + [""]
        indices = _numpy(encoded.indices.fill_null(len(labels) - 1)).astype(np.int64)
        numbers = np.array([atomic_number(label) or 0 for label in labels], dtype=np.int64)[indices]
        return numbers, numbers == 0, np.array([is_isotope(label) for label in labels])[indices]
    values = _float_values(species)
    whole = np.isfinite(values) & (values == np.rint(values)) & (np.abs(values) < 2**31)
    numbers = np.where(whole, values, 0).astype(np.int64)
    return numbers, ~whole | (numbers < 1), np.zeros(len(numbers), dtype=bool)


def _float_values(values: pa.Array) -> NDArray[np.float64]:
    """Values as float64; nulls become NaN."""
    return _numpy(pc.cast(values, pa.float64(), safe=False))


def _numpy(array: pa.Array) -> NDArray[Any]:
    result: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return result if result.flags.writeable else result.copy()


def _rows_with(rows: Ints, n_rows: int) -> Flags:
    return np.bincount(rows, minlength=n_rows) > 0


def _ids(batch: pa.RecordBatch, label: str, first_row: int) -> list[str]:
    """The ids of the rows; `label#row` where there is none."""
    fallback = (f"{label}#{row}" for row in range(first_row, first_row + batch.num_rows))
    if batch.schema.names.count("id") != 1:
        return list(fallback)
    column = batch.column("id")
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        column = pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
    ids = _texts(pc.cast(column, pa.string()))
    return [own or name for own, name in zip(ids, fallback, strict=True)]


def _texts(column: pa.Array) -> list[str | None]:
    """The texts of a column; bytes that are no UTF-8, which Parquet does not forbid, become replacement characters."""
    try:
        texts: list[str | None] = column.to_pylist()
    except UnicodeDecodeError:
        raw = pc.cast(column, pa.binary()).to_pylist()
        texts = [None if value is None else value.decode("utf-8", errors="replace") for value in raw]
    return texts


def _metadata(batch: pa.RecordBatch, with_isotopes: Flags) -> list[str | None]:
    """JSON text of the other columns of each row, built column by column."""
    columns = zip(batch.schema.names, batch.columns, strict=True)
    parts = [_json_members(name, column) for name, column in columns if name not in (*_CRYSTAL_COLUMNS, "id")]
    if with_isotopes.any():
        note = '"notes": ["isotope_merged: D or T read as H"]'
        parts.append(pa.array([note if merged else None for merged in with_isotopes], pa.string()))
    if not parts:
        return [None] * batch.num_rows
    # A null value leaves no member: "null" says nothing that its absence does not. (Not null_handling="skip", which
    # drops a row whose parts are all null and so shifts every row after it.)
    members = [pc.fill_null(pc.binary_join_element_wise(part, ", ", ""), "") for part in parts]
    joined = pc.utf8_rtrim(pc.binary_join_element_wise(*members, ""), ", ")
    texts: list[str] = pc.binary_join_element_wise("{", joined, "}", "").to_pylist()
    return [None if text == "{}" else bounded_metadata(text, ()) for text in texts]


def _json_members(name: str, column: pa.Array) -> pa.Array:
    """`"name": value` as JSON text for each row of a column; null where the value is null or not finite."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    key = json.dumps(name) + ": "
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    # Quotes, backslashes and control characters must be escaped in JSON, and what is no UTF-8 cannot be searched.
    needs_escapes = False
    if is_text:
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
    elif is_text and not needs_escapes:
        values = pc.binary_join_element_wise('"', pc.cast(column, pa.string()), '"', "")
    else:
        content = _texts(column) if is_text else column.to_pylist()
        texts = [None if value is None else json.dumps(value, default=str) for value in content]
        values = pa.array(texts, pa.string())
    return pc.binary_join_element_wise(pa.scalar(key), values, "")
