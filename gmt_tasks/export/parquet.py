"""Hits as Parquet: properties with their intervals, the structure, every tensor; and a whole database of them.

A tensor is a list of the numbers of its printed matrix, row by row: 9 for a dielectric tensor, 18 for the piezoelectric
one (3x6) and 36 for the stiffness (6x6), in Voigt order 11 22 33 23 13 12. It is in the Cartesian frame of the nine
numbers of `lattice`. What every column means and its unit stand in the file, as metadata of the column.
"""

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from db.query.hits import Hits
from db.query.properties import DESCRIPTIONS, LISTS, PROPERTIES, Kind
from db.query.request import Request
from db.store import ResultStore
from gmt_tasks.export.structure_text import ExportError, printed_name
from gmt_tasks.export.whole_file import whole_file, whole_folder
from models.crystals.crystal import Ints
from models.quantities import TENSORS
from models.tensors.voigt import to_printed

ROWS_PER_FILE = 100_000
"""Of a partitioned database: a million crystals make ten files."""

_TYPES = {Kind.NUMBER: pa.float64(), Kind.INTEGER: pa.int64(), Kind.FLAG: pa.bool_()}
"""Of kinds that are no text."""

_STRUCTURE = {
    "lattice": (pa.list_(pa.float64()), "angstrom", "rows a, b, c, in the frame of the tensors"),
    "species": (pa.list_(pa.int64()), "", "atomic numbers"),
    "frac_coords": (pa.list_(pa.float64()), "1", "fractional coordinates, three per atom"),
}


def schema_of_fields(fields: Sequence[str]) -> list[pa.Field]:
    """Columns of properties, each with its unit and meaning."""
    columns = []
    for name in fields:
        kind = PROPERTIES[name]
        type_ = pa.list_(pa.string()) if kind in LISTS else _TYPES.get(kind, pa.string())
        columns.append(_column(name, type_, DESCRIPTIONS[name].unit, DESCRIPTIONS[name].description))
    return columns


def schema_of(fields: Sequence[str]) -> pa.Schema:
    """Columns of a file of hits: the fields, the structure, the tensors, each with its unit and meaning.

    Args:
        fields: names of properties.
    """
    columns = schema_of_fields(fields)
    columns += [_column(name, *row) for name, row in _STRUCTURE.items()]
    for tensor, quantity in TENSORS.items():
        words = f"{quantity.label}, row by row" + (", Voigt order 11 22 33 23 13 12" if quantity.rank > 2 else "")
        columns.append(_column(printed_name(tensor), pa.list_(pa.float64()), quantity.unit, words))
    return pa.schema(columns)


def _column(name: str, type_: pa.DataType, unit: str, description: str) -> pa.Field:
    return pa.field(name, type_, metadata={"unit": unit, "description": description})


def to_table(hits: Hits, fields: Sequence[str]) -> pa.Table:
    """Hits as a table with the columns of `schema_of`; unknown values are null, also tensors not predicted."""
    columns: dict[str, Any] = {}
    for name in fields:
        columns[name] = [row[name] for row in hits.rows]
    batch = hits.crystals
    columns["lattice"] = batch.lattice.reshape(len(hits.rows), 9).tolist()
    # Lists of unequal length: where each crystal's atoms begin cuts the flat arrays.
    columns["species"] = _lists(batch.numbers, batch.first_atom)
    columns["frac_coords"] = _lists(batch.frac_coords.ravel(), 3 * batch.first_atom)
    for tensor, values in hits.tensors.items():
        flat = to_printed(tensor, values).reshape(len(values), -1)
        unknown = set(np.flatnonzero(~np.isfinite(flat).all(axis=1)).tolist())
        rows = enumerate(flat.tolist())
        columns[printed_name(tensor)] = [None if place in unknown else row for place, row in rows]
    return pa.Table.from_pydict(columns, schema=schema_of(fields))


def _lists(flat: NDArray[Any], bounds: Ints) -> list[list[Any]]:
    """A flat array cut into lists, shape [n_bounds - 1] of them."""
    return [flat[start:stop].tolist() for start, stop in pairwise(bounds.tolist())]


