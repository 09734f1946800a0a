"""What the ledger costs: a million small crystals through ingest, lease and commit, with no network in between.

`make bench-ledger` runs it; `python -m benchmarks.ledger --rows 100000 --db postgresql://...` on another database.
Times are processor time of this process, so that a busy machine matters less; on PostgreSQL the server's share is left
out.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from db.store import ResultStore
from gmt_tasks.ingest.blocks import IngestPlan, ingested_blocks
from gmt_tasks.ingest.deduplicate import Deduplicator
from gmt_tasks.runs.lifecycle import run_spec, shard_atoms_for
from gmt_tasks.sources.open import open_source
from tests.gmt_tasks.workers.fake_screener import VERSION, result_block

MS_PER_CRYSTAL = 13.0
"""What one core needs for a crystal of the candidates with the network of one member."""

ROWS_PER_GROUP = 50_000
PLAN = IngestPlan(max_atoms=1000, shard_atoms=2048)
T = TypeVar("T")


def say(text: str) -> None:
    """One line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def write_crystals(path: Path, n_rows: int) -> None:
    """A Parquet file of random crystals of 2 to 9 atoms in cells that hold them apart."""
    schema = pa.schema([("id", pa.string())] + [(name, pa.list_(pa.float64())) for name in ("lattice", "frac_coords")])
    schema = schema.append(pa.field("species", pa.list_(pa.int64())))
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, n_rows, ROWS_PER_GROUP):
            writer.write_table(_crystals(first, min(ROWS_PER_GROUP, n_rows - first), schema))


def _crystals(first: int, n: int, schema: pa.Schema) -> pa.Table:
    rng = np.random.default_rng(first)
    counts = rng.integers(2, 10, n)
    bounds = np.concatenate([[0], np.cumsum(counts)])
    lattice = 7.0 * np.eye(3) + rng.uniform(-0.3, 0.3, (n, 3, 3))
    # Atoms on the corners of a cube of a third of the cell, a little off.
    corner = np.concatenate([np.arange(count) for count in counts])
    sites = np.stack([corner % 3, corner // 3 % 3, corner // 9], axis=1) / 3 + rng.uniform(-0.02, 0.02, (bounds[-1], 3))
    columns = {
        "id": pa.array([f"made-{first + k}" for k in range(n)]),
        "lattice": pa.ListArray.from_arrays(pa.array(np.arange(0, 9 * n + 1, 9, dtype=np.int32)), lattice.ravel()),
        "frac_coords": pa.ListArray.from_arrays(pa.array((3 * bounds).astype(np.int32)), sites.ravel()),
        "species": pa.ListArray.from_arrays(pa.array(bounds.astype(np.int32)), rng.integers(3, 84, bounds[-1])),
    }
    return pa.table(columns).select(schema.names).cast(schema)


class Clock:
    """Seconds of this process by name."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Counts what happens inside towards a name."""
        began = time.process_time()
        yield
        self.spent[name] = self.spent.get(name, 0.0) + time.process_time() - began

    def call(self, name: str, function: Callable[[], T]) -> T:
        """The answer of a function whose time counts towards a name."""
        with self.of(name):
            return function()


def ingest(store: ResultStore, source: Any, run_id: int, clock: Clock) -> int:
    """Brings the file in; gives the number of inputs."""
    blocks, deduplicator, n_inputs = ingested_blocks(source, PLAN), Deduplicator(store.crystals_in_buckets), 0
    while (block := clock.call("read, validate, identify", lambda: next(blocks, None))) is not None:
        with clock.of("recognise"):
            block = deduplicator.deduplicated(block)
        with clock.of("write inputs"):
            store.add_block(run_id, block, shard_atoms_for(block, PLAN))
        n_inputs = block.stop
    store.end_ingest(run_id, source.name)
    return n_inputs


def compute(store: ResultStore, run_id: int, clock: Clock, n_wanted: int) -> int:
    """Leases and commits at least so many crystals; gives the number committed."""
    n_done = 0
    while n_done < n_wanted:
        lease = clock.call("lease", lambda: store.lease_shard(run_id, "benchmark"))
        if lease is None:
            break
        with clock.of("make up results"):
            block = result_block(lease.crystal_ids, lease.crystals)
        with clock.of("commit"):
            store.commit_shard(lease, block)
        n_done += len(lease.crystal_ids)
    return n_done


def peak_gb() -> float:
    """Largest resident set of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Ingests, computes half, restarts, computes the rest; prints rates, sizes and shares."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--db", default=None)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(asked.db or f"{folder}/bench.db", Path(folder) / "crystals.parquet", asked.rows)


def measure(db: str, table: Path, n_rows: int) -> None:
    """Runs the whole and prints it."""
    write_crystals(table, n_rows)
    say(f"{n_rows} crystals, {table.stat().st_size / 1e6:.0f} MB of Parquet; {peak_gb():.2f} GB before the start")
    source, clock = open_source(str(table)), Clock()
    with ResultStore(db) as store:
        store.register_model(VERSION, {})
        run_id = store.open_run(run_spec([source], VERSION, 0.01, PLAN)).id
        n_inputs = ingest(store, source, run_id, clock)
        inputs_s = clock.spent["write inputs"] / n_inputs
        tell(clock, n_inputs, "ingest")
        tell(clock, compute(store, run_id, clock, n_inputs // 2), "first half")
    resume(db, source, n_inputs, inputs_s)
    files = [Path(db + end) for end in ("", "-wal") if Path(db + end).exists()]
    say(f"database {sum(path.stat().st_size for path in files) / 1e9:.2f} GB; peak memory {peak_gb():.2f} GB")


def resume(db: str, source: Any, n_inputs: int, inputs_s: float) -> None:
    """A new start on the database that half a run left behind; then the other half and the questions people ask.

    Args:
        db: the database.
        source: the file.
        n_inputs: its length.
        inputs_s: what it took to write one input, in seconds.
    """
    clock, began = Clock(), time.perf_counter()
    with ResultStore(db) as store:
        run_id = store.open_run(run_spec([source], VERSION, 0.01, PLAN)).id
        store.progress(run_id)
        store.reclaim(run_id, ["benchmark"])
        compute(store, run_id, clock, 1)
        say(
            f"restart: first new result after {time.perf_counter() - began:.2f} s of wall time, workers' start left out"
        )
        clock = Clock()
        n_done = compute(store, run_id, clock, n_inputs)
        ledger_ms = 1000 * (inputs_s + (clock.spent["lease"] + clock.spent["commit"]) / n_done)
        share = 100 * ledger_ms / MS_PER_CRYSTAL
        say(
            f"ledger (inputs, lease, commit): {ledger_ms:.3f} ms per crystal, {share:.1f} % of a screening at "
            f"{MS_PER_CRYSTAL:g} ms"
        )
        tell(clock, n_done, "second half")
        for name, question in (("balance", lambda: store.balance(run_id)), ("status", store.runs)):
            clock.call(name, question)
            say(f"{name}: {clock.spent[name]:.2f} s")
        say(f"balance closed: {store.finish(run_id, 1.0).closed}")


def tell(clock: Clock, n: int, what: str) -> None:
    """What each part took, per crystal and as a rate."""
    for name, seconds in clock.spent.items():
        say(f"{what}: {name}: {seconds:.2f} s, {1e6 * seconds / n:.0f} µs per crystal")
    clock.spent.clear()
    say(f"{what}: {peak_gb():.2f} GB")


if __name__ == "__main__":
    main()
