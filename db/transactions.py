"""Transactions: all of it or nothing, repeated while the database is away.

A step that `write` or `read` runs must be repeatable: when a connection breaks during COMMIT, nobody knows whether the
server received it. The ledger's steps are: a block that is in and a shard that is committed stay as they are.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from db.failures import StoreUnavailableError, store_error

LOGGER = logging.getLogger("gmtscreen.db")

PATIENCE_S = 300.0
"""How long a step is repeated while the database is away: long enough for a server's restart."""

PATIENCE = "patience_s"
"""Execution option of an engine: how long its steps are repeated, where that is not `PATIENCE_S`."""

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 15.0

BINARY_RESULTS = "binary_results"
"""Execution option: PostgreSQL sends a statement's rows in binary form; as text, bytes take four times as long."""

SQLITE_BEGIN = "sqlite_begin"
"""Execution option: how a transaction begins on SQLite."""

P = ParamSpec("P")
T = TypeVar("T")


def write(engine: Engine, step: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs a step in a write transaction of its own, again and again while the database is away.

    Args:
        engine: the database.
        step: takes the connection and the arguments; repeating it after its commit must change nothing.
        args: for the step.
        kwargs: for the step.

    Returns:
        What the step returned.

    Raises:
        StoreUnavailableError: the database stayed away for `PATIENCE_S` seconds.
        StoreError: it refused for another reason, at once.
    """
    return _repeated(writing, engine, step, *args, **kwargs)


def read(engine: Engine, step: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs a step in a read transaction of its own; otherwise as `write`."""
    return _repeated(reading, engine, step, *args, **kwargs)


def _repeated(
    transaction: Callable[[Engine], AbstractContextManager[Connection]],
    engine: Engine,
    step: Callable[Concatenate[Connection, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """The step's first result; between failures that can go away it pauses, twice as long each time."""
    patience = engine.get_execution_options().get(PATIENCE, PATIENCE_S)
    deadline, pause = time.monotonic() + patience, FIRST_PAUSE_S
    while True:
        try:
            with transaction(engine) as connection:
                return step(connection, *args, **kwargs)
        except StoreUnavailableError as error:
            # Another pause that outlasts the deadline would only delay the error.
            if time.monotonic() + pause > deadline:
                raise
            LOGGER.warning("%s; trying again in %g s", str(error).partition(". Check ")[0], pause)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One write transaction, once: all of it is committed, or nothing."""
    # SQLite: the write lock at the start, else a transaction that has read could not begin to write beside another.
    with _translated(engine), engine.execution_options(**{SQLITE_BEGIN: "IMMEDIATE"}).begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One read transaction that sees one state of the database throughout; on SQLite it never waits for a writer."""
    if engine.dialect.name == "postgresql":
        # PostgreSQL's default would let each statement see what others committed meanwhile.
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    with _translated(engine), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeoutError) as error:
        raise store_error(engine.url, error) from None


def database_time(connection: Connection) -> float:
    """Seconds since 1970 UTC on the database's clock, so that leases do not depend on the workers' clocks."""
    if connection.dialect.name == "postgresql":
        return float(connection.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())
    return time.time()
