"""The records of a JSON document: how the field's public dumps hold many crystals in one file.

Known are lists; OPTIMADE answers; pandas tables (`to_json` with every orient that keeps the names of its columns), as
Matbench, matminer and WBM publish them; `entries` and the like (Alexandria); maps from ids to structures or entries;
maps of such maps (MPtrj); and ASE's JSON database. Every part of a document that has a place among its records
becomes one record, readable or not: none is lost, none comes twice.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from gmt_tasks.sources.json_shapes import Record, shapes_of
from gmt_tasks.sources.parsed import RefusedInputError
from models.errors import Reason

_CONTAINERS = ("data", "entries", "structures", "records", "materials", "results", "docs", "response")
_WRAPPER = re.compile(r"(?i)[a-z_]*(?:structure|atoms|crystal|entry|attributes|data|str|cse)$")
"""Names of keys that hold the crystal of a record, not one of many: `initial_structure`, `computed_structure_entry`."""
_SHAPE_KEYS = ("lattice", "lattice_vectors", "lattice_mat", "cell")
_MAX_LEVELS = 4


@dataclass(frozen=True)
class DocumentRecord:
    """One record of a document.

    Attributes:
        value: the record, not yet read; a `RefusedInputError` for one that the document announces and does not hold.
        key: its id where it brings none itself (index of a table, key of a map); None where that only counts.
    """

    value: Any
    key: str | None = None


def records_of(value: Any) -> list[DocumentRecord] | None:
    """The records of a document; None if it is one record itself.

    Raises:
        RefusedInputError: the document holds no record, or several lists of which each may be meant.
    """
    records = _split_up(value, 0)
    if records is not None and not records:
        raise RefusedInputError(Reason.EMPTY, "the document holds no crystals")
    return records


def _split_up(value: Any, level: int) -> list[DocumentRecord] | None:
    """The records, possibly none; None for what is one record."""
    if isinstance(value, list):
        return [DocumentRecord(record) for record in value]
    if not isinstance(value, Mapping) or shapes_of(value) or level > _MAX_LEVELS:
        return None
    for split in (_pandas_split, _pandas_table, _ase_database):
        if (records := split(value)) is not None:
            return records
    if _is_record(value):
        return None
    if (records := _pandas_columns(value)) is not None:
        return records
    lists = [name for name in value if isinstance(value[name], list)]
    lists = [name for name in lists if name in _CONTAINERS or any(map(_is_record, value[name]))]
    if len(lists) > 1:
        raise RefusedInputError(Reason.PARSE, f"several lists of records ({', '.join(lists)[:200]}); keep one of them")
    for name in lists or [name for name in _CONTAINERS if isinstance(value.get(name), Mapping)]:
        if (records := _split_up(value[name], level + 1)) is not None:
            return records
    return _map(value)


def _is_record(value: Any, level: int = 0) -> bool:
    """True for an object that holds the crystal of one record, itself or under a key with such a name."""
    if not isinstance(value, Mapping) or level > _MAX_LEVELS:
        return False
    if shapes_of(value):
        return True
    wrapped = (inner for key, inner in value.items() if _WRAPPER.match(str(key)))
    return any(_is_json_text(inner) or _is_record(inner, level + 1) for inner in wrapped)


def _is_json_text(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("{") and '"lattice' in value


def _pandas_split(value: Record) -> list[DocumentRecord] | None:
    """`{"index": [...], "columns": [...], "data": [[...], ...]}`; index and rows of different number are all kept."""
    columns, rows, index = value.get("columns"), value.get("data"), value.get("index", [])
    if not isinstance(columns, list) or not isinstance(rows, list) or not isinstance(index, list):
        return None
    names = [_name(column) for column in columns]
    if len(set(names)) != len(names):
        raise RefusedInputError(Reason.PARSE, "a table with two columns of one name")
    records: list[Any] = []
    for row in rows:
        if isinstance(row, list) and len(row) == len(names):
            records.append(_without_nulls(zip(names, row, strict=True)))
        else:
            records.append(RefusedInputError(Reason.PARSE, f"a row of a table that has not its {len(names)} columns"))
    n_missing = len(index) - len(rows)
    records += [RefusedInputError(Reason.PARSE, "the index of the table names a row that is not there")] * n_missing
    return _with_keys([*map(_name, index), *[""] * -n_missing], records)


def _pandas_table(value: Record) -> list[DocumentRecord] | None:
    """`{"schema": {"fields": ..., "primaryKey": [...]}, "data": [...]}`."""
    schema, rows = value.get("schema"), value.get("data")
    if not isinstance(schema, Mapping) or "fields" not in schema or not isinstance(rows, list):
        return None
    primary = schema.get("primaryKey")
    names = [name for name in primary if isinstance(name, str)] if isinstance(primary, list) else []
    keys, records = [], []
    for row in rows:
        is_object = isinstance(row, Mapping)
        keys.append("/".join(_name(row[name]) for name in names if name in row) if is_object else "")
        records.append(_without_nulls((k, v) for k, v in row.items() if k not in names) if is_object else row)
    return _with_keys(keys, records)


def _ase_database(value: Record) -> list[DocumentRecord] | None:
    """`{"1": {...}, "ids": [1], "nextid": 2}`; rows that `ids` does not name are records too."""
    ids = value.get("ids")
    if not isinstance(ids, list) or "nextid" not in value:
        return None
    names = list(dict.fromkeys([_name(row_id) for row_id in ids] + [name for name in value if name.isdecimal()]))
    missing = RefusedInputError(Reason.PARSE, "`ids` names a row that is not there")
    # The numbers only count the rows.
    return [DocumentRecord(value.get(name, missing)) for name in names]


def _pandas_columns(value: Record) -> list[DocumentRecord] | None:
    """`{"structure": {"0": ..., "1": ...}, "gap": {"0": ..., "1": ...}}`: columns by name, each by index."""
    columns = list(value.values())
    if not columns or not all(isinstance(column, Mapping) and column.keys() == columns[0].keys() for column in columns):
        return None
    if not any(key in _SHAPE_KEYS or _is_column_of_crystals(key, value[key]) for key in value):
        return None
    records = [_without_nulls(zip(value, map(itemgetter(key), columns), strict=True)) for key in columns[0]]
    return _with_keys([str(key) for key in columns[0]], records)


def _is_column_of_crystals(key: str, column: Record) -> bool:
    """True for a column of structures, entries or the JSON text of one."""
    return bool(_WRAPPER.match(key)) and any(_is_record(cell) or _is_json_text(cell) for cell in column.values())


def _map(value: Record) -> list[DocumentRecord] | None:
    """Ids with their structures or entries, or with maps of frames with theirs; None if there is no crystal in it."""
    if not all(cell is None or isinstance(cell, Mapping) or _is_json_text(cell) for cell in value.values()):
        return None
    if any(_is_record(cell) or _is_json_text(cell) for cell in value.values()):
        # Both kinds side by side: what is no record may be a map of frames all the same.
        is_nested: Callable[[Any], bool] = lambda cell: not _is_record(cell) and _holds_records(cell)  # noqa: E731
    elif any(_holds_records(cell) for cell in value.values()):
        is_nested = _holds_records
    else:
        return None
    if not any(is_nested(cell) for cell in value.values()):
        return _with_keys([str(key) for key in value], list(value.values()))
    records = []
    for key, cell in value.items():
        if not is_nested(cell):
            records.append(DocumentRecord(cell, str(key)))
            continue
        for frame, record in cell.items():
            # The frames of one material share every id that they bring: only the joined one tells them apart.
            name = str(frame) if str(frame).startswith(str(key)) else f"{key}/{frame}"
            named = {**record, "id": name} if isinstance(record, Mapping) else record
            records.append(DocumentRecord(named, name))
    return records


def _holds_records(cell: Any) -> bool:
    return isinstance(cell, Mapping) and any(_is_record(record) for record in cell.values())


def _with_keys(keys: Sequence[str], records: Sequence[Any]) -> list[DocumentRecord]:
    """Records with the index of their table or map as ids, unless it only counts from 0."""
    only_counts = all(key == str(row) for row, key in enumerate(keys))
    return [
        DocumentRecord(record, None if only_counts or not key else key)
        for key, record in zip(keys, records, strict=True)
    ]


def _name(value: Any) -> str:
    """An entry of an index or a header as text; the levels of a pandas MultiIndex are joined."""
    if isinstance(value, list):
        return "/".join(map(_name, value))
    return "" if value is None or isinstance(value, Mapping) else str(value)


def _without_nulls(cells: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """One row of a table: a null says nothing that its absence does not."""
    return {name: cell for name, cell in cells if cell is not None}