def write_parquet(blocks: Iterable[Hits], fields: Sequence[str], out: Path) -> int:
    """Writes hits to one file, block by block; returns how many.

    Args:
        blocks: of `ResultStore.hits`.
        fields: columns beside structure and tensors.
        out: the file; it appears only when it is complete.
    """
    n_rows = 0
    with whole_file(out) as part, pq.ParquetWriter(part, schema_of(fields), compression="zstd") as writer:
        for hits in blocks:
            writer.write_table(to_table(hits, fields))
            n_rows += len(hits.rows)
    return n_rows


def write_rows_parquet(blocks: Iterable[list[dict[str, Any]]], fields: Sequence[str], out: Path) -> int:
    """Writes rows of a search to one file, without structures and tensors; returns how many.

    Args:
        blocks: of `ResultStore.stream`.
        fields: of the rows.
        out: the file; it appears only when it is complete.
    """
    n_rows, schema = 0, pa.schema(schema_of_fields(fields))
    with whole_file(out) as part, pq.ParquetWriter(part, schema, compression="zstd") as writer:
        for rows in blocks:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            n_rows += len(rows)
    return n_rows


def write_database(store: ResultStore, folder: Path) -> dict[str, int]:
    """The whole database as a folder of Parquet files, partitioned so that DuckDB and polars read only what is asked.

    `results/model=NAME@VERSION/part-00000.parquet` holds every result with its structure and tensors,
    `inputs/part-00000.parquet` where every input ended, `models.parquet` the model versions.

    Args:
        store: the database.
        folder: made; must not hold an export already. What is written appears in it when all of it is complete.

    Returns:
        Rows written, by table.

    Raises:
        ExportError: the folder holds an export.
    """
    if (folder / "results").exists() or (folder / "inputs").exists():
        raise ExportError(f"{folder} holds an export already. Name another folder, or remove that one.")
    written = {"results": 0, "inputs": 0, "models": 0}
    versions = store.list_models()
    with whole_folder(folder) as part:
        for version in versions:
            name = f"{version['name']}@{version['version']}"
            blocks = store.hits(Request("", tuple(PROPERTIES), None, 0, name))
            written["results"] += _write_parts(blocks, part / "results" / f"model={name}")
        written["inputs"] = _write_inputs(store, part / "inputs")
        # What differs from version to version in its shape is kept as JSON.
        table = pa.table(
            {
                "model": [f"{row['name']}@{row['version']}" for row in versions],
                "facts": [json.dumps(row, sort_keys=True, default=str) for row in versions],
            }
        )
        pq.write_table(table, part / "models.parquet")
    return written | {"models": len(versions)}


def _write_parts(blocks: Iterable[Hits], folder: Path) -> int:
    """Writes all results of a model version into files of at most about 100,000 rows; returns how many rows."""
    # The folder's name holds the model: as a column too it would be there twice.
    fields = tuple(field for field in PROPERTIES if field != "model")
    n_rows = n_files = n_in_file = 0
    writer: pq.ParquetWriter | None = None
    for hits in blocks:
        if writer is None:
            folder.mkdir(parents=True, exist_ok=True)
            writer = pq.ParquetWriter(folder / f"part-{n_files:05d}.parquet", schema_of(fields), compression="zstd")
            n_files, n_in_file = n_files + 1, 0
        writer.write_table(to_table(hits, fields))
        n_rows, n_in_file = n_rows + len(hits.rows), n_in_file + len(hits.rows)
        if n_in_file >= ROWS_PER_FILE:
            writer.close()
            writer = None
    if writer is not None:
        writer.close()
    return n_rows


def _write_inputs(store: ResultStore, folder: Path) -> int:
    """Where every input ended, as `ResultStore.dump` has it; returns how many."""
    names = ("run_key", "source", "source_id", "crystal_id", "outcome", "stage", "reason", "detail", "metadata")
    schema = pa.schema([("position", pa.int64()), *((name, pa.string()) for name in names)])
    folder.mkdir()
    n_rows, rows = 0, []
    with pq.ParquetWriter(folder / "part-00000.parquet", schema, compression="zstd") as writer:
        for row in store.dump():
            if row["table"] != "inputs":  # results follow: they are written already
                break
            rows.append({name: row[name] for name in schema.names})
            if len(rows) == 10_000:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                n_rows, rows = n_rows + len(rows), []
        writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    return n_rows + len(rows)
