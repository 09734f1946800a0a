"""Opening databases: settings that keep data safe, helpful refusals, and no password anywhere."""

import sqlite3
import threading
import traceback
from pathlib import Path

import pytest

from db.engine import parse_url
from db.failures import hide_password
from db.store import ResultStore
from db.transactions import reading
from models.errors import StoreError
from tests.db.blocks import spec

SECRET = "s3cr:t@p/ss"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{SECRET}@127.0.0.1:notaport/db",
        f"mysql://user:{SECRET}@127.0.0.1/db",
        f"nonsense+driver://user:{SECRET}@host/db",
        f"postgresql://user:{SECRET.replace('@', '%40').replace('/', '%2F')}@127.0.0.1:1/db?connect_timeout=1",
    ],
    ids=["port", "mysql", "unknown", "unreachable"],
)
def test_no_error_and_no_traceback_holds_the_password(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        ResultStore(url)
    printed = "".join(traceback.format_exception(caught.value, chain=True)).split("Error: ", 1)[1]
    for form in (SECRET, SECRET.replace("@", "%40").replace("/", "%2F"), "s3cr", "p/ss"):
        assert form not in str(caught.value)
        assert form not in printed


def test_hiding_a_password_keeps_the_rest_of_the_text() -> None:
    assert (
        hide_password("cannot reach postgresql://me:secret@host/db today")
        == "cannot reach postgresql://me:***@host/db today"
    )
    assert hide_password("no url: at all @ here") == "no url: at all @ here"


def test_postgres_urls_use_psycopg_3_however_they_are_written() -> None:
    for prefix in ("postgresql", "postgres", "postgresql+psycopg2"):
        assert parse_url(f"{prefix}://u:p@h/d").drivername == "postgresql+psycopg"


def test_sqlite_opens_by_path_and_by_url_to_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "a b.db"
    with ResultStore(path) as first, ResultStore(f"sqlite:///{path}") as second:
        run = first.open_run(spec())
        assert second.get_run(run.id).spec == run.spec


def test_sqlite_keeps_a_write_ahead_log_and_checks_foreign_keys(tmp_path: Path) -> None:
    with ResultStore(tmp_path / "test.db") as store, reading(store._engine) as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("journal_mode", "foreign_keys")
        }
        assert found == {"journal_mode": "wal", "foreign_keys": 1}
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() >= 10_000
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 1


def test_a_reader_does_not_wait_for_a_writer_and_sees_the_state_before(tmp_path: Path) -> None:
    with ResultStore(tmp_path / "test.db") as store:
        run = store.open_run(spec())
        writer = sqlite3.connect(tmp_path / "test.db", isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE runs SET seconds = 99")
        assert store.runs()[0]["seconds"] == 0
        assert store.balance(run.id).n_in == 0
        writer.execute("COMMIT")
        writer.close()
        assert store.runs()[0]["seconds"] == 99


def test_refusals_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is a text file and certainly no database, " * 50)
    for given, sentence in (
        (tmp_path / "no" / "such.db", "does not exist. Create it first"),
        (tmp_path, "is a folder. Give the path of a file"),
        (tmp_path / "text.db", "not a database"),
        (":memory:", "Give a path"),
        ("sqlite://", "Give a path"),
    ):
        with pytest.raises(StoreError, match=sentence):
            ResultStore(given)


def test_opening_for_reading_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="There is no database"):
        ResultStore.open_existing(tmp_path / "typo.db")
    assert list(tmp_path.iterdir()) == []
    ResultStore(tmp_path / "real.db").close()
    ResultStore.open_existing(tmp_path / "real.db").close()


def test_an_open_store_prints_without_its_password(tmp_path: Path) -> None:
    with ResultStore(tmp_path / "test.db") as store:
        store.url = parse_url("postgresql://me:secret@host/db")
        assert "secret" not in repr(store)
        assert "me" in repr(store)


def test_opening_waits_for_another_process_that_is_writing_a_file_without_log(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    writer.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    writer.execute("BEGIN IMMEDIATE")
    end = threading.Timer(0.3, writer.execute, ["COMMIT"])
    end.start()
    ResultStore(path).close()
    assert not writer.in_transaction
    end.join()
    writer.close()


@pytest.mark.parametrize("replaced", [True, False], ids=["replaced", "deleted"])
def test_a_database_that_is_replaced_or_deleted_in_use_is_noticed_and_not_made_anew(
    tmp_path: Path, replaced: bool
) -> None:
    path = tmp_path / "test.db"
    ResultStore(tmp_path / "other.db").close()
    with ResultStore(path) as store:
        store.open_run(spec())
        assert len(store.runs()) == 1
        if replaced:
            (tmp_path / "other.db").replace(path)
        else:
            path.unlink()
        with pytest.raises(StoreError, match="deleted or replaced"):
            store.runs()
        store.close()  # the next call needs a new connection
        with pytest.raises(StoreError, match="deleted or replaced"):
            store.open_run(spec())
        assert path.exists() is replaced
    if replaced:
        with ResultStore(path) as other:
            assert other.runs() == []
