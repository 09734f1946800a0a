"""Prints a table: fault injected, how often, how it ended, rows lost, rows doubled.

Run as `python -m tests.gmt_tasks.workers.fault_table FOLDER [EVERY] [RANDOM]` with an empty folder for databases; the
numbers are those of `tests.gmt_tasks.runs.killed_runs`.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gmt_tasks.import_guard import REPOSITORY_ROOT
from gmt_tasks.workers.fork_server import ForkServer
from gmt_tasks.workers.isolation import Isolation, Timeouts
from gmt_tasks.workers.jobs import Job
from tests.gmt_tasks.workers import fake_screener as fake

FAULTS = {
    "crystal ends its process": fake.CRASH,
    "crystal causes a segmentation fault": fake.SEGFAULT,
    "crystal hangs asleep": fake.HANG,
    "crystal hangs computing": fake.SPIN,
    "crystal takes all memory": fake.GREEDY,
    "process killed from outside at a crystal, each time": fake.KILLED,
    "model raises on a crystal": fake.RAISE,
    "model gives no row for a crystal": fake.LOSE,
}
N_CRYSTALS = 200


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    fault: str
    injected: int
    outcome: str
    lost: int
    doubled: int


def crystal_lines() -> Iterator[Line]:
    """Every fault of a crystal, twice in a shard of 200 crystals."""
    isolation = Isolation(ForkServer(fake.make_fake), Timeouts(job_s=3.0, job_s_per_atom=0.0), 25)
    isolation.warm_up()
    for name, element in FAULTS.items():
        elements = [element if i in {31, 140} else 6 for i in range(N_CRYSTALS)]
        lease = fake.lease_of(elements)
        block = isolation.screen(Job.whole(lease))
        ids = [*block.crystal_ids, *(crystal_id for crystal_id, _, _ in block.quarantined)]
        reasons = {reason.value for _, reason, _ in block.quarantined}
        by_name = {crystal_id for crystal_id, _, _ in block.quarantined} == {"s1c31", "s1c140"}
        ending = f"both quarantined by name ({', '.join(sorted(reasons))})" if by_name else "NOT FOUND BY NAME"
        yield Line(name, 2, ending, len(set(lease.crystal_ids) - set(ids)), len(ids) - len(set(ids)))
    isolation.close()


def kill_lines(folder: Path, options: list[str]) -> Iterator[Line]:
    """Drivers killed at commits and at random moments."""
    for fault, row in _facts("tests.gmt_tasks.runs.killed_runs", str(folder), *options).items():
        if "kills" in row:
            ending = f"{row['runs'] - row['differing']} of {row['runs']} runs resumed to the identical dump"
            yield Line(f"driver {fault}", row["kills"], ending, row["lost"], row["doubled"])


def node_line(folder: Path) -> Line:
    """Nodes and workers of a cluster of two nodes killed in the middle of a run."""
    facts = _facts("tests.gmt_tasks.workers.two_nodes", str(folder), "600", "4")
    ending = "identical dump" if facts["same"] else "ANOTHER DUMP"
    fault = f"of a cluster: {facts['nodes_killed']} nodes and {facts['workers_killed']} workers killed"
    return Line(fault, facts["nodes_killed"] + facts["workers_killed"], ending, facts["lost"], facts["doubled"])


def _facts(module: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=REPOSITORY_ROOT, capture_output=True, text=True, check=True)
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


def lines(folder: Path, options: list[str]) -> Iterator[Line]:
    """All lines; those that take longest come last."""
    for name in ("kills", "nodes"):
        (folder / name).mkdir(parents=True)
    yield from crystal_lines()
    yield from kill_lines(folder / "kills", options)
    yield node_line(folder / "nodes")


if __name__ == "__main__":
    print("| fault | injected | outcome | rows lost | rows doubled |\n|---|---|---|---|---|")  # noqa: T201 - what it is for
    for line in lines(Path(sys.argv[1]), sys.argv[2:]):
        print(f"| {line.fault} | {line.injected} | {line.outcome} | {line.lost} | {line.doubled} |", flush=True)  # noqa: T201
