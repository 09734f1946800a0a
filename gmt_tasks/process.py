"""This process among others: its name as a lease holder, its environment, and how it is asked to stop."""

import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import psutil

from models.errors import GmtError

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StoppedError(GmtError):
    """The user asked to stop; what was committed stays."""

    def __init__(self) -> None:
        super().__init__("stopped; run the same command again to finish the rest")


class StopRequest:
    """Whether SIGINT, SIGTERM or SIGHUP came."""

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def asked(self) -> bool:
        """True once a stop was asked for."""
        return self._event.is_set()

    def ask(self) -> None:
        """Asks for a stop at the next safe moment."""
        self._event.set()

    def check(self) -> None:
        """Raises StoppedError when a stop was asked for."""
        if self.asked:
            raise StoppedError()


@contextmanager
def kept_signal_handlers() -> Iterator[None]:
    """Puts the handlers of signals that stop a process back at the end, for libraries that replace them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """SIGINT, SIGTERM and SIGHUP set a flag, so that no commit is cut in two; a second SIGINT interrupts at once.

    An ignored SIGHUP stays ignored. Outside the main thread signals cannot be caught; the flag then stays unset.
    """
    stop = StopRequest()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        # Whoever presses Ctrl-C twice does not want to wait for the end of a block.
        if stop.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.ask()

    with kept_signal_handlers():
        if threading.current_thread() is threading.main_thread():
            for number in _STOPPING:
                # Under `nohup` a closing terminal is no reason to stop.
                if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, on_signal)
        yield stop


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Environment variables that child processes inherit, put back at the end."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def new_holder() -> str:
    """A name for this process as a holder of leases: host, process id and a random part, joined by colons."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def is_dead(holder: str) -> bool:
    """True when the holder's process ran on this host and is gone; a holder elsewhere is never known to be dead."""
    # The random part is dropped; whatever else stands before the process id is the host.
    host, _, pid = holder.rpartition(":")[0].rpartition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    return not psutil.pid_exists(int(pid))


def tcp_answers(address: str) -> bool:
    """True when something accepts connections at `host:port`; True also for addresses that are no `host:port`."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdigit():
        return True
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=5.0):
            return True
    except OSError:
        return False


def compute_in_one_thread() -> None:
    """Keeps numerical libraries to one thread; call it before numpy and torch are imported, which ask once.

    Workers are as many as cores, and threads that wait for each other cost four times the processor time.
    """
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
