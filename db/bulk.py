"""Many rows at once: prepared inserts on SQLite, COPY into a temporary table and from there on PostgreSQL."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Column, Connection, Dialect, MetaData, Select, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.schema import Table
from sqlalchemy.types import TypeDecorator, TypeEngine

from db.base import Float32, PackedArray, PackedTensor, PackedText
from db.storage.packing import deflate, order_codes, pack_tensors, pack_text

Rows = Sequence[Mapping[str, Any]]

Columns = Mapping[str, Sequence[Any] | NDArray[Any]]
"""Values by column, all of one length; an array has NaN for unknown."""

MAX_VARIABLES = 8192
"""Values of a list per statement, which may bind it twice; SQLite takes 32,766, PostgreSQL 65,535."""

COPY_FROM_ROWS = 64
"""Fewer rows are not worth the two statements around a COPY."""


def chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """Values in parts that one statement can bind, the last one of them repeated.

    Lengths are powers of two: SQLite keeps the statements of a connection, and one of each length would be a lot.
    """
    for start in range(0, len(values), MAX_VARIABLES):
        part = list(values[start : start + MAX_VARIABLES])
        yield part + part[-1:] * ((1 << (len(part) - 1).bit_length()) - len(part))


class Conflict(StrEnum):
    """What becomes of a row whose primary key exists."""

    ERROR = "error"
    KEEP = "keep"
    REPLACE = "replace"


def insert_rows(connection: Connection, table: Table, rows: Rows) -> None:
    """Inserts rows, all with the same keys, whose primary keys must be new."""
    insert_columns(connection, table, _columns_of(rows))


def insert_each(connection: Connection, table: Table, rows: Rows) -> None:
    """`insert_rows` without COPY, for a table that a transaction fills more than once."""
    if connection.dialect.name == "sqlite":
        insert_rows(connection, table, rows)
    elif rows:
        connection.execute(table.insert(), rows)


def insert_absent(connection: Connection, table: Table, rows: Rows) -> None:
    """Inserts rows, leaving those that exist as they are."""
    insert_columns(connection, table, _columns_of(rows), Conflict.KEEP)


def upsert(connection: Connection, table: Table, rows: Rows) -> None:
    """Inserts rows, replacing every other column of those whose primary key exists."""
    insert_columns(connection, table, _columns_of(rows), Conflict.REPLACE)


def insert_columns(connection: Connection, table: Table, columns: Columns, conflict: Conflict = Conflict.ERROR) -> None:
    """Inserts rows that are given by their columns.

    Args:
        connection: in a write transaction.
        table: of `metadata`.
        columns: by name.
        conflict: what becomes of a row whose primary key exists.
    """
    names, n_rows = tuple(columns), len(next(iter(columns.values()), ()))
    if n_rows == 0:
        return
    if connection.dialect.name == "sqlite":
        text, order = _sqlite_statement(table, names, conflict)
        bound = _bound_columns(connection.dialect, table, columns)
        connection.exec_driver_sql(text, list(zip(*(bound[name] for name in order), strict=True)))
        return
    statement = _insert(postgresql.insert, table, names, conflict)
    if n_rows >= COPY_FROM_ROWS:
        # COPY cannot resolve conflicts: the rows pass through a temporary table, from which the INSERT takes them.
        connection.execute(statement.from_select(names, _staged(connection, table, columns)))
    else:
        rows = zip(*map(_plain, columns.values()), strict=True)
        connection.execute(statement, [dict(zip(names, row, strict=True)) for row in rows])


def _columns_of(rows: Rows) -> Columns:
    return {name: list(map(itemgetter(name), rows)) for name in rows[0]} if rows else {}


def _plain(values: Sequence[Any] | NDArray[Any]) -> Sequence[Any]:
    """The values of a column as Python's own, None for NaN."""
    if not isinstance(values, np.ndarray):
        return values
    objects = values.astype(object)
    objects[np.isnan(values)] = None
    plain: list[Any] = objects.tolist()
    return plain


