"""Drivers, workers and nodes killed in the middle of a run, as a machine would do it; then nothing is missing.

`python -m tests.gmt_tasks.workers.fault_table FOLDER` prints what these tests look at as a table.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from db.designs.records import DesignRound
from db.store import ResultStore
from gmt_tasks.import_guard import REPOSITORY_ROOT
from models.errors import StoreError
from tests.flows.conftest import write_crystals
from tests.gmt_tasks.runs import killed_runs

pytestmark = pytest.mark.timeout(900)

N_CRYSTALS = 160
PATIENCE_S = 120.0

FAKE = "tests.flows.cli.fake_cli"
FAKE_DESIGN = "tests.flows.cli.runs.fake_design_cli"


def start(arguments: list[str], db: Path, module: str = FAKE) -> "subprocess.Popen[str]":
    """`gmtscreen` with these arguments in a process group of its own, as a terminal starts it."""
    command = [sys.executable, "-m", module, *arguments, "--db", str(db), "--workers", "2"]
    # Small shards, so that there is a middle, and no Prefect server of the test session.
    environment = os.environ | {"GMTSCREEN_SHARD_ATOMS": "4", "PREFECT_HOME": str(db.parent / "prefect")}
    environment.pop("PREFECT_API_URL", None)
    return subprocess.Popen(
        command, cwd=REPOSITORY_ROOT, env=environment, text=True, stderr=subprocess.PIPE, start_new_session=True
    )


def n_done(db: Path) -> int:
    """Crystals with a result."""
    try:
        with ResultStore.open_existing(db) as store:
            return int(store.runs()[0]["done"]) if store.runs() else 0
    except StoreError:
        return 0


def wait_until(condition: Callable[[], object]) -> None:
    """Waits; a test fails when nothing comes of it."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


