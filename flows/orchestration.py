"""What the flows share: Prefect's behaviour, and the session that tasks work on without it being a parameter.

Prefect stores the parameters of flows and tasks. A session holds the database URL, which may hold a password, so it
travels in a context variable; what the tasks take as parameters is numbers and source texts.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from gmt_tasks.session import ScreenSession
from models.errors import GmtError

_SESSION: ContextVar[ScreenSession | None] = ContextVar("gmtscreen_session", default=None)

_WATCHERS: dict[int, "subprocess.Popen[bytes]"] = {}
"""By the process they watch over; kept so that the pipes to them stay open as long as this process lives."""

QUIET_PREFECT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}
"""Set before Prefect is imported, each only where the user has set nothing; PREFECT_API_URL is never touched."""


def quiet_prefect() -> None:
    """Makes Prefect local and silent by default: no analytics, errors through our own channel, a patient start."""
    if "PREFECT_API_URL" not in os.environ:
        # Our own server answers at once or is gone; waiting for it would only delay the last words.
        os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "1")
    for name, value in QUIET_PREFECT.items():
        os.environ.setdefault(name, value)


def start_server() -> None:
    """Starts Prefect's ephemeral server where no other is named, so that it neither dies too early nor lives too long.

    Ctrl-C goes to every process of a terminal's group. The server must survive it, or the flow could not report its
    end: a child inherits the blocked signals of the thread that starts it, and uvicorn does not unblock them.
    """
    from prefect.server.api.server import SubprocessASGIServer
    from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_EPHEMERAL_ENABLED

    if PREFECT_API_URL.value() or not PREFECT_SERVER_EPHEMERAL_ENABLED.value():
        return
    # The same instance that Prefect's clients ask for: they find it running.
    server = SubprocessASGIServer()
    with _sigint_blocked():
        server.start()
    if server.server_process is not None:
        _end_with_this_process(server.server_process.pid)


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_this_process(pid: int) -> None:
    """Ends a process when this one is gone, even when this one was killed and could clean up nothing.

    A shell waits for the end of a pipe that only this process holds open. Without it every killed run would leave a
    server behind. After an orderly end the server is gone before the shell wakes.
    """
    shell = shutil.which("sh")
    if shell is None or pid in _WATCHERS:
        return
    command = [shell, "-c", f"read -r line; kill {pid} 2>/dev/null"]
    pipe, quiet = subprocess.PIPE, subprocess.DEVNULL
    # A session of its own, so that Ctrl-C in the terminal does not end the watcher before its time.
    watcher = subprocess.Popen(command, stdin=pipe, stdout=quiet, stderr=quiet, start_new_session=True)  # noqa: S603
    _WATCHERS[pid] = watcher


@contextmanager
def session_in_use(session: ScreenSession) -> Iterator[ScreenSession]:
    """Makes a session the one that flows and tasks find."""
    token = _SESSION.set(session)
    try:
        yield session
    finally:
        _SESSION.reset(token)


def current_session() -> ScreenSession:
    """The session in use.

    Raises:
        GmtError: there is none, because a task was called outside its flow.
    """
    session = _SESSION.get()
    if session is None:
        raise GmtError("no session is open: call the flow `screen` or `ingest`, not its tasks")
    return session


@contextmanager
def session_for(sources: list[str], limit: int | None) -> Iterator[ScreenSession]:
    """The session in use, or, in a deployment, a new one from the environment's settings.

    Args:
        sources: what the user named.
        limit: inputs to take.
    """
    session = _SESSION.get()
    if session is not None:
        yield session
        return
    from gmt_tasks.session import open_sources
    from gmt_tasks.settings import load_settings

    settings = load_settings()
    inputs = open_sources(sources, max_atoms=settings.max_atoms)
    with ScreenSession.open(settings, inputs, limit=limit) as opened, session_in_use(opened):
        yield opened
