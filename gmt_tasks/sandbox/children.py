"""Child processes for input that may hang, crash, swallow memory, or take over whoever reads it.

`SandboxPool` runs one function, named as `module:function`, on many arguments. Each argument ends as its value, or as
`TIMED_OUT`, `DIED` or `FAILED`; whatever happens to a child, the parent goes on with the next argument in a new child.
A child is a fresh interpreter that imports nothing but this module and the function's own (no fork: the parent may
hold threads, a database, CUDA; and not multiprocessing's spawn, which would import the parent's main module again).

A child that a crafted file has taken over gains little: it has no network, starts no program, writes no file, signals
nobody outside (confinement.py) and does not see the parent's secrets in its environment. What it answers is numbers and
texts, never objects (messages.py); the parent waits neither for its reading nor for its writing.
"""

import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gmt_tasks.sandbox.confinement import Limits, allow_cpu, confine, leave_network
from gmt_tasks.sandbox.messages import Channel, MalformedMessageError, Message
from gmt_tasks.sandbox.target import load
from models.errors import GmtError

_START_CPU_S, _START_WALL_S = 180.0, 1800.0  # a child imports for seconds, on a machine that is busy for minutes
_FAILED_STARTS = 3  # a machine short of memory may kill one that starts; a target that cannot be imported never starts
_JOBS_PER_WORKER = 64
_WALL_PER_CPU = 10  # how much longer than its processor time an argument may take by the clock: the machine may be busy
_MAX_DETAIL_CHARS = 1000
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|AUTH|CREDENTIAL|DATABASE|_URL|^GMTSCREEN_|^PREFECT_|^RAY_", re.I)


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
    """One child process and the channel to it; holds one (index, argument) at a time."""

    def __init__(self, target: str, limits: Limits) -> None:
        self._wall_s = limits.wall_s
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        self.channel = Channel(ours)
        # The parent's own path: the current folder only where the parent looks there too, since a folder of foreign
        # files may hold a module that some library would import.
        path = [entry or str(Path.cwd()) for entry in sys.path]
        code = (
            f"import sys; sys.path[:] = {path!r}; from gmt_tasks.sandbox.children import serve; "
            f"from gmt_tasks.sandbox.confinement import Limits; serve({theirs.fileno()}, {target!r}, {limits!r})"
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
        self.limit = time.monotonic() + _START_WALL_S

    def give(self, index: int, argument: Any) -> None:
        """Starts the child, which must be idle, on one argument."""
        self.limit = time.monotonic() + self._wall_s
        self.job = (index, argument)
        self.channel.put(Message(argument))
        with suppress(OSError):  # a dead child is noticed when its channel is read
            self.channel.flush()

    def take(self, decode: Callable[[Message], Any]) -> tuple[int, Outcome] | None:
        """The finished outcome; None for the message that the child is ready, and while an answer is incomplete.

        Raises:
            EOFError, OSError: the child is gone.
            MalformedMessageError: it sent what is no answer.
        """
        message = self.channel.get()
        if message is None:
            return None
        if not self.ready:
            self.ready = True
            return None
        if self.job is None:
            raise MalformedMessageError("an answer that nobody asked for")
        outcome = _outcome(message, decode)
        index, self.job = self.job[0], None
        return index, outcome

    def stop(self) -> int:
        """Ends the child and gives its exit status, below 0 for a signal."""
        self.channel.close()
        if self._process.poll() is None:
            # A child whose channel just broke is dying of its own signal: wait for it, so that the signal is known.
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.2)
        if self._process.poll() is None:
            self._process.kill()
        return self._process.wait()


def _outcome(message: Message, decode: Callable[[Message], Any]) -> Outcome:
    """The outcome that a child sent for its argument, checked."""
    try:
        ending_text, content = message.content
        ending = Ending(ending_text)
        if ending is not Ending.VALUE:
            return Outcome(ending, detail=str(content)[:_MAX_DETAIL_CHARS])
        return Outcome(ending, decode(Message(content, message.arrays)))
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        raise MalformedMessageError(f"an answer that makes no sense: {type(error).__name__}: {error}") from error


