"""`gmtscreen refine` at the terminal: what it says and refuses, the whole flow, and a run that is killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from db.store import ResultStore
from flows.cli.app import app
from gmt_tasks.import_guard import REPOSITORY_ROOT
from gmt_tasks.refinement import session as session_module
from tests.flows.test_chaos import PATIENCE_S, processes_of, wait_until
from tests.gmt_tasks.refinement.fake_refiner import replaced
from tests.gmt_tasks.refinement.test_session import screen
from tests.gmt_tasks.runs.test_drive import ListSource

ELEMENTS = [5, 6, 7, 13, 14, 15]


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of six screened crystals, with fakes in place of models."""
    for name, stand_in in replaced().items():
        monkeypatch.setattr(session_module, name, stand_in)
    screen(tmp_path / "a.db", ListSource(ELEMENTS))
    return str(tmp_path / "a.db")


def refine(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["refine", *arguments])


def contents(db: str) -> list[dict[str, Any]]:
    with ResultStore(db) as store:
        return [*store.dump(), *store.runs()]


def test_what_writes_nothing_says_what_it_would_do_or_what_is_wrong(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(db)
    wrong = refine("k_vrh_gpa >", "--db", db)
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "^" in wrong.stderr and wrong.stderr.splitlines()[-1].startswith("gmtscreen: ")

    nothing = refine('elements HAS "U"', "--db", db)
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "no crystal was chosen" in nothing.stderr

    dry = refine("", "--db", db, "--top", "2", "--sort", "-volume_per_atom", "--dry-run", "--json")
    assert dry.exit_code == 0, dry.stderr
    facts = json.loads(dry.stdout)
    assert [row["formula"] for row in facts["crystals"]] == ["P", "Si"], "the last cells of the list are the largest"
    assert facts["estimate"]["n_crystals"] == 2 and facts["estimate"]["cpu_s"] > 0
    shown = refine("", "--db", db, "--top", "2", "--sort", "-volume_per_atom", "--dry-run")
    assert "Si" in shown.stdout and "expected" in shown.stderr and "nothing was computed or stored" in shown.stderr

    from models.potential import card

    monkeypatch.setattr(card, "find_spec", lambda name: None)
    monkeypatch.setattr(session_module, "read_potential_card", card.read_potential_card)
    missing = refine("", "--db", db)
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert missing.stderr == (
        "gmtscreen: A second opinion needs sevenn and numba, which are not installed. Install with: "
        "pip install 'gmtscreen[refine]'.\n"
    )
    assert contents(db) == before


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("prefect_server")
def test_refine_accounts_for_every_crystal_and_a_second_call_computes_nothing(db: str) -> None:
    arguments = ("", "--db", db, "--top", "4", "--sort", "volume_per_atom", "--workers", "2")
    result = refine(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    assert {key: facts[key] for key in ("in", "done", "quarantined", "pending")} == {
        "in": 4,
        "done": 4,
        "quarantined": 0,
        "pending": 0,
    }
    assert (facts["state"], facts["computed"], facts["cpu_s_per_crystal"]) == ("finished", 4, 0.5)
    assert len(facts["crystals"]) == 4 and all(row["gamma_stable"] for row in facts["crystals"])
    again = refine(*arguments)
    assert again.exit_code == 0 and "nothing was computed again" in again.stderr
    assert "stable" in again.stdout


def started(db: Path) -> "subprocess.Popen[str]":
    """`gmtscreen refine` in a process group of its own, as a terminal starts it."""
    command = [sys.executable, "-m", "tests.flows.refine.fake_cli", "refine", "NOT refined", "--db", str(db)]
    environment = os.environ | {"GMTSCREEN_SHARD_ATOMS": "1", "PREFECT_HOME": str(db.parent / "prefect")}
    environment.pop("PREFECT_API_URL", None)
    return subprocess.Popen(
        [*command, "--top", "40", "--workers", "2"],
        cwd=REPOSITORY_ROOT,
        env=environment,
        text=True,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for left-over processes in /proc")
def test_a_killed_run_is_gone_on_with_and_nothing_is_lost_or_left(tmp_path: Path, short_folder: Path) -> None:
    """With crystals that the model refuses, that raise and that kill their process among the chosen ones."""
    elements = [*range(3, 11), *range(12, 50)]
    db = tmp_path / "a.db"
    screen(db, ListSource(elements))

    def done() -> int:
        with ResultStore(db) as store:
            return int(store.runs()[0]["done"]) if len(store.runs()) == 2 else 0

    first = started(db)
    wait_until(lambda: done() >= 5)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert 5 <= done() < 40
    last = started(db)
    assert last.wait(PATIENCE_S) == 0, last.communicate()[1]
    with ResultStore(db) as store:
        (run, _) = store.runs()
        assert len(store.opinions.of_run(run["run"])) == 40
    assert (run["in"], run["done"], run["pending"], run["state"]) == (40, 40, 0, "finished")
    wait_until(lambda: not processes_of(db))
