"""A process that has loaded the model, and workers forked from it: each starts in milliseconds and may die at any time.

To load a model takes seconds; to fork a process that has loaded it takes a few milliseconds. So a crystal that kills
its process costs a fork. The server is a process of its own, because a process can be forked safely only while it has
one thread, and a Ray worker has dozens. On a GPU the server imports everything and each forked worker loads the model
itself, since what talks to a GPU must not be forked.

A forked worker computes one block of crystals at a time (forked_worker.py) and ends when its server or its owner is
gone.
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

_REPLY_S = 60.0
_SHORTEST_WAIT_S = 0.02
_LATE_NICENESS = 10
_EXTERNAL_SIGNALS = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
"""Signals that no fault of a crystal raises by itself: somebody, or a kernel short of memory, sent them."""


class ForkServerError(GmtError):
    """The fork server is gone or cannot load its worker; nothing can be computed in this process any more."""


class ForkedWorker:
    """One forked process, seen from its owner.

    Args:
        server: that forked it and knows its exit status.
        pipe: to it.
        load_s: longest time until it reports its process id, in seconds.

    Raises:
        ForkServerError: it did not start; the text says what it reported.
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

    def send(self, crystal_ids: list[str], crystals: CrystalBatch) -> None:
        """Starts it, when idle, on a block."""
        self._clock = ProcessClock(self.pid)
        with contextlib.suppress(OSError):  # a dead one is noticed when its answer is read
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
            if self._pipe.poll(max(left_s, _SHORTEST_WAIT_S)):
                return True

    def spent(self) -> Spent:
        """Time that it computed and slept since it was sent its block."""
        return self._clock.spent()

    def answer(self) -> ResultBlock | Failure:
        """Its answer, or how it died; call it when `answers_within` returned True."""
        with contextlib.suppress(EOFError, OSError):
            answer: ResultBlock | Failure = self._pipe.recv()
            return answer
        status = self._exit_status()
        if status >= 0:
            return Failure(Reason.WORKER_DIED, f"the worker process ended itself with status {status}")
        name = signal.Signals(-status).name
        # Whoever sent such a signal did not mean the crystals: their process alone is lost.
        return Failure(Reason.WORKER_DIED, f"the worker process died of {name}", external=-status in _EXTERNAL_SIGNALS)

    def lower_priority(self) -> None:
        """Lets the processes beside it compute first."""
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self.pid, _LATE_NICENESS)

    def kill(self) -> None:
        """Ends it, whatever it does; nothing more when it is gone already."""
        if not self._ended:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)
            self._exit_status()

    def _exit_status(self) -> int:
        self._ended = True
        self._pipe.close()
        return self._server.exit_status(self.pid)


class ForkServer:
    """The loaded process, seen from its owner.

    Args:
        factory: makes the worker; a top-level function or a `functools.partial` of one.
        imports: modules to import instead, when each forked worker must call the factory itself.
        load_s: how long loading may take, in seconds.
    """

    def __init__(self, factory: Callable[[], Any], imports: Sequence[str] = (), load_s: float = 600.0) -> None:
        self._lock, self._load_s = threading.Lock(), load_s
        self._pipe, server_end = Pipe()
        # The server imports from where this process does, whatever is installed beside it.
        path = [entry for entry in sys.path if entry] + [str(Path.cwd())]
        code = f"import sys; sys.path[:] = {path!r}; from {__name__} import serve; serve({server_end.fileno()})"
        command = [sys.executable, "-c", code]
        self._process = subprocess.Popen(command, pass_fds=[server_end.fileno()], stdin=subprocess.DEVNULL)
        server_end.close()
        self._pipe.send((factory, list(imports)))

    def wait_until_loaded(self) -> None:
        """Waits for the model; raises ForkServerError with the error of the factory when it could not be loaded."""
        with self._lock:
            error = self._receive(self._load_s)
        if error is not None:
            raise ForkServerError(error)

    def fork(self) -> ForkedWorker:
        """A new forked worker, ready for a block."""
        owner_end, worker_end = Pipe()
        with self._lock, worker_end:
            try:
                self._pipe.send(None)
                send_handle(self._pipe, worker_end.fileno(), self._process.pid)
            except OSError as error:
                raise ForkServerError("the process that holds the model is gone") from error
            self._receive(_REPLY_S)
        return ForkedWorker(self, owner_end, self._load_s)

    def exit_status(self, pid: int) -> int:
        """Exit status of a forked worker, negative for a signal; waits for its end."""
        with self._lock, contextlib.suppress(OSError):
            self._pipe.send(pid)
            return int(self._receive(_REPLY_S))
        raise ForkServerError("the process that holds the model is gone")

    def close(self) -> None:
        """Ends the server and with it every forked worker."""
        self._process.kill()
        with self._lock:  # a thread that waits for a reply learns first that the server is gone
            self._pipe.close()
        self._process.wait()

    def _receive(self, seconds: float) -> Any:
        try:
            if self._pipe.poll(seconds):
                return self._pipe.recv()
        except (EOFError, OSError):
            code = self._process.wait()
            raise ForkServerError(f"the process that holds the model is gone (exit status {code})") from None
        raise ForkServerError(f"the process that holds the model was silent for {seconds:.0f} s")


def serve(descriptor: int) -> None:
    """The server's main loop: loads, then forks and reports exit statuses until its owner is gone.

    A request is None for a fork, with the descriptor of the new worker's pipe behind it, or a process id.
    """
    pipe: Connection[Any, Any] = Connection(descriptor)
    # A terminal's interrupt goes to the whole group; the owner decides when this ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        factory, imports = pipe.recv()
        for module in imports:
            importlib.import_module(module)
        loaded = None if imports else factory()
    except Exception as error:  # noqa: BLE001 - whatever a factory raises is reported to the owner, who says it
        pipe.send(f"{type(error).__name__}: {error}")
        return
    pipe.send(None)
    with contextlib.suppress(EOFError, OSError):
        while True:
            pid = pipe.recv()
            if pid is None:
                worker_end: Connection[Any, Any] = Connection(recv_handle(pipe))
                if os.fork() == 0:
                    pipe.close()
                    serve_blocks(worker_end, lambda: factory() if imports else loaded)
                worker_end.close()
                pipe.send(None)
                continue
            status = 0
            # Its status may have been asked for before.
            with contextlib.suppress(ChildProcessError):
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            pipe.send(status)
