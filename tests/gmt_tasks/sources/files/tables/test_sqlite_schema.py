"""Files of a folder that are no inputs: counted and named, never read; databases are distinguished by their tables."""

import json
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.store import ResultStore
from gmt_tasks.sources.files.find import find_files
from gmt_tasks.sources.files.formats import ending_of
from gmt_tasks.sources.files.tables.sqlite_schema import table_names
from gmt_tasks.sources.open import ignored_files, open_source
from models.errors import Reason, SourceError
from tests.gmt_tasks.sources.files.hostile_files import record, tar_bytes, zip_bytes
from tests.gmt_tasks.sources.files.tables.test_ase_database import SOUND, write

OTHERS = ("run.log", "sub/RUN2.LOG", "a.dat", "Makefile", ".hidden", "x.log.gz", "t.parquet.gz")
ENDINGS = {".log": 2, ".dat": 1, "without an ending": 2, ".log.gz": 1, ".parquet.gz": 1}


def fill(root: Path) -> None:
    (root / "sub").mkdir(parents=True)
    (root / "a.json").write_text(json.dumps(record()))
    for name in OTHERS:
        (root / name).write_text("no input")


def endings(text: str | Path) -> dict[str, int]:
    return dict(ignored_files([open_source(str(text))]))


def test_a_folder_names_what_is_no_input(tmp_path: Path) -> None:
    fill(tmp_path)
    assert endings(tmp_path) == ENDINGS
    assert [file.label for file in find_files(str(tmp_path)).files] == ["a.json"]
    assert endings(tmp_path / "a.json") == {}


def test_a_glob_names_what_is_no_input_and_the_folders_that_match(tmp_path: Path) -> None:
    fill(tmp_path)
    assert endings(f"{tmp_path}/**/[!.]*") == ENDINGS | {"without an ending": 1}
    assert endings(f"{tmp_path}/*") == {
        ".log": 1,
        ".dat": 1,
        "without an ending": 1,
        ".log.gz": 1,
        ".parquet.gz": 1,
    } | {"folders": 1}


@pytest.mark.usefixtures("shared_children")
@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz"])
def test_an_archive_names_what_is_no_input_before_and_after_it_was_read(tmp_path: Path, name: str) -> None:
    members = {"a.json": json.dumps(record()).encode(), "b.log": b"x", "c.log": b"y", "d": b"z"}
    (tmp_path / name).write_bytes(zip_bytes(members) if name == "x.zip" else tar_bytes(members))
    (tmp_path / "e.log").write_text("beside it")
    expected = {".log": 3, "without an ending": 1}
    # A resumed run may have read all inputs in an earlier process: the archive is looked through again.
    assert endings(tmp_path) == expected
    source = open_source(str(tmp_path))
    assert sum(block.crystals.n_crystals for block in source.blocks()) == 1
    assert dict(ignored_files([source])) == expected
    assert dict(ignored_files([source, source])) == dict(Counter(expected) + Counter(expected))


@pytest.mark.usefixtures("shared_children")
def test_ase_databases_in_a_folder_are_read_own_ones_ignored_and_broken_ones_refused(tmp_path: Path) -> None:
    write(tmp_path / "ase.db", [SOUND, SOUND])
    (tmp_path / "broken.db").write_bytes((tmp_path / "ase.db").read_bytes()[:50])
    with ResultStore(str(tmp_path / "hits.db")):
        pass
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE crystals (id)").connection.close()
    source = open_source(str(tmp_path))
    before = source.fingerprint()
    blocks = list(source.blocks())
    rejected = {item.source_id: item.reason for block in blocks for item in block.rejected}
    assert rejected == {"broken.db": Reason.PARSE, "other.db": Reason.PARSE}
    assert [name for block in blocks for name in block.source_ids] == ["ase.db#0", "ase.db#1"]
    assert dict(ignored_files([source])) == {".db of gmtscreen": 1}
    # A run must not become another one because its own database grew.
    with sqlite3.connect(tmp_path / "hits.db") as connection:
        connection.execute("CREATE TABLE more (id)")
    assert open_source(str(tmp_path)).fingerprint() == before


def test_an_own_database_in_use_whose_tables_are_still_in_the_log_is_no_input(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(record()))
    connection = sqlite3.connect(tmp_path / "hits.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE runs (id)")
    assert table_names(tmp_path / "hits.db") == set()
    assert [file.label for file in find_files(str(tmp_path)).files] == ["a.json"]
    connection.close()


def test_a_folder_with_nothing_but_an_own_database_holds_no_input(tmp_path: Path) -> None:
    with ResultStore(str(tmp_path / "hits.db")):
        pass
    with pytest.raises(SourceError, match="holds no file that can be read among 1"):
        open_source(str(tmp_path))


@settings(max_examples=20, deadline=None)
@given(
    names=st.lists(st.from_regex(r"[a-zà-ÿ]{1,60}", fullmatch=True), unique=True, max_size=120),
    page_size=st.sampled_from([512, 4096, 65536]),
)
def test_the_tables_are_those_that_sqlite_lists(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], page_size: int
) -> None:
    path = tmp_path_factory.mktemp("schema") / "x.db"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA page_size={page_size}")
    for name in names:
        connection.execute(f'CREATE TABLE "t_{name}" (id INTEGER PRIMARY KEY, "{"c" * 700}" TEXT UNIQUE)')
    connection.commit()
    expected = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    connection.close()
    assert table_names(path) == expected


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_damaged_database_raises_nothing_while_its_tables_are_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.db"
    if not path.exists():
        with ResultStore(str(path)):
            pass
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        # The schema begins on page 1; where its other pages lie is said there.
        content[data.draw(st.integers(16, 4096))] = data.draw(st.integers(0, 255))
    damaged = path.with_name("mutant.db")
    damaged.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    assert isinstance(table_names(damaged), set)


@pytest.mark.parametrize(
    ("name", "ending"),
    [("a.LOG", ".log"), ("a.tar.7z", ".7z"), ("OUTCAR", "without an ending"), (".bashrc", "without an ending"),
     ("a." + "x" * 300, "." + "x" * 19), ("OUTCAR.gz", ".gz")],
)  # fmt: skip
def test_endings_are_bounded_and_in_small_letters(name: str, ending: str) -> None:
    assert ending_of(name) == ending
