"""Columns of results beside their rows: what searches read, a few bytes per value instead of a row each.

A segment holds some crystals' results of one model version, in the order of their ids; each of its columns is one
array in one row of `column_segments`. It is written in the transaction that writes the results. Small segments are
merged as they gather, so a million results are a few dozen arrays per column. A column that a segment lacks is unknown
for all of its crystals. Numbers of segments are drawn by lot: none ever comes again with other values, so whoever keeps
what it read of a segment keeps something true.
"""

import json
import secrets
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    REAL,
    Boolean,
    ColumnElement,
    Connection,
    Integer,
    Select,
    delete,
    func,
    select,
    type_coerce,
)

from db.base import Float32
from db.bulk import Columns, chunks, insert_each
from db.storage.packing import deflate, from_order_codes, inflate
from db.storage.segment_ids import SegmentIds, decode_ids, encode_ids, ids_of
from db.tables import BLOCK_COLUMNS, column_segments, crystals, models, results
from db.transactions import BINARY_RESULTS
from models.crystals.crystal import SYMBOLS

ID, FRESH = "id", "*"
"""Names of the array of ids, and of all columns of a segment that one transaction wrote, in one array until it is
merged: two hundred rows in two hundred places of a large table would cost more than all else that a commit does."""

LEAST_FRESH, MOST_FRESH, FRESH_ROWS = 8, 128, 8192
"""Fresh segments are merged from the first number of them on, as soon as they are as many as the second or have as many
rows together as the third. Merged ones are left out: small transactions would have them merged again and again."""

SMALL_ROWS, MOST_SMALL = 65_536, 16
"""Merged segments of fewer rows than the first number are merged as soon as there are as many as the second."""

ROWS_PER_SEGMENT = 65_536
"""Of segments that are made from stored results."""

RAW, MOST_DEFLATED = b"\2", 0.75
"""First byte of values that are kept as they are: those that deflate to more than this share of their bytes."""

CRYSTAL_COLUMNS = ("formula", "formula_anonymous", "elements", "nelements", "n_atoms", "volume_per_atom")
RESULT_COLUMNS = ("created", *BLOCK_COLUMNS)
SEGMENT_COLUMNS = (*CRYSTAL_COLUMNS, *RESULT_COLUMNS)
"""What can be searched by column; the rest is looked up in its tables."""

_NUMBERS = {symbol: number for number, symbol in enumerate(SYMBOLS)}

Array = NDArray[Any]


class Column(NamedTuple):
    """One column of some rows.

    Attributes:
        values: numbers with NaN for unknown, shape [n]; flags 0, 1 and -1 for unknown, [n]; the places of texts in
            `texts` and -1 for unknown, [n]; elements as two 64-bit masks, [n, 2].
        texts: of a text column.
    """

    values: Array
    texts: list[str] | None = None

    def take(self, rows: Array) -> "Column":
        """Some of the rows."""
        return Column(self.values[rows], self.texts)


def element_mask(symbols: Iterable[str]) -> NDArray[np.uint64]:
    """Elements as bits of two numbers, shape [2]."""
    bits = sum(1 << _NUMBERS[symbol] for symbol in set(symbols))
    return np.array([bits & (2**64 - 1), bits >> 64], dtype=np.uint64)


def column_of(name: str, values: Sequence[Any]) -> Column:
    """Database values of a property as a column."""
    if name == "elements":
        return Column(np.array([element_mask(text.strip(",").split(",")) for text in values]).reshape(-1, 2))
    kind = (crystals if name in CRYSTAL_COLUMNS else results).c[name].type
    if isinstance(kind, Boolean):
        return Column(np.array([-1 if value is None else value for value in values], np.int8))
    if kind.python_type is not str:
        # float32 holds every integer that occurs here
        dtype = np.float32 if isinstance(kind, Float32 | Integer) else np.float64
        return Column(np.array([np.nan if value is None else value for value in values], dtype))
    texts = sorted({value for value in values if value is not None})
    places = {text: place for place, text in enumerate(texts)}
    return Column(np.array([places.get(value, -1) for value in values], np.int32), texts)


