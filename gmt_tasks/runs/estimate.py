"""What a run over the user's own input will take here: time, memory, bytes, calibrated on crystals that are screened.

The dry run ingests the input into a scratch database, as the run would, and measures that. Of the crystals that are
left to compute, some two hundred, spread over all sizes, are then screened in this process in a worker's batches and
committed to a second scratch database. A batch costs so much per crystal and so much per atom; both are fitted, because
cells of the input differ more in size than those of the sample.
"""

import math
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from db.records import Balance, IngestedBlock, ModelVersion, RunSpec
from db.store import ResultStore
from gmt_tasks.ingest.blocks import IngestPlan
from gmt_tasks.runs.lifecycle import ScratchRun, database_size, scratch_run
from gmt_tasks.sources.source import Source
from gmt_tasks.workers.jobs import Job, merge
from gmt_tasks.workers.worker import BATCH_ATOMS, Worker
from models.crystals.crystal import CrystalBatch

Floats = NDArray[np.float64]

MOST_SAMPLED = 200
"""Crystals that are screened."""

LONGEST_S = 20.0
"""For them all, twice: of a slower model fewer are screened."""

START_CPU_S = 17.0
"""Processor time of a run that computes nothing: Prefect, Ray, models (benchmarks/speed, `rows`)."""

OTHERS_BYTES = 800 << 20
"""Memory of driver, Ray and Prefect, which hardly depends on the input (benchmarks/speed, `rows`)."""

_FIRST_SAMPLED = 12
_HOLDER = "dry-run"
_SAMPLE = "sample"


@dataclass(frozen=True)
class BatchCost:
    """What batches of crystals cost on one core.

    Attributes:
        crystal_s: per crystal in s, and
        atom_s: per atom of its cell.
    """

    crystal_s: float
    atom_s: float

    @staticmethod
    def fit(n_crystals: Sequence[int], n_atoms: Sequence[int], seconds: Sequence[float]) -> "BatchCost":
        """Least squares over batches, scaled so that the batches together cost what they did.

        A coefficient that would be negative is left out: batches that are alike do not separate both.

        Args:
            n_crystals: of each batch,
            n_atoms: of their cells together,
            seconds: that it took.
        """
        counts = np.column_stack([n_crystals, n_atoms]).astype(np.float64)
        times = np.asarray(seconds, dtype=np.float64)
        both, *_ = np.linalg.lstsq(counts, times, rcond=None)
        if (both < 0).any() or np.linalg.matrix_rank(counts) < 2:
            # the number of atoms explains more than that of crystals wherever cells differ
            both = np.array([0.0, 1.0])
        scale = times.sum() / (counts @ both).sum()
        return BatchCost(*(scale * both).tolist())

    def of(self, n_crystals: int, n_atoms: int) -> float:
        """Seconds on one core of crystals with so many atoms."""
        return self.crystal_s * n_crystals + self.atom_s * n_atoms


@dataclass(frozen=True)
class Calibration:
    """What was measured on a sample.

    Attributes:
        n_crystals: that were screened.
        cost: of a worker.
        store_s: processor time of the driver for one crystal, to lease it and to commit its result.
        result_bytes: of the database for one result.
        load_s: wall time to load the model.
        worker_bytes: largest resident memory of this process, which did what a worker does.
    """

    n_crystals: int
    cost: BatchCost
    store_s: float
    result_bytes: float
    load_s: float
    worker_bytes: int


