"""What poison costs: the same rows with and without one crystal per thousand that crashes, hangs, raises or hoards.

`make bench-poison` runs it. The screener is made up: so much computing and so much sleep per atom; driver, database,
Ray and the isolation of the crystals are the real ones. First each kind of poison alone, in processor time, so that a
busy machine matters less; then the two runs, one after the other, in wall time.
"""

import argparse
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.ledger import MS_PER_CRYSTAL, PLAN, say, write_crystals
from db.records import ShardLease
from db.store import ResultStore
from gmt_tasks.process import new_holder
from gmt_tasks.runs.drive import ShardDriver
from gmt_tasks.runs.lifecycle import close_run, ingest_source, run_spec
from gmt_tasks.sources.open import open_source
from gmt_tasks.workers.fork_server import ForkServer
from gmt_tasks.workers.isolation import Isolation, Timeouts
from gmt_tasks.workers.jobs import Job
from gmt_tasks.workers.pool import WorkerPool
from gmt_tasks.workers.worker import BATCH_ATOMS, Worker
from models.crystals.crystal import CrystalBatch
from tests.gmt_tasks.workers.fake_screener import CRASH, GREEDY, HANG, RAISE, SEGFAULT, SPIN, VERSION, make_fake

KINDS = {
    "segmentation fault": SEGFAULT,
    "exit": CRASH,
    "hangs asleep": HANG,
    "hangs computing": SPIN,
    "takes all memory": GREEDY,
    "raises": RAISE,
}
ATOMS_PER_CRYSTAL = 5.5
"""Of the made-up crystals, on average."""


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        seconds: from the first lease to the last commit, and
        driver_s: processor time of the driver meanwhile.
        quarantined: source ids.
        done: crystals with a result.
        rows: of the dump, and
        distinct: different ones among these.
    """

    seconds: float
    driver_s: float
    quarantined: set[str]
    done: int
    rows: int
    distinct: int


def with_poison(table: Path, every: int) -> tuple[Path, set[str]]:
    """A copy of a table in which each `every`-th crystal holds an atom of poison, kinds in turn; and their ids."""
    rows = pq.read_table(table)
    species, bounds = rows["species"].combine_chunks(), rows["species"].combine_chunks().offsets.to_numpy()
    numbers, bad = species.values.to_numpy().copy(), range(every // 2, rows.num_rows, every)
    kinds = list(KINDS.values())
    for k, row in enumerate(bad):
        numbers[bounds[row]] = kinds[k % len(kinds)]
    poisoned = rows.set_column(
        rows.column_names.index("species"), "species", pa.ListArray.from_arrays(pa.array(bounds), numbers)
    )
    path = table.with_name("poisoned.parquet")
    pq.write_table(poisoned, path)
    return path, {str(rows["id"][row]) for row in bad}


def screened(table: Path, factory: Callable[[], Worker], n_workers: int) -> Ended:
    """A whole run; ingest and start of the workers are left out of its time."""
    source = open_source(str(table))
    with ResultStore(table.with_suffix(".db")) as store, WorkerPool(factory, n_workers) as pool:
        store.register_model(VERSION, {})
        run_id = store.open_run(run_spec([source], VERSION, 0.01, PLAN)).id
        ingest_source(store, run_id, source, PLAN)
        while not pool.worker_pids:
            pool.collect(0.1)
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        ShardDriver(store, run_id, pool, new_holder()).drive()
        seconds, driver_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
        balance = close_run(store, run_id, seconds)
        named = {row["source_id"] for row in store.rejects(run_id) if row["stage"] == "predict"}
        results = Counter(str(row["crystal_id"]) for row in store.dump(run_id) if row["table"] == "results")
        return Ended(seconds, driver_s, named, balance.done, results.total(), len(results))


def compare(rows: int, every: int, factory: Callable[[], Worker], n_workers: int) -> None:
    """Both runs; prints what the poison cost and whether anything is missing or doubled."""
    with tempfile.TemporaryDirectory() as folder:
        clean = Path(folder) / "clean.parquet"
        write_crystals(clean, rows)
        poisoned, expected = with_poison(clean, every)
        without, with_it = (screened(table, factory, n_workers) for table in (clean, poisoned))
    for name, ended in (("without poison", without), ("with poison", with_it)):
        busy = 100 * ended.driver_s / ended.seconds
        say(f"{name}: {ended.seconds:.1f} s, {rows / ended.seconds:.0f} crystals/s, driver busy {busy:.0f} %")
    lost = without.done - with_it.done - len(expected)
    say(f"slowdown {100 * (with_it.seconds / without.seconds - 1):.1f} % by {len(expected)} poison rows in {rows}")
    say(
        f"quarantined by name: {len(expected & with_it.quarantined)} of {len(expected)}, others quarantined: "
        f"{len(with_it.quarantined - expected)}, rows lost: {lost}, rows doubled: {with_it.rows - with_it.distinct}"
    )


def shard(n_crystals: int, element: int, n_poison: int) -> ShardLease:
    """A shard of one-size crystals, some of which hold an atom of poison."""
    rng = np.random.default_rng(0)
    sites = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1]), axis=-1).reshape(-1, 3)[:6] / 2
    numbers = rng.integers(3, 84, (n_crystals, 6))
    numbers[np.linspace(0, n_crystals, n_poison, endpoint=False, dtype=int) + 17, 0] = element
    batch = CrystalBatch.from_arrays([7.0 * np.eye(3)] * n_crystals, [sites] * n_crystals, list(numbers))
    return ShardLease(1, 1, 1, 1, [str(k) for k in range(n_crystals)], batch)


def processor_time(lease: ShardLease, factory: Callable[[], Worker], n_poison: int) -> float:
    """Seconds of processor time of all child processes for a shard."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    one = Isolation(ForkServer(factory), Timeouts(job_s=5.0), BATCH_ATOMS)
    one.warm_up()
    block = one.screen(Job.whole(lease))
    if len(block.quarantined) != n_poison:
        raise SystemExit(f"{len(block.quarantined)} of {n_poison} poison crystals were quarantined")
    for worker in one._idle:  # its parent, the server, must have waited for it: only then its time is known
        worker.kill()
    one.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def costs(factory: Callable[[], Worker], n_crystals: int, n_poison: int) -> None:
    """Prints what one poison crystal of each kind costs in processor time, and in crystals."""
    calm_s = processor_time(shard(n_crystals, 6, n_poison), factory, 0)
    say(f"{n_crystals} crystals without poison: {calm_s:.1f} s of processor time")
    for name, element in KINDS.items():
        more_s = (processor_time(shard(n_crystals, element, n_poison), factory, n_poison) - calm_s) / n_poison
        say(f"{name}: {more_s:.2f} s per poison crystal, {1000 * more_s / MS_PER_CRYSTAL:.0f} crystals' worth")


def main() -> None:
    """Costs by kind, then the two runs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--every", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--ms-asleep", type=float, default=0.0, help=f"of the {MS_PER_CRYSTAL:g} ms of a crystal")
    parser.add_argument("--skip-costs", action="store_true")
    asked = parser.parse_args()
    computing_s = 1e-3 * (MS_PER_CRYSTAL - asked.ms_asleep) / ATOMS_PER_CRYSTAL
    if not asked.skip_costs:
        costs(partial(make_fake, s_per_atom=1e-3 * MS_PER_CRYSTAL / 6), 500, 4)
    factory = partial(make_fake, s_per_atom=computing_s, asleep_s_per_atom=1e-3 * asked.ms_asleep / ATOMS_PER_CRYSTAL)
    if asked.rows:
        compare(asked.rows, asked.every, factory, asked.workers)


if __name__ == "__main__":
    main()
