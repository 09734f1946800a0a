"""One filled database for all tests of the web application: nothing here can change it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from db.store import ResultStore
from tests.db.explorer.served import asking, fill


@pytest.fixture(scope="session")
def served_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of the database."""
    path = tmp_path_factory.mktemp("served") / "served.db"
    fill(path)
    return path


@pytest.fixture(scope="session")
def client(served_db: Path) -> Iterator[TestClient]:
    """Asks the web application of the database."""
    with asking(served_db) as opened:
        yield opened


@pytest.fixture(scope="session")
def store(served_db: Path) -> Iterator[ResultStore]:
    """The same database, asked directly."""
    with ResultStore(served_db) as opened:
        yield opened
