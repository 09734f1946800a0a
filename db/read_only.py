"""A database that is only read, by many at once and for a bounded time each: what a server needs.

SQLite: `query_only` connections, and a handler that stops a statement at its deadline. PostgreSQL: transactions that
are read-only and a `statement_timeout`. Whoever waits for an answer does not wait for a server's restart.
"""

import sqlite3
import time
from functools import partial

from sqlalchemy import Connection, Engine, event

from db.transactions import PATIENCE

PATIENCE_S = 2.0
STEPS_BETWEEN_LOOKS = 20_000
"""Instructions of SQLite's virtual machine between two looks at the clock: about a millisecond."""

_DEADLINE = "deadline"


def restrict_to_reading(engine: Engine, timeout_s: float) -> Engine:
    """The engine with connections that cannot write and statements that end in time.

    Args:
        engine: of an existing database; its connections are closed, because they were opened without the restriction.
        timeout_s: longest time of a statement, its rows included, in seconds.
    """
    engine.dispose()
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "before_cursor_execute", partial(_set_deadline, timeout_s))
    else:
        event.listen(engine, "do_connect", partial(_configure_postgres, timeout_s))
    return engine.execution_options(**{PATIENCE: PATIENCE_S})


def _configure_sqlite(connection: sqlite3.Connection, record: object) -> None:
    """No statement of this connection writes; one that runs beyond its deadline is interrupted."""
    info = record.info  # type: ignore[attr-defined]  # of SQLAlchemy's record of a connection
    connection.execute("PRAGMA query_only = ON").close()
    connection.set_progress_handler(lambda: time.monotonic() > info.get(_DEADLINE, float("inf")), STEPS_BETWEEN_LOOKS)


def _set_deadline(timeout_s: float, connection: Connection, *_: object) -> None:
    connection.info[_DEADLINE] = time.monotonic() + timeout_s


def _configure_postgres(
    timeout_s: float, _dialect: object, _record: object, _args: object, parameters: dict[str, str]
) -> None:
    options = parameters.get("options", "")
    milliseconds = int(timeout_s * 1000)
    parameters["options"] = f"{options} -c default_transaction_read_only=on -c statement_timeout={milliseconds}".strip()
