"""Worker processes: Ray actors with bounded work in flight. The only file that imports ray.

Each actor holds one screener, loaded once, and works through its queue in order, one job at a time; two jobs wait per
actor so that none is idle while an answer travels. A death is blamed on the oldest unanswered job; the one behind it
goes back to the queue without a mark. The blame can be wrong, because a dying process takes its last answer with it:
so a job that failed before, a suspect, has an actor to itself, and no crystal is ever quarantined for its neighbour.
What follows a failure is decided in `gmt_tasks.splitting`; dead actors are replaced. Workers have no connection to
the database: only the driver writes.
"""

import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import ray
from ray._private import ray_constants
from ray._private import worker as ray_worker
from ray.exceptions import RayError, RayTaskError

from db.records import ResultBlock, ShardLease
from gmt_tasks.origin import REPOSITORY_ROOT
from gmt_tasks.process import environment, kept_signal_handlers, tcp_answers
from gmt_tasks.splitting import Assembly, Job, WrongAnswerError, check_rows, first_line, quarantine
from gmt_tasks.telemetry import event
from gmt_tasks.worker import Patience, Worker, WorkerProcess
from models.errors import ModelError, Reason

JOBS_PER_ACTOR = 2
ACTORS_PER_GPU = 8
OBJECT_STORE_BYTES = 256 * 1024**2
START_TRIES = 3
MAX_FAILED_STARTS = 3
MAX_DEATHS_IN_A_ROW = 50
MAX_FAILURES_IN_A_ROW = 2000
NAMESPACE = "gmtscreen"

_ADDRESS_ADVICE = "Check that `ray status` answers there, or leave --ray-address out to use this machine."


@dataclass
class _Slot:
    """One actor and its queue; `pid` is None until it has loaded, `head_since_s` is when its oldest job began."""

    actor: Any
    starting: Any
    pid: int | None = None
    jobs: deque[tuple[Any, Job]] = field(default_factory=deque)
    head_since_s: float = 0.0


def _adjust_ray(*, loopback_only: bool) -> None:
    """Two things for which `ray.init` has no option.

    Ray takes the address of the network card, and then its servers listen on every interface; told otherwise it does
    what it does on desktop systems, and everything stays on 127.0.0.1. And it prints the death of a worker to standard
    output, into the middle of what a program prints there; here that is an event.
    """
    ray_constants.ENABLE_RAY_CLUSTER = not loopback_only
    ray_worker.print_to_stdstream = _print_as_event


def _print_as_event(data: dict[str, Any], *_: object, **__: object) -> None:
    event("ray.said", text=first_line(" ".join(str(line) for line in data.get("lines", []))))


