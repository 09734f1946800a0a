"""Texts from foreign files and from the command line: they are stored, found and printed, and never obeyed."""

import csv
import io
import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from db.csv_cells import FORMULA_STARTS
from db.query.filter_tree import Comparison, Matches, Operator, TextMatch, to_text
from db.records import RejectedInput
from db.store import ResultStore
from flows.cli.app import app
from flows.terminal.console import json_text
from models.errors import Reason
from tests.db.blocks import MODEL, block, crystal_id, spec, work_off

HOSTILE = (
    "'; DROP TABLE results; --",
    '" OR 1=1 --',
    "x' UNION SELECT sha256 FROM models --",
    "%' OR '%'='",
    "\\'; DELETE FROM inputs; --",
    "$$;DROP TABLE inputs;$$",
    ":crystal_id ?1 %(x)s {x}",
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31mred\x9d0;title\x9c",
    "abc\u202egpj.exe",
    "two\nlines\r\tand a tab",
    "[red]markup[/red] :smile:",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "+1-1",
    "-1+1",
    "../../etc/passwd",
    "\u0000nul",
    "\u00e9\u0301\U0001f600",
    "x" * 5000,
)
"""SQL, control sequences of terminals (7 and 8 bit), directions of writing, markup, formulas, paths, lengths."""

STORED = tuple(each.replace("\0", "\ufffd") for each in HOSTILE)
"""As no database takes NUL, it is replaced."""


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run: each hostile id once with a result, and once rejected with a hostile detail."""
    path = tmp_path_factory.mktemp("db") / "hostile.db"
    n = len(HOSTILE)
    honest = block(0, list(range(n)))
    rejected = [RejectedInput(n + k, f"bad {text}", Reason.PARSE, text) for k, text in enumerate(HOSTILE)]
    hostile = replace(honest, source_ids=list(HOSTILE), stop=2 * n, rejected=rejected)
    with ResultStore(path) as store:
        store.register_model(MODEL, {"note": HOSTILE[7]})
        run = store.open_run(spec("made"))
        store.add_block(run.id, hostile, 100)
        store.end_ingest(run.id, "made")
        work_off(store, run.id)
        store.finish(run.id, 1.0)
    return path


def run(*arguments: object) -> Any:
    """The outcome of a command line."""
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_a_hostile_id_is_found_as_itself_and_finds_nothing_else(db: Path, number: int) -> None:
    text = STORED[number]
    with ResultStore(db) as store:
        for tree in (
            Comparison("source_ids", Operator.EQUAL, text),
            Matches("source_ids", TextMatch.CONTAINS, text),
            Matches("source_ids", TextMatch.STARTS, text[:2000]),
        ):
            wanted = to_text(tree)
            if len(wanted.encode()) <= 4096:
                assert store.query(wanted, fields=["id"])["id"].tolist() == [crystal_id(number)]
        assert store.show(HOSTILE[number])["id"] == crystal_id(number)
        assert store.query("", fields=["id"], limit=0).shape == (len(HOSTILE), 1)


def test_no_table_lost_a_row(db: Path) -> None:
    with sqlite3.connect(db) as connection:
        counts = {
            name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608  our own names
            for name in ("results", "inputs", "crystals", "models", "runs")
        }
    assert counts == {"results": len(HOSTILE), "inputs": 2 * len(HOSTILE), "crystals": len(HOSTILE)} | {
        "models": 1,
        "runs": 1,
    }


FIELDS = ("--fields", "id,source_ids,formula", "--limit", "0")


@pytest.mark.parametrize(
    "arguments",
    [
        ("query", "", *FIELDS),
        ("query", "", *FIELDS, "--format", "csv"),
        ("query", "", *FIELDS, "--format", "json"),
        ("rejects",),
        ("rejects", "--json"),
        ("status",),
        ("status", "1"),
        ("models", "list", "--json"),
        *(("show", crystal_id(k)) for k in range(7, 14)),
        ("show", crystal_id(8), "--json"),
        ("show", f"bad {HOSTILE[7]}"),
        ("query", f'formula = "{HOSTILE[8]}" AND'),
    ],
    ids=lambda words: " ".join(words)[:60].encode("ascii", "replace").decode(),
)
def test_nothing_that_is_printed_steers_a_terminal(db: Path, arguments: tuple[str, ...]) -> None:
    result = run(*arguments, "--db", db)
    printed = result.stdout + result.stderr
    assert [each for each in printed if not each.isprintable() and each != "\n"] == []
    assert printed.strip()


def test_json_says_exactly_what_is_stored(db: Path) -> None:
    rows = json.loads(run("query", "", *FIELDS, "--json", "--db", db).stdout)
    assert {row["source_ids"][0] for row in rows} == set(STORED)
    assert {row["detail"] for row in json.loads(run("rejects", "--json", "--db", db).stdout)} == {
        text[:2000] for text in STORED
    }


@pytest.mark.parametrize(
    "text", ["\x9b31m", "\u202e", "\x7f", "\ud800", "\U000e0001", "\u2028", 'quote " and \\', "\n"]
)
def test_escaped_json_reads_as_the_same_text(text: str) -> None:
    for indent in (None, 2):
        written = json_text({"id": text, text: [1.5, text]}, indent)
        assert json.loads(written) == {"id": text, text: [1.5, text]}
        assert all(each.isprintable() or each == "\n" for each in written)


def test_no_cell_of_a_csv_file_is_a_formula_and_numbers_stay_numbers(db: Path) -> None:
    text = run("query", "", "--fields", "source_ids,k_vrh_gpa", "--limit", "0", "--format", "csv", "--db", db).stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == len(HOSTILE)
    assert [row for row in rows if row["source_ids"].startswith(FORMULA_STARTS)] == []
    assert {"'=cmd|' /C calc'!A0", "'-1+1", "../../etc/passwd"} <= {row["source_ids"] for row in rows}
    assert all(float(row["k_vrh_gpa"]) >= 0 for row in rows)


@pytest.mark.parametrize("content", [b"no database at all " * 500, b"SQLite format 3\0" + b"\xff" * 2000, b"\0" * 4096])
@pytest.mark.parametrize("arguments", [("status",), ("query", ""), ("show", "abcd"), ("screen", "reference")])
def test_what_is_no_database_is_refused_in_one_line_and_left_as_it_is(
    content: bytes, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    result = run(*arguments, "--db", path)
    assert result.exit_code == 2
    assert "notes.txt" in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert path.read_bytes() == content


@pytest.mark.parametrize("arguments", [("status",), ("query", ""), ("screen", "reference")])
def test_the_database_of_another_program_is_refused_and_left_as_it_is(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "places.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    before = path.read_bytes()
    result = run(*arguments, "--db", path)
    assert result.exit_code == 2 and "places.sqlite" in result.stderr
    assert path.read_bytes() == before
