"""Opens SQLite and PostgreSQL so that the rest of `db` need not know which of them it uses.

SQLite: write-ahead log, so readers never wait for the writer; every write transaction takes the write lock at its
start, so that "read, then decide, then write" is safe; foreign keys on. PostgreSQL: psycopg 3.
"""

import os
import re
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from db.failures import hide_password
from db.migrations.state import REVISION_TABLE, has_unfilled_columns, is_current, revision_of
from db.transactions import BINARY_RESULTS, SQLITE_BEGIN, reading, writing
from models.errors import StoreError

BUSY_TIMEOUT_S: float = 60

_LOGIN_PATTERN = re.compile(r"password=|:[^/]*@")

MIGRATION_LOCK = 7470021
"""Key of the PostgreSQL advisory lock that lets one process at a time change the schema."""

POSTGRES_SETTINGS: dict[str, str | int] = {
    "application_name": "gmtscreen",
    "connect_timeout": 10,
    # Without these a driver waits for hours on a connection whose other end has vanished.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    # As long as SQLite waits for a lock; then the step is repeated.
    "options": f"-c lock_timeout={int(BUSY_TIMEOUT_S * 1000)}",
}
"""Connection parameters of libpq; the URL may set its own."""


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
    if backend != "postgresql":
        raise StoreError(f"{backend} is not supported. Use an SQLite path or a postgresql:// URL.")
    if parameter := url.query.get("password"):
        # A password given as `?password=` becomes the URL's own, which is left out wherever a URL is printed.
        password = url.password or (parameter if isinstance(parameter, str) else parameter[-1])
        url = url.set(password=password).difference_update_query(["password"])
    return url.set(drivername="postgresql+psycopg")


def _sqlite_url(path: str) -> URL:
    if _LOGIN_PATTERN.search(path):
        # A URL without its slashes or libpq's `host=... password=...` would become a file, named like the password.
        raise StoreError("The database is neither path nor URL. Write postgresql://user:password@host:5432/name.")
    if path in ("", ":memory:"):
        raise StoreError("A database in memory cannot be shared or resumed. Give a path, for example gmtscreen.db.")
    return URL.create("sqlite+pysqlite", database=path)


def open_engine(url: URL) -> Engine:
    """An engine with our settings; connects once, so that a wrong address shows here.

    Raises:
        StoreError: the database cannot be reached; the message holds no password.
    """
    sqlite = url.get_backend_name() == "sqlite"
    if sqlite:
        _check_file(Path(url.database or ""))
    settings = {} if sqlite else {name: value for name, value in POSTGRES_SETTINGS.items() if name not in url.query}
    try:
        engine = create_engine(url, hide_parameters=True, pool_pre_ping=not sqlite, connect_args=settings)
    except ModuleNotFoundError as error:
        message = f"The driver {error.name} is missing. Install it with: pip install 'gmtscreen[postgres]'."
        raise StoreError(message) from None
    if sqlite:
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "before_cursor_execute", _choose_format)
    # The first connection is made here, so that a wrong address does not show in the middle of the work.
    with reading(engine):
        pass
    if sqlite:
        _keep_to_the_file(engine, Path(url.database or "").absolute())
    return engine


def _choose_format(_connection: Connection, cursor: Any, *rest: Any) -> None:
    """The form in which psycopg asks for a statement's rows, before it is sent."""
    _statement, _parameters, context, _many = rest
    if context.execution_options.get(BINARY_RESULTS):
        formats = type(cursor.format)
        cursor.format = formats.BINARY


def _keep_to_the_file(engine: Engine, path: Path) -> None:
    """Refuses work from now on when another file, or none, is at the path.

    SQLite goes on in a deleted file without a word, and all that it stores there is gone at the end; a new connection
    would make a new, empty file. The log that it leaves beside a file that was put in its place is removed: whoever
    opens that file next would have our rows written into it.
    """
    opened = path.stat()
    log_files = [path.with_name(path.name + ending) for ending in ("-wal", "-shm")]
    ours: dict[Path, int] = {}

    def check(*_: object) -> None:
        with suppress(OSError):
            if os.path.samestat(path.stat(), opened):
                ours.update((file, file.stat().st_ino) for file in log_files if file.exists())
                return
        for file, inode in ours.items():
            with suppress(OSError):
                if file.stat().st_ino == inode:
                    file.unlink()
        raise StoreError(
            f"The database {path} was deleted or replaced while it was in use; what this command stored is not in "
            "what is there now. Put the file back if you moved it, and run the same command again."
        )

    event.listen(engine, "do_connect", check)
    event.listen(engine, "begin", check)


def _check_file(path: Path) -> None:
    """Refuses a path that cannot be a database, and the database of another program before opening changes it."""
    if not path.parent.exists():
        raise StoreError(f"The folder {path.parent} of the database {path.name} does not exist. Create it first.")
    if path.is_dir():
        raise StoreError(f"{path} is a folder. Give the path of a file, for example {path / 'gmtscreen.db'}.")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:
        return  # there is none yet, or it cannot be read: opening it will say why
    if names and REVISION_TABLE not in names:
        raise StoreError(
            f"{path} is a database of another program: it has the table {min(names)}, and none of gmtscreen. Give "
            "another path."
        )


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we emit BEGIN ourselves, see _begin_sqlite
    cursor = connection.cursor()
    # The timeout comes first: switching to WAL needs the lock that another process may hold.
    cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
    # Of a new file only: rows of some hundred bytes and long arrays leave less of a page empty.
    cursor.execute("PRAGMA page_size = 8192")
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
    mode = connection.get_execution_options().get(SQLITE_BEGIN, "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")


def compact(url: URL) -> None:
    """Gives what an SQLite file no longer needs back to the file system, unless another program works in it now.

    Nothing to do on PostgreSQL, whose space is freed by the table.
    """
    if url.get_backend_name() == "sqlite":
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(url.database or "", timeout=1)) as connection:
            connection.execute("VACUUM")


def create_or_migrate(engine: Engine) -> None:
    """Brings the schema to the newest revision and adds columns for quantities that are new in the registry.

    Of stored results the new columns are computed, some thousand a second; whoever opens the database after a kill
    goes on where it stopped.
    """
    with reading(engine) as connection:
        is_done = is_current(connection)
        if is_done and not has_unfilled_columns(connection):
            return
        is_new = revision_of(connection) is None
    if not is_done:
        _migrate(engine)
    if not is_new:
        # This imports what derives properties.
        from db.migrations.fill import fill_new_columns

        fill_new_columns(engine)
        compact(engine.url)


def _migrate(engine: Engine) -> None:
    """One transaction: all revisions and new columns, or none."""
    # Alembic takes a third of a second to import; a database that is up to date does not need it.
    from db.migrations.upgrade import add_new_columns, upgrade
    from db.segments import models_without, rebuild

    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
        upgrade(connection, engine.url)
        add_new_columns(connection)
        for model_id in models_without(connection):
            rebuild(connection, model_id)
