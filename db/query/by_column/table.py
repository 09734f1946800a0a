"""Searches over the stored columns: a filter becomes arrays of true and false, a sort picks the first of a million.

The same answers as the SQL of `db.query.pages`, in the same order, at a few milliseconds per column and million rows.
Source ids, doubts and ids are looked up in their tables; what cannot be had by column raises `NotByColumnError`, and
then SQL answers alone.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, select

from db import segments
from db.query.by_column.rows import NotByColumnError, column_of, is_in, rows_of
from db.query.by_column.second_opinions import second_opinion_column
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
    Operator,
    Or,
    Quantifier,
)
from db.query.properties import PROPERTIES, SECOND_OPINION, Kind
from db.query.times import whole_seconds
from db.segments import SEGMENT_COLUMNS, Column
from db.storage.segment_ids import ids_of
from db.tables import crystals

Bools = NDArray[np.bool_]
SqlCondition = Callable[[Filter], ColumnElement[bool]]

LOOKED_UP = frozenset({Kind.SOURCE_IDS, Kind.DOUBTS})
WITH_COLUMN = frozenset({*SEGMENT_COLUMNS, *SECOND_OPINION, "model", "last_modified"})
"""Properties that are compared in an array of all rows."""

BY_COLUMN = PROPERTIES.keys() & {*WITH_COLUMN, "id"} - {"elements"}
"""Properties whose values columns give as their tables do; elements are kept without their order."""

MAX_LOOKED_UP = 200_000
"""Ids that a look-up may give before SQL answers alone."""


class Ternary(NamedTuple):
    """Where a condition is true and where it is false, shape [n_rows]; elsewhere it is unknown."""

    true: Bools
    false: Bools


class Table:
    """The results of some model versions by column, each column read when it is first needed.

    Args:
        connection: for reading.
        names: what each version is called, by number; that of which a crystal's result counts last.
        condition: the SQL of a filter, for what must be looked up.

    Attributes:
        rows: what the columns are columns of.
    """

    def __init__(self, connection: Connection, names: Mapping[int, str], condition: SqlCondition) -> None:
        self._connection, self._condition, self._names = connection, condition, names
        self._columns: dict[str, Column] = {}
        self.rows = rows_of(connection, list(names))
        self.n_rows = len(self.rows.keys)
        self.keys, self.models = self.rows.keys, self.rows.models

    def ids(self, rows: NDArray[np.int64]) -> list[str]:
        """The crystal ids of some rows."""
        first_rows = self.rows.first_rows
        part_of = np.searchsorted(first_rows, rows, "right") - 1
        texts = [""] * len(rows)
        for part in np.unique(part_of):
            places = np.flatnonzero(part_of == part)
            found = self.rows.ids[part].texts(rows[places] - first_rows[part])
            for place, text in zip(places.tolist(), found, strict=True):
                texts[place] = text
        return texts

    def column(self, name: str) -> Column:
        """A column of all rows, its texts in their order.

        Raises:
            NotByColumnError: the property is not stored by column.
        """
        if name not in self._columns:
            self._columns[name] = self._read(name)
        return self._columns[name]

    def _read(self, name: str) -> Column:
        if name == "model":
            texts = sorted(self._names.values())
            values = np.zeros(self.n_rows, np.int32)
            for model_id, text in self._names.items():
                values[self.models == model_id] = texts.index(text)
            return Column(values, texts)
        if name in SECOND_OPINION:
            return second_opinion_column(self._connection, self, name)
        name = "created" if name == "last_modified" else name
        if name not in SEGMENT_COLUMNS:
            raise NotByColumnError
        return column_of(self._connection, self.rows, list(self._names), name)

    def values(self, name: str, rows: NDArray[np.int64]) -> list[Any]:
        """The values of a property of `BY_COLUMN` in some rows, None for unknown, as they are read of its table."""
        if name == "id":
            return self.ids(rows)
        column = self.column(name).take(rows)
        if column.texts is not None:
            return [column.texts[place] if place >= 0 else None for place in column.values.tolist()]
        convert = {Kind.FLAG: bool, Kind.INTEGER: int}.get(PROPERTIES[name], float)
        pairs = zip(column.values.tolist(), _known(column).tolist(), strict=True)
        return [convert(value) if known else None for value, known in pairs]

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
        if name not in WITH_COLUMN:
            return self._looked_up(tree)
        column = self.column(name)
        known = _known(column)
        match tree:
            case Is(_, knowledge):
                wanted = known if knowledge is Knowledge.KNOWN else ~known
                return Ternary(wanted, ~wanted)
            case Has(_, quantifier, values):
                true = _has(column.values, quantifier, segments.element_mask(values))
            case Matches(_, how, text):
                # the last one is that of unknown texts
                passing = [*(how.test(held, text) for held in column.texts or ()), False]
                true = np.array(passing, np.bool_)[column.values]
            case Flag():
                true = column.values == 1
            case Comparison(_, operator, value) if column.texts is not None:
                true = _compared_texts(column, operator, str(value))
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
        by_form = ids_of(ids) if ids else None
        if len(ids) > MAX_LOOKED_UP or (ids and by_form is None):
            raise NotByColumnError
        true = np.zeros(self.n_rows, np.bool_)
        if by_form is not None:
            # ids that share a key share 60 bits of a hash; their texts differ
            wanted = set(ids)
            rows = np.flatnonzero(is_in(self.keys, np.sort(by_form.keys())))
            true[rows] = [text in wanted for text in self.ids(rows)]
        return Ternary(true, ~true)


def _known(column: Column) -> Bools:
    values = column.values
    if values.ndim == 2:
        return np.ones(len(values), np.bool_)
    return ~np.isnan(values) if values.dtype.kind == "f" else values >= 0


def _has(masks: NDArray[np.uint64], quantifier: Quantifier, wanted: NDArray[np.uint64]) -> Bools:
    """Whether the elements of each row, [n_rows, 2], are as a filter wants them."""
    of_words = []
    for word, mask in enumerate(wanted):
        if quantifier is Quantifier.ONLY:
            of_words.append((masks[:, word] & ~mask) == 0)
        elif mask:
            held = masks[:, word] & mask
            of_words.append(held != 0 if quantifier is Quantifier.ANY else held == mask)
    return reduce(np.logical_or if quantifier is Quantifier.ANY else np.logical_and, of_words)


def _compared_texts(column: Column, operator: Operator, text: str) -> Bools:
    """The comparison of each row's text; that of an unknown one means nothing."""
    texts = column.texts or []
    before, until = bisect_left(texts, text), bisect_right(texts, text)
    # codes order as texts do, and those that equal the text are one or none
    match operator:
        case Operator.EQUAL | Operator.UNEQUAL:
            equal = column.values == before if until > before else np.zeros(len(column.values), np.bool_)
            return equal if operator is Operator.EQUAL else ~equal
        case Operator.LESS | Operator.GREATER_EQUAL:
            less: Bools = column.values < before
            return less if operator is Operator.LESS else ~less
        case Operator.LESS_EQUAL | Operator.GREATER:
            up_to: Bools = column.values < until
            return up_to if operator is Operator.LESS_EQUAL else ~up_to


def ranks(column: Column) -> NDArray[np.floating[Any]]:
    """Numbers that order as the values of a column do, infinite for unknown ones, shape [n_rows]."""
    values = column.values if column.values.dtype.kind == "f" else column.values.astype(np.float64)
    return np.where(_known(column), values, np.array(np.inf, values.dtype))


def rank_of(column: Column, value: Any) -> float:
    """Where a value, None for unknown, stands among `ranks`."""
    if value is None:
        return np.inf
    return float(value) if column.texts is None else float(bisect_left(column.texts, value))


def first_rows(
    order_by: NDArray[np.floating[Any]], keys: NDArray[np.uint64], models: NDArray[np.int32], limit: int
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
