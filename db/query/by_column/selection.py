"""The hits of a request: which rows, in which order; found by column, or by SQL alone."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, Select, case, literal, not_, select

from db import registry
from db.query.by_column.rows import NotByColumnError
from db.query.by_column.table import BY_COLUMN, Table, first_rows, rank_of, ranks
from db.query.filter_language import parse_filter
from db.query.filter_tree import Filter, properties_of
from db.query.properties import SECOND_OPINION
from db.query.request import Request, sort_property
from db.query.sql.conditions import COLUMNS, HITS, Condition, to_condition
from db.query.sql.lists import INPUT_LISTS
from db.records import is_combined
from db.storage.segment_ids import ids_of
from db.tables import ModelState, models, results

FETCHED_ROWS = 1000
"""Rows that are asked for by id in one statement; so many or more are made of columns, where their fields are there."""


def selected(request: Request) -> Select[Any]:
    """The fields of a request's rows, with what its pages are ordered by; without any condition."""
    name, _ = sort_property(request.sort)
    sort = results.c.crystal_id if name is None else COLUMNS[name]
    keys = [results.c.crystal_id.label("_crystal"), results.c.model_id.label("_model"), sort.label("_sort")]
    columns = [COLUMNS[field].label(field) for field in request.fields if field not in INPUT_LISTS]
    return select(*keys, *columns).select_from(HITS)


class Selection:
    """The rows of a request, found by column.

    Args:
        connection: for reading.
        request: what is asked for; its limit is left out.

    Raises:
        NotByColumnError: only SQL can answer.
        FilterError: the filter is not valid.
        StoreError: the model is unknown.
    """

    def __init__(self, connection: Connection, request: Request) -> None:
        self._connection, self._request = connection, request
        tree = parse_filter(request.filter, request.vocabulary) if request.filter.strip() else None
        chosen = None if request.model is None else registry.matching_ids(connection, request.model)
        versions = _versions(connection, chosen, tree)
        self.table = Table(connection, {row.id: f"{row.name}@{row.version}" for row in versions}, to_condition)
        self._all_models = tree is not None and "model" in properties_of(tree) and not request.one_per_crystal
        passing = np.ones(self.table.n_rows, np.bool_) if tree is None else self.table.evaluate(tree).true
        self.rows = np.flatnonzero(passing if self._all_models else passing & self.table.rows.best)

    def shown(self) -> NDArray[np.int64]:
        """The rows that a search without a filter shows: of each crystal one, unless the filter asks for a model."""
        return np.flatnonzero(np.ones_like(self.table.rows.best) if self._all_models else self.table.rows.best)

    def first(self, limit: int) -> NDArray[np.int64]:
        """The first rows in the request's order, after its mark; all for the limit 0.

        Raises:
            NotByColumnError: what is sorted by is not stored by column.
        """
        table, rows, after = self.table, self.rows, self._request.after
        name, descending = sort_property(self._request.sort)
        order_by, keys, rank = np.zeros(len(rows), np.float32), table.keys[rows], np.float64(0.0)
        if name == "id":
            # keys order as ids do; complemented they order the other way round
            keys = ~keys if descending else keys
        elif name is not None:
            column = table.column(name)
            order_by = ranks(column.take(rows))
            # float64: a mark is never rounded to a column's precision
            rank = np.float64(rank_of(column, after.value) if after else 0.0)
            if descending:
                order_by[np.isfinite(order_by)] *= -1
                rank = -rank if np.isfinite(rank) else rank
        if after is not None:
            ids = ids_of([after.crystal_id])
            if ids is None:
                raise NotByColumnError
            key = ~ids.keys()[0] if name == "id" and descending else ids.keys()[0]
            beyond = (keys > key) | ((keys == key) & (table.models[rows] > after.model_id))
            further = (order_by > rank) | ((order_by == rank) & beyond)
            rows, order_by, keys = rows[further], order_by[further], keys[further]
        return rows[first_rows(order_by, keys, table.models[rows], limit)]

    def fetch(self, rows: NDArray[np.int64]) -> list[Any]:
        """The wanted fields of some rows, in their order."""
        fields = [field for field in self._request.fields if field not in INPUT_LISTS]
        if len(rows) >= FETCHED_ROWS and BY_COLUMN.issuperset(fields):
            return self._of_columns(rows, fields)
        keys = list(zip(self.table.ids(rows), self.table.models[rows].tolist(), strict=True))
        statement = selected(self._request).where(results.c.model_id.in_({model_id for _, model_id in keys}))
        found: dict[tuple[str, int], Any] = {}
        for start in range(0, len(keys), FETCHED_ROWS):
            ids = sorted({crystal_id for crystal_id, _ in keys[start : start + FETCHED_ROWS]})
            for row in self._connection.execute(statement.where(results.c.crystal_id.in_(ids))).mappings():
                found[row["_crystal"], row["_model"]] = row
        return [found[key] for key in keys]

    def _of_columns(self, rows: NDArray[np.int64], fields: Sequence[str]) -> list[Any]:
        """What `fetch` reads of the tables, without looking there."""
        table = self.table
        sort, _ = sort_property(self._request.sort)
        columns = {"_crystal": table.ids(rows), "_model": table.models[rows].tolist()}
        columns |= {name: table.values(name, rows) for name in fields}
        columns["_sort"] = table.values(sort or "id", rows)
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _versions(connection: Connection, chosen: list[int] | None, tree: Filter | None) -> list[Row[Any]]:
    """The model versions, or the chosen ones, the one to show of each crystal last: the current, else the newest.

    That of a second opinion comes before all others where the filter asks about second opinions, else after them: what
    was found without it stays the same.
    """
    columns = (models.c.id, models.c.state, models.c.name, models.c.version)
    versions = connection.execute(select(*columns).order_by(models.c.id)).all()
    versions = [row for row in versions if chosen is None or row.id in chosen]
    asked = tree is not None and not SECOND_OPINION.isdisjoint(properties_of(tree))
    return sorted(versions, key=lambda row: (is_combined(row.name) == asked, row.state == ModelState.CURRENT, row.id))


