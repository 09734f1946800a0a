"""Child processes with a deadline and a memory limit, for work on input that may hang, crash or swallow memory.

`SandboxPool` runs one function, named as `module:function`, on many arguments. Each argument ends as its value, or as
`TIMED_OUT`, `DIED` or `FAILED`; whatever happens to a child, the parent goes on with the next argument in a new child.
A child is a fresh interpreter that imports nothing but this module and the function's own (no fork: the parent may
hold threads, a database, CUDA; and not multiprocessing's spawn, which would import the parent's main module again).
"""

import contextlib
import importlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from models.errors import GmtError

_START_TIMEOUT_S = 180.0
_JOBS_PER_WORKER = 64


class SandboxError(GmtError):
    """The sandbox itself does not work: its children cannot start."""


class Ending(StrEnum):
    """How the work on one argument ended."""

    VALUE = "value"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    DIED = "died"


@dataclass(frozen=True)
class Outcome:
    """The end of one argument: `value` if it has one, else `detail` says what happened."""

    ending: Ending
    value: Any = None
    detail: str = ""


class _Worker:
    """One child process and the pipe to it; holds one (index, argument) at a time.

    One at a time is a rule, not a shortcut: a child that waits for its argument is reading, so sending never blocks;
    with a second one under way, parent and child could both wait for the other to read.
    """

    def __init__(self, target: str, deadline_s: float, memory_bytes: int) -> None:
        self._deadline_s = deadline_s
        self.pipe, theirs = Pipe()
        path = [entry for entry in sys.path if entry] + [str(Path.cwd())]
        code = (
            f"import sys; sys.path[:] = {path!r}; from gmt_tasks.sandbox import serve; "
            f"serve({theirs.fileno()}, {target!r}, {deadline_s!r}, {memory_bytes!r})"
        )
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        theirs.close()
        self.job: tuple[int, Any] | None = None
        self.ready = False
        self.limit = time.monotonic() + _START_TIMEOUT_S

    def give(self, index: int, argument: Any) -> None:
        """Starts the child, which must be idle, on one argument."""
        self.limit = time.monotonic() + self._deadline_s
        self.job = (index, argument)
        with contextlib.suppress(OSError):  # a dead child is noticed when its pipe is read
            self.pipe.send(argument)

    def take(self) -> tuple[int, Outcome] | None:
        """The finished outcome; None for the child's greeting. Raises EOFError or OSError when the child is gone."""
        message: Outcome | None = self.pipe.recv()
        self.ready = True
        if message is None or self.job is None:
            return None
        index, self.job = self.job[0], None
        return index, message

    def stop(self) -> str:
        """Ends the child and says how it ended."""
        self.pipe.close()
        if self._process.poll() is None:
            # A child whose pipe just broke is dying of its own signal: wait for it, so that the signal is known.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.2)
        if self._process.poll() is None:
            self._process.kill()
        code = self._process.wait()
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


class SandboxPool:
    """Runs `module:function` on arguments in child processes, each under a deadline and a memory limit.

    Args:
        target: `module:function`; the function takes one picklable argument and returns a picklable value.
        deadline_s: seconds one argument may take; importing the module does not count.
        memory_bytes: address space of a child.
        max_workers: children at most; another one starts for every 64 waiting arguments.
    """

    def __init__(
        self, target: str, *, deadline_s: float = 30.0, memory_bytes: int = 4 << 30, max_workers: int = 2
    ) -> None:
        self._target = target
        self._deadline_s = deadline_s
        self._memory_bytes = memory_bytes
        self._max_workers = max_workers
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all children."""
        while self._workers:
            self._workers.pop().stop()

    def map(self, arguments: Iterable[Any]) -> Iterator[Outcome]:
        """Outcomes in the order of the arguments.

        Raises:
            SandboxError: a child cannot start or cannot import the target.
        """
        waiting = deque(enumerate(arguments))
        done: dict[int, Outcome] = {}
        for index in range(len(waiting)):
            while index not in done:
                self._feed(waiting)
                done.update(self._collect())
            yield done.pop(index)

    def _feed(self, waiting: deque[tuple[int, Any]]) -> None:
        """Starts children as the work demands and gives each idle one an argument."""
        wanted = min(self._max_workers, max(1, -(-len(waiting) // _JOBS_PER_WORKER)))
        while len(self._workers) < wanted and waiting:
            self._workers.append(_Worker(self._target, self._deadline_s, self._memory_bytes))
        for worker in self._workers:
            if waiting and worker.ready and worker.job is None:
                worker.give(*waiting.popleft())

    def _collect(self) -> Iterator[tuple[int, Outcome]]:
        """Waits for the children and gives what they finished; replaces those that hang or died."""
        busy = [worker for worker in self._workers if worker.job or not worker.ready]
        pause = max(0.0, min(worker.limit for worker in busy) - time.monotonic())
        readable = wait([worker.pipe for worker in busy], timeout=pause)
        for worker in busy:
            if worker.pipe in readable:
                try:
                    outcome = worker.take()
                except (EOFError, OSError):
                    yield from self._end(worker, Ending.DIED)
                    continue
                if outcome is not None:
                    yield outcome
            elif time.monotonic() >= worker.limit:
                yield from self._end(worker, Ending.TIMED_OUT)

    def _end(self, worker: _Worker, ending: Ending) -> Iterator[tuple[int, Outcome]]:
        """Ends a child that hangs or died; the argument it worked on has its outcome."""
        self._workers.remove(worker)
        how = worker.stop()
        if not worker.ready:
            raise SandboxError(
                f"A child process for {self._target} did not start ({how}). Check that the module imports in "
                f"{sys.executable} and that {self._memory_bytes >> 20} MiB of address space are enough."
            )
        if worker.job is not None:
            late = ending is Ending.TIMED_OUT
            yield worker.job[0], Outcome(ending, detail=f"stopped after {self._deadline_s:g} s" if late else how)


def serve(descriptor: int, target: str, deadline_s: float, memory_bytes: int) -> None:
    """The child's main loop: arguments in, outcomes out, until the pipe closes."""
    pipe: Connection[Any, Any] = Connection(descriptor)
    module, _, name = target.partition(":")
    function = getattr(importlib.import_module(module), name)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pipe.send(None)
    with contextlib.suppress(EOFError, OSError):
        while True:
            argument = pipe.recv()
            # If the parent is gone, nobody else ends a hanging child.
            signal.setitimer(signal.ITIMER_REAL, 2 * deadline_s + 5)
            outcome = _run(function, argument, memory_bytes)
            signal.setitimer(signal.ITIMER_REAL, 0)
            pipe.send(outcome)


def _run(function: Any, argument: Any, memory_bytes: int) -> Outcome:
    """One argument's outcome; an exception of the function is an outcome, not the end of the child."""
    try:
        return Outcome(Ending.VALUE, function(argument))
    except MemoryError:
        return Outcome(Ending.DIED, detail=f"needs more than {memory_bytes >> 20} MiB of memory")
    except Exception as error:  # noqa: BLE001 - whatever the function raises is its outcome, and is reported
        return Outcome(Ending.FAILED, detail=f"{type(error).__name__}: {error}")
