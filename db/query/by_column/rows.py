"""The rows that searches look through, and their columns: read of the segments that are new, else from the cache."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from db import segments
from db.query.by_column.cache import CACHE
from db.segments import Column
from db.storage.segment_ids import SegmentIds, decode_ids

BYTES_PER_TEXT = 60
"""Of a text in memory beside its characters."""


class NotByColumnError(Exception):
    """A question that only SQL can answer."""


@dataclass(frozen=True)
class Rows:
    """The results of some model versions, segment after segment; in a segment they are in the order of their keys.

    Attributes:
        parts: model and number of each segment.
        ids: of each segment's crystals.
        first_rows: of each segment, and at last the number of rows, [n_parts + 1].
        keys: numbers in the order of the crystals' ids, [n_rows].
        models: of each row, [n_rows].
        best: whether no later model has a result of the same crystal, [n_rows].
    """

    parts: tuple[tuple[int, int], ...]
    ids: tuple[SegmentIds, ...]
    first_rows: NDArray[np.int64]
    keys: NDArray[np.uint64]
    models: NDArray[np.int32]
    best: NDArray[np.bool_]


class StoredColumn(NamedTuple):
    """A column of all rows, and whether each segment has it stored; elsewhere it is unknown."""

    parts: tuple[tuple[int, int], ...]
    stored: frozenset[tuple[int, int]]
    first_rows: NDArray[np.int64]
    column: Column


def rows_of(connection: Connection, model_ids: Sequence[int]) -> Rows:
    """The results of some model versions, that of which a crystal's result counts last.

    Raises:
        NotByColumnError: some ids are in a form that columns do not have.
    """
    key = (connection.engine.url, tuple(model_ids), segments.ID)
    parts = tuple(segments.numbers_of(connection, model_ids, segments.ID))
    with CACHE.alone(key):
        before: Rows | None = CACHE.get(key)
        if before is not None and before.parts == parts:
            return before
        rows = _read_rows(connection, parts, before)
        n_bytes = rows.keys.nbytes + rows.models.nbytes + rows.best.nbytes
        CACHE.put(key, rows, n_bytes + sum(ids.digits.nbytes for ids in rows.ids))
    return rows


def _read_rows(connection: Connection, parts: tuple[tuple[int, int], ...], before: Rows | None) -> Rows:
    ids = dict(zip(before.parts, before.ids, strict=True)) if before else {}
    for model_id, wanted in _by_model([part for part in parts if part not in ids]).items():
        for _, segment, data in segments.read(connection, model_id, [segments.ID], wanted):
            of_segment = decode_ids(data)
            if of_segment is None:
                raise NotByColumnError
            ids[model_id, segment] = of_segment
    ordered = tuple(ids[part] for part in parts)
    sizes = [len(of_segment.digits) for of_segment in ordered]
    first_rows = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    keys = np.concatenate([np.zeros(0, np.uint64), *(of_segment.keys() for of_segment in ordered)])
    models = np.repeat(np.array([model_id for model_id, _ in parts], np.int32), sizes)
    return Rows(parts, ordered, first_rows, keys, models, _best(parts, first_rows, keys))


def _by_model(parts: Sequence[tuple[int, int]]) -> dict[int, list[int]]:
    """The numbers of segments by model."""
    numbers: dict[int, list[int]] = {}
    for model_id, segment in parts:
        numbers.setdefault(model_id, []).append(segment)
    return numbers


def _best(
    parts: Sequence[tuple[int, int]], first_rows: NDArray[np.int64], keys: NDArray[np.uint64]
) -> NDArray[np.bool_]:
    """Whether no later model has a result of the same crystal."""
    best = np.ones(len(keys), np.bool_)
    models = [model_id for model_id, _ in parts]
    starts = [int(first_rows[models.index(model_id)]) for model_id in dict.fromkeys(models)]
    for start, stop in pairwise(starts):
        better = np.sort(keys[stop:])
        best[start:stop] = ~is_in(keys[start:stop], better)
    return best


def is_in(keys: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether each key is one of the wanted ones, which are sorted and at least one."""
    places = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
    equal: NDArray[np.bool_] = wanted[places] == keys
    return equal


def column_of(connection: Connection, rows: Rows, model_ids: Sequence[int], name: str) -> Column:
    """A stored column of rows, unknown where a segment lacks it."""
    key = (connection.engine.url, tuple(model_ids), name)
    stored = frozenset(segments.numbers_of(connection, model_ids, name))
    with CACHE.alone(key):
        before: StoredColumn | None = CACHE.get(key)
        if before is not None and before.parts == rows.parts and before.stored == stored:
            return before.column
        column = _read_column(connection, rows, stored, before, name)
        column.values.setflags(write=False)
        n_bytes = column.values.nbytes + sum(len(text) + BYTES_PER_TEXT for text in column.texts or ())
        CACHE.put(key, StoredColumn(rows.parts, stored, rows.first_rows, column), n_bytes)
    return column


def _read_column(
    connection: Connection,
    rows: Rows,
    stored: frozenset[tuple[int, int]],
    before: StoredColumn | None,
    name: str,
) -> Column:
    columns = {}
    if before is not None:
        for part, (start, stop) in zip(before.parts, pairwise(before.first_rows.tolist()), strict=True):
            if (part in before.stored) == (part in stored):
                columns[part] = Column(before.column.values[start:stop], before.column.texts)
    missing = [part for part in rows.parts if part in stored and part not in columns]
    for model_id, wanted in _by_model(missing).items():
        for _, segment, data in segments.read(connection, model_id, [name], wanted):
            columns[model_id, segment] = segments.decode(name, data)
    for part, ids in zip(rows.parts, rows.ids, strict=True):
        if part not in columns:
            columns[part] = segments.unknown_column(name, len(ids.digits))
    if not rows.parts:
        return segments.unknown_column(name, 0)
    return segments.joined([columns[part] for part in rows.parts])
