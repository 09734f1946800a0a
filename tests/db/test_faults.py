"""Full disks, dropped connections, restarts and locks in the middle of a run: nothing is lost, nothing doubled."""

import itertools
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGINT, SIGQUIT, Signals
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError

from db import engine as engines
from db import transactions
from db.failures import StoreUnavailableError, store_error
from db.store import ResultStore
from models.errors import StoreError
from tests.db.blocks import block, crystal_id, results, spec
from tests.db.postgres_server import PostgresServer, fresh_database

N_CRYSTALS = 66
"""More than `db.bulk.COPY_FROM_ROWS`, so that PostgreSQL copies them."""


@pytest.fixture(autouse=True)
def quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(transactions, "LONGEST_PAUSE_S", 0.2)


def screen(store: ResultStore, number: int = 0) -> int:
    """A run over crystals of its own: open, read, lease, commit, close; goes on where an earlier call failed."""
    source = f"source {number}"
    run = store.open_run(spec(source))
    if store.ingest_cursor(run.id, source)[0] == 0:
        store.add_block(run.id, block(0, range(1000 * number, 1000 * number + N_CRYSTALS), source), 10**6)
    store.end_ingest(run.id, source)
    store.reclaim(run.id, ["driver"])
    while (lease := store.lease_shard(run.id, "driver")) is not None:
        assert store.commit_shard(lease, results(lease, [crystal_id(1000 * number + 3)]))
    assert store.finish(run.id, 1.0).closed
    return run.id


def dump(store: ResultStore, run_id: int) -> list[dict[str, Any]]:
    return list(store.dump(run_id))


@pytest.fixture
def calm(tmp_path: Path) -> Iterator[Callable[[int], list[dict[str, Any]]]]:
    """The dump of an undisturbed run with the given number."""
    with ResultStore(tmp_path / "calm.db") as store:
        yield lambda number: dump(store, screen(store, number))


def test_a_full_disk_stops_with_advice_at_any_moment_and_the_run_goes_on_when_there_is_space(
    db: str, dialect: str, calm: Callable[[int], list[dict[str, Any]]]
) -> None:
    if dialect != "sqlite":
        pytest.skip("only SQLite takes a limit on its pages")
    probe = sqlite3.connect(db)
    pages = probe.execute("PRAGMA page_count").fetchone()[0]
    probe.close()
    n_full = 0
    while True:
        with ResultStore(db) as store:
            event.listen(store._engine, "connect", limit_pages(pages))
            store._engine.dispose()  # the next connection has the limit
            try:
                run_id = screen(store)
            except StoreError as error:
                assert "is full" in str(error) and "Free space where it lies" in str(error)
                n_full += 1
                pages += 1
            else:
                break
    assert n_full > 5
    with ResultStore(db) as store:
        assert dump(store, run_id) == calm(0)


