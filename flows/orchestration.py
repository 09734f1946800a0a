"""What the flows share: Prefect's behaviour, and the session that tasks work on without it being a parameter.

Prefect stores the parameters of flows and tasks. A session holds the database URL, which may hold a password, so it
travels in a context variable; what the tasks take as parameters is numbers and source texts.

Our own server listens on 127.0.0.1 and answers only whoever knows a secret made for this process: other users of the
machine reach that port too. A server elsewhere is used only with credentials.
"""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import ip_address
from urllib.parse import urlsplit

from gmt_tasks.runs.session import ScreenSession
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

    Raises:
        GmtError: a server beyond this machine is named and nothing to authenticate with.
    """
    from prefect.server.api.server import SubprocessASGIServer
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    if settings.api.url:
        refuse_open_server(settings.api.url, has_credentials=bool(settings.api.auth_string or settings.api.key))
        return
    if not settings.server.ephemeral.enabled:
        return
    _lock_server()
    # The same instance that Prefect's clients ask for: they find it running.
    server = SubprocessASGIServer()
    with _sigint_blocked():
        server.start()
    if server.server_process is not None:
        _end_with_this_process(server.server_process.pid)


def refuse_open_server(url: str, *, has_credentials: bool) -> None:
    """Refuses a Prefect server that others reach and that asks nobody who they are.

    Args:
        url: of its API.
        has_credentials: whether PREFECT_API_AUTH_STRING or PREFECT_API_KEY is set.

    Raises:
        GmtError: the server is beyond this machine and there are no credentials for it.
    """
    host = urlsplit(url).hostname or ""
    if not has_credentials and not is_loopback(host):
        raise GmtError(
            f"The Prefect server at {host} is reached over a network and no credentials for it are set. Give it an "
            "auth string (PREFECT_SERVER_API_AUTH_STRING there, the same in PREFECT_API_AUTH_STRING here), or unset "
            "PREFECT_API_URL to use a private server."
        )


def is_loopback(host: str) -> bool:
    """True for `localhost` and addresses that only this machine reaches; a name is never looked up."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _lock_server() -> None:
    """Gives our own server a secret, in the environment that it inherits; what the user has set stays."""
    from prefect.context import refresh_global_settings_context

    secret = os.environ.get("PREFECT_SERVER_API_AUTH_STRING") or f"gmtscreen:{secrets.token_urlsafe(32)}"
    os.environ["PREFECT_SERVER_API_AUTH_STRING"] = os.environ["PREFECT_API_AUTH_STRING"] = secret
    refresh_global_settings_context()


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
def session_for(open_one: Callable[[], ScreenSession]) -> Iterator[ScreenSession]:
    """The session in use, or, in a deployment, a new one.

    Args:
        open_one: opens it.
    """
    session = _SESSION.get()
    if session is not None:
        yield session
        return
    with open_one() as opened, session_in_use(opened):
        yield opened