def _insert(dialect_insert: Callable[[Table], Any], table: Table, names: Sequence[str], conflict: Conflict) -> Insert:
    statement = dialect_insert(table)
    keys = [column.name for column in table.primary_key]
    # `excluded` is both dialects' name for the row that could not be inserted.
    replaced = {name: statement.excluded[name] for name in names if name not in keys}
    if conflict is Conflict.REPLACE and replaced:
        statement = statement.on_conflict_do_update(index_elements=keys, set_=replaced)
    elif conflict is not Conflict.ERROR:
        statement = statement.on_conflict_do_nothing()
    inserted: Insert = statement
    return inserted


@cache
def _sqlite_statement(table: Table, names: tuple[str, ...], conflict: Conflict) -> tuple[str, list[str]]:
    """The text of an INSERT and the columns in the order of its parameters; to compile it takes milliseconds."""
    statement = _insert(sqlite.insert, table, names, conflict)
    compiled: Any = statement.compile(dialect=sqlite.dialect(), column_keys=list(names))
    return str(compiled), list(compiled.positiontup)


def _bound_columns(dialect: Dialect, table: Table, columns: Columns) -> dict[str, Sequence[Any]]:
    """The values of columns as SQLite takes them, arrays of single precision all at once."""
    singles = {
        name: values
        for name, values in columns.items()
        if isinstance(values, np.ndarray) and isinstance(table.c[name].type, Float32)
    }
    bound = {
        name: _bound(dialect, table.c[name].type, _plain(values))
        for name, values in columns.items()
        if name not in singles
    }
    if singles:
        bound |= zip(singles, order_codes(np.stack(list(singles.values()))), strict=True)
    return bound


def _bound(dialect: Dialect, column: TypeEngine[Any], values: Sequence[Any]) -> Sequence[Any]:
    """A column's values as its type binds them."""
    if isinstance(column, Float32):
        return order_codes(values)
    if isinstance(column, PackedTensor) and None not in values:
        return pack_tensors(column.tensor, values)
    if isinstance(column, PackedArray | PackedText) and None not in values:
        return list(map(deflate if isinstance(column, PackedArray) else pack_text, values))
    processor: Any = column.dialect_impl(dialect).bind_processor(dialect)
    return values if processor is None else [processor(value) for value in values]


def _staged(connection: Connection, table: Table, columns: Columns) -> Select[Any]:
    """Copies rows into a temporary table of the table's shape; gives the SELECT that reads them.

    The temporary table stays with the connection, empty between transactions: making one per transaction would fill
    the server's catalogue with dead rows. Within a transaction each table can be filled once.
    """
    names = list(columns)
    staged = Table(f"staged_{table.name}", MetaData(), *(Column(name, table.c[name].type) for name in names))
    creation = f"CREATE TEMP TABLE IF NOT EXISTS {staged.name} ON COMMIT DELETE ROWS AS TABLE {table.name} WITH NO DATA"
    connection.exec_driver_sql(creation)
    statement = f"COPY {staged.name} ({', '.join(names)}) FROM STDIN (FORMAT BINARY)"
    # what SQLAlchemy would do to each value on its way
    packed = {name: _plain(values) for name, values in columns.items()}
    for column in staged.columns:
        if isinstance(column.type, TypeDecorator) and (packer := column.type.bind_processor(connection.dialect)):
            packed[column.name] = list(map(packer, packed[column.name]))
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            # A binary COPY knows types by their bare names, without the collation.
            types = [column.type.compile(connection.dialect).partition(" COLLATE ")[0] for column in staged.columns]
            copy.set_types([name.lower() for name in types])
            for row in zip(*packed.values(), strict=True):
                copy.write_row(row)
    except connection.dialect.loaded_dbapi.Error as error:
        # SQLAlchemy did not see this call: it must neither use a broken connection again nor miss the error's kind.
        if driver.closed:
            connection.invalidate(error)
        raise DBAPIError(statement, None, error, connection_invalidated=driver.closed) from None
    return select(staged)
