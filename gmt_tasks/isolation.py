"""Crystals computed where they can do no harm: a poison crystal costs a fraction of a second and is found by name.

A job is cut into portions, each computed in a forked process (gmt_tasks/fork_server.py). Whatever happens to it,
crash, exception, hang or lack of memory, its portion is cut into parts, each tried in a fresh fork where the last one
died, down to the crystal that fails alone. All other answers are kept. Several jobs may be inside at the same time;
one at a time computes. A block that takes much longer than usual gives its turn away and has until its deadline, so
that waiting for a hung crystal costs patience and no computing time.
"""

import threading
import time
from collections import deque
from dataclasses import dataclass, replace

from db.records import ResultBlock
from gmt_tasks.fork_server import ForkServer, Runner
from gmt_tasks.runner import Failure
from gmt_tasks.splitting import Job, WrongAnswerError, check_rows, merge, quarantine
from models.errors import Reason

PARTS_OF_A_FAILURE = 8
UNLIMITED_ATOMS = 1 << 40


@dataclass(frozen=True)
class Patience:
    """How long is waited before something is taken for hung.

    Attributes:
        start_s: for the first worker to load its model, in seconds.
        job_s: for a crystal, in seconds, plus
        job_s_per_atom: for each atom of it, in seconds.
        pulse_s: for a worker process to say that it lives, in seconds.
    """

    start_s: float = 600.0
    job_s: float = 30.0
    job_s_per_atom: float = 0.1
    pulse_s: float = 45.0

    def deadline_s(self, job: Job) -> float:
        """Longest time that a job may take, in seconds."""
        return self.job_s + self.job_s_per_atom * job.n_atoms


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
        self._idle: list[Runner] = []
        self._s_per_atom: float | None = None

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
            began_s = time.monotonic()
            runner.give(portion.crystal_ids, portion.crystals)
            if runner.answers_within(self._usual_s(portion)):
                answer = runner.answer()
                self._keep(runner, answer)
                return self._checked(portion, answer, time.monotonic() - began_s)
            runner.step_back()
        deadline_s = self._deadline_s(portion)
        late = Failure(Reason.WORKER_DIED, f"no answer within {deadline_s:.0f} s; the worker process was stopped")
        in_time = runner.answers_within(began_s + deadline_s - time.monotonic())
        answer = runner.answer() if in_time else late
        runner.dismiss()
        return self._checked(portion, answer, None)

    def _keep(self, runner: Runner, answer: ResultBlock | Failure) -> None:
        """Keeps a process for the next portion, if it lives and is sound."""
        if isinstance(answer, ResultBlock) or not (answer.ruined or answer.reason is Reason.WORKER_DIED):
            self._idle.append(runner)
        else:
            runner.dismiss()

    def _checked(self, portion: Job, answer: ResultBlock | Failure, seconds: float | None) -> ResultBlock | Failure:
        """The answer if it is one for these rows; learns how long atoms take where that was measured."""
        if isinstance(answer, Failure):
            return answer
        try:
            check_rows(portion, answer)
        except WrongAnswerError as error:
            return Failure(Reason.MODEL_FAILED, str(error))
        if seconds is not None:
            before, now = self._s_per_atom, seconds / max(portion.n_atoms, 1)
            self._s_per_atom = now if before is None else 0.8 * before + 0.2 * now
        return answer

    def _usual_s(self, portion: Job) -> float:
        """How long a portion may keep its turn: twice as long as others took, and a little."""
        if self._s_per_atom is None:
            return self._deadline_s(portion)
        return 0.25 + 2 * self._s_per_atom * portion.n_atoms

    def _deadline_s(self, portion: Job) -> float:
        """When a portion is given up; earlier for many crystals, which lose nothing but are tried in parts."""
        patient_s = self._patience.deadline_s(portion)
        if self._s_per_atom is None or portion.n_crystals == 1:
            return patient_s
        return min(patient_s, 2.0 + 10 * self._s_per_atom * portion.n_atoms)


def _following(portion: Job, failure: Failure) -> list[Job]:
    """What to try after a failure; nothing when a crystal failed alone after it had failed before."""
    if portion.tries_left and (failure.from_outside or portion.n_crystals == 1):
        return [replace(portion, tries_left=portion.tries_left - 1)]
    if portion.n_crystals == 1:
        return []
    tries_left = portion.tries_left if failure.from_outside else 0
    parts = portion.parts(2 if failure.reason is Reason.OUT_OF_MEMORY else PARTS_OF_A_FAILURE)
    return [replace(part, tries_left=tries_left) for part in parts]