def processes_of(db: Path) -> list[str]:
    """Command lines of living processes that carry this test's folder in their environment: driver, Ray, Prefect."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(db.parent).encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def dump(db: Path) -> list[dict[str, Any]]:
    """Everything in the database that does not depend on time."""
    with ResultStore.open_existing(db) as store:
        return list(store.dump())


def facts_of(module: str, *arguments: object) -> dict[str, Any]:
    """What a script of these tests prints, run in a process of its own."""
    command = [sys.executable, "-m", module, *(str(each) for each in arguments)]
    done = subprocess.run(command, cwd=REPOSITORY_ROOT, capture_output=True, text=True, timeout=850)
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


def nothing_lost(row: dict[str, int]) -> bool:
    """True when every run ended with the very rows of an undisturbed one."""
    return (row["lost"], row["doubled"], row["differing"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("every", "n_random"), [pytest.param(32, 1, id="short"), pytest.param(1, 100, id="long", marks=pytest.mark.chaos)]
)
def test_a_run_killed_at_any_commit_or_at_random_resumes_to_the_same_database(
    tmp_path: Path, every: int, n_random: int
) -> None:
    table = facts_of("tests.gmt_tasks.runs.killed_runs", tmp_path, every, n_random)
    assert table["points"]["found"] >= 60
    at_commits, at_random = table["killed at a commit point"], table["killed at a random moment"]
    assert at_commits["kills"] == len(range(1, table["points"]["found"] + 1, every))
    assert at_random["kills"] >= n_random
    assert nothing_lost(at_commits) and nothing_lost(at_random)


def test_a_commit_that_is_lost_is_noticed(tmp_path: Path) -> None:
    db = tmp_path / "a.db"
    killed_runs.run(db)
    expected = killed_runs.rows_of(db)
    with sqlite3.connect(db) as connection:
        connection.execute("DELETE FROM results WHERE rowid = (SELECT max(rowid) FROM results)")
    # The run is finished, so that a further call has nothing to do: what is gone stays gone and is seen.
    found = killed_runs.compared(db, expected)
    assert found["differing"] == 1 and found["lost"] >= 1


@pytest.mark.chaos
def test_nodes_and_workers_of_a_cluster_killed_in_the_middle_of_a_run_cost_nothing(tmp_path: Path) -> None:
    facts = facts_of("tests.gmt_tasks.workers.two_nodes", tmp_path, 2000, 5)
    assert (facts["nodes_killed"], facts["workers_killed"]) == (3, 2)
    assert facts["workers"] >= 4 + 2, "the dead were replaced"
    assert (facts["lost"], facts["doubled"]) == (0, 0)
    assert facts["same"] and facts["spilled"]
    assert facts["open_to_others"] == []


@pytest.mark.chaos
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for left-over processes in /proc")
def test_a_run_that_was_killed_and_stopped_ends_like_one_that_was_not(tmp_path: Path) -> None:
    source = write_crystals(tmp_path / "c.jsonl", ["Al", "N", "C", "Ts", *["Si"] * (N_CRYSTALS - 4)], a0=3.0)
    undisturbed, disturbed = tmp_path / "a" / "a.db", tmp_path / "b" / "b.db"
    for db in (undisturbed, disturbed):
        db.parent.mkdir()
    calm = start(["screen", str(source)], undisturbed)
    assert calm.wait(PATIENCE_S * 2) == 0, calm.communicate()[1]

    killed = start(["screen", str(source)], disturbed)
    wait_until(lambda: n_done(disturbed) > 10)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    done = n_done(disturbed)
    wait_until(lambda: not processes_of(disturbed))
    assert n_done(disturbed) == done, "something went on writing after the driver was gone"

    stopped = start(["screen", str(source)], disturbed)
    wait_until(lambda: n_done(disturbed) > done + 10)
    os.killpg(stopped.pid, signal.SIGINT)
    _, said = stopped.communicate(timeout=PATIENCE_S)
    assert stopped.returncode == 1
    assert said.splitlines()[-1] == "gmtscreen: stopped; run the same command again to finish the rest"
    assert n_done(disturbed) < N_CRYSTALS * 3 // 4

    last = start(["screen", str(source)], disturbed)
    assert last.wait(PATIENCE_S * 2) == 0, last.communicate()[1]
    assert dump(disturbed) == dump(undisturbed)


def design(db: Path) -> "subprocess.Popen[str]":
    """A small design."""
    asked = ["--rounds", "2", "--per-round", "40", "--generate", "elements=Mg+O,known=keep,max_atoms=8"]
    fixed = ["--sort", "-k_vrh_gpa", "--above-hull", "0", "--out", str(db.parent / "generators")]
    return start(["design", "", *asked, *fixed], db, FAKE_DESIGN)


def n_done_of_run(db: Path, number: int) -> int:
    """Crystals of a run with a result; -1 before there is such a run."""
    try:
        with ResultStore.open_existing(db) as store:
            return int(store.runs(number)[0]["done"])
    except (StoreError, IndexError):
        return -1


def has_result(db: Path, number: int) -> bool:
    """True once a crystal of a run has a result."""
    return n_done_of_run(db, number) > 0


def found_by_design(db: Path) -> tuple[list[DesignRound], list[dict[str, Any]]]:
    """Rounds without the time that they took, and proposals."""
    with ResultStore.open_existing(db) as store:
        return [replace(one, seconds=0.0) for one in store.designs.rounds(1)], store.designs.proposals(1)


@pytest.mark.chaos
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for left-over processes in /proc")
def test_a_design_that_was_killed_in_its_rounds_ends_like_one_that_was_not(tmp_path: Path) -> None:
    undisturbed, disturbed = tmp_path / "a" / "a.db", tmp_path / "b" / "b.db"
    for db in (undisturbed, disturbed):
        db.parent.mkdir()
    calm = design(undisturbed)
    assert calm.wait(PATIENCE_S * 4) == 0, calm.communicate()[1]

    for number in (1, 2):
        killed = design(disturbed)
        wait_until(partial(has_result, disturbed, number))
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        done = n_done_of_run(disturbed, number)
        wait_until(lambda: not processes_of(disturbed))
        assert n_done_of_run(disturbed, number) == done < n_done_of_run(undisturbed, number)
        assert len(found_by_design(disturbed)[0]) == number - 1

    last = design(disturbed)
    assert last.wait(PATIENCE_S * 4) == 0, last.communicate()[1]
    assert found_by_design(disturbed) == found_by_design(undisturbed)
    assert len(found_by_design(disturbed)[0]) == 2
    wait_until(lambda: not processes_of(disturbed))