def encode(column: Column, *, deflated: bool = True) -> bytes:
    """A column as bytes: type, length of the texts, texts, values; each deflated where that saves, unless unwanted."""
    values = column.values
    dtype = values.dtype.newbyteorder("<").str.encode().ljust(4)
    texts = b"" if column.texts is None else deflate(json.dumps(column.texts).encode())
    if not deflated:
        return dtype + len(texts).to_bytes(4, "little") + texts + RAW + values.tobytes()
    # bytes of one significance side by side: signs and exponents deflate, mantissas do not
    planes = np.ascontiguousarray(values).view(np.uint8).reshape(-1, values.dtype.itemsize).T.tobytes()
    # bytes that come often, and runs of one, save more than repeated sequences, which take long to look for
    packed = deflate(planes, strategy=zlib.Z_RLE)
    if len(packed) > MOST_DEFLATED * len(planes):
        packed = RAW + values.tobytes()
    return dtype + len(texts).to_bytes(4, "little") + texts + packed


def decode(name: str, data: bytes) -> Column:
    """What `encode` was given."""
    dtype = np.dtype(data[:4].decode().strip())
    end = 8 + int.from_bytes(data[4:8], "little")
    texts = json.loads(inflate(data[8:end])) if end > 8 else None
    if data[end : end + 1] == RAW:
        values = np.frombuffer(data, dtype, -1, end + 1)
    else:
        planes = np.frombuffer(inflate(data[end:]), np.uint8).reshape(dtype.itemsize, -1)
        values = np.ascontiguousarray(planes.T).view(dtype)[:, 0]
    return Column(values.reshape(-1, 2) if name == "elements" else values, texts)


def unknown_column(name: str, n_rows: int) -> Column:
    """The column of a property that no row has."""
    return column_of(name, [None] * n_rows if name != "elements" else [])


def joined(columns: Sequence[Column]) -> Column:
    """Columns one after the other; texts are in their order."""
    if columns[0].texts is None:
        return Column(np.concatenate([column.values for column in columns]))
    # slices of one column share its texts: each list is looked through once
    lists = {id(column.texts): column.texts or [] for column in columns}
    texts = list(dict.fromkeys(sorted(chain.from_iterable(lists.values()))))
    places = {text: place for place, text in enumerate(texts)}
    codes = {key: np.array([*map(places.__getitem__, held), -1], np.int32) for key, held in lists.items()}
    return Column(np.concatenate([codes[id(column.texts)][column.values] for column in columns]), texts)


def pack(arrays: Mapping[str, bytes]) -> bytes:
    """Arrays one after the other, behind their names and lengths."""
    head = deflate(json.dumps({name: len(array) for name, array in arrays.items()}).encode())
    return len(head).to_bytes(4, "little") + head + b"".join(arrays.values())


def unpack(data: bytes) -> Iterator[tuple[str, bytes]]:
    """What `pack` was given."""
    start = 4 + int.from_bytes(data[:4], "little")
    for name, length in json.loads(inflate(data[4:start])).items():
        yield name, data[start : start + length]
        start += length


def read(
    connection: Connection, model_id: int, names: Sequence[str], numbers: Sequence[int] | None = None
) -> Iterator[tuple[str, int, bytes]]:
    """The stored arrays of some columns of a model, or of some of its segments: name, number of the segment, bytes."""
    table, wanted = column_segments.c, set(names)
    stored = wanted if wanted == {ID} else {*wanted, FRESH}
    chosen = select(table.name, table.segment, table.data).where(table.model_id == model_id, table.name.in_(stored))
    if numbers is not None:
        chosen = chosen.where(table.segment.in_(numbers))
    for name, segment, data in connection.execute(chosen.execution_options(**{BINARY_RESULTS: True})):
        for each, array in unpack(data) if name == FRESH else [(name, data)]:
            if each in wanted:
                yield each, int(segment), array


def numbers_of(connection: Connection, model_ids: Sequence[int], name: str) -> list[tuple[int, int]]:
    """The segments that have a column, or may have it: model and number, in the order of the models given."""
    table = column_segments.c
    named = table.name == ID if name == ID else table.name.in_((name, FRESH))
    chosen = select(table.model_id, table.segment).where(table.model_id.in_(model_ids), named)
    place_of = {model_id: place for place, model_id in enumerate(model_ids)}
    pairs = [(int(model_id), int(segment)) for model_id, segment in connection.execute(chosen)]
    return sorted(pairs, key=lambda pair: (place_of[pair[0]], pair[1]))


