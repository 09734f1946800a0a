"""Fresh databases for the tests: SQLite always, PostgreSQL where GMTSCREEN_TEST_POSTGRES asks for it.

The variable holds the URL of a server on which databases may be created, or `start`: then the tests start a server of
their own on loopback and remove it afterwards.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from db import engine
from db.store import ResultStore
from tests.db.migrated_copies import MigratedCopies
from tests.db.postgres_server import PostgresServer, fresh_database

POSTGRES = "GMTSCREEN_TEST_POSTGRES"
START = "start"


@pytest.fixture(scope="session")
def own_server() -> Iterator[PostgresServer]:
    """A server that a test may stop and start."""
    if os.environ.get(POSTGRES) != START:
        pytest.skip(f"{POSTGRES} is not {START}: no PostgreSQL server of our own to stop and start")
    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest) -> str:
    """The URL of a PostgreSQL server on which databases may be created."""
    asked = os.environ.get(POSTGRES)
    if asked is None:
        pytest.skip(f"{POSTGRES} is not set; `make test-postgres` runs this test")
    return str(request.getfixturevalue("own_server").url if asked == START else asked)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def dialect(request: pytest.FixtureRequest) -> str:
    """Each dialect in turn."""
    return str(request.param)


@pytest.fixture
def revisions_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Databases go through the revisions, as in the product; see `migrated_copies`."""
    if isinstance(engine._migrate, MigratedCopies):
        monkeypatch.setattr(engine, "_migrate", engine._migrate.migrate)


@pytest.fixture
def empty_db(dialect: str, request: pytest.FixtureRequest, tmp_path: Path, revisions_run: None) -> Iterator[str]:
    """A path or URL of a database without any table, once per dialect; who opens it first runs the revisions."""
    if dialect == "sqlite":
        yield str(tmp_path / "test.db")
        return
    with fresh_database(request.getfixturevalue("server_url")) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_template(server_url: str) -> Iterator[str]:
    """The name of a migrated PostgreSQL database without rows."""
    with fresh_database(server_url) as url:
        ResultStore(url).close()
        yield make_url(url).database or ""


@pytest.fixture
def db(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A path or URL of a database with tables and without rows, once per dialect."""
    if dialect == "sqlite":
        path = tmp_path / "test.db"
        ResultStore(path).close()
        yield str(path)
        return
    template = request.getfixturevalue("postgres_template")
    with fresh_database(request.getfixturevalue("server_url"), template) as url:
        yield url


@pytest.fixture
def postgres_db(server_url: str, postgres_template: str) -> Iterator[str]:
    """The URL of a PostgreSQL database with tables and without rows."""
    with fresh_database(server_url, postgres_template) as url:
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
