"""`gmtscreen suggest` on the command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from db.store import ResultStore
from flows.cli.app import app
from tests.db import blocks


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = str(tmp_path / "hits.db")
    with ResultStore(path) as store:
        blocks.work_off(store, blocks.filled(store, 25))
    return path


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["suggest", *words])
    return done.exit_code, done.stdout, done.stderr


def test_jobs_are_written_printed_and_never_overwritten(database: str, tmp_path: Path) -> None:
    jobs = str(tmp_path / "jobs")
    words = ["--property", "k_vrh_gpa", "--db", database, "--out", jobs, "--n", "3"]
    code, printed, said = run(*words, "--json")
    assert code == 0 and "3 of 25 results" in said and "no intervals" in said
    found = json.loads(printed)
    assert [each["rank"] for each in found["suggestions"]] == [1, 2, 3]
    assert all((Path(jobs) / each["folder"] / "POSCAR").exists() for each in found["suggestions"])
    code, _, said = run(*words)
    assert code == 2 and "holds suggestions already" in said
    code, printed, said = run(*words[:4], "--out", f"{jobs}-2", "--n", "3", "--leave-out", jobs)
    assert code == 0 and "3 left out" in said and not any(each["id"] in printed for each in found["suggestions"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--property", "nonsense"], "is no number"),
        (["--property", "k_vrh_gpa", "--filter", "k_vrh_gpa >"], "ends too early"),
        (["--property", "k_vrh_gpa", "--filter", "k_vrh_gpa > 1) OR (k_vrh_gpa < 1"], "position 13"),
        (["--property", "k_vrh_gpa", "--filter", "k_vrh_gpa > 1e6"], "Nothing to suggest"),
        (["--property", "k_vrh_gpa", "--leave-out", "nowhere"], "neither a folder"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_writes_nothing(
    words: list[str], said: str, database: str, tmp_path: Path
) -> None:
    code, _, errors = run(*words, "--db", database, "--out", str(tmp_path / "jobs"))
    assert code == 2 and said.lower() in errors.lower() and "Traceback" not in errors
    assert not (tmp_path / "jobs").exists()
