"""Pages of hits: the only read path of searches.

Which rows are hits and in which order is found by column; their values are read from their tables. What columns cannot
answer SQL answers alone, the same on SQLite and PostgreSQL. Pages go by key ("after this row"), not by offset, so the
last page costs what the first does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Select, and_, literal, or_

from db.query.by_column.rows import NotByColumnError
from db.query.by_column.selection import Selection, conditions, selected
from db.query.properties import PROPERTIES, Kind
from db.query.request import Page, PageMark, Request, sort_property
from db.query.sql.conditions import COLUMNS
from db.query.sql.lists import INPUT_LISTS, values_of
from db.query.times import time_text
from db.tables import results
from models.errors import FilterError

if TYPE_CHECKING:
    import pandas as pd


def page(connection: Connection, request: Request) -> Page:
    """The rows of a request, without limit when its limit is 0, and where the next page starts.

    Raises:
        FilterError: filter, sort or limit are not valid.
        StoreError: the model is unknown.
    """
    _check(request)
    try:
        hits = Selection(connection, request)
        # one more shows whether there is a next page
        rows = hits.first(request.limit and request.limit + 1)
    except NotByColumnError:
        return sql_page(connection, request)
    return _page(connection, request, hits.fetch(rows))


def _check(request: Request) -> None:
    if request.limit < 0:
        raise FilterError(f"The limit is {request.limit}. Give 0 for all rows, or a positive number.")
    sort_property(request.sort)


def _page(connection: Connection, request: Request, rows: Sequence[Any]) -> Page:
    mark = None
    if len(rows) > request.limit > 0:
        rows = rows[: request.limit]
        mark = PageMark(rows[-1]["_sort"], rows[-1]["_crystal"], rows[-1]["_model"])
    return Page(list(_finish_rows(connection, rows, request.fields)), mark)


def sql_page(connection: Connection, request: Request) -> Page:
    """The same by SQL alone; slow where a million rows must be looked at."""
    statement = _ordered(selected(request).where(*conditions(connection, request)), request)
    if request.limit:
        statement = statement.limit(request.limit + 1)
    return _page(connection, request, connection.execute(statement).mappings().all())


def stream(connection: Connection, request: Request, rows_per_block: int = 1000) -> Iterator[list[dict[str, Any]]]:
    """The rows of a request in blocks, in the order of its pages, up to its limit; memory does not grow with them."""
    _check(request)
    try:
        hits = Selection(connection, request)
        ordered = hits.first(request.limit)
    except NotByColumnError:
        yield from _sql_stream(connection, request, rows_per_block)
        return
    for start in range(0, len(ordered), rows_per_block):
        rows = hits.fetch(ordered[start : start + rows_per_block])
        yield list(_finish_rows(connection, rows, request.fields))


def _sql_stream(connection: Connection, request: Request, rows_per_block: int) -> Iterator[list[dict[str, Any]]]:
    left = request.limit
    while True:
        size = min(rows_per_block, left) if left else rows_per_block
        block = sql_page(connection, replace(request, limit=size))
        if block.rows:
            yield block.rows
        left -= len(block.rows) if left else 0
        if block.next is None or (request.limit and left <= 0):
            return
        request = replace(request, after=block.next)


def _ordered(statement: Select[Any], request: Request) -> Select[Any]:
    name, descending = sort_property(request.sort)
    sort = results.c.crystal_id if name is None else COLUMNS[name]
    after = request.after
    if after is not None:
        beyond = or_(
            results.c.crystal_id > after.crystal_id,
            and_(results.c.crystal_id == after.crystal_id, results.c.model_id > after.model_id),
        )
        # Unknown values sort last: after one of them only further unknown ones come.
        if after.value is None:
            statement = statement.where(sort.is_(None), beyond)
        else:
            last = literal(after.value, sort.type)
            further = sort < last if descending else sort > last
            statement = statement.where(or_(further, and_(sort == last, beyond), sort.is_(None)))
    direction = sort.desc() if descending else sort.asc()
    return statement.order_by(direction.nulls_last(), results.c.crystal_id, results.c.model_id)


def _finish_rows(connection: Connection, rows: Sequence[Any], fields: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Rows as dicts in the order of the fields, with lists where a property is one."""
    crystal_ids = [row["_crystal"] for row in rows]
    lists = {name: values_of(connection, name, crystal_ids) for name in fields if name in INPUT_LISTS}
    for row in rows:
        values: dict[str, Any] = {}
        for name in fields:
            values[name] = lists[name][row["_crystal"]] if name in lists else row[name]
        if values.get("last_modified") is not None:
            values["last_modified"] = time_text(values["last_modified"])
        if "elements" in values:
            values["elements"] = values["elements"].strip(",").split(",")
        yield values


_DTYPES = {Kind.NUMBER: "float64", Kind.INTEGER: "Int64", Kind.FLAG: "boolean"}


def to_frame(rows: list[dict[str, Any]], fields: tuple[str, ...]) -> "pd.DataFrame":
    """Rows as a table; columns have their kind's type also where all values are unknown, or where there is no row."""
    # Imported here: it takes longer than most queries.
    import pandas as pd

    columns = {}
    for name in fields:
        columns[name] = pd.Series([row[name] for row in rows], dtype=_DTYPES.get(PROPERTIES[name], "object"))
    return pd.DataFrame(columns)