def append(connection: Connection, model_id: int, stored: Columns) -> None:
    """Makes a segment of the results that a transaction stores, and merges small ones.

    Args:
        connection: in a write transaction that holds `lock`.
        model_id: the version.
        stored: columns of the table `results`, in the order of the crystals' ids.
    """
    ids = list(stored["crystal_id"])
    if not ids:
        return
    of_crystals = _by_id(connection, select(crystals.c.id, *(crystals.c[name] for name in CRYSTAL_COLUMNS)), ids)
    found = dict(zip(CRYSTAL_COLUMNS, of_crystals, strict=True))
    write(connection, model_id, ids_of(ids), _columns_of({**stored, **found}), fresh=True)
    merge_small(connection, model_id)


def _by_id(connection: Connection, statement: Select[Any], ordered: Sequence[str]) -> list[list[Any]]:
    """The columns of a statement but its first, which is the crystal's id, for some ids in their order."""
    key, rows = statement.selected_columns[0], list[Any]()
    for chunk in chunks(ordered):
        rows += connection.execute(statement.where(key.in_(chunk)).order_by(key)).all()
    return list(map(list, zip(*rows, strict=True)))[1:]


def _columns_of(stored: Columns) -> dict[str, Column]:
    """The columns of which something is known."""
    known = {}
    for name in SEGMENT_COLUMNS:
        values = stored.get(name, ())
        if isinstance(values, np.ndarray):
            if not np.isnan(values).all():
                known[name] = Column(values.astype(np.float32))
        elif any(value is not None for value in values):
            known[name] = column_of(name, values)
    return known


def write(
    connection: Connection,
    model_id: int,
    ids: SegmentIds | None,
    columns: Mapping[str, Column],
    *,
    fresh: bool = False,
) -> None:
    """Stores a segment whose rows are in the order of their ids, under a new number; a fresh one in one array."""
    segment = secrets.randbits(63)
    # deflated when it is merged, soon where many follow
    arrays = {name: encode(column, deflated=not fresh) for name, column in columns.items()}
    arrays = ({FRESH: pack(arrays)} if fresh else arrays) | {ID: encode_ids(ids)}
    rows = [
        {"model_id": model_id, "name": name, "segment": segment, "data": data} for name, data in sorted(arrays.items())
    ]
    insert_each(connection, column_segments, rows)


def lock(connection: Connection, model_id: int) -> None:
    """Makes other writers of results of this model wait until the transaction ends; SQLite has one writer anyway."""
    connection.execute(select(models.c.id).where(models.c.id == model_id).with_for_update(key_share=True)).all()


def merge_small(connection: Connection, model_id: int) -> None:
    """Makes one segment of many small ones, so that a column is a few arrays."""
    table = column_segments.c
    of_model = table.model_id == model_id
    all_fresh = select(table.segment).where(of_model, table.name == FRESH)
    if len(connection.execute(all_fresh).all()) < LEAST_FRESH:
        return
    fresh = _n_rows(connection, of_model & table.segment.in_(all_fresh))
    if len(fresh) < MOST_FRESH and sum(fresh.values()) < FRESH_ROWS:
        return
    replace(connection, model_id, list(fresh), drop=())
    # of the merged ones there is one more only now
    small = [segment for segment, n in _n_rows(connection, of_model).items() if n < SMALL_ROWS]
    if len(small) >= MOST_SMALL:
        replace(connection, model_id, small, drop=())