@dataclass(frozen=True)
class RunEstimate:
    """What a run is expected to take.

    Attributes:
        n_crystals, n_atoms: that are to be computed.
        n_sampled: of them, on which this rests.
        n_workers: processes that compute, on n_cores cores.
        start_s: wall time to load the model, and start_cpu_s the processor time of everything that starts.
        ingest_s: wall time of reading, validating and identifying, ingest_cpu_s its processor time.
        compute_cpu_s: processor time of all workers.
        store_cpu_s: of the driver meanwhile.
        memory_bytes: of all processes together.
        database_bytes: of an SQLite database that was empty before.
    """

    n_crystals: int
    n_atoms: int
    n_sampled: int
    n_workers: int
    n_cores: int
    start_s: float
    start_cpu_s: float
    ingest_s: float
    ingest_cpu_s: float
    compute_cpu_s: float
    store_cpu_s: float
    memory_bytes: int
    database_bytes: int

    @property
    def cpu_s(self) -> float:
        """Processor time of all processes without their start, in s."""
        return self.ingest_cpu_s + self.compute_cpu_s + self.store_cpu_s

    @property
    def wall_s(self) -> float:
        """Wall time of reading and computing at the same time, without the start, where nothing else uses the cores."""
        workers = max(1, min(self.n_workers, self.n_crystals))
        # bounded by the workers, by the driver, which reads and stores in one process, and by the cores that all share
        return max(self.compute_cpu_s / workers, self.ingest_s + self.store_cpu_s, self.cpu_s / self.n_cores)

    @property
    def crystals_per_s(self) -> float:
        """Rate over that time."""
        return self.n_crystals / max(self.wall_s, 1e-9)

    def facts(self) -> dict[str, float]:
        """All of it by name, as JSON has it."""
        derived = ("cpu_s", "wall_s", "crystals_per_s")
        return asdict(self) | {name: getattr(self, name) for name in derived}


def dry_run(
    sources: Sequence[Source],
    plan: IngestPlan,
    load: Callable[[], Worker],
    *,
    n_cores: int,
    now: Callable[[], float] = time.process_time,
) -> tuple[Balance, RunEstimate | None]:
    """The balance that a run over these sources would start with in an empty database, and what it will take.

    Args:
        sources: opened sources.
        plan: of the run, with its workers.
        load: loads a worker in this process; not called where nothing is to be computed.
        n_cores: that the run may use.
        now: clock in s that measures the sample: processor time, or wall time where a GPU computes.

    Returns:
        The balance (see `dry_balance`), and the estimate; None where nothing is to be computed.
    """
    with scratch_run(sources, plan) as scratch:
        if not scratch.balance.pending:
            return scratch.balance, None
        pending, n_atoms = pending_sample(scratch.store, scratch.run_id, MOST_SAMPLED)
        calibration = calibrate(pending, load, scratch.folder / "sample.db", plan.shard_atoms, now=now)
        return scratch.balance, estimate_of(scratch, n_atoms, calibration, plan.n_workers, n_cores)


def estimate_of(
    scratch: ScratchRun, n_atoms: int, calibration: Calibration, n_workers: int, n_cores: int
) -> RunEstimate:
    """Scales what a sample cost to all crystals of a scratch run.

    Args:
        scratch: ingested input.
        n_atoms: of the crystals to compute.
        calibration: by the sample.
        n_workers: of the run.
        n_cores: that it may use.
    """
    n = scratch.balance.pending
    return RunEstimate(
        n_crystals=n,
        n_atoms=n_atoms,
        n_sampled=calibration.n_crystals,
        n_workers=n_workers,
        n_cores=n_cores,
        start_s=calibration.load_s,
        start_cpu_s=START_CPU_S,
        ingest_s=scratch.wall_s,
        ingest_cpu_s=scratch.cpu_s,
        compute_cpu_s=calibration.cost.of(n, n_atoms),
        store_cpu_s=calibration.store_s * n,
        memory_bytes=OTHERS_BYTES + n_workers * calibration.worker_bytes,
        database_bytes=scratch.database_bytes + round(calibration.result_bytes * n),
    )


