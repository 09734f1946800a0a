"""A real run of `gmtscreen screen`: rate by its own record, wall and processor time of all its processes, memory."""

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from benchmarks.speed.processes import Measured, measure
from benchmarks.speed.versions import ONE_THREAD, ROOT

COMMAND = (sys.executable, "-P", "-c", "from flows.cli.app import main; main()")


class FailedRunError(RuntimeError):
    """A run did not end well."""


def screen(
    source: Path,
    database: Path,
    *,
    workers: int,
    limit: int | None = None,
    device: str = "cpu",
    model: str = "gmtnet",
    one_core: bool = False,
) -> dict[str, Any]:
    """Screens a source into a fresh database and measures that.

    Args:
        source: file or folder.
        database: removed first.
        workers: worker processes.
        limit: inputs.
        device: "cpu" or "cuda".
        model: name of a shipped model or a checkpoint.
        one_core: keeps all processes of the run on one core.

    Raises:
        FailedRunError: the command failed; with its last words.
    """
    for part in database.parent.glob(f"{database.name}*"):
        part.unlink()
    words = ["screen", str(source), "--db", str(database), "--workers", str(workers), "--json", "--verbose"]
    words += ["--device", device, "--model", model]
    words += ["--limit", str(limit)] if limit is not None else []
    with on_one_core() if one_core else nullcontext():
        done = measure([*COMMAND, *words], environment(device), ROOT)
    if done.returncode:
        raise FailedRunError("\n".join(line for _, line in done.lines[-20:]))
    n_bytes = sum(part.stat().st_size for part in database.parent.glob(f"{database.name}*"))
    figures = facts(done, json.loads(done.output)) | {"workers": workers, "database_bytes": n_bytes}
    return figures | {"steady_crystals_per_s": steady_rate(commits_of(done.lines), workers)}


@contextmanager
def on_one_core() -> Iterator[None]:
    """Keeps this process, and what it starts meanwhile, on one of its cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def environment(device: str = "cpu") -> dict[str, str]:
    """Variables of a run of this version; on processors it does not see a GPU."""
    variables = os.environ | ONE_THREAD | {"PYTHONPATH": str(ROOT)}
    if device != "cpu":
        # whatever GPUs this process sees
        del variables["CUDA_VISIBLE_DEVICES"]
        variables |= {name: value for name, value in os.environ.items() if name == "CUDA_VISIBLE_DEVICES"}
    return variables


def facts(done: Measured, record: dict[str, Any]) -> dict[str, Any]:
    """Figures of a run: times in s, memory in bytes.

    `start_s` is the time until the first block of inputs was in, `drive_s` that between the first and the last commit.
    """
    commits = [second for second, _ in commits_of(done.lines)]
    read = [second for second, line in done.lines if " ingest.block " in f"{line} "]
    tree = done.tree
    return {
        "n": record["in"],
        "done": record["done"],
        "duplicate": record["duplicate"],
        "refused": record["rejected"] + record["quarantined"],
        "crystals_per_s": record["crystals_per_s"],
        "recorded_s": record["seconds"],
        "wall_s": done.wall_s,
        "start_s": read[0] if read else None,
        "drive_s": commits[-1] - commits[0] if len(commits) > 1 else None,
        "cpu_s": tree.cpu_s(),
        "cpu_by_role": tree.cpu_by_role(),
        "resident_by_role": tree.resident_by_role(),
        "memory_by_role": dict(tree.peak_by_role),
        "memory": tree.peak_shared,
    }


def commits_of(lines: list[tuple[float, str]]) -> list[tuple[float, int]]:
    """When shards were committed, in s, and how many crystals of each have a result."""
    found = ((second, re.search(r" shard\.committed .*\bdone=(\d+)", line)) for second, line in lines)
    return [(second, int(match[1])) for second, match in found if match]


def steady_rate(commits: list[tuple[float, int]], workers: int) -> float | None:
    """Crystals per second after the first shard of each worker, which all come at once; None where none follows.

    At the end some workers have nothing left, so of a short run it is rather too low.
    """
    if len(commits) <= workers:
        return None
    took_s = commits[-1][0] - commits[workers - 1][0]
    return sum(n for _, n in commits[workers:]) / took_s if took_s else None
