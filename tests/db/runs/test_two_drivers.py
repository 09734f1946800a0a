"""Two drivers, two processes, one database: they share the work, and one takes over what the other leaves behind."""

import subprocess
import sys
from typing import Any

import pytest

from db.store import ResultStore
from gmt_tasks.import_guard import REPOSITORY_ROOT
from gmt_tasks.process import new_holder
from gmt_tasks.runs.drive import ShardDriver
from tests.db.blocks import block, spec
from tests.gmt_tasks.runs.test_drive import DirectPool

N_CRYSTALS = 120
SHARD_ATOMS = 9


def filled(store: ResultStore) -> int:
    run = store.open_run(spec())
    store.add_block(run.id, block(0, range(N_CRYSTALS)), SHARD_ATOMS)
    store.end_ingest(run.id, "made")
    return run.id


def start(db: str, run_id: int, holder: str, stale_after_s: float, *how: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.db.driver_process", db, str(run_id), holder, str(stale_after_s), *how]
    return subprocess.Popen(command, cwd=REPOSITORY_ROOT, text=True, stdout=subprocess.PIPE)


def committed(driver: "subprocess.Popen[str]") -> int:
    said, _ = driver.communicate(timeout=120)
    assert driver.returncode == 0
    return int(said)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The dump of a run that one driver did alone."""
    with ResultStore(tmp_path_factory.mktemp("alone") / "alone.db") as store:
        run_id = filled(store)
        assert ShardDriver(store, run_id, DirectPool(), new_holder()).drive() == N_CRYSTALS
        return list(store.dump())


def test_two_processes_share_the_work_and_compute_nothing_twice(
    store: ResultStore, db: str, undisturbed: list[dict[str, Any]]
) -> None:
    run_id = filled(store)
    shares = [committed(each) for each in [start(db, run_id, name, 60) for name in ("one", "two")]]
    assert sum(shares) == N_CRYSTALS
    assert min(shares) > 0
    assert store.finish(run_id, 1.0).closed
    assert list(store.dump()) == undisturbed


def test_what_a_silent_process_holds_is_taken_over(
    store: ResultStore, db: str, undisturbed: list[dict[str, Any]]
) -> None:
    run_id = filled(store)
    # The name of another host: nobody can see that the process is gone, only that it gives no heartbeat.
    silent = start(db, run_id, "elsewhere", 1, "hang")
    assert silent.stdout is not None
    assert silent.stdout.readline() == "hangs\n"
    held = store.holders(run_id)
    assert len(held) == 1
    n_done = store.balance(run_id).done
    assert committed(start(db, run_id, "living", 1)) == N_CRYSTALS - n_done
    silent.kill()
    silent.communicate()
    assert store.holders(run_id) == []
    assert store.finish(run_id, 1.0).closed
    assert list(store.dump()) == undisturbed
