"""What the flows share: Prefect's behaviour, and the session that tasks work on without it being a parameter.

Prefect stores the parameters of flows and tasks. A session holds the database URL, which may hold a password, so it
travels in a context variable; what the tasks take as parameters is numbers and source texts.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from gmt_tasks.session import ScreenSession
from models.errors import GmtError

_SESSION: ContextVar[ScreenSession | None] = ContextVar("gmtscreen_session", default=None)

_WATCHED: set[int] = set()
_WATCHERS: list["subprocess.Popen[bytes]"] = []
"""Kept so that the pipes to them stay open as long as this process lives."""

QUIET_PREFECT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}
"""Set before Prefect is imported, each only where the user has set nothing; PREFECT_API_URL is never touched."""


def quiet_prefect() -> None:
    """Makes Prefect local and silent by default: no analytics, errors through our own channel, a patient start."""
    for name, value in QUIET_PREFECT.items():
        os.environ.setdefault(name, value)


def end_server_with_process() -> None:
    """Lets Prefect's ephemeral server die with this process even when it is killed and can clean up nothing.

    A shell waits for the end of a pipe that only this process holds open, then ends the server; after an orderly end
    the server is gone before. Without it every killed run would leave a server behind, listening on loopback.
    """
    from prefect.server.api.server import SubprocessASGIServer

    known: dict[object, object] = getattr(SubprocessASGIServer, "_instances", {})
    servers = [getattr(instance, "server_process", None) for instance in known.values()]
    pids = [str(server.pid) for server in servers if server is not None and server.pid not in _WATCHED]
    shell = shutil.which("sh")
    if not pids or shell is None:
        return
    _WATCHED.update(int(pid) for pid in pids)
    command = [shell, "-c", f"read -r line; kill {' '.join(pids)} 2>/dev/null"]
    # A session of its own, so that Ctrl-C in the terminal does not end the watcher before its time.
    quiet = subprocess.DEVNULL
    pipe = subprocess.PIPE
    watcher = subprocess.Popen(command, stdin=pipe, stdout=quiet, stderr=quiet, start_new_session=True)  # noqa: S603
    _WATCHERS.append(watcher)


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
    end_server_with_process()
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
