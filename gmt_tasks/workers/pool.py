"""Worker processes: Ray actors with bounded work in flight.

Each actor holds one model, loaded once, and computes one job while two more wait, so that none is idle while an answer
travels or a crystal hangs. Inside it crystals are kept apart (isolation.py): one that fails or kills its process is
found and quarantined there and does not end the actor. An actor or a node may still die, or no longer answer, which is
noticed by its missing heartbeat. Then its jobs are tried again elsewhere; a job that was inside an actor that died has
an actor to itself when it is retried, and is split in halves when it dies with that one too, so no crystal is ever
quarantined for its neighbour. Workers have no connection to the database: only the driver writes.
"""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import ray
from ray.exceptions import RayError, RayTaskError

from db.records import ResultBlock, ShardLease
from gmt_tasks.import_guard import REPOSITORY_ROOT
from gmt_tasks.telemetry import event
from gmt_tasks.workers.cluster import (
    advice_for_lost_workers,
    ended_ray_process,
    nodes_of_cluster,
    options_at,
    start_ray,
    stop_ray,
)
from gmt_tasks.workers.isolation import Timeouts
from gmt_tasks.workers.jobs import Assembly, Job, WrongAnswerError, check_rows, first_line, quarantine
from gmt_tasks.workers.placement import Place, place_workers
from gmt_tasks.workers.worker import BATCH_ATOMS, Worker, WorkerProcess
from models.errors import ModelError, Reason

JOBS_PER_ACTOR = 3
HEARTBEAT_EVERY_S = 10.0
MAX_FAILED_STARTS = 3
MAX_DEATHS_IN_A_ROW = 50
MAX_FAILURES_IN_A_ROW = 2000
MAX_RAY_ENDS_IN_A_ROW = 5


@dataclass
class _Slot:
    """One actor and its jobs; `pid` is None until it has loaded, `heartbeat` was asked for at `asked_s`."""

    place: Place
    actor: Any
    starting: Any
    pid: int | None = None
    jobs: list[tuple[Any, Job]] = field(default_factory=list)
    heartbeat: Any = None
    asked_s: float = 0.0


