"""The command: tables and JSON of a made-up leaderboard, documents, and what it refuses."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from gmt_tasks.evaluation.scoreboard import stored
from tests.gmt_tasks.evaluation.scoreboard.leaderboard_files import KV, write_benchmark, write_contribution

TEST = {f"JVASP-{k}": 10.0 * k for k in range(1, 9)}


@pytest.fixture
def leaderboard(tmp_path: Path) -> Path:
    folder = tmp_path / "leaderboard"
    write_benchmark(folder, TEST)
    write_contribution(folder, "one", [(name, value + 1.25 * k) for k, (name, value) in enumerate(TEST.items())])
    write_contribution(folder, "two\x1b[31m", [(name, value + 1) for name, value in list(TEST.items())[:5]])
    return folder


def run(*words: str, code: int = 0) -> tuple[str, str]:
    """Output and errors of a call."""
    result = CliRunner().invoke(app, ["scoreboard", *words])
    assert result.exit_code == code, result.stderr or result.exception
    return result.stdout, result.stderr


def test_the_table_shows_every_contribution_with_its_figures_and_faults(leaderboard: Path) -> None:
    shown, reported = run("--jarvis", str(leaderboard), "--section", "jarvis")
    lines = [line.split() for line in shown.splitlines()]
    [one] = [line for line in lines if line[:1] == ["one"]]
    assert "4.375" in one and "re-scored" in one and "8" in one
    assert "two?[31m" in shown and "\x1b" not in shown
    assert "3 test ids without a number" in shown and "jdft_3d" in shown
    assert "8 test ids" in reported


def test_json_holds_the_same_figures(leaderboard: Path) -> None:
    shown, _ = run("--jarvis", str(leaderboard), "--section", "jarvis", "--json")
    [table] = json.loads(shown)["tables"]
    assert table["task"] == KV.name and table["unit"] == "GPa"
    figures = {row["predictor"]: row["figures"].get("MAE", {}).get("value") for row in table["rows"]}
    assert figures["one (2023)"] == pytest.approx(4.375) and figures["our models"] is None


def test_what_is_written_keeps_all_tables_that_were_not_made(
    leaderboard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "scoreboard.json"
    before = stored.read_stored()
    monkeypatch.setattr(stored, "STORED", kept)
    stored.write_stored(before, kept)
    run("--jarvis", str(leaderboard), "--section", "jarvis", "--write", str(tmp_path), "--into-explorer")
    after = stored.read_stored(kept)
    assert [table.task for table in after.tables] == [table.task for table in before.tables]
    others = [[table for table in board.to_json()["tables"] if table["task"] != KV.name] for board in (before, after)]
    assert others[0] == others[1]
    assert {table["section"] for table in others[0]} > {"jarvis"}
    text = (tmp_path / "scoreboard.md").read_text(encoding="utf-8")
    assert "| one (2023) | all | 8 | 4.375 (" in text and "## Matbench" in text


def test_what_could_not_be_had_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "scoreboard.json"
    before = stored.read_stored()
    monkeypatch.setattr(stored, "STORED", kept)
    stored.write_stored(before, kept)
    run("--section", "jarvis", "--into-explorer")
    assert stored.read_stored(kept).to_json() == before.to_json()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--section", "zork"), "no section 'zork'"),
        (("--section", "jarvis", "--task", "zork"), "no task 'zork'"),
        (("--jarvis", "nowhere"), "no folder nowhere"),
    ],
)
def test_a_wrong_word_ends_with_one_line_that_names_what_there_is(words: tuple[str, ...], problem: str) -> None:
    _, reported = run(*words, code=2)
    assert problem in reported and len(reported.strip().splitlines()) == 1
