"""Crystals computed where they can do no harm: a poison crystal costs a fraction of a second and is found by name.

A job is cut into portions, each computed in a forked process (fork_server.py). Whatever happens to it,
crash, exception, hang or lack of memory, its portion is cut into parts, each tried in a fresh fork where the last one
died, down to the crystal that fails alone. All other answers are kept. Several jobs may be inside at the same time;
one at a time computes.

What is too long is told from the time that a process computed or slept, never from the time that it waited for a
processor: on a machine ten times as busy everything takes ten times as long and nothing is taken for hung. Several
crystals are given up as soon as they take longer than usual, since their parts are tried again. A crystal alone then
gives its turn away and is given up when it computed many times as long as usual, or slept until its deadline, which
keeps nobody waiting.
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

FIRST_S_PER_ATOM = 0.005
"""Before anything is measured: three times what a CPU core needs with the shipped network."""

REMEMBERED_ATOMS = 2048
ATOMS_OF_A_CALL = 32
"""A call of the network costs as much as some tens of atoms, even for a crystal of one."""


@dataclass(frozen=True)
class Patience:
    """How long is waited before something is taken for hung.

    Attributes:
        start_s: for the first worker to load its model, in seconds.
        job_s: for a crystal alone that sleeps, or computes where nothing shorter is known, in seconds, plus
        job_s_per_atom: for each atom of it, in seconds.
        computing_s: for a crystal alone that computes, in seconds, plus
        usual_times: as many times what its atoms usually take, once something was measured.
        pulse_s: for a worker process to say that it lives, in seconds.
    """

    start_s: float = 600.0
    job_s: float = 30.0
    job_s_per_atom: float = 0.1
    computing_s: float = 0.5
    usual_times: float = 12.0
    pulse_s: float = 45.0

    def asleep_deadline_s(self, job: Job) -> float:
        """Longest time that a job may sleep, in seconds."""
        return self.job_s + self.job_s_per_atom * job.n_atoms

    def computing_deadline_s(self, job: Job, s_per_atom: float | None) -> float:
        """Longest time that a job may compute, where atoms usually take so many seconds each."""
        if s_per_atom is None:
            return self.asleep_deadline_s(job)
        usual_s = s_per_atom * max(job.n_atoms, ATOMS_OF_A_CALL)
        return min(self.computing_s + self.usual_times * usual_s, self.asleep_deadline_s(job))


class _Pace:
    """How long an atom takes here, as a mean over the recent past; large portions count more than small ones."""

    def __init__(self) -> None:
        self._seconds, self._atoms = 0.0, 0

    @property
    def s_per_atom(self) -> float | None:
        """Seconds per atom; None before the first measurement."""
        return self._seconds / self._atoms if self._atoms else None

    def usual_s(self, job: Job) -> float:
        """What a job may take before it is unusual: half as much again as others, and a little."""
        return 0.25 + 1.5 * (self.s_per_atom or FIRST_S_PER_ATOM) * job.n_atoms

    def learn(self, job: Job, spent: Spent) -> None:
        """Takes in how long a job took."""
        self._seconds += spent.computing_s + spent.asleep_s
        self._atoms += job.n_atoms
        if self._atoms > REMEMBERED_ATOMS:
            self._seconds, self._atoms = self._seconds / 2, self._atoms // 2


class Isolation:
    """Jobs in, results out, whatever the crystals do to the process that computes them.

    Args:
        server: forks the processes.
        patience: deadlines.
        portion_atoms: atoms that are lost at most when a crystal kills its process; None takes a job as a whole.
    """

    def __init__(self, server: ForkServer, patience: Patience, portion_atoms: int | None = None) -> None:
        self._server, self._patience = server, patience
        self._max_atoms = portion_atoms or UNLIMITED_ATOMS
        self._turn = threading.Lock()
        self._idle: list[ForkedWorker] = []
        self._pace = _Pace()

    @property
    def portion_atoms(self) -> int:
        """Atoms of a portion now: fewer than at first after memory ran out."""
        return self._max_atoms

    @property
    def pids(self) -> list[int]:
        """Process ids of the processes that wait for a portion."""
        return [runner.pid for runner in self._idle]

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
        todo = deque(job.portions(self._max_atoms))
        answers: dict[int, ResultBlock] = {}
        fitting: list[int] = []
        short_of_memory = False
        while todo:
            portion = todo.popleft()
            answer = self._attempt(portion)
            if isinstance(answer, ResultBlock):
                answers[portion.start] = answer
                fitting.append(portion.n_atoms)
                continue
            if answer.reason is Reason.OUT_OF_MEMORY and not short_of_memory:
                short_of_memory, fitting = True, []
            following = _following(portion, answer)
            todo.extendleft(reversed(following))
            if not following:
                answers[portion.start] = quarantine(portion, answer.reason, answer.detail)
        block = merge([answers[start] for start in sorted(answers)])
        to_blame = any(reason is Reason.OUT_OF_MEMORY for _, reason, _ in block.quarantined)
        if short_of_memory and fitting and not to_blame:
            # No crystal was to blame: the portions were too large, and the next ones are cut to what went through.
            self._max_atoms = max(fitting)
        return block

    def _attempt(self, portion: Job) -> ResultBlock | Failure:
        """The answer for a portion, waiting for its turn first."""
        with self._turn:
            runner = self._idle.pop() if self._idle else self._server.fork()
            runner.give(portion.crystal_ids, portion.crystals)
            usual_s = self._pace.usual_s(portion)
            if runner.answers_within(usual_s, usual_s):
                answer = self._heard(runner, portion)
                self._keep(runner, answer)
                return _checked(portion, answer)
            runner.step_back()
        answer = self._late_answer(runner, portion)
        runner.kill()
        return _checked(portion, answer)

    def _heard(self, runner: ForkedWorker, portion: Job) -> ResultBlock | Failure:
        """What a runner that is ready says; learns from how long it took."""
        spent, answer = runner.spent(), runner.answer()
        if isinstance(answer, ResultBlock):
            self._pace.learn(portion, spent)
        return answer

    def _late_answer(self, runner: ForkedWorker, portion: Job) -> ResultBlock | Failure:
        """What comes of a portion that takes longer than usual; several crystals lose nothing but are tried apart."""
        if portion.n_crystals > 1:
            return Failure(Reason.WORKER_DIED, "took longer than usual; the worker process was stopped")
        computing_s = self._patience.computing_deadline_s(portion, self._pace.s_per_atom)
        asleep_s = self._patience.asleep_deadline_s(portion)
        if runner.answers_within(computing_s, asleep_s):
            return self._heard(runner, portion)
        slept = runner.spent().asleep_s >= asleep_s
        took = f"{asleep_s:.0f} s asleep" if slept else f"{computing_s:.1f} s of computing"
        return Failure(Reason.WORKER_DIED, f"no answer within {took}; the worker process was stopped")

    def _keep(self, runner: ForkedWorker, answer: ResultBlock | Failure) -> None:
        """Keeps a process for the next portion, if it lives and is sound."""
        if isinstance(answer, ResultBlock) or not (answer.ruined or answer.reason is Reason.WORKER_DIED):
            self._idle.append(runner)
        else:
            runner.kill()


def _checked(portion: Job, answer: ResultBlock | Failure) -> ResultBlock | Failure:
    """The answer if it is one for these rows."""
    if isinstance(answer, Failure):
        return answer
    try:
        check_rows(portion, answer)
    except WrongAnswerError as error:
        return Failure(Reason.MODEL_FAILED, str(error))
    return answer


def _following(portion: Job, failure: Failure) -> list[Job]:
    """What to try after a failure; nothing when a crystal failed alone after it had failed before."""
    if portion.tries_left and (failure.from_outside or portion.n_crystals == 1):
        return [replace(portion, tries_left=portion.tries_left - 1)]
    if portion.n_crystals == 1:
        return []
    tries_left = portion.tries_left if failure.from_outside else 0
    parts = portion.parts(2 if failure.reason is Reason.OUT_OF_MEMORY else PARTS_OF_A_FAILURE)
    return [replace(part, tries_left=tries_left) for part in parts]
