"""ResultStore: the only interface to the database, the same on SQLite and PostgreSQL.

Every method is one transaction and may be repeated: a block that is in, a shard that is committed, a run that is
finished stay as they are. What a killed process leaves behind is therefore always a state to go on from, and a method
may repeat itself while the database is away (db/transactions.py).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import Connection

from db import registry
from db.designs.store import DesignStore
from db.engine import compact, create_or_migrate, open_engine, parse_url
from db.labels.store import LabelStore
from db.query.store import SearchStore
from db.read_only import restrict_to_reading
from db.records import (
    Balance,
    DecisionRecord,
    IngestedBlock,
    KnownCrystals,
    ModelProvenance,
    ModelVersion,
    ResultBlock,
    Run,
    RunSpec,
    ShardLease,
)
from db.refinements.opinion_store import OpinionStore
from db.runs import leases, ledger, reports
from db.runs.deduplication import crystals_in_buckets, crystals_without_bucket, set_buckets
from db.runs.dump import dump
from db.runs.lineage import children_of, fingerprints_of_unfinished, lineage_of, read_crystals_of_formula
from db.runs.pruning import prune
from db.transactions import read, reading, write, writing
from models.errors import StoreError

P = ParamSpec("P")
T = TypeVar("T")

STALE_AFTER_S = 45.0
"""A lease whose holder was silent for so long may be taken over: within a minute of its end, polling included."""


class ResultStore(SearchStore):
    """The database of gmtscreen: models, runs, inputs, shards, results; searches are those of `SearchStore`.

    Args:
        db: path of an SQLite file, or an SQLAlchemy URL (sqlite:///..., postgresql://...). The schema is created or
            brought up to date.

    Raises:
        StoreError: the database cannot be reached or was written by a newer gmtscreen; no message holds a password.
    """

    def __init__(self, db: str | Path) -> None:
        self.url = parse_url(db)
        self._engine = open_engine(self.url)
        self.labels = LabelStore(self._engine)
        self.opinions = OpinionStore(self._engine)
        self.designs = DesignStore(self._engine)
        try:
            create_or_migrate(self._engine)
        except BaseException:
            # Nobody gets an object to close: without this the connections would stay open.
            self._engine.dispose()
            raise

    @classmethod
    def open_existing(cls, db: str | Path) -> "ResultStore":
        """Opens a store for reading; unlike the constructor it never creates an SQLite file.

        Raises:
            StoreError: there is no such file, or as for the constructor.
        """
        url = parse_url(db)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
            raise StoreError(
                f"There is no database {url.database}. Check the path, or make it with gmtscreen screen --db."
            )
        return cls(db)

    @classmethod
    def open_read_only(cls, db: str | Path, timeout_s: float) -> "ResultStore":
        """Opens a store that cannot write and whose statements end in time: for a server.

        Args:
            db: as for the constructor; an old schema is brought up to date first.
            timeout_s: a question that takes longer is stopped, in seconds.

        Raises:
            StoreError: as for `open_existing`.
        """
        store = cls.open_existing(db)
        store._engine = restrict_to_reading(store._engine, timeout_s)
        store.labels = LabelStore(store._engine)
        store.opinions = OpinionStore(store._engine)
        store.designs = DesignStore(store._engine)
        return store

    def __repr__(self) -> str:
        return f"ResultStore({self.url.render_as_string(hide_password=True)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections; the next call opens new ones."""
        self._engine.dispose()

    def ask(self, step: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a step that reads returns, run in a transaction of its own; see `db.transactions.read`."""
        return read(self._engine, step, *args, **kwargs)

    # Models

    def register_model(
        self, model: ModelVersion, metrics: dict[str, Any], provenance: ModelProvenance | None = None
    ) -> int:
        """Registers a model version and gives its id; the first of a name becomes current. See `registry.add`."""
        return write(self._engine, registry.add, model, metrics, provenance)

    def list_models(self) -> list[dict[str, Any]]:
        """All model versions, newest first, with state, metrics and provenance."""
        return read(self._engine, registry.list_models)

    def describe_model(self, text: str) -> dict[str, Any]:
        """One version (NAME@VERSION, or NAME for the current one) with every decision about it, newest first."""
        return read(self._engine, registry.describe, text)

    def model_decisions(self, name: str) -> list[dict[str, Any]]:
        """Every decision about the versions of a name, newest first: who, when, why, report, which was before."""
        return read(self._engine, registry.decisions, name)

    def current_model(self, name: str | None = None) -> ModelVersion | None:
        """The current version of a name, or the newest current one; None when there is none."""
        return read(self._engine, registry.current, name)

    def promote_model(self, name: str, version: str, record: DecisionRecord) -> None:
        """Makes a version the current one of its name and keeps who did it and why."""
        write(self._engine, registry.promote, name, version, record)

    def refuse_model(self, name: str, version: str, record: DecisionRecord) -> None:
        """Keeps that a version shall not become current, and why."""
        with writing(self._engine) as connection:
            registry.refuse(connection, name, version, record)

    def roll_back_model(self, name: str, record: DecisionRecord) -> ModelVersion:
        """Makes the version that was current before the present one current again, and returns it."""
        with writing(self._engine) as connection:  # once: each repetition would go one version further back
            return registry.roll_back(connection, name, record)

    def prune_model(self, name: str, version: str, record: DecisionRecord) -> int:
        """Removes the results of a version that is not current, frees their space and keeps the decision record.

        Returns:
            Number of results that were removed; inputs, runs and balances stay.
        """
        with writing(self._engine) as connection:
            n_results = prune(connection, name, version, record)
        compact(self.url)
        return n_results

    # Runs and what comes in

    def open_run(self, spec: RunSpec) -> Run:
        """Opens the run of a specification; the same specification gives the same run, then `resumed` is True."""
        return write(self._engine, ledger.open_run, spec)

    def get_run(self, run_id: int) -> Run:
        """A run by its number, `resumed` always True.

        Raises:
            StoreError: there is no such run.
        """
        return read(self._engine, ledger.get_run, run_id)

    def ingest_cursor(self, run_id: int, source: str) -> tuple[int, bool]:
        """How far a source is read: the next input position, and whether the source is exhausted."""
        return read(self._engine, ledger.cursor_position, run_id, source)

    def add_block(self, run_id: int, block: IngestedBlock, shard_atoms: int) -> None:
        """Writes the next inputs of a source: crystals, inputs, shards and the cursor, all or nothing.

        A crystal that this run has already accepted makes its input a duplicate, which keeps its source id. Accepted
        crystals without a result by the run's model are sorted by size and cut into shards. A block at or before the
        cursor changes nothing, so a caller may repeat it.

        Args:
            run_id: the run.
            block: the inputs, every position of [start, stop) exactly once.
            shard_atoms: number of atoms that a shard should have; a shard has at least one crystal.

        Raises:
            StoreError: the block leaves a gap after the cursor or does not account for every position.
        """
        write(self._engine, ledger.add_block, run_id, block, shard_atoms)

    def crystals_in_buckets(self, buckets: Iterable[str]) -> KnownCrystals:
        """The stored crystals of the given buckets, among which those that equal a new crystal are.

        Args:
            buckets: keys, see `IngestedBlock.buckets`.
        """
        return KnownCrystals(*read(self._engine, crystals_in_buckets, list(buckets)), self.labels.crystals_of)

    def crystals_without_bucket(self, limit: int) -> KnownCrystals:
        """Stored crystals that no look-up finds, because the database is older than buckets; at most `limit`."""
        return KnownCrystals(*read(self._engine, crystals_without_bucket, limit), self.labels.crystals_of)

    def set_buckets(self, ids: Sequence[str], buckets: Sequence[str], enantiomorph_ids: Sequence[str | None]) -> None:
        """Gives crystals without a bucket theirs, and the ids of their mirror images; their own ids stay."""
        write(self._engine, set_buckets, ids, buckets, enantiomorph_ids)

    def end_ingest(self, run_id: int, source: str) -> None:
        """Marks a source as read to its end; when all sources are, the run's state is RUNNING."""
        write(self._engine, ledger.end_ingest, run_id, source)

    # Shards

    def lease_shard(self, run_id: int, holder: str, stale_after_s: float = STALE_AFTER_S) -> ShardLease | None:
        """Takes a shard to work on, or None when there is none to take now.

        Args:
            run_id: the run.
            holder: who works on it; should name host and process, so that a restart can tell whether it lives.
            stale_after_s: a shard whose holder gave no heartbeat for so many seconds may be taken over.

        Returns:
            The shard's crystals and a token that is newer than every other of this shard.
        """
        # Outlives the repetitions of `write`: a repetition finds the lease whose answer was lost.
        taken: list[ShardLease] = []
        return write(self._engine, leases.lease_shard, run_id, holder, stale_after_s, taken)

    def heartbeat(self, lease: ShardLease) -> bool:
        """Says that the holder lives; False means that the lease is lost and the work can be dropped."""
        return write(self._engine, leases.heartbeat, lease)

    def give_back(self, lease: ShardLease) -> bool:
        """Makes a shard pending again after its work failed; the attempt counts. False when the lease was lost."""
        return write(self._engine, leases.give_back, lease)

    def release_leases(self, run_id: int, holder: str) -> int:
        """Makes the shards of a holder that stops in good order pending again; returns how many."""
        with writing(self._engine) as connection:  # once: who stops does not wait for a database that is away
            return leases.release(connection, run_id, holder)

    def reclaim(self, run_id: int, dead_holders: Sequence[str]) -> int:
        """Makes the shards of holders that are known to be dead pending at once; returns how many."""
        return write(self._engine, leases.reclaim, run_id, dead_holders)

    def holders(self, run_id: int) -> list[str]:
        """Who holds leases of a run now."""
        return read(self._engine, leases.holders, run_id)

    def commit_shard(self, lease: ShardLease, block: ResultBlock) -> bool:
        """Writes a shard's results, its quarantined inputs and its ledger entry, all or nothing.

        Returns:
            False, with nothing written, when the lease's token is no longer the newest; True also when this lease
            had committed before.

        Raises:
            StoreError: the block does not answer for exactly the shard's crystals, or holds values that cannot be kept.
        """
        return write(self._engine, leases.commit, lease, block)

    # How it stands

    def balance(self, run_id: int) -> Balance:
        """Where every input of a run ended, counted from the rows themselves."""
        return read(self._engine, reports.balance_of, run_id)

    def doubts(self, run_id: int) -> dict[str, int]:
        """How many accepted inputs of a run have each doubt, by its value; empty where nothing is doubted."""
        return read(self._engine, reports.doubt_counts, run_id).get(run_id, {})

    def finish(self, run_id: int, seconds: float) -> Balance:
        """Adds working time to a run, and marks it FINISHED when it is read to its end and its balance closes.

        Args:
            run_id: the run.
            seconds: wall time since this call of the program opened the run, in s; a resumed run sums them.
        """
        return write(self._engine, reports.close_run, run_id, seconds)

    def progress(self, run_id: int) -> tuple[int, int]:
        """Crystals in shards that are done, and in all shards of a run: how far the work is, in milliseconds.

        Nothing is left to compute when both are equal. What became of every input is the balance's question, which
        looks at each of them.
        """
        return read(self._engine, reports.progress, run_id)

    def run_numbers(self) -> list[int]:
        """The numbers of all runs, newest first."""
        return read(self._engine, reports.run_numbers)

    def runs(self, run_id: int | None = None) -> list[dict[str, Any]]:
        """One run, or all, newest first, with balance, rate in crystals per second and expected seconds to the end.

        `round_of` says which round of which design a run is, None for others and before the round is finished.

        Raises:
            StoreError: there is no such run.
        """
        return read(self._engine, reports.list_runs, run_id)

    def rejects(self, run_id: int | None = None) -> list[dict[str, Any]]:
        """Every input that gave no result: source, source_id, stage, reason, detail."""
        return read(self._engine, reports.list_rejects, run_id)

    def find(self, crystal: str) -> str:
        """The content id that a content id, a source id, or the first characters of a content id mean.

        Raises:
            MissingError: none or several crystals fit, or the input of that source id was refused.
        """
        return read(self._engine, reports.find_crystal, crystal)

    def show(self, crystal: str) -> dict[str, Any]:
        """Everything about one crystal, by content id, source id, or the first characters of its content id.

        Returns:
            id, formula, elements, n_atoms, volume_per_atom (angstrom^3), lattice [3, 3], axes (its frame in words),
            numbers [n_atoms], frac_coords [n_atoms, 3], source_ids, inputs (one dict per arrival, with its doubts and
            the notes about them), lineage (see `lineage_of`), proposals (see `DesignStore.proposals_of_crystal`),
            children (how many crystals were made from it, by operation), and results: one dict per model, newest first,
            with the symmetry, tensors (arrays in their quantity's shape), removed_fraction, derived, warnings;
            second_opinions: one dict per combined model.
        """
        return read(self._engine, reports.show, crystal)

    def lineage_of(self, crystal_id: str) -> list[dict[str, Any]]:
        """How the inputs of a crystal were made, one dict per input that was made here, in the order they came.

        Returns:
            run, source, source_id, crystal_id, parent, operation, detail (decoded), seed, model, log_probability;
            parent_id and parent_formula, None where the parent is not stored; text says all of it in words. Empty for
            a crystal that was only read.
        """
        return read(self._engine, lineage_of, crystal_id)

    def children_of(self, crystal_id: str) -> list[dict[str, Any]]:
        """What was made from a crystal, whether by its content id or an id that it came with, with its formula."""
        return read(self._engine, children_of, crystal_id)

    def read_crystals_of_formula(self, formula: str) -> list[str]:
        """Content ids of the stored crystals of a reduced formula, without those that only came in as made here."""
        return read(self._engine, read_crystals_of_formula, formula)

    def fingerprints_of_unfinished(self, source: str) -> list[str]:
        """The fingerprints that a source has in runs that are not finished, newest run first."""
        return read(self._engine, fingerprints_of_unfinished, source)

    def dump(self, run_id: int | None = None) -> Iterator[dict[str, Any]]:
        """Every input, lineage and result in a fixed order, without times and row numbers, to compare two databases."""
        with reading(self._engine) as connection:
            yield from dump(connection, run_id)
