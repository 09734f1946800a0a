"""One database that the commands about results ask; nothing here changes it."""

import pytest

from db.store import ResultStore
from tests.db import blocks


@pytest.fixture(scope="session")
def db(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with 30 made-up crystals."""
    path = tmp_path_factory.mktemp("results") / "hits.db"
    with ResultStore(path) as store:
        blocks.work_off(store, blocks.filled(store, 30))
    return str(path)
