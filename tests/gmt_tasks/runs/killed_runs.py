"""Runs killed at every commit and at random moments, resumed, and compared with one that was left alone.

A farm: one process with one thread forks a child per kill, which takes a tenth of a second and not the seconds of a new
interpreter. A commit point is the moment before or after any transaction of a run is committed, from the creation of
the schema to the closing of the balance; they are counted in the dialect, so that no product code knows of them.

Run as `python -m tests.gmt_tasks.runs.killed_runs FOLDER [EVERY] [RANDOM]`: kills at each EVERY-th commit point, at
RANDOM random moments, and prints one line of JSON.
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy.engine.default import DefaultDialect

from db.store import ResultStore
from gmt_tasks.ingest.blocks import IngestPlan
from gmt_tasks.process import new_holder
from gmt_tasks.runs.drive import ShardDriver
from gmt_tasks.runs.lifecycle import close_run, ingest_source, run_spec
from tests.gmt_tasks.runs.test_drive import DirectPool, ListSource
from tests.gmt_tasks.workers.fake_screener import RAISE, VERSION

ELEMENTS = [6, 7, 8, 9, RAISE, 14, 15, 16, 17, 13, 12, 11, RAISE, 3, 4, 5, 19, 20, 21, 22, 23, 24]
PLAN = IngestPlan(max_atoms=100, shard_atoms=3)


class CommitPoints:
    """Counts the moments before and after commits and ends this process at one of them, as a power cut would.

    Args:
        kill_at: number of the fatal point, 1 for the first; 0 for none.
        pause_s: at every point, so that a run lasts long enough to be hit at random.
    """

    def __init__(self, kill_at: int = 0, pause_s: float = 0.0) -> None:
        self.n_passed, self._kill_at, self._pause_s = 0, kill_at, pause_s
        commit = DefaultDialect.do_commit

        def watched(dialect: DefaultDialect, connection: Any) -> None:
            self._passed()
            commit(dialect, connection)
            self._passed()

        DefaultDialect.do_commit = watched  # type: ignore[method-assign]

    def _passed(self) -> None:
        self.n_passed += 1
        if self.n_passed == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self._pause_s)


def run(db: Path) -> None:
    """One whole run, from the schema to the closed balance."""
    source = ListSource(ELEMENTS)
    with ResultStore(db) as store:
        store.register_model(VERSION, {})
        opened = store.open_run(run_spec([source], VERSION, 0.01, PLAN))
        ingest_source(store, opened.id, source, PLAN)
        ShardDriver(store, opened.id, DirectPool(), new_holder()).drive()
        close_run(store, opened.id, 1.0)


def in_child(work: Callable[[], Any], kill_after_s: float | None = None) -> tuple[int, Any]:
    """Exit status (negative for a signal) and answer of some work in a forked process."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.write(writing, json.dumps(work()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(pid, signal.SIGKILL)
    with os.fdopen(reading, "rb") as stream:
        answer = stream.read()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), json.loads(answer) if answer else None


def rows_of(db: Path) -> list[str]:
    """The dump of a database, a line per row."""
    with ResultStore(db) as store:
        return [json.dumps(row, default=str, sort_keys=True) for row in store.dump()]


def killed_run(db: Path, kill_at: int) -> int:
    """Exit status of a run that dies at a commit point."""

    def work() -> None:
        CommitPoints(kill_at)
        run(db)

    return in_child(work)[0]


def counted_run(db: Path) -> int:
    """Commit points of an undisturbed run."""

    def work() -> int:
        points = CommitPoints()
        run(db)
        return points.n_passed

    return int(in_child(work)[1])


def compared(db: Path, expected: list[str]) -> dict[str, int]:
    """What is missing and what is doubled after the last resumption."""
    status, _ = in_child(lambda: run(db))
    _, rows = in_child(lambda: rows_of(db))
    lost, doubled = len(set(expected) - set(rows)), len(rows) - len(set(rows))
    return {"lost": lost, "doubled": doubled, "differing": int(status != 0 or rows != expected)}


def main(folder: Path, every: int, n_random: int) -> dict[str, dict[str, int]]:
    """The table: fault -> how often, rows lost, rows doubled, runs that ended otherwise than undisturbed."""
    n_points = counted_run(folder / "undisturbed.db")
    expected = in_child(lambda: rows_of(folder / "undisturbed.db"))[1]
    table: dict[str, dict[str, int]] = {}

    def add(fault: str, db: Path, n_kills: int) -> None:
        row = table.setdefault(fault, {"runs": 0, "kills": 0, "lost": 0, "doubled": 0, "differing": 0})
        for name, n in (compared(db, expected) | {"runs": 1, "kills": n_kills}).items():
            row[name] += n

    for point in range(1, n_points + 1, every):
        db = folder / f"point{point}.db"
        if killed_run(db, point) != -signal.SIGKILL:
            raise SystemExit(f"the run did not die at commit point {point} of {n_points}")
        add("killed at a commit point", db, 1)
    moments = random.Random(1)
    while table.get("killed at a random moment", {"kills": 0})["kills"] < n_random:
        db = folder / f"random{len(list(folder.glob('random*.db')))}.db"
        n_kills = 0
        for _ in range(3):

            def work(db: Path = db) -> None:
                CommitPoints(pause_s=0.003)
                run(db)

            n_kills += in_child(work, moments.uniform(0.0, 0.8))[0] == -signal.SIGKILL
        add("killed at a random moment", db, n_kills)
    return table | {"points": {"found": n_points}}


if __name__ == "__main__":
    options = [int(text) for text in sys.argv[2:]]
    table = main(Path(sys.argv[1]), *(options or [1, 100]))
    print(json.dumps(table))  # noqa: T201 - the answer to the test