class WorkerPool:
    """Actors that turn leased shards into result blocks; use it as a context manager.

    Args:
        factory: makes the worker inside an actor; a top-level function or a `functools.partial` of one.
        n_workers: number of actors; None takes one per CPU core, or up to 8 per GPU. Fewer start where GPUs are shared
            out here and no more find a place.
        gpus_per_worker: share of a GPU that each actor reserves; None shares what there is, 0 takes none.
        address: Ray cluster; None starts one on this machine, which ends with this process.
        timeouts: deadlines.
        batch_atoms: that a worker on a CPU computes at once.

    Raises:
        ModelError: Ray cannot start.
    """

    def __init__(
        self,
        factory: Callable[[], Worker],
        n_workers: int | None = None,
        gpus_per_worker: float | None = None,
        address: str | None = None,
        *,
        timeouts: Timeouts | None = None,
        batch_atoms: int = BATCH_ATOMS,
    ) -> None:
        self._asked = (factory, n_workers, gpus_per_worker, address)
        self._timeouts, self._batch_atoms = timeouts or Timeouts(), batch_atoms
        self._failed_starts = self._deaths = self._failures = self._ray_ends = 0
        self._waiting: deque[Job] = deque()
        self._assemblies: dict[tuple[int, int], Assembly] = {}
        self._completed: list[tuple[ShardLease, ResultBlock]] = []
        self._slots: list[_Slot] = []
        self._start()

    def _start(self) -> None:
        """Starts Ray where it does not run, and all actors."""
        factory, n_workers, gpus_per_worker, address = self._asked
        self._owns_ray = start_ray(address, n_workers)
        places = place_workers(nodes_of_cluster(), n_workers, gpus_per_worker)
        self.n_workers, self.gpus_per_worker = len(places), max(place.gpus for place in places)
        event("workers.placed", workers=len(places), asked=n_workers, gpu_shares=sorted({p.gpus for p in places}))
        # On a cluster the code arrives in Ray's working directory, which is first on the path already.
        # Put once: with the files of a model inside it is too large to be sent along with every actor.
        root = "" if address else str(REPOSITORY_ROOT)
        self._arguments = (ray.put(factory), root)
        # One more thread answers the heartbeat while all others wait for crystals.
        threads: dict[str, Any] = {"max_concurrency": JOBS_PER_ACTOR, "concurrency_groups": {"heartbeat": 1}}
        self._remote: Any = ray.remote(max_restarts=0, **threads)(WorkerProcess)
        self._started_s = time.monotonic()
        self._slots = [self._new_slot(place) for place in places]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kills the actors and, if this pool started Ray, ends it. Work in flight is dropped; its leases go stale."""
        slots, self._slots = self._slots, []
        for slot in slots:
            self._kill(slot)
        if self._owns_ray:
            stop_ray()
            self._owns_ray = False

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the actors that have loaded."""
        return [slot.pid for slot in self._slots if slot.pid is not None]

    @property
    def has_room(self) -> bool:
        """True when another shard would find a place in an actor's queue."""
        return not self._waiting and any(self._free(slot) for slot in self._slots)

    @property
    def n_in_flight(self) -> int:
        """Shards that were submitted and not given back by `collect`."""
        return len(self._assemblies) + len(self._completed)

    def submit(self, lease: ShardLease) -> None:
        """Takes a shard; its result comes out of `collect`."""
        self._assemblies[lease.shard_id, lease.token] = Assembly(lease)
        if lease.crystal_ids:
            self._waiting.append(Job.whole(lease))
        else:
            self._complete(lease)
        self._fill()

    def collect(self, timeout_s: float = 1.0) -> list[tuple[ShardLease, ResultBlock]]:
        """Shards completed since the last call; waits up to `timeout_s` seconds for something to happen.

        Raises:
            ModelError: no worker can start, or work keeps failing without a single success.
        """
        self._check_ray()
        self._fill()
        # Whatever comes first, a start or an answer, ends the wait: there may be room then.
        watched = [slot.starting for slot in self._slots if slot.pid is None]
        watched += [ref for slot in self._slots for ref, _ in slot.jobs]
        if watched and not self._completed:
            ray.wait(watched, num_returns=1, timeout=timeout_s, fetch_local=False)
        elif not self._completed:
            time.sleep(timeout_s)
        for index in range(len(self._slots)):
            self._harvest(index)
        self._check_started()
        self._fill()
        completed, self._completed = self._completed, []
        return completed

    def _check_ray(self) -> None:
        """Starts Ray anew when a process of the private one has ended: no worker outlives it, and none can start."""
        ended = ended_ray_process() if self._owns_ray else ""
        if not ended:
            return
        self._ray_ends += 1
        event("ray.restarted", detail=ended)
        if self._ray_ends > MAX_RAY_ENDS_IN_A_ROW:
            raise ModelError(
                f"Ray ended {self._ray_ends} times without one result between; the last: {ended}. Is the memory full, "
                "or does something stop processes here? See `gmtscreen doctor`, then run the same command again."
            )
        # Nothing says that a crystal was to blame.
        self._waiting.extend(job for slot in self._slots for _, job in slot.jobs)
        stop_ray()
        self._start()

    @staticmethod
    def _free(slot: _Slot) -> bool:
        """Room for a job; nothing waits behind a retry, and a retry waits behind nothing."""
        retries = any(job.is_retry for _, job in slot.jobs)
        return slot.pid is not None and len(slot.jobs) < JOBS_PER_ACTOR and not retries

    def _new_slot(self, place: Place) -> _Slot:
        remote = self._remote.options(**options_at(place))
        actor: Any = remote.remote(*self._arguments, place.gpus, self._timeouts, self._batch_atoms)
        return _Slot(place, actor, actor.ready.remote())

    def _kill(self, slot: _Slot) -> None:
        with suppress(RayError, ValueError):
            ray.kill(slot.actor, no_restart=True)

    def _fill(self) -> None:
        """Gives waiting jobs to the actors with the fewest."""
        while self._waiting:
            free = [slot for slot in self._slots if self._free(slot) and not (self._waiting[0].is_retry and slot.jobs)]
            if not free:
                return
            slot = min(free, key=lambda s: len(s.jobs))
            job = self._waiting.popleft()
            slot.jobs.append((slot.actor.screen.remote(job), job))

    def _harvest(self, index: int) -> None:
        """Takes the answers of one actor; replaces it when it is dead or gives no heartbeat."""
        slot = self._slots[index]
        if slot.pid is None and not self._take_start(index, slot):
            return
        died = ""
        for ref, job in [(ref, job) for ref, job in slot.jobs if _is_ready(ref)]:
            try:
                block = ray.get(ref)
            except RayTaskError as error:
                self._failed(job, Reason.MODEL_FAILED, _cause(error))
            except RayError as error:
                died = f"{type(error).__name__}: the worker died while it worked on this"
                continue
            else:
                self._take_answer(job, block)
            slot.jobs = [entry for entry in slot.jobs if entry[0] != ref]
        if died:
            self._replace(index, slot, died)
        else:
            self._check_heartbeat(index, slot)

    def _check_heartbeat(self, index: int, slot: _Slot) -> None:
        """Asks an actor for a heartbeat now and then: a dead node or a frozen process gives no answer to its jobs."""
        now = time.monotonic()
        if slot.heartbeat is None:
            if now - slot.asked_s > HEARTBEAT_EVERY_S:
                slot.heartbeat = slot.actor.heartbeat.options(concurrency_group="heartbeat").remote()
                slot.asked_s = now
        elif _is_ready(slot.heartbeat):
            try:
                ray.get(slot.heartbeat)
            except RayError as error:
                self._replace(index, slot, f"{type(error).__name__}: the worker died")
            slot.heartbeat = None
        elif now - slot.asked_s > self._timeouts.heartbeat_s:
            # It may be slow rather than dead, and no job of it is to blame for that.
            self._replace(index, slot, f"no sign of life for {self._timeouts.heartbeat_s:.0f} s", blame=False)

    def _take_start(self, index: int, slot: _Slot) -> bool:
        """True once the actor has loaded its worker; replaces an actor that could not."""
        if not _is_ready(slot.starting):
            return False
        try:
            slot.pid = int(ray.get(slot.starting))
        except RayError as error:
            self._failed_starts += 1
            # While others work it is a node that went, or a sick one, and no reason to give up.
            if self._failed_starts >= MAX_FAILED_STARTS and not self.worker_pids:
                cause, advice = _cause(error).rstrip("."), advice_for_lost_workers(str(error))
                raise ModelError(
                    f"{self._failed_starts} workers in a row could not start: {cause}. {advice}"
                ) from error
            self._kill(slot)
            self._slots[index] = self._new_slot(slot.place)
            return False
        self._failed_starts = 0
        return True

    def _check_started(self) -> None:
        """Refuses to wait for ever for a cluster without room."""
        if any(slot.pid is not None for slot in self._slots):
            self._started_s = time.monotonic()
        elif time.monotonic() - self._started_s > self._timeouts.start_s:
            raise ModelError(
                f"none of {self.n_workers} workers started within {self._timeouts.start_s:.0f} s; each needs 1 CPU "
                f"and {self.gpus_per_worker} GPU, free are {ray.available_resources()}. Ask for fewer --workers, or "
                "give nodes that start cold more time: GMTSCREEN_START_TIMEOUT_S."
            )

    def _replace(self, index: int, slot: _Slot, detail: str, *, blame: bool = True) -> None:
        """Replaces an actor that is gone; each of its jobs may be what it died of, unless none is to `blame`."""
        self._kill(slot)
        self._slots[index] = self._new_slot(slot.place)
        self._deaths += 1
        event("worker.replaced", pid=slot.pid, detail=detail)
        for _, job in slot.jobs:
            if blame:
                self._failed(job, Reason.WORKER_DIED, detail)
            else:
                self._waiting.append(job)
        if self._deaths > MAX_DEATHS_IN_A_ROW:
            raise ModelError(
                f"{self._deaths} workers in a row died without one result; the last: {detail}. Their environment is "
                "broken rather than the crystals: run `gmtscreen doctor`, then the same command again."
            )

    def _failed(self, job: Job, reason: Reason, detail: str) -> None:
        """Queues what comes after a failure, or quarantines the crystal that was tried alone."""
        self._failures += 1
        if self._failures > MAX_FAILURES_IN_A_ROW:
            raise ModelError(
                f"{self._failures} jobs in a row failed without one result; the last: {detail}. The model is broken "
                "rather than the crystals: try `gmtscreen predict reference`."
            )
        event("job.failed", shard=job.lease.shard_id, crystals=job.n_crystals, reason=reason, detail=detail)
        following = job.after_failure()
        self._waiting.extend(following)
        if not following:
            self._answered(job, quarantine(job, reason, detail))

    def _take_answer(self, job: Job, block: ResultBlock) -> None:
        try:
            check_rows(job, block)
        except WrongAnswerError as error:
            self._failed(job, Reason.MODEL_FAILED, str(error))
            return
        # One good answer shows that model and environment work: only failures in a row are counted.
        self._deaths = self._failures = self._ray_ends = 0
        self._answered(job, block)

    def _answered(self, job: Job, block: ResultBlock) -> None:
        assembly = self._assemblies[job.lease.shard_id, job.lease.token]
        assembly.add(job, block)
        if assembly.complete:
            self._complete(job.lease)

    def _complete(self, lease: ShardLease) -> None:
        assembly = self._assemblies.pop((lease.shard_id, lease.token))
        self._completed.append((lease, assembly.block()))


def _is_ready(ref: Any) -> bool:
    ready, _ = ray.wait([ref], num_returns=1, timeout=0, fetch_local=False)
    return bool(ready)


def _cause(error: RayError) -> str:
    """Name and first line of what was raised in the actor; Ray's own text buries it at the end of a traceback."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, BaseException):
        return f"{type(cause).__name__}: {first_line(str(cause))}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return first_line(lines[-1] if lines else type(error).__name__)
