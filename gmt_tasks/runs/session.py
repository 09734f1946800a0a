"""A screening from the first source to the closed balance, as an object whose steps a flow calls one after another.

It holds what must not become a flow's parameter (the database URL) and what cannot travel (workers, connections). The
order of the steps, their retries and their display belong to `flows/`.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from db.records import Balance, ModelVersion, Run, RunState
from db.store import ResultStore
from gmt_tasks.ingest.blocks import SHARD_ATOMS, IngestPlan
from gmt_tasks.process import StopRequest, new_holder
from gmt_tasks.registry.current_model import chosen_model
from gmt_tasks.runs.drive import ShardDriver
from gmt_tasks.runs.lifecycle import close_run, ingest_source, run_spec
from gmt_tasks.settings import Settings
from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.source import MissingSymmetry, ReadOptions, Source
from gmt_tasks.telemetry import Progress, event
from gmt_tasks.workers.isolation import Timeouts
from gmt_tasks.workers.packed_model import PackedModel, load_packed_worker
from gmt_tasks.workers.worker import Worker, load_worker

if TYPE_CHECKING:
    from gmt_tasks.workers.pool import WorkerPool


def describe_model(model: str) -> tuple[ModelVersion, dict[str, Any]]:
    """Version and measured metrics of a model by name, `name@version` or checkpoint folder.

    Raises:
        ModelError: there is no such model.
    """
    # The card beside the weights is enough: loading the weights is left to the workers.
    from models.gmtnet.card import find_checkpoint, read_card

    card = read_card(find_checkpoint(model))
    return ModelVersion(card.name, card.version, card.sha256), dict(card.metrics)


def available_cores() -> int:
    """The cores that this process may use: in a container they are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worker_factory(settings: Settings, load: Callable[[str, str, float], Worker] = load_worker) -> Callable[[], Worker]:
    """What makes a worker in another process: a model in a folder travels along where the folder cannot be seen.

    Args:
        settings: model, device and tolerance.
        load: makes the worker of these three; a top-level function or a `functools.partial` of one.
    """
    model = settings.model
    # A worker has another working folder: paths of checkpoints become absolute.
    if model.endswith(".json") or Path(model).is_dir():
        model = str(Path(model).resolve())
    if settings.ray_address and Path(model).is_absolute():
        from models.gmtnet.card import find_checkpoint

        packed = PackedModel.of(find_checkpoint(model))
        return partial(load_packed_worker, packed, settings.device, settings.symprec, load)
    return partial(load, model, settings.device, settings.symprec)


def open_sources(
    texts: Sequence[str], *, max_atoms: int, missing_symmetry: MissingSymmetry = MissingSymmetry.REFUSE
) -> list[Source]:
    """Opens what the user named; see `open_source` for what can be named.

    Raises:
        SourceError: a source does not exist or cannot be read as a whole.
    """
    options = ReadOptions(max_atoms=max_atoms, missing_symmetry=missing_symmetry)
    return [open_source(text, options) for text in texts]


