"""A refine run killed in the middle and started again: the same run, every chosen crystal, the same numbers."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from db.store import ResultStore
from gmt_tasks.import_guard import REPOSITORY_ROOT
from tests.flows.test_chaos import dump, processes_of, wait_until

pytest.importorskip("sevenn", reason="the second opinion needs the extra refine")
pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(900)]

TOP = 10
COMMAND = ["refine", "n_atoms < 6", "--top", str(TOP), "--sort", "-k_vrh_gpa", "--workers", "1", "--references", "2"]


def gmtscreen(*words: str, db: Path) -> "subprocess.Popen[str]":
    """The command in a process group of its own, with small shards so that there is a middle."""
    environment = os.environ | {"GMTSCREEN_SHARD_ATOMS": "4", "PREFECT_HOME": str(db.parent / "prefect")}
    environment.pop("PREFECT_API_URL", None)
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli.app", *words, "--db", str(db), "--json"],
        cwd=REPOSITORY_ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip


def finished(*words: str, db: Path) -> dict[str, Any]:
    """What a command that runs to its end prints."""
    process = gmtscreen(*words, db=db)
    out, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    facts: dict[str, Any] = json.loads(out)
    return facts


def n_refined(db: Path) -> int:
    with ResultStore.open_existing(db) as store:
        return store.count("refined")


def results(db: Path) -> list[dict[str, Any]]:
    return [row for row in dump(db) if row["table"] == "results"]


@pytest.fixture
def screened(tmp_path: Path) -> Path:
    """A database of screened reference crystals, in a folder of its own."""
    folder = tmp_path / "killed"
    folder.mkdir()
    finished("screen", "reference", "--workers", "1", db=folder / "hits.db")
    return folder / "hits.db"


def test_a_killed_refine_run_resumes_to_what_an_undisturbed_one_gives(screened: Path, tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed" / "hits.db"
    undisturbed.parent.mkdir()
    shutil.copy(screened, undisturbed)
    driver = gmtscreen(*COMMAND, db=screened)
    wait_until(lambda: n_refined(screened) >= 2 or driver.poll() is not None)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.communicate()
    done_before = n_refined(screened)
    assert 2 <= done_before < TOP
    wait_until(lambda: not processes_of(screened))

    facts = finished(*COMMAND, db=screened)
    assert facts["in"] == facts["done"] + facts["rejected"] + facts["quarantined"] == TOP
    assert (facts["run"], facts["state"]) == (2, "finished")
    assert n_refined(screened) == facts["done"]
    time.sleep(1)
    assert processes_of(screened) == []

    again = finished(*COMMAND, db=screened)
    assert (again["run"], again["done"], again["computed"]) == (2, facts["done"], 0)
    finished(*COMMAND, db=undisturbed)
    assert results(undisturbed) == results(screened)
