"""Bytes of a result where it may lie: SQLite, PostgreSQL, partitioned Parquet; the same screened crystals in each."""

import subprocess
from pathlib import Path
from typing import Any

from benchmarks.speed.whole_run import COMMAND, environment
from db.records import ModelVersion, ResultBlock, RunSpec
from db.store import ResultStore
from gmt_tasks.ingest.blocks import SHARD_ATOMS
from gmt_tasks.ingest.validate import ingest_block
from gmt_tasks.screening.screener import Screener
from gmt_tasks.sources.files.tables.parquet import TableFile
from gmt_tasks.workers.jobs import Job, merge
from gmt_tasks.workers.worker import BATCH_ATOMS
from models.errors import StoreError

COMPARED = 2
"""Parts of the crystals: the second fills a database that is there, so that an empty one's pages are left out."""


def stored_bytes(sample: Path, folder: Path, postgres: str | None) -> dict[str, Any]:
    """Bytes of one more crystal with its input and result in each place.

    Args:
        sample: Parquet file of candidates.
        folder: for the SQLite database and the export.
        postgres: URL of an empty PostgreSQL database, or None.
    """
    screener = Screener.load("gmtnet", device="cpu")
    database = folder / "bytes.db"
    for part in folder.glob(f"{database.name}*"):
        part.unlink()
    kept: dict[tuple[str, ...], ResultBlock] = {}
    n, sizes = fill(database, sample, screener, kept)
    found: dict[str, Any] = {
        "n": n,
        "input_parquet": sample.stat().st_size / n,
        "sqlite": (sizes[1] - sizes[0]) / (n / 2),
    }
    if postgres is not None:
        try:
            _, sizes = fill(postgres, sample, screener, kept)
            found["postgresql"] = (sizes[1] - sizes[0]) / (n / 2)
        except StoreError as error:
            found["postgresql_not_measured"] = str(error)
    target = folder / "bytes-export"
    words = ["export", "--database", "--to", str(target), "--db", str(database)]
    subprocess.run([*COMMAND, *words], check=True, capture_output=True, env=environment())  # noqa: S603  our own command
    found["parquet"] = sum(path.stat().st_size for path in (target / "results").rglob("*.parquet")) / n
    return found


def fill(
    database: Path | str, sample: Path, screener: Screener, kept: dict[tuple[str, ...], ResultBlock]
) -> tuple[int, list[int]]:
    """Stores the crystals of a file with their results, in two parts; results are computed once for all databases.

    Returns:
        Number of inputs, and the size of the database after each part in bytes.
    """
    n, sizes = 0, []
    with ResultStore(database) as store:
        version: ModelVersion = screener.model_version
        store.register_model(version, {})
        for part in range(COMPARED):
            run = store.open_run(RunSpec((f"part {part}",), (f"part {part}",), version, {"symprec": 0.01}))
            for block in TableFile(sample, sample.name).blocks(0):
                rows = range(part, block.crystals.n_crystals, COMPARED)
                ingested = ingest_block(f"part {part}", _every(block, rows))
                store.add_block(run.id, ingested, SHARD_ATOMS)
                n += len(rows)
            store.end_ingest(run.id, f"part {part}")
            while (lease := store.lease_shard(run.id, "bytes")) is not None:
                key = tuple(lease.crystal_ids)
                if key not in kept:
                    jobs = Job.whole(lease).batches(BATCH_ATOMS)
                    kept[key] = merge([screener.screen(job.crystal_ids, job.crystals) for job in jobs])
                store.commit_shard(lease, kept[key])
            store.finish(run.id, 1.0)
            sizes.append(_size(store, database))
    return n, sizes


def _every(block: Any, rows: range) -> Any:
    """Some rows of a block of a source in which no row was refused, as a block of its own."""
    from dataclasses import replace

    import numpy as np

    return replace(
        block,
        start=0,
        stop=len(rows),
        positions=np.arange(len(rows)),
        source_ids=[block.source_ids[k] for k in rows],
        crystals=block.crystals.select(rows),
        metadata=[block.metadata[k] for k in rows],
        places=[],
        rejected=[],
    )


def _size(store: ResultStore, database: Path | str) -> int:
    """Bytes of a database: of its file and log, or what the server says."""
    if isinstance(database, Path):
        store.close()  # what stands in the log goes to the file
        return sum(part.stat().st_size for part in database.parent.glob(f"{database.name}*"))
    with store._engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())