def pending_sample(store: ResultStore, run_id: int, most: int) -> tuple[CrystalBatch, int]:
    """Evenly spread crystals of the shards of a run, and how many atoms all crystals of them have.

    Shards are sorted by size within a block of inputs, so the sample has all sizes in their shares.

    Args:
        store: with the run ingested; its shards are leased.
        run_id: the run.
        most: crystals of the sample.
    """
    _, n_total = store.progress(run_id)
    every, place, n_atoms = math.ceil(n_total / most) or 1, 0, 0
    parts = []
    while (lease := store.lease_shard(run_id, _HOLDER)) is not None:
        n = lease.crystals.n_crystals
        first = -place % every
        parts.append(lease.crystals.select(range(first, n, every)))
        n_atoms += len(lease.crystals.numbers)
        place += n
    return CrystalBatch.join(parts), n_atoms


def calibrate(
    crystals: CrystalBatch,
    load: Callable[[], Worker],
    database: Path,
    shard_atoms: int,
    *,
    now: Callable[[], float] = time.process_time,
) -> Calibration:
    """Screens crystals in this process, as a worker would, and commits them to a database of their own.

    Args:
        crystals: validated, of all sizes of the input.
        load: loads the worker.
        database: SQLite file that is made.
        shard_atoms: most atoms of a shard.
        now: clock in s.
    """
    began_s = time.monotonic()
    worker = load()
    load_s = time.monotonic() - began_s
    # what is loaded or compiled at the first use belongs to the start, and a slow model is sampled less
    few = spread(crystals, _FIRST_SAMPLED)
    worker.screen(_ids(few), few)
    began_s = now()
    worker.screen(_ids(few), few)
    fitting = int(LONGEST_S * few.n_crystals / max(now() - began_s, 1e-9))
    sample = spread(crystals, max(few.n_crystals, fitting))
    # once before the clock: what is made at the first crystal of a space group or a size serves all of a long run
    worker.screen(_ids(sample), sample)
    model = ModelVersion(_HOLDER, "0", "0" * 64)
    none: list[str | None] = [None] * sample.n_crystals
    ids, positions = _ids(sample), np.arange(sample.n_crystals)
    with ResultStore(database) as store:
        store.register_model(model, {})
        run = store.open_run(RunSpec((_SAMPLE,), (_SAMPLE,), model, {}))
        block = IngestedBlock(_SAMPLE, 0, sample.n_crystals, positions, ids, ids, sample, none, [])
        store.add_block(run.id, block, shard_atoms)
        store.end_ingest(run.id, _SAMPLE)
    before = database_size(database)
    with ResultStore(database) as store:
        batches, store_s = _screen_shards(store, run.id, worker, now)
    cost = BatchCost.fit(*zip(*batches, strict=True))
    result_bytes = (database_size(database) - before) / sample.n_crystals
    return Calibration(sample.n_crystals, cost, store_s / sample.n_crystals, result_bytes, load_s, resident_bytes())


def spread(crystals: CrystalBatch, most: int) -> CrystalBatch:
    """At most so many crystals, evenly spread over the given ones."""
    n = min(most, crystals.n_crystals)
    return crystals.select(np.arange(n) * crystals.n_crystals // n)


def _screen_shards(
    store: ResultStore, run_id: int, worker: Worker, now: Callable[[], float]
) -> tuple[list[tuple[int, int, float]], float]:
    """Computes all shards of a run; crystals, atoms and seconds of each batch, and seconds of leases and commits."""
    batches, store_s, began_s = [], 0.0, now()
    while (lease := store.lease_shard(run_id, _HOLDER)) is not None:
        store_s += now() - began_s
        blocks = []
        for job in Job.whole(lease).batches(BATCH_ATOMS):
            began_s = now()
            blocks.append(worker.screen(job.crystal_ids, job.crystals))
            batches.append((job.n_crystals, job.n_atoms, now() - began_s))
        began_s = now()
        store.commit_shard(lease, merge(blocks))
    return batches, store_s + now() - began_s


def _ids(crystals: CrystalBatch) -> list[str]:
    """Content ids of no meaning, ascending."""
    return [f"gx-{row:020x}" for row in range(crystals.n_crystals)]


def resident_bytes() -> int:
    """Largest resident memory of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
