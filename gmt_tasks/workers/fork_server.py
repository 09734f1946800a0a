"""A process that has loaded the model, and runners forked from it: each starts in milliseconds and may die at any time.

To load a model takes seconds; to fork a process that has loaded it takes a few milliseconds. So a crystal that kills
its process costs a fork. The server is a process of its own, because a process can be forked safely only while it has
one thread, and a Ray worker has dozens. On a GPU the server imports everything and each runner loads the model itself,
since what talks to a GPU must not be forked.

A runner computes one block of crystals at a time (forked_worker.py) and ends when its server or its owner is gone.
"""

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, Pipe
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from typing import Any

from db.records import ResultBlock
from gmt_tasks.workers.forked_worker import Failure, serve_blocks
from gmt_tasks.workers.processor_time import ProcessClock, Spent
from models.crystals.crystal import CrystalBatch
from models.errors import GmtError, Reason

_ANSWER_S = 60.0
_SHORTEST_LOOK_S = 0.02
_LATE_NICENESS = 10
_FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
"""Signals that no fault of a crystal raises by itself: somebody, or a kernel short of memory, sent them."""


class ForkServerError(GmtError):
    """The fork server is gone or cannot load its worker; nothing can be computed in this process any more."""


class ForkedWorker:
    """One forked process, seen from its owner.

    Args:
        server: that forked it and knows how it ended.
        pipe: to it.
        load_s: how long it may take to say that it is there, in seconds.

    Raises:
        ForkServerError: it did not come up; the text says what it said.
    """

    def __init__(self, server: "ForkServer", pipe: "Connection[Any, Any]", load_s: float) -> None:
        self._server, self._pipe, self._ended = server, pipe, False
        self._clock: ProcessClock
        with contextlib.suppress(EOFError, OSError):
            if pipe.poll(load_s):
                greeting = pipe.recv()
                if isinstance(greeting, int):
                    self.pid = greeting
                    return
                raise ForkServerError(str(greeting))
        raise ForkServerError(f"a forked process did not come up within {load_s:.0f} s")

    def give(self, crystal_ids: list[str], crystals: CrystalBatch) -> None:
        """Starts an idle runner on a block."""
        self._clock = ProcessClock(self.pid)
        with contextlib.suppress(OSError):  # a dead runner is noticed when its answer is read
            self._pipe.send((crystal_ids, crystals))

    def answers_within(self, computing_s: float, asleep_s: float) -> bool:
        """Waits until it has answered or died; False when it computed or slept for too long without either.

        Args:
            computing_s: time on a processor that it may take for its block, in seconds.
            asleep_s: time that it may sleep meanwhile, in seconds. Waiting for a processor counts for neither.
        """
        while True:
            spent = self._clock.spent()
            left_s = min(computing_s - spent.computing_s, asleep_s - spent.asleep_s)
            if left_s <= 0:
                return self._pipe.poll(0)
            # It cannot use this up earlier.
            if self._pipe.poll(max(left_s, _SHORTEST_LOOK_S)):
                return True

    def spent(self) -> Spent:
        """What it did with the time since it was given its block."""
        return self._clock.spent()

    def answer(self) -> ResultBlock | Failure:
        """What it answered, or how it died; call it when `answers_within` said True."""
        try:
            answer: ResultBlock | Failure = self._pipe.recv()
        except (EOFError, OSError):
            return self._how_it_died()
        return answer

    def step_back(self) -> None:
        """Leaves the processor to others: what works on beside it goes first."""
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self.pid, _LATE_NICENESS)

    def kill(self) -> None:
        """Ends it, whatever it does; nothing more when it is gone already."""
        if not self._ended:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)
            self._ending()

    def _ending(self) -> int:
        self._ended = True
        self._pipe.close()
        return self._server.ending(self.pid)

    def _how_it_died(self) -> Failure:
        status = self._ending()
        if status >= 0:
            return Failure(Reason.WORKER_DIED, f"the worker process ended itself with status {status}")
        name = signal.Signals(-status).name
        return Failure(Reason.WORKER_DIED, f"the worker process died of {name}", -status in _FROM_OUTSIDE)


