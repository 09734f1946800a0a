"""Opens SQLite and PostgreSQL so that the rest of `db` need not know which one it talks to.

SQLite: write-ahead log, so readers never wait for the writer; every write transaction takes the write lock at its
start, so that "read, then decide, then write" is safe; foreign keys on. PostgreSQL: psycopg 3. Passwords never reach
an error message.
"""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.schema import Table

from db.migrations.state import is_current
from models.errors import StoreError

BUSY_TIMEOUT_S = 60
MAX_VARIABLES = 10_000
"""Bound values per statement; SQLite takes 32,766, PostgreSQL 65,535."""

MIGRATION_LOCK = 7470021
"""Key of the PostgreSQL advisory lock that lets one process at a time change the schema."""

_SQLITE_BEGIN = "sqlite_begin"
_PASSWORD = re.compile(r"(://[^:/@\s]*:)\S*(@)")


def hide_password(text: str) -> str:
    """The text with the password of every URL in it replaced by ***."""
    return _PASSWORD.sub(r"\1***\2", text)


def parse_url(db: str | Path) -> URL:
    """The database's URL, from an SQLite path or an SQLAlchemy URL.

    Raises:
        StoreError: the URL cannot be read, names another database, or names one that lives in memory only.
    """
    text = str(db)
    if "://" not in text:
        return _sqlite_url(text)
    if text.partition("?")[0].count("@") > 1:
        # Read as it stands, the tail of such a password would become a host name and be printed as one.
        message = (
            f"{hide_password(text)} holds @ more than once. In user and password write @ as %40, : as %3A, / as %2F."
        )
        raise StoreError(message)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        message = (
            f"{hide_password(text)} is no database URL. Write a path, or postgresql://user:password@host:5432/name."
        )
        raise StoreError(message) from None
    backend = "postgresql" if url.drivername == "postgres" else url.get_backend_name()
    if backend == "sqlite":
        return _sqlite_url(url.database or "")
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    raise StoreError(f"{backend} is not supported. Use an SQLite path or a postgresql:// URL.")


def _sqlite_url(path: str) -> URL:
    if path in ("", ":memory:"):
        raise StoreError("A database in memory cannot be shared or resumed. Give a path, for example gmtscreen.db.")
    return URL.create("sqlite+pysqlite", database=path)


def open_engine(url: URL) -> Engine:
    """An engine with our settings; connects once, so that a wrong address shows here.

    Raises:
        StoreError: the database cannot be reached; the message holds no password.
    """
    if url.get_backend_name() == "sqlite":
        _check_folder(Path(url.database or ""))
    try:
        engine = create_engine(url, hide_parameters=True, pool_pre_ping=url.get_backend_name() != "sqlite")
    except ModuleNotFoundError as error:
        message = f"The driver {error.name} is missing. Install it with: pip install 'gmtscreen[postgres]'."
        raise StoreError(message) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    with reading(engine):
        pass
    return engine


def _check_folder(path: Path) -> None:
    if not path.parent.exists():
        raise StoreError(f"The folder {path.parent} of the database {path.name} does not exist. Create it first.")
    if path.is_dir():
        raise StoreError(f"{path} is a folder. Give the path of a file, for example {path / 'gmtscreen.db'}.")


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we emit BEGIN ourselves, see _begin_sqlite
    cursor = connection.cursor()
    # The timeout comes first: switching to WAL needs the lock that another process may hold.
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")
    _switch_to_wal(cursor)
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _switch_to_wal(cursor: sqlite3.Cursor) -> None:
    """Turns the write-ahead log on; unlike other statements this one does not wait for a lock by itself."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # The low byte is the primary code; the rest says which kind of busy it is.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get(_SQLITE_BEGIN, "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One write transaction: all of it is committed, or nothing."""
    with _translated(engine), engine.execution_options(**{_SQLITE_BEGIN: "IMMEDIATE"}).begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One read transaction that sees one state of the database throughout; on SQLite it never waits for a writer."""
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    with _translated(engine), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeoutError) as error:
        raise StoreError(describe_failure(engine.url, error)) from None


def describe_failure(url: URL, error: Exception) -> str:
    """What the database said, in one line and without the password."""
    original = getattr(error, "orig", None) or error
    said = " ".join(hide_password(str(original)).split())
    # Short passwords would blank out parts of ordinary words; drivers do not echo them anyway.
    if url.password and len(url.password) >= 4:
        said = said.replace(url.password, "***")
    return (
        f"The database {url.render_as_string(hide_password=True)} refused: {said}. "
        "Check that it is reachable, has space left, and is written by nothing but gmtscreen."
    )


def insert_into(connection: Connection, table: Table) -> Any:
    """An INSERT of the connection's dialect, which has `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def insert_absent(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Inserts rows, leaving those that exist as they are."""
    if rows:
        connection.execute(insert_into(connection, table).on_conflict_do_nothing(), rows)


def upsert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Inserts rows, replacing every other column of those whose primary key exists."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    statement = insert_into(connection, table)
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), rows)


def insert_rows(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Inserts rows that must be new."""
    if rows:
        statement: Insert = table.insert()
        connection.execute(statement, rows)


def database_time(connection: Connection) -> float:
    """Seconds since 1970 UTC on the database's clock, so that leases do not depend on the workers' clocks."""
    if connection.dialect.name == "postgresql":
        return float(connection.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())
    return time.time()


def create_or_migrate(engine: Engine) -> None:
    """Brings the schema to the newest revision and adds columns for quantities that are new in the registry."""
    with reading(engine) as connection:
        if is_current(connection):
            return
    # Alembic takes a third of a second to import; a database that is up to date does not need it.
    from db.migrations.upgrade import add_new_columns, upgrade

    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
        upgrade(connection, engine.url)
        add_new_columns(connection)