class SandboxPool:
    """Runs `module:function` on arguments in child processes, each within limits.

    Args:
        target: `module:function`; the function takes one JSON value and returns a `Message`.
        decode: makes the value of an answer and checks that it makes sense; ValueError, TypeError or KeyError say that
            it does not, and end the child. Without it the value is the content of the message.
        deadline_s: seconds of processor time that one argument may take; importing the module does not count.
        wall_s: seconds by the clock that one argument may take; ten times the processor time by default.
        memory_bytes: address space of a child.
        file_bytes: largest file that a child may write.
        folder: the only folder below which it may do so, where the kernel can see to that.
        max_workers: children at most; another one starts for every 64 waiting arguments.
    """

    def __init__(
        self,
        target: str,
        *,
        decode: Callable[[Message], Any] = attrgetter("content"),
        deadline_s: float = 30.0,
        wall_s: float | None = None,
        memory_bytes: int = 4 << 30,
        file_bytes: int = 0,
        folder: str = "",
        max_workers: int = 2,
    ) -> None:
        self._target = target
        self._decode = decode
        wall_s = _WALL_PER_CPU * deadline_s if wall_s is None else wall_s
        self._limits = Limits(deadline_s, wall_s, memory_bytes, file_bytes, folder)
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

    def run(self, argument: Any) -> Outcome:
        """The outcome of one argument."""
        return next(iter(self.map([argument])))

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
        """Waits for the children and gives what they finished; ends those that hang, died or answer malformed."""
        busy = [worker for worker in self._workers if worker.job or not worker.ready]
        ready = _wait(busy)
        for worker in busy:
            try:
                if worker in ready:
                    worker.channel.flush()
                    outcome = worker.take(self._decode)
                    if outcome is not None:
                        yield outcome
                        continue
            except (EOFError, OSError):
                yield from self._end(worker, "")
            except MalformedMessageError as error:
                yield from self._end(worker, f"it answered with {error}")
            else:  # also a child that sends byte by byte: it is always ready and never done
                if time.monotonic() >= worker.limit:
                    yield from self._end(worker, f"stopped after {self._limits.wall_s:g} s", Ending.TIMED_OUT)

    def _end(self, worker: _Worker, why: str, ending: Ending = Ending.DIED) -> Iterator[tuple[int, Outcome]]:
        """Ends a child; the argument it worked on has its outcome. Without a reason its exit status is the reason."""
        self._workers.remove(worker)
        code = worker.stop()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= _FAILED_STARTS:
                raise SandboxError(
                    f"{_FAILED_STARTS} child processes for {self._target} did not start ({how}). Check that the module "
                    f"imports in {sys.executable} and that the machine has memory left for one."
                )
        else:
            self._failed_starts = 0
        if not why and code == -signal.SIGXCPU:
            why, ending = f"stopped after {self._limits.cpu_s:g} s of processor time", Ending.TIMED_OUT
        if worker.job is not None:
            yield worker.job[0], Outcome(ending, detail=why[:_MAX_DETAIL_CHARS] or how)


def _wait(workers: list[_Worker]) -> list[_Worker]:
    """The workers to read from or to write to, as soon as there is one, or at the first limit."""
    pause = max(0.0, min(worker.limit for worker in workers) - time.monotonic())
    with selectors.DefaultSelector() as selector:
        for worker in workers:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.channel.is_sending else 0)
            selector.register(worker.channel.fileno(), wanted, worker)
        return [key.data for key, _ in selector.select(pause)]


def serve(descriptor: int, target: str, limits: Limits) -> None:
    """The child's main loop: arguments in, outcomes out, until the channel closes."""
    leave_network()
    allow_cpu(_START_CPU_S)
    channel = Channel(socket.socket(fileno=descriptor))
    # Imported before anything is given up: imports read files everywhere, and their time is nobody's deadline.
    function = load(target)
    confine(limits)
    with suppress(EOFError, OSError):
        _answer(channel, Message())
        while (message := channel.get()) is not None:
            allow_cpu(limits.cpu_s)
            # If the parent is gone, nobody else ends a hanging child.
            signal.setitimer(signal.ITIMER_REAL, 2 * limits.wall_s + 5)
            answer = _run(function, message.content, limits.memory_bytes)
            signal.setitimer(signal.ITIMER_REAL, 0)
            _answer(channel, answer)


def _answer(channel: Channel, message: Message) -> None:
    """Sends a message; one that is too large to be sent is a failure of its argument."""
    try:
        channel.put(message)
    except (ValueError, RecursionError, MemoryError) as error:
        channel.put(Message([Ending.FAILED, f"the answer cannot be sent: {error}"]))
    channel.flush()


def _run(function: Callable[[Any], Message], argument: Any, memory_bytes: int) -> Message:
    """One argument's answer; an exception of the function is an answer, not the end of the child."""
    try:
        value = function(argument)
        return Message([Ending.VALUE, value.content], value.arrays)
    except MemoryError:
        return Message([Ending.DIED, f"needs more than {memory_bytes >> 20} MiB of memory"])
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the function raises is its outcome
        return Message([Ending.FAILED, f"{type(error).__name__}: {error}"[:_MAX_DETAIL_CHARS]])