def limit_pages(pages: int) -> Callable[[sqlite3.Connection, object], None]:
    def limit(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    return limit


FULL_DISK = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql
AS $$BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'; END$$;
CREATE TRIGGER full_disk AFTER INSERT ON results EXECUTE FUNCTION full_disk();
"""


@pytest.mark.postgres
def test_a_full_disk_of_a_server_stops_with_advice_and_leaves_nothing_half_written(
    postgres_db: str, calm: Callable[[int], list[dict[str, Any]]]
) -> None:
    with ResultStore(postgres_db) as store:
        with transactions.writing(store._engine) as connection:
            connection.exec_driver_sql(FULL_DISK)
        with pytest.raises(StoreError, match=r"is full: No space left on device.*Free space where it lies"):
            screen(store)
        assert store.balance(1).done == 0
        with transactions.writing(store._engine) as connection:
            connection.exec_driver_sql("DROP TRIGGER full_disk ON results")
        assert dump(store, screen(store)) == calm(0)


class Dropper:
    """Breaks every transaction's connection: after its first statement, on the next attempt after its second, and on.

    Attributes:
        n_drops: connections broken so far.
    """

    def __init__(self, store: ResultStore, killer: Engine) -> None:
        self._killer, self._wanted, self._executed, self._broken, self.n_drops = killer, 1, 0, False, 0
        event.listen(store._engine, "begin", self.begin)
        event.listen(store._engine, "after_cursor_execute", self.drop)
        event.listen(store._engine, "commit", self.commit)

    def begin(self, _connection: Connection) -> None:
        self._executed, self._broken = 0, False

    def drop(self, connection: Connection, *_: object) -> None:
        self._executed += 1
        if self._executed == self._wanted:
            driver: Any = connection.connection.driver_connection
            with self._killer.connect() as other:
                other.exec_driver_sql(f"SELECT pg_terminate_backend({driver.info.backend_pid}, 5000)")
            self._broken = True
            self._wanted += 1
            self.n_drops += 1

    def commit(self, _connection: Connection) -> None:
        # Broken after its last statement the transaction fails in COMMIT and comes again; only a whole one ends a step.
        if not self._broken:
            self._wanted = 1


@pytest.mark.postgres
def test_a_connection_dropped_after_any_statement_changes_nothing_in_the_end(
    postgres_db: str, calm: Callable[[int], list[dict[str, Any]]]
) -> None:
    killer = create_engine(engines.parse_url(postgres_db), isolation_level="AUTOCOMMIT")
    with ResultStore(postgres_db) as store:
        dropper = Dropper(store, killer)
        run_id = screen(store)
        n_drops = dropper.n_drops
    killer.dispose()
    with ResultStore(postgres_db) as undisturbed:
        assert dump(undisturbed, run_id) == calm(0)
    assert n_drops > 25


def test_a_lost_answer_to_any_commit_repeats_the_step_and_doubles_nothing(
    store: ResultStore, calm: Callable[[int], list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    dialect, commit, n_lost = store._engine.dialect, store._engine.dialect.do_commit, 0
    for number in itertools.count():
        n_commits, wanted = 0, number

        def committed_but_unheard(connection: Any) -> None:
            nonlocal n_commits, n_lost
            commit(connection)
            n_commits += 1
            if n_commits == wanted + 1:  # noqa: B023  the loop ends before it changes
                n_lost += 1
                raise unheard(dialect.name)

        with monkeypatch.context() as patched:
            patched.setattr(dialect, "do_commit", committed_but_unheard)
            run_id = screen(store, number)
        assert dump(store, run_id) == calm(number), f"answer to commit {number} lost"
        assert store.runs()[0]["shards"] == {"pending": 0, "leased": 0, "done": 1}
        if n_lost == number:
            break  # the run has fewer commits: the answer to each of them was lost once
    assert n_lost >= 8


def unheard(dialect: str) -> Exception:
    """What a driver raises when the other end is gone."""
    if dialect == "sqlite":
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        return error
    import psycopg

    return psycopg.OperationalError("server closed the connection unexpectedly")


@pytest.mark.postgres
@pytest.mark.parametrize("how", [SIGINT, SIGQUIT], ids=["restart", "crash"])
def test_a_server_that_restarts_in_mid_run_only_delays_it(
    own_server: PostgresServer, calm: Callable[[int], list[dict[str, Any]]], how: Signals
) -> None:
    with fresh_database(own_server.url) as url, ResultStore(url) as store:
        run = store.open_run(spec("source 0"))
        store.add_block(run.id, block(0, range(N_CRYSTALS), "source 0"), 10**6)
        own_server.stop(how)
        back = threading.Timer(0.5, own_server.start)
        back.start()
        assert dump(store, screen(store)) == calm(0)
        back.join()


def test_a_database_locked_for_a_while_only_delays_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calm: Callable[[int], list[dict[str, Any]]]
) -> None:
    ResultStore(tmp_path / "test.db").close()
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_S", 0.01)
    other = sqlite3.connect(tmp_path / "test.db", isolation_level=None, check_same_thread=False)
    with ResultStore(tmp_path / "test.db") as store:
        other.execute("BEGIN IMMEDIATE")
        end = threading.Timer(0.5, other.execute, ["COMMIT"])
        end.start()
        assert dump(store, screen(store)) == calm(0)
        end.join()
    other.close()


def test_patience_has_an_end_and_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ResultStore(tmp_path / "test.db").close()
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_S", 0.01)
    monkeypatch.setattr(transactions, "PATIENCE_S", 0.1)
    other = sqlite3.connect(tmp_path / "test.db", isolation_level=None)
    with ResultStore(tmp_path / "test.db") as store:
        other.execute("BEGIN IMMEDIATE")
        advice = r"does not answer: database is locked.*nothing else locks it.*run the same command again"
        with pytest.raises(StoreUnavailableError, match=advice):
            screen(store)
    other.close()


@pytest.mark.parametrize(
    ("state", "passes"),
    [
        ("08006", True), ("57P01", True), ("57P03", True), ("40001", True), ("40P01", True), ("53300", True),
        ("55P03", True), (None, True), ("53100", False), ("28P01", False), ("42501", False), ("23505", False),
    ],
)  # fmt: skip
def test_only_what_can_go_away_is_tried_again(state: str | None, passes: bool) -> None:
    kind = type("OperationalError", (Exception,), {"sqlstate": state})
    error = store_error(make_url("postgresql://host/name"), DBAPIError("SELECT 1", None, kind("said")))
    assert isinstance(error, StoreUnavailableError) is passes