def start_ray(address: str | None = None, n_cpus: int | None = None) -> bool:
    """Starts Ray on this machine, on loopback without dashboard, or connects to a cluster.

    Args:
        address: of a cluster (`host:6379`, `ray://host:10001`, `auto`); None starts a private one.
        n_cpus: worker slots of the private one; None takes the number of CPU cores.

    Returns:
        True when this call started or connected Ray, False when the process was connected before.

    Raises:
        ModelError: the cluster cannot be reached or Ray cannot start.
    """
    if ray.is_initialized():
        return False
    # Ray itself waits for minutes, on some errors for ever, until it gives an address up.
    if address is not None and not tcp_answers(address):
        raise ModelError(f"Nothing answers at the Ray address {address}. {_ADDRESS_ADVICE}")
    options: dict[str, Any] = {"namespace": NAMESPACE, "log_to_driver": False, "logging_level": "ERROR"}
    # A raylet hands its environment down to every worker; the root goes first so that neither a test runner nor an
    # editable install can make the import order of driver and workers differ.
    path = os.pathsep.join([str(REPOSITORY_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    variables = {"PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"}
    if address is None:
        options |= {"address": "local", "num_cpus": n_cpus, "include_dashboard": False}
        options |= {"object_store_memory": OBJECT_STORE_BYTES}
        variables |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_enable_metrics_collection": "0"}
    else:
        excludes = [".git", ".venv", "build", "dist", "docs", "tests", "runs", "*.db*"]
        options |= {"address": address, "runtime_env": {"working_dir": str(REPOSITORY_ROOT), "excludes": excludes}}
    _adjust_ray(loopback_only=address is None)
    with kept_signal_handlers(), environment(variables):
        _init(options, f"the Ray cluster at {address}. {_ADDRESS_ADVICE}" if address else "", tries=START_TRIES)
    return True


def _init(options: dict[str, Any], cluster: str, tries: int) -> None:
    """`ray.init`, again when a busy machine was too slow for Ray's own 30 seconds.

    Args:
        options: of `ray.init`.
        cluster: what is connected to and what to do when it fails; empty for a private Ray, which alone is retried.
        tries: attempts left.

    Raises:
        ModelError: the last attempt failed.
    """
    try:
        ray.init(**options)
    except Exception as error:
        # Ray raises bare Exceptions; whatever it started goes before anything else is tried.
        with suppress(Exception):
            ray.shutdown()
        said = first_line(str(error)).rstrip(".")
        if cluster:
            raise ModelError(f"Ray said: {said}, at {cluster}") from error
        if tries <= 1:
            raise ModelError(
                f"Ray did not start on this machine in {START_TRIES} tries: {said}. The machine may be overloaded: try "
                "again later or with fewer --workers, and see `gmtscreen doctor`."
            ) from error
        event("ray.start_again", said=said)
        _init(options, cluster, tries - 1)


def stop_ray() -> None:
    """Ends the private cluster or leaves the shared one; keeps the signal handlers."""
    with kept_signal_handlers():
        ray.shutdown()


def count_devices() -> tuple[int, int]:
    """Number of CPU slots and of GPUs that the running Ray has."""
    resources = ray.cluster_resources()
    return int(resources.get("CPU", 1)), int(resources.get("GPU", 0))


def worker_plan(n_workers: int | None, gpus_per_worker: float | None) -> tuple[int, float]:
    """How many actors and how much of a GPU each gets, from what Ray has.

    Without a GPU: one actor per CPU core. With GPUs: several actors share each, because symmetry and graphs are made
    on the CPU and would leave a GPU idle behind a single actor.

    Args:
        n_workers: asked for, or None.
        gpus_per_worker: asked for, or None.

    Returns:
        Number of actors and GPU share of each.
    """
    cpus, gpus = count_devices()
    if n_workers is None:
        n_workers = max(1, min(cpus, gpus * ACTORS_PER_GPU) if gpus else cpus)
    if gpus_per_worker is None:
        # Shares are rounded down so that the last actor of a GPU still fits.
        gpus_per_worker = int(min(1.0, gpus / n_workers) * 1000) / 1000 if gpus else 0.0
    return n_workers, gpus_per_worker


class WorkerPool:
    """Actors that turn leased shards into result blocks; use it as a context manager.

    Args:
        factory: makes the worker inside an actor; a top-level function or a `functools.partial` of one.
        n_workers: number of actors; None takes one per CPU core, or up to 8 per GPU.
        gpus_per_worker: share of a GPU that each actor reserves; None shares what there is, 0 without GPUs.
        address: Ray cluster; None starts one on this machine, which ends with this process.
        patience: deadlines.

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
        patience: Patience | None = None,
    ) -> None:
        self._owns_ray = start_ray(address, n_workers)
        self.n_workers, self.gpus_per_worker = worker_plan(n_workers, gpus_per_worker)
        self._patience = patience or Patience()
        # On a cluster the code arrives in Ray's working directory, which is first on the path already.
        self._arguments = (factory, "" if address else str(REPOSITORY_ROOT), self.gpus_per_worker)
        self._remote: Any = ray.remote(num_cpus=1, num_gpus=self.gpus_per_worker, max_restarts=0)(WorkerProcess)
        self._started_s = time.monotonic()
        self._failed_starts = self._deaths = self._failures = 0
        self._waiting: deque[Job] = deque()
        self._assemblies: dict[tuple[int, int], Assembly] = {}
        self._completed: list[tuple[ShardLease, ResultBlock]] = []
        self._slots = [self._new_slot() for _ in range(self.n_workers)]

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
        self._fill()
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

    @staticmethod
    def _free(slot: _Slot) -> bool:
        """Room for a job; nothing waits behind a suspect, and a suspect waits behind nothing."""
        return slot.pid is not None and len(slot.jobs) < JOBS_PER_ACTOR and not any(job.suspect for _, job in slot.jobs)

    def _new_slot(self) -> _Slot:
        actor: Any = self._remote.remote(*self._arguments)
        return _Slot(actor, actor.ready.remote())

    def _kill(self, slot: _Slot) -> None:
        with suppress(RayError, ValueError):
            ray.kill(slot.actor, no_restart=True)

    def _fill(self) -> None:
        """Gives waiting jobs to the actors with the shortest queues."""
        while self._waiting:
            free = [slot for slot in self._slots if self._free(slot) and not (self._waiting[0].suspect and slot.jobs)]
            if not free:
                return
            slot = min(free, key=lambda s: len(s.jobs))
            job = self._waiting.popleft()
            if not slot.jobs:
                slot.head_since_s = time.monotonic()
            slot.jobs.append((slot.actor.screen.remote(job.crystal_ids, job.crystals), job))

    def _harvest(self, index: int) -> None:
        """Takes the answers of one actor in order, blames its death on the oldest unanswered job, replaces it."""
        slot = self._slots[index]
        if slot.pid is None and not self._take_start(index, slot):
            return
        while slot.jobs and _is_ready(slot.jobs[0][0]):
            ref, job = slot.jobs[0]
            try:
                block = ray.get(ref)
            except RayTaskError as error:
                self._failed(job, Reason.MODEL_FAILED, _cause(error))
            except RayError as error:
                self._replace(index, slot, f"{type(error).__name__}: the worker died while it worked on this")
                return
            else:
                self._take_answer(job, block)
            slot.jobs.popleft()
            slot.head_since_s = time.monotonic()
        if slot.jobs:
            deadline_s = self._patience.deadline_s(slot.jobs[0][1])
            if time.monotonic() - slot.head_since_s > deadline_s:
                self._replace(index, slot, f"no answer within {deadline_s:.0f} s; the worker was stopped")

    def _take_start(self, index: int, slot: _Slot) -> bool:
        """True once the actor has loaded its worker; replaces an actor that could not."""
        if not _is_ready(slot.starting):
            return False
        try:
            slot.pid = int(ray.get(slot.starting))
        except RayError as error:
            self._failed_starts += 1
            if self._failed_starts >= MAX_FAILED_STARTS:
                raise ModelError(
                    f"{self._failed_starts} workers in a row could not start: {_cause(error)}. Run `gmtscreen doctor`."
                ) from error
            self._kill(slot)
            self._slots[index] = self._new_slot()
            return False
        self._failed_starts = 0
        return True

    def _check_started(self) -> None:
        """Refuses to wait for ever for a cluster without room."""
        if any(slot.pid is not None for slot in self._slots):
            self._started_s = time.monotonic()
        elif time.monotonic() - self._started_s > self._patience.start_s:
            raise ModelError(
                f"none of {self.n_workers} workers started within {self._patience.start_s:.0f} s; each needs 1 CPU "
                f"and {self.gpus_per_worker} GPU, free are {ray.available_resources()}. Ask for fewer --workers."
            )

    def _replace(self, index: int, slot: _Slot, detail: str) -> None:
        """Replaces a dead or hung actor; its oldest job failed, the others were only waiting behind it."""
        self._kill(slot)
        self._slots[index] = self._new_slot()
        self._deaths += 1
        event("worker.replaced", pid=slot.pid, detail=detail)
        (_, guilty), *others = slot.jobs
        self._waiting.extendleft(reversed([job for _, job in others]))
        self._failed(guilty, Reason.WORKER_DIED, detail)
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
        self._deaths = self._failures = 0
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
