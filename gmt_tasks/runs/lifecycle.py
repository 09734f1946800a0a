"""What a run writes before and after its shards: opening it, ingesting its sources, closing it.

Each step may be repeated: the ledger stores how far it came, and the next call goes on from there.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from db.records import Balance, IngestedBlock, ModelVersion, RunSpec
from gmt_tasks.ingest.blocks import IngestPlan, ingested_blocks
from gmt_tasks.ingest.deduplicate import Deduplicator, backfill
from gmt_tasks.sources.source import Source
from gmt_tasks.telemetry import event
from models.errors import GmtError

if TYPE_CHECKING:
    from db.store import ResultStore


class OpenBalanceError(GmtError):
    """A run ended and its inputs do not add up; `balance` says how."""

    def __init__(self, run_id: int, balance: Balance) -> None:
        accounted = balance.done + balance.duplicate + balance.rejected + balance.quarantined
        super().__init__(
            f"run {run_id} is not finished: {balance.n_in - accounted} of {balance.n_in} inputs are not accounted for, "
            f"{balance.pending} of them pending. Run the same command again; if the number stays, report it."
        )
        self.balance = balance


def run_spec(sources: Sequence[Source], model: ModelVersion, symprec: float, plan: IngestPlan) -> RunSpec:
    """What makes two commands the same run: sources with their content, the model, and what changes a result.

    Args:
        sources: in the user's order.
        model: the version that predicts.
        symprec: distance tolerance of the symmetry analysis in angstrom.
        plan: only its bounds count; the cut into shards changes no result.

    Returns:
        The specification, in which the same source named twice counts once.
    """
    unique = {source.name: source for source in sources}
    return RunSpec(
        tuple(unique),
        tuple(source.fingerprint() for source in unique.values()),
        model,
        {"symprec": symprec, "limit": plan.limit, "max_atoms": plan.max_atoms},
    )


def ingest_source(
    store: "ResultStore",
    run_id: int,
    source: Source,
    plan: IngestPlan,
    *,
    n_before: int = 0,
    on_block: Callable[[int], None] = lambda n: None,
) -> int:
    """Reads the inputs of a source into a run, from where an earlier call stopped to its end or the limit.

    Args:
        store: the database.
        run_id: the run.
        source: one of its sources.
        plan: bounds and shard size.
        n_before: inputs that the sources before this one took of the limit.
        on_block: called with the number of inputs of each block that was written; may raise to stop.

    Returns:
        Number of inputs of this source that the run has.
    """
    position, exhausted = store.ingest_cursor(run_id, source.name)
    if exhausted:
        return position
    # Crystals of a database that is older than the deduplicator would not be recognised as duplicates.
    backfill(store, plan.n_workers)
    deduplicator = Deduplicator(store.crystals_in_buckets)
    for block in ingested_blocks(source, plan, position, n_before):
        store.add_block(run_id, deduplicator.deduplicated(block), shard_atoms_for(block, plan))
        # The block is in: a stop from here on loses nothing.
        position = block.stop
        event("ingest.block", source=source.name, inputs=position, rejected=len(block.rejected))
        on_block(block.stop - block.start)
    store.end_ingest(run_id, source.name)
    return position


def shard_atoms_for(block: IngestedBlock, plan: IngestPlan) -> int:
    """Atoms per shard of a block: enough shards for all workers, none tiny, none above the plan's size."""
    # Several shards per worker: the last ones then end at about the same time on all of them.
    fair = len(block.crystals.numbers) // (plan.shards_per_worker * max(plan.n_workers, 1))
    return min(plan.shard_atoms, max(plan.least_shard_atoms, fair))


def close_run(store: "ResultStore", run_id: int, seconds: float) -> Balance:
    """Finishes a run whose inputs are all accounted for.

    Args:
        store: the database.
        run_id: the run.
        seconds: wall time of this session in s.

    Returns:
        The closed balance.

    Raises:
        OpenBalanceError: in is not done + duplicate + rejected + quarantined.
    """
    balance = store.finish(run_id, seconds)
    if not balance.closed:
        raise OpenBalanceError(run_id, balance)
    event("run.finished", run=run_id, done=balance.done, quarantined=balance.quarantined)
    return balance


def dry_balance(sources: Sequence[Source], plan: IngestPlan) -> Balance:
    """The balance that a run over these sources would start with in an empty database: that run's, in a scratch one.

    Returns:
        Counts with `done` and `quarantined` 0; `pending` is the number of crystals to compute.
    """
    with scratch_run(sources, plan) as scratch:
        return scratch.balance


@dataclass(frozen=True)
class ScratchRun:
    """An ingested run in a scratch database, and what that took.

    Attributes:
        store: the database, in `folder`; both are gone when the context ends.
        run_id: its only run.
        balance: of that run.
        wall_s: wall time of the ingest in s, and
        cpu_s: processor time of this process and of those that read and identified for it.
        database_bytes: size of the database.
    """

    store: "ResultStore"
    folder: Path
    run_id: int
    balance: Balance
    wall_s: float
    cpu_s: float
    database_bytes: int


@contextmanager
def scratch_run(sources: Sequence[Source], plan: IngestPlan) -> Iterator[ScratchRun]:
    """Ingests sources into a file in the system's temporary folder, a kilobyte or two per crystal, gone at the end."""
    # The real ingest, so that duplicates and refusals are those of the run; the model is never loaded.
    model = ModelVersion("dry-run", "0", "0" * 64)
    from db.store import ResultStore

    with TemporaryDirectory(prefix="gmtscreen-dry-") as folder, ResultStore(Path(folder) / "dry.db") as store:
        store.register_model(model, {})
        run = store.open_run(run_spec(sources, model, 0.0, plan))
        n_before, began_s, cpu_before_s = 0, time.monotonic(), processor_seconds()
        for source in {source.name: source for source in sources}.values():
            n_before += ingest_source(store, run.id, source, plan, n_before=n_before)
        spent = time.monotonic() - began_s, processor_seconds() - cpu_before_s
        store.close()  # what stands in the log goes to the file; the next question opens it again
        size = database_size(Path(folder) / "dry.db")
        yield ScratchRun(store, Path(folder), run.id, store.balance(run.id), *spent, size)


def database_size(database: Path) -> int:
    """Bytes of an SQLite database with its log."""
    return sum(part.stat().st_size for part in database.parent.glob(f"{database.name}*"))


def processor_seconds() -> float:
    """Processor time of this process and of its ended children so far, in s."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