class ForkServer:
    """The loaded process, seen from its owner.

    Args:
        factory: makes the worker; a top-level function or a `functools.partial` of one.
        imports: modules to import instead, when each runner must call the factory itself.
        load_s: how long loading may take, in seconds.
    """

    def __init__(self, factory: Callable[[], Any], imports: Sequence[str] = (), load_s: float = 600.0) -> None:
        self._lock, self._load_s = threading.Lock(), load_s
        self._pipe, theirs = Pipe()
        path = [entry for entry in sys.path if entry] + [str(Path.cwd())]
        door = "from gmt_tasks.workers.fork_server import serve"
        code = f"import sys; sys.path[:] = {path!r}; {door}; serve({theirs.fileno()})"
        command = [sys.executable, "-c", code]
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()
        self._pipe.send((factory, list(imports)))

    def wait_until_loaded(self) -> None:
        """Waits for the model; raises ForkServerError with what the factory said when it could not be loaded."""
        with self._lock:
            said = self._heard(self._load_s)
        if said is not None:
            raise ForkServerError(said)

    def fork(self) -> ForkedWorker:
        """A new runner, ready for a block."""
        ours, theirs = Pipe()
        with self._lock, theirs:
            try:
                self._pipe.send(None)
                send_handle(self._pipe, theirs.fileno(), self._process.pid)
            except OSError as error:
                raise ForkServerError("the process that holds the model is gone") from error
            self._heard(_ANSWER_S)
        return ForkedWorker(self, ours, self._load_s)

    def ending(self, pid: int) -> int:
        """Exit status of a runner that ended, negative for a signal; waits for its end."""
        with self._lock, contextlib.suppress(OSError):
            self._pipe.send(pid)
            return int(self._heard(_ANSWER_S))
        raise ForkServerError("the process that holds the model is gone")

    def close(self) -> None:
        """Ends the server and with it every runner."""
        self._process.kill()
        with self._lock:  # who waits for an answer in another thread hears first that it is gone
            self._pipe.close()
        self._process.wait()

    def _heard(self, seconds: float) -> Any:
        try:
            if self._pipe.poll(seconds):
                return self._pipe.recv()
        except (EOFError, OSError):
            code = self._process.wait()
            raise ForkServerError(f"the process that holds the model is gone (exit status {code})") from None
        raise ForkServerError(f"the process that holds the model was silent for {seconds:.0f} s")


def serve(descriptor: int) -> None:
    """The server's main loop: loads, then forks and reports endings until its owner is gone."""
    pipe: Connection[Any, Any] = Connection(descriptor)
    # A terminal's interrupt goes to the whole group; the owner decides when this ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        factory, imports = pipe.recv()
        for module in imports:
            importlib.import_module(module)
        load = factory if imports else _loaded(factory())
    except Exception as error:  # noqa: BLE001 - whatever a factory raises is reported to the owner, who says it
        pipe.send(f"{type(error).__name__}: {error}")
        return
    pipe.send(None)
    with contextlib.suppress(EOFError, OSError):
        while True:
            asked = pipe.recv()
            if asked is None:
                _fork(pipe, load)
            pipe.send(None if asked is None else _status_of(asked))


def _loaded(worker: Any) -> Callable[[], Any]:
    return lambda: worker


def _fork(pipe: "Connection[Any, Any]", load: Callable[[], Any]) -> None:
    theirs: Connection[Any, Any] = Connection(recv_handle(pipe))
    if os.fork() == 0:
        pipe.close()
        serve_blocks(theirs, load)
    theirs.close()


def _status_of(pid: int) -> int:
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        return 0
    return os.waitstatus_to_exitcode(status)
