"""A real run of `gmtscreen screen`: rate by its own record, wall and processor time of all its processes, memory."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.speed.processes import Measured, measure
from benchmarks.speed.versions import ONE_THREAD, ROOT

COMMAND = (sys.executable, "-P", "-c", "from flows.cli.app import main; main()")


class FailedRunError(RuntimeError):
    """A run did not end well."""


def screen(source: Path, database: Path, *, workers: int, limit: int | None = None) -> dict[str, Any]:
    """Screens a source into a fresh database and measures that.

    Args:
        source: file or folder.
        database: removed first.
        workers: worker processes.
        limit: inputs.

    Raises:
        FailedRunError: the command failed; with its last words.
    """
    for part in database.parent.glob(f"{database.name}*"):
        part.unlink()
    words = ["screen", str(source), "--db", str(database), "--workers", str(workers), "--json", "--verbose"]
    words += ["--limit", str(limit)] if limit is not None else []
    done = measure([*COMMAND, *words], environment(), ROOT)
    if done.returncode:
        raise FailedRunError("\n".join(line for _, line in done.lines[-20:]))
    n_bytes = sum(part.stat().st_size for part in database.parent.glob(f"{database.name}*"))
    return facts(done, json.loads(done.output)) | {"workers": workers, "database_bytes": n_bytes}


def environment() -> dict[str, str]:
    """Variables of a run of this version on processors only."""
    return os.environ | ONE_THREAD | {"PYTHONPATH": str(ROOT)}


def facts(done: Measured, record: dict[str, Any]) -> dict[str, Any]:
    """Figures of a run: times in s, memory in bytes.

    `start_s` is the time until the first input was read, `drive_s` that between the first and the last commit.
    """
    commits = [second for second, line in done.lines if " shard.committed " in f"{line} "]
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
