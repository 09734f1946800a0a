"""The whole line in one process and one thread, with a clock around its stages; answers batches over a pipe.

Reads a Parquet file, validates, identifies, deduplicates, stores inputs, leases shards, screens them in a worker's
batches and commits: what driver, readers and workers do in a run, without what lies between processes. Run as a script
it imports the version of gmtscreen that its PYTHONPATH names, so that versions can be compared side by side; of the
benchmark it then uses this file alone.
"""

import importlib
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

SCREENER = "gmt_tasks.screening.screener"
WRAPPED = (
    ("neighbours", SCREENER, "find_graph_neighbors"),
    ("symmetry", SCREENER, "analyse_symmetry"),
    ("network", SCREENER, "infer"),
    ("network", SCREENER, "infer_idealized"),
    ("average, symmetrize", SCREENER, "average"),
    ("average, symmetrize", SCREENER, "symmetrize"),
    ("derive", SCREENER, "derive"),
    ("reliability, intervals, warnings", SCREENER, "build_graph"),
    ("reliability, intervals, warnings", SCREENER, "gather_evidence"),
    ("reliability, intervals, warnings", SCREENER, "reliability_columns"),
    ("reliability, intervals, warnings", SCREENER, "reliability_warnings"),
    ("reliability, intervals, warnings", SCREENER, "interval_columns"),
    ("reliability, intervals, warnings", SCREENER, "without_static_response"),
    ("reliability, intervals, warnings", SCREENER, "warnings_of"),
)
"""Functions that the screener calls: stage, module, name. One that a version lacks is left out; its time then shows in
the stage that calls it, last of all in "rest of the screener"."""

REST, OUTSIDE = "rest of the screener", "between the stages"
STAGES = (
    "read", "validate", "identity", "deduplicate", "store inputs", "lease", "neighbours", "symmetry", "network",
    "average, symmetrize", "derive", "reliability, intervals, warnings", REST, "encode, commit", OUTSIDE,
)  # fmt: skip