def _n_rows(connection: Connection, chosen: ColumnElement[bool]) -> dict[int, int]:
    """Rows of the chosen segments whose ids are of one form."""
    table = column_segments.c
    of_ids = chosen & (table.name == ID)
    stored = connection.execute(select(table.segment, func.length(table.data)).where(of_ids)).all()
    lengths = {int(segment): int(n) for segment, n in stored if n}
    if not lengths:
        return {}
    # the bytes of an id, from the shortest array: to read a byte of each, the database would read them all
    shortest = min(lengths, key=lengths.__getitem__)
    (head,) = connection.execute(select(func.substr(table.data, 1, 2)).where(of_ids, table.segment == shortest)).one()
    return {segment: n_bytes // max(head[1], 1) for segment, n_bytes in lengths.items()}


def remove(connection: Connection, model_id: int, crystal_ids: Sequence[str]) -> None:
    """Takes crystals out of the segments of a model, because their results are about to be replaced."""
    wanted = set(crystal_ids)
    for _, segment, data in list(read(connection, model_id, [ID])):
        ids = decode_ids(data)
        if ids is None or wanted & set(ids.texts(np.arange(len(ids.digits)))):
            replace(connection, model_id, [segment], drop=crystal_ids)


def replace(connection: Connection, model_id: int, segments: Sequence[int], drop: Sequence[str]) -> None:
    """Merges segments into a new one, without the crystals to drop."""
    table = column_segments.c
    of_segments = (table.model_id == model_id) & table.segment.in_(segments)
    statement = select(table.name, table.segment, table.data)
    chosen = of_segments & table.name.in_((ID, FRESH))
    rows = connection.execute(statement.where(chosen)).all()
    if sum(row.name == FRESH for row in rows) < len(segments):
        # by every name: without names the database would look at all rows of the model
        chosen = of_segments & table.name.in_((ID, FRESH, *SEGMENT_COLUMNS))
        rows = connection.execute(statement.where(chosen)).all()
    found: dict[str, dict[int, bytes]] = {}
    for name, segment, data in rows:
        for each, array in unpack(data) if name == FRESH else [(name, data)]:
            found.setdefault(each, {})[int(segment)] = array
    of_segment = {segment: decode_ids(found[ID][segment]) for segment in segments}
    parts = {segment: ids for segment, ids in of_segment.items() if ids is not None}
    ids = SegmentIds.join(parts.values())
    order = np.arange(sum(len(part.digits) for part in parts.values())) if ids is None else ids.order()
    if ids is not None and drop:
        dropped = set(drop)
        order = order[[text not in dropped for text in ids.texts(order)]]
    columns = {}
    for name, arrays in found.items():
        if name != ID:
            whole = joined(
                [
                    decode(name, arrays[segment]) if segment in arrays else unknown_column(name, len(part.digits))
                    for segment, part in parts.items()
                ],
            )
            columns[name] = whole.take(order)
    connection.execute(delete(column_segments).where(chosen))
    if len(order):
        write(connection, model_id, ids and SegmentIds(ids.prefix, ids.digits[order]), columns)


def rebuild(connection: Connection, model_id: int) -> None:
    """Makes the segments of a model anew from its stored results."""
    connection.execute(delete(column_segments).where(column_segments.c.model_id == model_id))
    stored = select(results.c.crystal_id).where(results.c.model_id == model_id).order_by(results.c.crystal_id)
    ids = connection.execute(stored).scalars().all()
    sqlite = connection.dialect.name == "sqlite"
    # Numbers of single precision as the database keeps them: one by one they take most of the time.
    singles = [name for name in RESULT_COLUMNS if isinstance(results.c[name].type, Float32)]
    others = [name for name in SEGMENT_COLUMNS if name not in singles]
    chosen: list[ColumnElement[Any]] = [
        type_coerce(results.c[name], Integer() if sqlite else REAL()) for name in singles
    ]
    chosen += [(crystals if name in CRYSTAL_COLUMNS else results).c[name] for name in others]
    joined_rows = results.join(crystals, crystals.c.id == results.c.crystal_id)
    statement = select(results.c.crystal_id, *chosen).select_from(joined_rows).where(results.c.model_id == model_id)
    for first in range(0, len(ids), ROWS_PER_SEGMENT):
        part = ids[first : first + ROWS_PER_SEGMENT]
        values = dict(zip((*singles, *others), _by_id(connection, statement, part), strict=True))
        columns = _columns_of({name: values[name] for name in others})
        for name in singles:
            numbers = np.array([np.nan if value is None else value for value in values[name]])
            if not np.isnan(numbers).all():
                columns[name] = Column(from_order_codes(numbers) if sqlite else numbers.astype(np.float32))
        write(connection, model_id, ids_of(part), columns)


def models_without(connection: Connection) -> list[int]:
    """Models with results that have no segment: the database is older than segments."""
    has_results = select(results.c.model_id).where(results.c.model_id == models.c.id).exists()
    has_segment = select(column_segments.c.model_id).where(column_segments.c.model_id == models.c.id).exists()
    statement = select(models.c.id).where(has_results, ~has_segment).order_by(models.c.id)
    return [int(model_id) for model_id in connection.execute(statement).scalars()]