@dataclass
class ScreenSession:
    """One call of `gmtscreen screen`.

    Attributes:
        settings: where and how.
        sources: what, in order.
        store: the database.
        run: the run of this specification; `run.resumed` says whether it existed before.
        plan: bounds and shard size.
        on_progress: called after every commit.
        on_ingest: called with the number of inputs read so far.
        stop: checked before every lease and after every block of inputs.
        n_committed: crystals that this session computed, and
        drive_s: the time that took, workers' start excluded, in seconds.
    """

    settings: Settings
    sources: list[Source]
    store: ResultStore
    run: Run
    plan: IngestPlan
    on_progress: Callable[[Progress], None] = lambda progress: None
    on_ingest: Callable[[int], None] = lambda n: None
    stop: StopRequest = field(default_factory=StopRequest)
    n_committed: int = field(default=0, init=False)
    drive_s: float = field(default=0.0, init=False)
    _pool: "WorkerPool | None" = field(default=None, init=False)
    _began_s: float = field(default_factory=time.monotonic, init=False)
    _n_read: int = field(default=0, init=False)
    _n_seen: int = field(default=0, init=False)

    @classmethod
    def open(cls, settings: Settings, sources: list[Source], *, limit: int | None = None) -> Self:
        """Opens the database, the model and the run; reads no crystal yet.

        Args:
            settings: where and how.
            sources: opened sources.
            limit: inputs to take from all sources together.

        Raises:
            GmtError: database or model cannot be used.
        """
        settings = chosen_model(settings)
        version, metrics = describe_model(settings.model)
        n_workers = settings.workers or available_cores()
        plan = IngestPlan(settings.max_atoms, settings.shard_atoms or SHARD_ATOMS, n_workers, limit)
        if settings.gpus_per_worker and settings.device != "cpu":
            plan = plan.on_gpus(settings.shard_atoms, plan.n_workers)
        store = ResultStore(settings.database)
        store.register_model(version, metrics)
        run = store.open_run(run_spec(sources, version, settings.symprec, plan))
        event("run.opened", run=run.id, state=run.state, resumed=run.resumed, model=version)
        return cls(settings, list({source.name: source for source in sources}.values()), store, run, plan)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the workers and the connections."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None
        self.store.close()

    @property
    def finished(self) -> bool:
        """True when an earlier call finished this very run: nothing is left to compute."""
        return self.run.state is RunState.FINISHED

    def balance(self) -> Balance:
        """Where every input of the run is now."""
        return self.store.balance(self.run.id)

    def factory(self) -> Callable[[], Worker]:
        """What makes a worker."""
        return worker_factory(self.settings)

    def timeouts(self) -> Timeouts:
        """After how long work is taken for hung."""
        return Timeouts(start_s=self.settings.start_timeout_s)

    def start_workers(self) -> None:
        """Starts Ray and the workers, once; they load their model while the sources are read."""
        if self._pool is None:
            from gmt_tasks.workers.pool import WorkerPool

            settings = self.settings
            gpus_per_worker = 0.0 if settings.device == "cpu" else settings.gpus_per_worker
            self._pool = WorkerPool(
                self.factory(),
                settings.workers,
                gpus_per_worker,
                address=settings.ray_address,
                timeouts=self.timeouts(),
            )
            if self._pool.gpus_per_worker:
                self.plan = self.plan.on_gpus(settings.shard_atoms, self._pool.n_workers)

    def ingest(self, index: int) -> int:
        """Ingests source number `index`; call it for 0, 1, 2, ... Returns the number of its inputs.

        Raises:
            StoppedError: a stop was asked for; the next call goes on at the same place.
        """

        def on_block(n: int) -> None:
            self._n_read += n
            self.on_ingest(self._n_read)
            self.stop.check()

        self.stop.check()
        source, before = self.sources[index], self._n_seen
        n = ingest_source(self.store, self.run.id, source, self.plan, n_before=before, on_block=on_block)
        self._n_seen += n
        return n

    def drive(self) -> int:
        """Computes what is pending; returns the number of crystals that this call committed."""
        # Starting workers takes seconds to minutes; a resumed run may need none.
        n_done, n_total = self.store.progress(self.run.id)
        if n_done == n_total:
            return 0
        self.start_workers()
        began_s = time.monotonic()
        driver = ShardDriver(
            self.store,
            self.run.id,
            self._pool,  # type: ignore[arg-type]  # started in the line above
            new_holder(),
            self.on_progress,
            self.stop,
            self.settings.stale_after_s,
        )
        try:
            self.n_committed += driver.drive()
        finally:
            # Also after a stop: the rate is that of the work that was done.
            self.drive_s += time.monotonic() - began_s
        return self.n_committed

    def finish(self) -> Balance:
        """Closes the run; raises OpenBalanceError when inputs are unaccounted for."""
        return close_run(self.store, self.run.id, time.monotonic() - self._began_s)
