"""Fresh databases for the tests: SQLite always, PostgreSQL where GMTSCREEN_TEST_POSTGRES holds the URL of a server."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from db.engine import parse_url
from db.store import ResultStore

POSTGRES = "GMTSCREEN_TEST_POSTGRES"


@contextmanager
def fresh_postgres() -> Iterator[str]:
    """The URL of an empty PostgreSQL database, dropped afterwards."""
    server = parse_url(os.environ[POSTGRES])
    name = f"gmtscreen_test_{uuid.uuid4().hex[:12]}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0")
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A path or URL of an empty database, once per dialect."""
    if request.param == "sqlite":
        yield str(tmp_path / "test.db")
        return
    if POSTGRES not in os.environ:
        pytest.skip(f"{POSTGRES} is not set; it takes the URL of a PostgreSQL server where databases may be created")
    with fresh_postgres() as url:
        yield url


@pytest.fixture
def store(db: str) -> Iterator[ResultStore]:
    """An empty store, once per dialect."""
    with ResultStore(db) as opened:
        yield opened


@pytest.fixture
def open_again(db: str) -> Iterator[Callable[[], ResultStore]]:
    """Opens more stores on the database of `store`, as other processes would."""
    opened: list[ResultStore] = []

    def another() -> ResultStore:
        opened.append(ResultStore(db))
        return opened[-1]

    yield another
    for store in opened:
        store.close()
