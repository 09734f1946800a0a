"""Child processes with a deadline, a memory limit and no network, for input that may hang, crash or swallow memory.

`SandboxPool` runs one function, named as `module:function`, on many arguments. Each argument ends as its value, or as
`TIMED_OUT`, `DIED` or `FAILED`; whatever happens to a child, the parent goes on with the next argument in a new child.
A child is a fresh interpreter that imports nothing but this module and the function's own (no fork: the parent may
hold threads, a database, CUDA; and not multiprocessing's spawn, which would import the parent's main module again).

What a child may do is little, since a parser may have a hole that a crafted file knows: it has no network (a network
namespace of its own where the kernel grants one; everywhere an audit hook that refuses sockets and programs), may not
write beyond `file_bytes` (0 for parsers), and does not see the parent's secrets in its environment.
"""

import contextlib
import ctypes
import importlib
import os
import re
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
_FAILED_STARTS = 3  # a machine short of memory may kill one that starts; a target that cannot be imported never starts
_JOBS_PER_WORKER = 64
_NEW_NETWORK, _NEW_USER = 0x40000000, 0x10000000  # flags of unshare(2), Linux
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|AUTH|CREDENTIAL|DATABASE|_URL|^GMTSCREEN_|^PREFECT_|^RAY_", re.I)
_REFUSED_EVENTS = ("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "pty.")


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


@dataclass(frozen=True)
class Limits:
    """What a child may use.

    Attributes:
        deadline_s: seconds for one argument.
        memory_bytes: address space.
        file_bytes: largest file that it may write.
    """

    deadline_s: float
    memory_bytes: int
    file_bytes: int


class _Worker:
    """One child process and the pipe to it; holds one (index, argument) at a time.

    One at a time is a rule, not a shortcut: a child that waits for its argument is reading, so sending never blocks;
    with a second one under way, parent and child could both wait for the other to read.
    """

    def __init__(self, target: str, limits: "Limits") -> None:
        self._deadline_s = limits.deadline_s
        self.pipe, theirs = Pipe()
        # The parent's own path: the current folder only where the parent looks there too, since a folder of foreign
        # files may hold a module that some library would import.
        path = [entry or str(Path.cwd()) for entry in sys.path]
        code = (
            f"import sys; sys.path[:] = {path!r}; from gmt_tasks.sandbox import Limits, serve; "
            f"serve({theirs.fileno()}, {target!r}, {limits!r})"
        )
        environment = {name: value for name, value in os.environ.items() if not _SECRET.search(name)}
        environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
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
        file_bytes: largest file that a child may write.
        max_workers: children at most; another one starts for every 64 waiting arguments.
    """

    def __init__(
        self,
        target: str,
        *,
        deadline_s: float = 30.0,
        memory_bytes: int = 4 << 30,
        file_bytes: int = 0,
        max_workers: int = 2,
    ) -> None:
        self._target = target
        self._limits = Limits(deadline_s, memory_bytes, file_bytes)
        self._max_workers = max_workers
        self._workers: list[_Worker] = []
        self._failed_starts = 0

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
            self._workers.append(_Worker(self._target, self._limits))
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
            self._failed_starts += 1
            if self._failed_starts >= _FAILED_STARTS:
                raise SandboxError(
                    f"{_FAILED_STARTS} child processes for {self._target} did not start ({how}). Check that the module "
                    f"imports in {sys.executable} and that the machine has memory left for one."
                )
        else:
            self._failed_starts = 0
        if worker.job is not None:
            late = ending is Ending.TIMED_OUT
            yield worker.job[0], Outcome(ending, detail=f"stopped after {self._limits.deadline_s:g} s" if late else how)


def serve(descriptor: int, target: str, limits: Limits) -> None:
    """The child's main loop: arguments in, outcomes out, until the pipe closes."""
    _leave_network()  # first: the kernel refuses a process that has threads already
    pipe: Connection[Any, Any] = Connection(descriptor)
    module, _, name = target.partition(":")
    function = getattr(importlib.import_module(module), name)
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.addaudithook(_refuse_way_out)
    pipe.send(None)
    with contextlib.suppress(EOFError, OSError):
        while True:
            argument = pipe.recv()
            # If the parent is gone, nobody else ends a hanging child.
            signal.setitimer(signal.ITIMER_REAL, 2 * limits.deadline_s + 5)
            outcome = _run(function, argument, limits.memory_bytes)
            signal.setitimer(signal.ITIMER_REAL, 0)
            pipe.send(outcome)


def _leave_network() -> None:
    """Moves into a network namespace without any interface, where the kernel grants one; else the audit hook stays."""
    with contextlib.suppress(AttributeError, OSError):
        unshare = ctypes.CDLL(None).unshare
        if unshare(_NEW_NETWORK) != 0:  # root only; others need a user namespace around it
            unshare(_NEW_NETWORK | _NEW_USER)


def _refuse_way_out(event: str, _: tuple[Any, ...]) -> None:
    """Audit hook that refuses network access and the start of programs; it cannot be removed again."""
    if event.startswith(_REFUSED_EVENTS):
        raise PermissionError(f"{event} is not allowed while foreign input is read")


def _run(function: Any, argument: Any, memory_bytes: int) -> Outcome:
    """One argument's outcome; an exception of the function is an outcome, not the end of the child."""
    try:
        return Outcome(Ending.VALUE, function(argument))
    except MemoryError:
        return Outcome(Ending.DIED, detail=f"needs more than {memory_bytes >> 20} MiB of memory")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the function raises is its outcome, and is told
        return Outcome(Ending.FAILED, detail=f"{type(error).__name__}: {error}"[:1000])
