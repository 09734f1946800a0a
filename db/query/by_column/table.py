"""Searches over the stored columns: a filter becomes arrays of true and false, a sort picks the first of a million.

The same answers as the SQL of `db.query.pages`, in the same order, at a few milliseconds per column and million rows.
Source ids, doubts and ids are looked up in their tables; what cannot be had by column raises `NotByColumnError`, and
then SQL answers alone.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, select

from db import segments
from db.query.filter_tree import (
    And,
    Comparison,
    Decided,
    Filter,
    Flag,
    Has,
    Is,
    Knowledge,
    Matches,
    Not,
    Or,
    Quantifier,
)
from db.query.properties import PROPERTIES, Kind
from db.query.times import whole_seconds
from db.segments import SEGMENT_COLUMNS, Column, SegmentIds
from db.tables import crystals

Bools = NDArray[np.bool_]
SqlCondition = Callable[[Filter], ColumnElement[bool]]

LOOKED_UP = frozenset({Kind.SOURCE_IDS, Kind.DOUBTS})
MAX_LOOKED_UP = 200_000
"""Ids that a look-up may give before SQL answers alone."""


class NotByColumnError(Exception):
    """A question that only SQL can answer."""


class Ternary(NamedTuple):
    """Where a condition is true and where it is false, shape [n_rows]; elsewhere it is unknown."""

    true: Bools
    false: Bools


class Table:
    """The results of some model versions by column, each column read when it is first needed.

    Args:
        connection: for reading.
        model_ids: the versions.
        names: what each version is called.
        condition: the SQL of a filter, for what must be looked up.
    """

    def __init__(
        self, connection: Connection, model_ids: Sequence[int], names: Mapping[int, str], condition: SqlCondition
    ) -> None:
        self._connection = connection
        self._condition = condition
        self._columns: dict[str, Column] = {}
        self._parts: list[tuple[int, int, SegmentIds]] = []
        for model_id in model_ids:
            for _, segment, data in segments.read(connection, model_id, [segments.ID]):
                ids = segments.decode_ids(data)
                if ids is None:
                    raise NotByColumnError
                self._parts.append((model_id, segment, ids))
        sizes = [len(ids.digits) for _, _, ids in self._parts]
        self.first_rows = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.n_rows = int(self.first_rows[-1])
        self.keys = np.concatenate([np.zeros(0, np.uint64), *(ids.keys() for _, _, ids in self._parts)])
        self.models = np.repeat(np.array([model_id for model_id, _, _ in self._parts], np.int64), sizes)
        self._names = names

    def ids(self, rows: NDArray[np.int64]) -> list[str]:
        """The crystal ids of some rows."""
        part_of = np.searchsorted(self.first_rows, rows, "right") - 1
        texts = [""] * len(rows)
        for part in np.unique(part_of):
            places = np.flatnonzero(part_of == part)
            found = self._parts[part][2].texts(rows[places] - self.first_rows[part])
            for place, text in zip(places.tolist(), found, strict=True):
                texts[place] = text
        return texts

    def column(self, name: str) -> Column:
        """A column of all rows.

        Raises:
            NotByColumnError: the property is not stored by column.
        """
        if name not in self._columns:
            self._columns[name] = self._read(name)
        return self._columns[name]

    def _read(self, name: str) -> Column:
        if name == "model":
            texts = list(self._names.values())
            places = {model_id: place for place, model_id in enumerate(self._names)}
            return Column(
                np.array([places[m] for m, _, _ in self._parts], np.int32).repeat(np.diff(self.first_rows)), texts
            )
        if name == "last_modified":
            return self.column("created")
        if name not in SEGMENT_COLUMNS:
            raise NotByColumnError
        stored = {}
        for model_id in dict.fromkeys(model_id for model_id, _, _ in self._parts):
            for _, segment, data in segments.read(self._connection, model_id, [name]):
                stored[model_id, segment] = segments.decode(name, data)
        if not self._parts:
            return segments.unknown_column(name, 0)
        return segments.joined(
            [
                stored.get((model_id, segment)) or segments.unknown_column(name, len(ids.digits))
                for model_id, segment, ids in self._parts
            ],
        )

    def evaluate(self, tree: Filter) -> Ternary:
        """Where a filter is true and false.

        Raises:
            NotByColumnError: only SQL can tell.
        """
        match tree:
            case And(terms):
                parts = [self.evaluate(term) for term in terms]
                return Ternary(
                    reduce(np.logical_and, (part.true for part in parts)),
                    reduce(np.logical_or, (part.false for part in parts)),
                )
            case Or(terms):
                parts = [self.evaluate(term) for term in terms]
                return Ternary(
                    reduce(np.logical_or, (part.true for part in parts)),
                    reduce(np.logical_and, (part.false for part in parts)),
                )
            case Not(term):
                true, false = self.evaluate(term)
                return Ternary(false, true)
            case Decided(value):
                # unknown is neither true nor false
                return Ternary(np.full(self.n_rows, value is True), np.full(self.n_rows, value is False))
            case Comparison() | Matches() | Has() | Is() | Flag():
                return self._leaf(tree)
            case _:
                raise NotByColumnError

    def _leaf(self, tree: Comparison | Matches | Has | Is | Flag) -> Ternary:
        name = tree.property
        if name not in SEGMENT_COLUMNS and name not in ("model", "last_modified"):
            return self._looked_up(tree)
        column = self.column(name)
        known = _known(column)
        match tree:
            case Is(_, knowledge):
                wanted = known if knowledge is Knowledge.KNOWN else ~known
                return Ternary(wanted, ~wanted)
            case Has(_, quantifier, values):
                wanted_mask = segments.element_mask(values)
                if quantifier is Quantifier.ONLY:
                    true = ((column.values & ~wanted_mask) == 0).all(axis=1)
                elif quantifier is Quantifier.ANY:
                    true = (column.values & wanted_mask).any(axis=1)
                else:
                    true = ((column.values & wanted_mask) == wanted_mask).all(axis=1)
            case Matches(_, how, text):
                true = _of_texts(column, lambda held: how.test(held, text))
            case Flag():
                true = column.values == 1
            case Comparison(_, operator, value) if column.texts is not None:
                true = _of_texts(column, lambda held: bool(operator.compare(held, value)))
            case Comparison("last_modified", operator, value):
                # as times are printed: without their fraction of a second
                true = operator.compare(np.floor(column.values), whole_seconds(str(value)))
            case Comparison(_, operator, value):
                # float64: a literal is never rounded to a column's precision
                true = operator.compare(column.values, np.float64(value))
        true = true & known
        return Ternary(true, known & ~true)

    def _looked_up(self, tree: Filter) -> Ternary:
        """Where a condition on what a crystal came with is true; it is never unknown."""
        name = getattr(tree, "property", "")
        if name == "twin_id" or (isinstance(tree, Is) and PROPERTIES[name] is not Kind.TEXT):
            raise NotByColumnError
        statement = select(crystals.c.id).where(self._condition(tree)).limit(MAX_LOOKED_UP + 1)
        ids = self._connection.execute(statement).scalars().all()
        by_form = segments.ids_of(ids) if ids else None
        if len(ids) > MAX_LOOKED_UP or (ids and by_form is None):
            raise NotByColumnError
        true = np.zeros(self.n_rows, np.bool_)
        if by_form is not None:
            # ids that share a key share 60 bits of a hash; their texts differ
            wanted = set(ids)
            rows = np.flatnonzero(np.isin(self.keys, by_form.keys()))
            true[rows] = [text in wanted for text in self.ids(rows)]
        return Ternary(true, ~true)


def _known(column: Column) -> Bools:
    values = column.values
    if values.ndim == 2:
        return np.ones(len(values), np.bool_)
    return ~np.isnan(values) if values.dtype.kind == "f" else values >= 0


def _of_texts(column: Column, test: Callable[[str], bool]) -> Bools:
    """The test of each row's text; that of an unknown one means nothing."""
    passing: Bools = np.array([*(test(text) for text in column.texts or ()), False], np.bool_)[column.values]
    return passing


