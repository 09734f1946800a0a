"""One run from its opening to its closed balance, as an object whose steps a flow calls one after another.

It holds what must not become a flow's parameter (the database URL) and what cannot travel (workers, connections). The
order of the steps, their retries and their display belong to `flows/`. What is computed is said by its two subclasses:
`gmt_tasks.runs.session.ScreenSession` and `gmt_tasks.refinement.session.RefineSession`.
"""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from db.records import Balance, Run, RunState
from db.store import ResultStore
from gmt_tasks.process import StopRequest, new_holder
from gmt_tasks.runs.drive import POLL_S, ShardDriver
from gmt_tasks.runs.lifecycle import close_run
from gmt_tasks.runs.reading import Reading
from gmt_tasks.settings import Settings
from gmt_tasks.telemetry import Progress
from gmt_tasks.workers.isolation import Timeouts
from gmt_tasks.workers.worker import BATCH_ATOMS, Worker

if TYPE_CHECKING:
    from gmt_tasks.workers.pool import WorkerPool


def n_usable_cores() -> int:
    """The cores that this process may use: in a container they are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(kw_only=True)
class RunSession(ABC):
    """One call of a command that computes.

    Attributes:
        settings: where and how.
        store: the database.
        run: the run of this specification; `run.resumed` says whether it existed before.
        on_progress: called after every commit.
        on_ingest: called with the number of inputs read so far.
        stop: checked before every lease and after every block of inputs.
        reading: of the sources, where it goes on beside `drive`.
        n_committed: crystals that this session computed, and
        drive_s: the time that took, workers' start excluded and waiting for the reading included, in seconds.
    """

    settings: Settings
    store: ResultStore
    run: Run
    on_progress: Callable[[Progress], None] = lambda progress: None
    on_ingest: Callable[[int], None] = lambda n: None
    stop: StopRequest = field(default_factory=StopRequest)
    reading: Reading = field(default_factory=lambda: Reading(ended=True))
    n_committed: int = field(default=0, init=False)
    drive_s: float = field(default=0.0, init=False)
    _pool: "WorkerPool | None" = field(default=None, init=False)
    _began_s: float = field(default_factory=time.monotonic, init=False)

    @abstractmethod
    def new_worker(self) -> Callable[[], Worker]:
        """What makes a worker in another process."""

    @abstractmethod
    def ingest(self, index: int) -> int:
        """Brings source number `index` into the run; returns the number of its inputs."""

    @property
    def timeouts(self) -> Timeouts:
        """After how long a crystal is taken for hung."""
        return Timeouts(start_s=self.settings.start_timeout_s)

    @property
    def batch_atoms(self) -> int:
        """Atoms that a worker on a CPU computes at once."""
        return BATCH_ATOMS

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

    def start_workers(self) -> "WorkerPool":
        """Starts Ray and the workers, once; they load their model while the sources are read."""
        if self._pool is None:
            from gmt_tasks.workers.pool import WorkerPool

            settings = self.settings
            self._pool = WorkerPool(
                self.new_worker(),
                settings.workers,
                0.0 if settings.device == "cpu" else settings.gpus_per_worker,
                address=settings.ray_address,
                timeouts=self.timeouts,
                batch_atoms=self.batch_atoms,
            )
        return self._pool

    def take_workers(self, other: "RunSession") -> None:
        """Goes on with the workers and displays of another session of the same settings, which has none afterwards."""
        self._pool, other._pool = other._pool, None
        self.on_progress, self.on_ingest = other.on_progress, other.on_ingest

    def drive(self) -> int:
        """Computes what is pending or still comes in; returns the number of crystals that this call committed."""
        try:
            # Starting workers takes seconds to minutes; a resumed run may need none.
            if not self._has_work():
                return 0
            pool = self.start_workers()
            began_s = time.monotonic()
            name, stale_after_s = new_holder(), self.settings.stale_after_s
            driver = ShardDriver(
                self.store, self.run.id, pool, name, self.on_progress, self.stop, self.reading, stale_after_s
            )
            try:
                self.n_committed += driver.drive()
            finally:
                # Also after a stop: the rate is that of the work that was done.
                self.drive_s += time.monotonic() - began_s
        except BaseException:
            self.reading.give_up()
            raise
        return self.n_committed

    def _has_work(self) -> bool:
        """True as soon as something is pending, False when everything is read and nothing is, or the reading failed."""
        while not self.reading.failed:
            all_read = self.reading.ended
            n_done, n_total = self.store.progress(self.run.id)
            if n_done < n_total or all_read:
                return n_done < n_total
            self.stop.check()
            self.reading.wait(POLL_S)
        return False

    def finish(self) -> Balance:
        """Closes the run; raises OpenBalanceError when inputs are unaccounted for."""
        return close_run(self.store, self.run.id, time.monotonic() - self._began_s)
