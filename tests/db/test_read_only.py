"""A store for a server: it cannot write, its questions end in time, a database that is away is reported soon."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, text

from db.failures import StatementTimeoutError, StoreUnavailableError
from db.read_only import PATIENCE_S
from db.store import ResultStore
from models.errors import StoreError
from tests.db.blocks import filled, spec, work_off

ENDLESS = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")


def endless_question(connection: Connection) -> Any:
    """A question without an end."""
    return connection.execute(ENDLESS).scalar_one()


@pytest.fixture
def reading_store(db: str) -> Iterator[ResultStore]:
    """A store of some crystals that only reads and waits half a second for an answer, once per dialect."""
    with ResultStore(db) as store:
        work_off(store, filled(store, 5))
    with ResultStore.open_read_only(db, 0.5) as store:
        yield store


def test_it_reads_and_does_not_write(reading_store: ResultStore) -> None:
    assert reading_store.count() == 5
    with pytest.raises(StoreError, match=r"readonly|read-only"):
        reading_store.open_run(spec("another"))
    assert len(reading_store.runs()) == 1


def test_a_question_that_takes_too_long_is_stopped_and_the_next_one_answered(reading_store: ResultStore) -> None:
    for _ in range(2):
        with pytest.raises(StatementTimeoutError, match="narrower"):
            reading_store.ask(endless_question)
        assert reading_store.count() == 5


def test_each_question_has_its_own_time(reading_store: ResultStore) -> None:
    def several(connection: Connection) -> int:
        for _ in range(3):
            assert connection.execute(text("SELECT count(*) FROM crystals")).scalar_one() == 5
            time.sleep(0.3)
        return 3

    assert reading_store.ask(several) == 3


def test_a_database_that_is_away_is_reported_soon(reading_store: ResultStore) -> None:
    def away(_connection: Connection) -> None:
        raise StoreUnavailableError("away")

    start = time.monotonic()
    with pytest.raises(StoreUnavailableError):
        reading_store.ask(away)
    assert time.monotonic() - start < 10 * PATIENCE_S
