"""Many rows at once: prepared inserts on SQLite, COPY into a temporary table and from there on PostgreSQL."""

from typing import Any

from sqlalchemy import Column, Connection, MetaData, Select, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.schema import Table
from sqlalchemy.types import TypeDecorator

from db.base import Float32, PackedTensor, metadata
from db.storage.packing import order_codes, pack_tensors

Rows = list[dict[str, Any]]

MAX_VARIABLES = 10_000
"""Bound values per statement; SQLite takes 32,766, PostgreSQL 65,535."""

COPY_FROM_ROWS = 64
"""Fewer rows are not worth the two statements around a COPY."""


def insert_rows(connection: Connection, table: Table, rows: Rows) -> None:
    """Inserts rows whose primary keys must be new."""
    _insert(connection, table.insert(), rows)


def insert_absent(connection: Connection, table: Table, rows: Rows) -> None:
    """Inserts rows, leaving those that exist as they are."""
    _insert(connection, _dialect_insert(connection, table).on_conflict_do_nothing(), rows)


def upsert(connection: Connection, table: Table, rows: Rows) -> None:
    """Inserts rows, replacing every other column of those whose primary key exists."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    statement = _dialect_insert(connection, table)
    # `excluded` is both dialects' name for the row that could not be inserted.
    replaced = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    _insert(connection, statement.on_conflict_do_update(index_elements=keys, set_=replaced), rows)


def _dialect_insert(connection: Connection, table: Table) -> Any:
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def _insert(connection: Connection, statement: Insert, rows: Rows) -> None:
    """Runs an INSERT for rows that all have the same keys."""
    if connection.dialect.name == "postgresql" and len(rows) >= COPY_FROM_ROWS:
        # COPY cannot resolve conflicts: the rows pass through a temporary table, from which the INSERT takes them.
        names = list(rows[0])
        connection.execute(statement.from_select(names, _staged(connection, str(statement.table), names, rows)))
    elif rows and connection.dialect.name == "sqlite":
        compiled: Any = statement.compile(dialect=connection.dialect, column_keys=list(rows[0]))
        columns = [_bound(connection, statement, name, rows) for name in compiled.positiontup]
        connection.exec_driver_sql(str(compiled), list(zip(*columns, strict=True)))
    elif rows:
        connection.execute(statement, rows)


def _bound(connection: Connection, statement: Insert, name: str, rows: Rows) -> list[Any]:
    """A column's values as its type binds them, numbers of single precision all at once."""
    values = [row[name] for row in rows]
    column = metadata.tables[str(statement.table)].c[name].type
    if isinstance(column, Float32):
        return order_codes(values)
    if isinstance(column, PackedTensor) and None not in values:
        return list(pack_tensors(column.tensor, values))
    processor: Any = column.dialect_impl(connection.dialect).bind_processor(connection.dialect)
    return values if processor is None else [processor(value) for value in values]


def _staged(connection: Connection, table: str, names: list[str], rows: Rows) -> Select[Any]:
    """Copies rows into a temporary table of the table's shape; gives the SELECT that reads them.

    The temporary table stays with the connection, empty between transactions: making one per transaction would fill
    the server's catalogue with dead rows. Within a transaction each table can be filled once.
    """
    columns = metadata.tables[table].c
    staged = Table(f"staged_{table}", MetaData(), *(Column(name, columns[name].type) for name in names))
    creation = f"CREATE TEMP TABLE IF NOT EXISTS {staged.name} ON COMMIT DELETE ROWS AS TABLE {table} WITH NO DATA"
    connection.exec_driver_sql(creation)
    statement = f"COPY {staged.name} ({', '.join(names)}) FROM STDIN (FORMAT BINARY)"
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            # A binary COPY knows types by their bare names, without the collation.
            types = [column.type.compile(connection.dialect).partition(" COLLATE ")[0] for column in staged.columns]
            copy.set_types([name.lower() for name in types])
            # what SQLAlchemy would do to each value on its way
            packers = [
                (column.name, packer)
                for column in staged.columns
                if isinstance(column.type, TypeDecorator) and (packer := column.type.bind_processor(connection.dialect))
            ]
            for row in rows:
                packed = {name: packer(row[name]) for name, packer in packers}
                copy.write_row(tuple((row | packed).values()))
    except connection.dialect.loaded_dbapi.Error as error:
        # SQLAlchemy did not see this call: it must neither use a broken connection again nor miss the error's kind.
        if driver.closed:
            connection.invalidate(error)
        raise DBAPIError(statement, None, error, connection_invalidated=driver.closed) from None
    return select(staged)