def conditions(connection: Connection, request: Request) -> Iterator[Condition]:
    """The conditions that a hit of a request meets: those of its filter, and that its model is the one to show."""
    tree = parse_filter(request.filter, request.vocabulary) if request.filter.strip() else None
    if tree is not None:
        yield to_condition(tree)
    yield from which_rows(connection, tree, request)


def which_rows(connection: Connection, tree: Filter | None, request: Request) -> Iterator[Condition]:
    """Conditions that leave the rows to search in: those of the wanted model, else each crystal's best one.

    Args:
        connection: to the database.
        tree: the request's filter.
        request: what is asked for.
    """
    chosen = None if request.model is None else registry.matching_ids(connection, request.model)
    if chosen is not None:
        yield results.c.model_id.in_(chosen)
    # Who filters by model wants to see several results of one crystal, unless the request says otherwise.
    if request.one_per_crystal or tree is None or "model" not in properties_of(tree):
        yield from _best_model_only(connection, chosen, tree)


def _best_model_only(connection: Connection, chosen: list[int] | None, tree: Filter | None) -> Iterator[Condition]:
    """One row per crystal: that of the current model, else of the newest; nothing to do when there is one model."""
    ordered = _versions(connection, chosen, tree)
    if len(ordered) < 2:
        return
    places = {row.id: place for place, row in enumerate(ordered)}
    other = results.alias("other")
    better = case(places, value=other.c.model_id, else_=-1) > case(places, value=results.c.model_id, else_=-1)
    beaten = select(literal(1)).where(other.c.crystal_id == results.c.crystal_id, better)
    yield not_(beaten.correlate(results).exists())
