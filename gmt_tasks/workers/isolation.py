"""Crystals computed where they can do no harm: one that fails costs a fraction of a second and is found by name.

A job is cut into batches, each computed in a forked process (fork_server.py). Whatever happens to that process, crash,
exception, hang or lack of memory, its batch is cut into parts, each tried in a fresh fork where the last one died, down
to the crystal that fails alone. All other answers are kept. Several jobs may be inside at the same time; one at a time
computes.

Timeouts count the time that a process computed or slept, never the time that it waited for a processor: on a machine
ten times as busy everything takes ten times as long and nothing is taken for hung. Several crystals are given up as
soon as they take longer than usual, since their parts are tried again. A crystal alone then lets the others compute
first and is given up when it computed many times as long as usual, or slept until its deadline, which keeps nobody
waiting.
"""

import threading
from collections import deque
from dataclasses import dataclass, replace

from db.records import ResultBlock
from gmt_tasks.workers.fork_server import ForkedWorker, ForkServer
from gmt_tasks.workers.forked_worker import Failure
from gmt_tasks.workers.jobs import Job, WrongAnswerError, check_rows, merge, quarantine
from gmt_tasks.workers.processor_time import Spent
from models.errors import Reason

PARTS_OF_A_FAILURE = 8
UNLIMITED_ATOMS = 1 << 40

REMEMBERED_ATOMS = 2048
ATOMS_OF_A_CALL = 32
"""A call of the network costs as much as some tens of atoms, even for a crystal of one."""


@dataclass(frozen=True)
class Timeouts:
    """After how long something is taken for hung.

    Attributes:
        start_s: for the first worker to load its model, in seconds.
        job_s: for a crystal alone that sleeps, or computes where nothing shorter is known, in seconds, plus
        job_s_per_atom: for each atom of it, in seconds.
        computing_s: for a crystal alone that computes, in seconds, plus
        usual_times: as many times what its atoms usually take, once something was measured.
        heartbeat_s: for a worker process to answer a heartbeat, in seconds.
        first_s_per_atom: what an atom usually takes before anything is measured, in seconds.
        late_s: how much longer than usual something may take before others go ahead of it, in seconds.
    """

    start_s: float = 600.0
    job_s: float = 30.0
    job_s_per_atom: float = 0.1
    computing_s: float = 0.5
    usual_times: float = 12.0
    heartbeat_s: float = 45.0
    # three times what a CPU core needs with the shipped network
    first_s_per_atom: float = 0.005
    late_s: float = 0.25

    def asleep_deadline_s(self, job: Job) -> float:
        """Longest time that a job may sleep, in seconds."""
        return self.job_s + self.job_s_per_atom * job.n_atoms

    def usual_s(self, job: Job, s_per_atom: float | None) -> float:
        """Longest usual time of a job, in seconds: half as much again as the mean, and what may come on top."""
        return self.late_s + 1.5 * (s_per_atom or self.first_s_per_atom) * job.n_atoms

    def computing_deadline_s(self, job: Job, s_per_atom: float | None) -> float:
        """Longest time that a job may compute, where atoms usually take so many seconds each."""
        if s_per_atom is None:
            return self.asleep_deadline_s(job)
        usual_s = s_per_atom * max(job.n_atoms, ATOMS_OF_A_CALL)
        return min(self.computing_s + self.usual_times * usual_s, self.asleep_deadline_s(job))


class _MeasuredPace:
    """Seconds per atom here, as a mean over the recent past; large batches count more than small ones."""

    def __init__(self) -> None:
        self._seconds, self._atoms = 0.0, 0

    @property
    def s_per_atom(self) -> float | None:
        """Seconds per atom; None before the first measurement."""
        return self._seconds / self._atoms if self._atoms else None

    def add(self, job: Job, spent: Spent) -> None:
        """Adds the measured time of a job."""
        self._seconds += spent.computing_s + spent.asleep_s
        self._atoms += job.n_atoms
        # Halved from time to time, the past counts ever less: a machine may become busy or free.
        if self._atoms > REMEMBERED_ATOMS:
            self._seconds, self._atoms = self._seconds / 2, self._atoms // 2