class StageClock:
    """Exclusive processor time by stage: what an inner stage takes is not counted for the outer one.

    The sum of all stages is the whole, because every moment belongs to one of them.

    Attributes:
        seconds: processor time of this process by stage.
    """

    def __init__(self, now: Callable[[], float] = time.process_time) -> None:
        self._now = now
        self.seconds: dict[str, float] = defaultdict(float)
        self._inside = [OUTSIDE]
        self._since = now()

    def restart(self) -> None:
        """Forgets what was counted."""
        self.seconds.clear()
        self._since = self._now()

    def stop(self) -> dict[str, float]:
        """Seconds by stage since the last restart."""
        self._count()
        return dict(self.seconds)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """What runs inside belongs to the stage."""
        self._count()
        self._inside.append(stage)
        try:
            yield
        finally:
            self._count()
            self._inside.pop()

    def around(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time counted for a stage."""

        @wraps(function)
        def clocked(*args: Any, **kwargs: Any) -> Any:
            with self(stage):
                return function(*args, **kwargs)

        return clocked

    def wrap(self) -> list[str]:
        """Puts the clock around every function of WRAPPED that there is; returns the names of the missing ones."""
        missing = []
        for stage, module, name in WRAPPED:
            owner = importlib.import_module(module)
            if hasattr(owner, name):
                setattr(owner, name, self.around(stage, getattr(owner, name)))
            else:
                missing.append(f"{module}.{name}")
        return missing

    def _count(self) -> None:
        now = self._now()
        self.seconds[self._inside[-1]] += now - self._since
        self._since = now


class OwnLine:
    """gmtscreen's line for Parquet files, each into a database of its own.

    Args:
        model: name of a shipped model or a checkpoint.
    """

    def __init__(self, model: str) -> None:
        import torch

        from gmt_tasks.screening.screener import Screener

        torch.set_num_threads(1)
        self.clock = StageClock()
        self.missing = self.clock.wrap()
        self.screener = Screener.load(model, device="cpu")

    def screen(self, path: Path, database: Path) -> dict[str, Any]:
        """Screens a file.

        Returns:
            n (inputs), n_atoms, cpu_s, stages (seconds by stage) and bytes (of the database).
        """
        from db.records import RunSpec
        from db.store import ResultStore
        from gmt_tasks.ingest.blocks import SHARD_ATOMS
        from gmt_tasks.ingest.deduplicate import Deduplicator
        from gmt_tasks.ingest.validate import ingest_block
        from gmt_tasks.sources.files.tables.parquet import TableFile
        from models.crystals.crystal import MAX_ATOMS
        from models.fingerprint.content_id import identify

        clock, name = self.clock, path.name
        with ResultStore(database) as store:
            version = self.screener.model_version
            store.register_model(version, {})
            run = store.open_run(RunSpec((name,), (name,), version, {"symprec": self.screener.symprec}))
            clock.restart()
            began_s = time.process_time()
            with clock("read"):
                blocks = list(TableFile(path, name).blocks(0))
            n_atoms = 0
            deduplicator = Deduplicator(store.crystals_in_buckets)
            for block in blocks:
                n_atoms += len(block.crystals.numbers)
                with clock("validate"):
                    ingested = ingest_block(name, block, MAX_ATOMS, clock.around("identity", identify))
                with clock("deduplicate"):
                    ingested = deduplicator.deduplicated(ingested)
                with clock("store inputs"):
                    store.add_block(run.id, ingested, SHARD_ATOMS)
            with clock("store inputs"):
                store.end_ingest(run.id, name)
            self._compute(store, run.id)
            cpu_s, stages = time.process_time() - began_s, clock.stop()
            store.finish(run.id, cpu_s)
        n_bytes = sum(part.stat().st_size for part in database.parent.glob(f"{database.name}*"))
        return {"n": blocks[-1].stop, "n_atoms": n_atoms, "cpu_s": cpu_s, "stages": stages, "bytes": n_bytes}

    def _compute(self, store: Any, run_id: int) -> None:
        """Every shard, in batches of the size that workers take."""
        from gmt_tasks.workers.jobs import Job, merge
        from gmt_tasks.workers.worker import BATCH_ATOMS

        while True:
            with self.clock("lease"):
                lease = store.lease_shard(run_id, "benchmark")
            if lease is None:
                return
            with self.clock(REST):
                jobs = Job.whole(lease).batches(BATCH_ATOMS)
                block = merge([self.screener.screen(job.crystal_ids, job.crystals) for job in jobs])
            with self.clock("encode, commit"):
                store.commit_shard(lease, block)


class OtherLine:
    """The plain line, asked in the same way."""

    def __init__(self) -> None:
        import torch

        from benchmarks.speed.plain.line import PlainLine

        torch.set_num_threads(1)
        self.line, self.missing = PlainLine(), []

    def screen(self, path: Path, database: Path) -> dict[str, Any]:
        """Screens a file; see `OwnLine.screen`. `raw` has the network's tensors by id."""
        self.line.seconds.clear()
        began_s = time.process_time()
        raw = self.line.screen(path, database)
        cpu_s = time.process_time() - began_s
        stages = dict(self.line.seconds) | {OUTSIDE: cpu_s - sum(self.line.seconds.values())}
        tensors = {name: {str(t): values.tolist() for t, values in of.items()} for name, of in raw.items()}
        return {"n": len(raw), "cpu_s": cpu_s, "stages": stages, "raw": tensors}


def serve(kind: str) -> None:
    """Answers requests, one JSON object per line: {"path", "database"}, until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    began_s = time.process_time()
    line = OtherLine() if kind == "plain" else OwnLine(kind)

    def answer(facts: dict[str, Any]) -> None:
        answers.write(json.dumps(facts) + "\n")
        answers.flush()

    import models

    root = str(Path(models.__file__).parent.parent)
    answer({"ready": kind, "root": root, "missing": line.missing, "load_cpu_s": time.process_time() - began_s})
    for request in map(json.loads, sys.stdin):
        answer(line.screen(Path(request["path"]), Path(request["database"])))


if __name__ == "__main__":
    serve(sys.argv[1])
