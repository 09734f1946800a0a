"""Content ids computed in other processes are those computed here, whatever happens to the processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gmt_tasks.ingest.content_id_pool import PART, ContentIdPool
from gmt_tasks.telemetry import LOGGER
from models.crystals.crystal import CrystalBatch
from models.fingerprint.content_id import identify
from models.reference.crystals import crystals_of_all_classes, textbook_crystals

CLASSIFIED = crystals_of_all_classes(seed=3).crystals
MANY = CLASSIFIED.select(np.arange(PART + 50) % CLASSIFIED.n_crystals)
NAMED = identify(MANY)

OWNER = """
import sys, time
from gmt_tasks.ingest.content_id_pool import ContentIdPool
from models.reference.crystals import textbook_crystals
if __name__ == "__main__":
    pool = ContentIdPool(2, patience=0)
    pool.identify(textbook_crystals().crystals)
    print(*pool._executor._processes, flush=True)
    time.sleep(600)
"""


def runs(process: int) -> bool:
    """Whether a process exists and is more than the record of its end."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> ContentIdPool:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    return ContentIdPool(2, patience=100)


def test_names_come_in_order_and_are_those_computed_here(pool: ContentIdPool) -> None:
    with pool:
        few = pool.identify(MANY.select(range(50)))
        assert pool._executor is None  # too few to be worth the start of processes
        named = pool.identify(MANY)
        assert pool._executor is not None
        nothing = pool.identify(CrystalBatch.from_arrays([], [], []))
    assert few.ids == NAMED.ids[:50]
    assert (named.ids, named.enantiomorph_ids, named.buckets) == (NAMED.ids, NAMED.enantiomorph_ids, NAMED.buckets)
    assert np.array_equal(named.prefilter, NAMED.prefilter)
    assert nothing.ids == [] and nothing.prefilter.shape == (0, NAMED.prefilter.shape[1])


def test_a_killed_process_costs_time_but_no_name(pool: ContentIdPool, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(LOGGER, "warning", warnings.append)
    with pool:
        pool.identify(MANY)
        assert pool._executor is not None
        for process in list(pool._executor._processes):
            os.kill(process, signal.SIGKILL)
        assert pool.identify(MANY).ids == NAMED.ids
        assert pool.identify(MANY).ids == NAMED.ids
    assert [warning.partition(";")[0] for warning in warnings] == ["a process that computes content ids died"]


def test_the_processes_end_with_a_killed_owner(tmp_path: Path) -> None:
    script = tmp_path / "owner.py"
    script.write_text(OWNER)
    root = str(Path(__file__).parents[3])
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}
    ) as owner:
        assert owner.stdout is not None
        children = [int(number) for number in owner.stdout.readline().split()]
        assert children
        owner.kill()
    deadline = time.monotonic() + 60
    while any(map(runs, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [child for child in children if runs(child)] == []


def test_one_process_computes_here() -> None:
    with ContentIdPool(1, patience=0) as alone:
        assert alone.identify(textbook_crystals().crystals).ids == identify(textbook_crystals().crystals).ids
        assert alone._executor is None