class Isolation:
    """Jobs in, results out, whatever the crystals do to the process that computes them.

    Args:
        server: forks the processes.
        timeouts: deadlines.
        batch_atoms: atoms that are lost at most when a crystal kills its process; None takes a job as a whole.
    """

    def __init__(self, server: ForkServer, timeouts: Timeouts, batch_atoms: int | None = None) -> None:
        self._server, self._timeouts = server, timeouts
        self._batch_atoms = batch_atoms or UNLIMITED_ATOMS
        self._computing = threading.Lock()
        self._idle: list[ForkedWorker] = []
        self._pace = _MeasuredPace()

    @property
    def batch_atoms(self) -> int:
        """Atoms of a batch now: fewer than at first after memory ran out."""
        return self._batch_atoms

    @property
    def pids(self) -> list[int]:
        """Process ids of the idle processes."""
        return [worker.pid for worker in self._idle]

    def close(self) -> None:
        """Ends every process; nothing can be computed any more."""
        self._idle.clear()
        self._server.close()

    def warm_up(self) -> None:
        """Waits for the model and forks the first process; raises ForkServerError when either is impossible."""
        self._server.wait_until_loaded()
        self._idle.append(self._server.fork())

    def screen(self, job: Job) -> ResultBlock:
        """Results of a job; what failed alone is in `.quarantined`.

        Raises:
            ForkServerError: no process can be forked any more.
        """
        pending = deque(job.batches(self._batch_atoms))
        answers: dict[int, ResultBlock] = {}
        fitting_atoms: list[int] = []
        out_of_memory = False
        while pending:
            batch = pending.popleft()
            answer = self._attempt(batch)
            if isinstance(answer, ResultBlock):
                answers[batch.start] = answer
                fitting_atoms.append(batch.n_atoms)
                continue
            if answer.reason is Reason.OUT_OF_MEMORY and not out_of_memory:
                # Sizes that fitted before say nothing about the memory that is left now.
                out_of_memory, fitting_atoms = True, []
            retries = _retries(batch, answer)
            pending.extendleft(reversed(retries))
            if not retries:
                answers[batch.start] = quarantine(batch, answer.reason, answer.detail)
        block = merge([answers[start] for start in sorted(answers)])
        too_large_alone = any(reason is Reason.OUT_OF_MEMORY for _, reason, _ in block.quarantined)
        if out_of_memory and fitting_atoms and not too_large_alone:
            # No crystal was to blame: the batches were too large, and the next ones are cut to what went through.
            self._batch_atoms = max(fitting_atoms)
        return block

    def _attempt(self, batch: Job) -> ResultBlock | Failure:
        """The answer for a batch; waits until no other one computes."""
        with self._computing:
            worker = self._idle.pop() if self._idle else self._server.fork()
            worker.send(batch.crystal_ids, batch.crystals)
            usual_s = self._timeouts.usual_s(batch, self._pace.s_per_atom)
            if worker.answers_within(usual_s, usual_s):
                answer = self._receive(worker, batch)
                # An exception leaves a process as good as new, unless it came from the kernels of a GPU.
                if isinstance(answer, Failure) and (answer.process_lost or answer.reason is Reason.WORKER_DIED):
                    worker.kill()
                else:
                    self._idle.append(worker)
                return answer
            worker.lower_priority()
        # Without the lock: others need not wait for what may have hung.
        answer = self._late_answer(worker, batch)
        worker.kill()
        return answer

    def _receive(self, worker: ForkedWorker, batch: Job) -> ResultBlock | Failure:
        """The answer of a worker that is ready, a result only if it is one for these rows; its time is added."""
        spent, answer = worker.spent(), worker.answer()
        if isinstance(answer, Failure):
            return answer
        self._pace.add(batch, spent)
        try:
            check_rows(batch, answer)
        except WrongAnswerError as error:
            return Failure(Reason.MODEL_FAILED, str(error))
        return answer

    def _late_answer(self, worker: ForkedWorker, batch: Job) -> ResultBlock | Failure:
        """The answer for a batch that takes longer than usual; several crystals lose nothing but are tried apart."""
        if batch.n_crystals > 1:
            return Failure(Reason.WORKER_DIED, "took longer than usual; the worker process was stopped")
        computing_s = self._timeouts.computing_deadline_s(batch, self._pace.s_per_atom)
        asleep_s = self._timeouts.asleep_deadline_s(batch)
        if worker.answers_within(computing_s, asleep_s):
            return self._receive(worker, batch)
        slept = worker.spent().asleep_s >= asleep_s
        exceeded = f"{asleep_s:.0f} s asleep" if slept else f"{computing_s:.1f} s of computing"
        return Failure(Reason.WORKER_DIED, f"no answer within {exceeded}; the worker process was stopped")


def _retries(batch: Job, failure: Failure) -> list[Job]:
    """What to try after a failure; nothing when a crystal failed alone after it had failed before."""
    if batch.tries_left and (failure.external or batch.n_crystals == 1):
        return [replace(batch, tries_left=batch.tries_left - 1)]
    if batch.n_crystals == 1:
        return []
    # After an external end the parts keep their tries: none of them has failed by itself yet.
    tries_left = batch.tries_left if failure.external else 0
    # Halves find the largest size that fits; many parts find one crystal among many soonest.
    parts = batch.parts(2 if failure.reason is Reason.OUT_OF_MEMORY else PARTS_OF_A_FAILURE)
    return [replace(part, tries_left=tries_left) for part in parts]