def ranks(column: Column) -> NDArray[np.float64]:
    """Numbers that order as the values of a column do, infinite for unknown ones, shape [n_rows]."""
    known = _known(column)
    if column.texts is None:
        return np.where(known, column.values, np.inf).astype(np.float64)
    order = sorted(range(len(column.texts)), key=column.texts.__getitem__)
    places = np.empty(len(order) + 1)
    places[order] = np.arange(len(order), dtype=np.float64)
    places[-1] = np.inf
    return places[column.values]


def rank_of(column: Column, value: Any) -> float:
    """Where a value, None for unknown, stands among `ranks`."""
    if value is None:
        return np.inf
    # as many texts stand before it
    return float(value) if column.texts is None else float(sum(text < value for text in column.texts))


def first_rows(
    order_by: NDArray[np.float64], keys: NDArray[np.uint64], models: NDArray[np.int64], limit: int
) -> NDArray[np.int64]:
    """Places of the first rows by value, key and model; all of them for the limit 0."""
    places = np.arange(len(keys))
    if 0 < limit < len(keys):
        last = np.partition(order_by, limit - 1)[limit - 1]
        ties = np.flatnonzero(order_by == last)
        n_ties = limit - int((order_by < last).sum())
        if n_ties < len(ties):
            # half a million crystals may share a value, such as exactly 0: only the first of them are sorted
            last_key = np.partition(keys[ties], n_ties - 1)[n_ties - 1]
            ties = ties[keys[ties] <= last_key]
        places = np.concatenate([np.flatnonzero(order_by < last), ties])
    order = np.lexsort((models[places], keys[places], order_by[places]))
    return places[order][: limit or None]
