"""`gmtscreen labels`: batches are listed, shown and taken back, as tables and as JSON."""

import json

import pytest
from click.testing import Result
from typer.testing import CliRunner

from flows.cli.app import app
from tests.gmt_tasks.labels.planted_faults import good_rows, scaled, with_nan, write_rows


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with a good batch, one that supersedes some of it, and a refused one."""
    folder = tmp_path_factory.mktemp("labels")
    rows = good_rows(6)
    newer = [scaled([row], factor)[0] for row, factor in zip(rows[:3], (1.3, 0.7, 1.5), strict=True)]
    for name, batch in (("a", rows), ("b", newer), ("c", with_nan(good_rows(9, seed=2)))):
        path = str(write_rows(folder / f"{name}.jsonl", batch))
        run("ingest", path, "--labels", "--model", "none", "--db", str(folder / "t.db"))
    return str(folder / "t.db")


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), env={"GMTSCREEN_USER": "ada@lab", "COLUMNS": "200"})


def test_batches_are_listed_with_who_and_how_they_ended(db: str) -> None:
    result = run("labels", "list", "--db", db, "--json")
    batches = json.loads(result.stdout)
    assert [(b["batch"], b["status"], b["rows"], b["accepted"], b["who"]) for b in batches] == [
        (1, "accepted", 6, 6, "ada@lab"),
        (2, "accepted", 3, 3, "ada@lab"),
        (3, "refused", 9, 0, "ada@lab"),
    ]
    assert [batch["superseded"] for batch in batches] == [0, 3, 0]
    assert "ada@lab" in run("labels", "list", "--db", db).stdout


def test_a_batch_is_shown_with_examples_findings_and_what_it_superseded(db: str) -> None:
    shown = json.loads(run("labels", "show", "3", "--db", db, "--json").stdout)
    assert {row["reason"] for row in shown["examples"]} == {"nonfinite", "instalment"}
    assert shown["report"]["findings"][0]["reason"] == "nonfinite"
    text = run("labels", "show", "2", "--db", db).stdout
    assert "3 labels of other batches about which it decided" in text
    assert "superseded" in text


def test_a_batch_is_retracted_with_a_reason_once(db: str) -> None:
    assert "would be retracted" in run("labels", "retract", "2", "--why", "wrong", "--db", db, "--dry-run").stderr
    assert "3 earlier labels are accepted again" in run("labels", "retract", "2", "--why", "wrong", "--db", db).stderr
    again = run("labels", "retract", "2", "--why", "x", "--db", db)
    assert (again.exit_code, "retracted before by ada@lab: wrong; nothing changes" in again.stderr) == (0, True)
    listed = json.loads(run("labels", "list", "--db", db, "--json").stdout)[1]
    assert (listed["status"], listed["retracted_by"], listed["now"]) == ("retracted", "ada@lab", {"retracted": 3})


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("labels", "show", "9"), "no label batch 9"),
        (("labels", "retract", "1", "--why", "  "), "--why is empty"),
        (("labels", "retract", "9", "--why", "x"), "no label batch 9"),
        (("ingest", "reference", "--replace"), "--replace and --again are for labels"),
    ],
)
def test_bad_usage_ends_with_2(db: str, words: tuple[str, ...], says: str) -> None:
    result = run(*words, "--db", db)
    assert (result.exit_code, says in result.stderr) == (2, True)
