"""What the flows share: Prefect's behaviour, and the session that tasks work on without it being a parameter.

Prefect stores the parameters of flows and tasks. A session holds the database URL, which may hold a password, so it
travels in a context variable; what the tasks take as parameters is numbers and source texts.

Where no server is named, this process has one of its own (flows/private_server.py). A server elsewhere is used only
with credentials.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import ip_address
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from flows.private_server import START_S, PrivateServer
from gmt_tasks.runs.run_session import RunSession
from models.errors import GmtError

if TYPE_CHECKING:
    from gmt_tasks.design.session import DesignSession

S = TypeVar("S", bound="RunSession | DesignSession")

_SESSION: ContextVar["RunSession | DesignSession | None"] = ContextVar("gmtscreen_session", default=None)

_SERVERS: list[PrivateServer] = []
"""At most one: that of this process."""

QUIET_PREFECT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(int(START_S)),
}
"""Set before Prefect is imported, each only where the user has set nothing; PREFECT_API_URL is never touched."""


def quiet_prefect() -> None:
    """Makes Prefect local and silent by default: no analytics, errors through our own channel, long start timeouts."""
    if "PREFECT_API_URL" not in os.environ:
        # Our own server answers at once or is gone; waiting for it would only delay the report of the end.
        os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "1")
    for name, value in QUIET_PREFECT.items():
        os.environ.setdefault(name, value)


def begin_server() -> None:
    """Begins to start this process's own server, unless another is named; `start_server` waits for it.

    Prefect's profile and files may name one too, but Prefect takes seconds to import: until it is imported they are
    expected to name none.
    """
    if _SERVERS or os.environ.get("PREFECT_API_URL"):
        return
    if "prefect" in sys.modules and _other_server_is_named():
        return
    _SERVERS.append(PrivateServer())


def _other_server_is_named() -> bool:
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    return bool(settings.api.url) or not settings.server.ephemeral.enabled


def start_server() -> None:
    """Makes sure of a server: one that the user names, or else our own.

    Raises:
        GmtError: a server beyond this machine is named and nothing to authenticate with, or our own does not start.
    """
    begin_server()
    from prefect.context import refresh_global_settings_context
    from prefect.settings import get_current_settings

    # Prefect is imported by now: its profile and files are read, and may name a server after all.
    if _SERVERS and not _other_server_is_named():
        os.environ |= _SERVERS[0].wait()
        refresh_global_settings_context()
    api = get_current_settings().api
    if _SERVERS and api.url != _SERVERS[0].url:
        _SERVERS.pop().stop()
    if api.url:
        refuse_open_server(api.url, has_credentials=bool(api.auth_string or api.key))


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


@contextmanager
def session_in_use(session: S) -> Iterator[S]:
    """Makes a session the one that flows and tasks find."""
    token = _SESSION.set(session)
    try:
        yield session
    finally:
        _SESSION.reset(token)


def current_session() -> RunSession:
    """The session in use.

    Raises:
        GmtError: there is none, because a task was called outside its flow.
    """
    session = _SESSION.get()
    if not isinstance(session, RunSession):
        raise GmtError("no session is open: call the flow `screen`, `ingest` or `refine`, not its tasks")
    return session


def design_session() -> "DesignSession":
    """The session of a design in use.

    Raises:
        GmtError: there is none, because a task was called outside its flow.
    """
    from gmt_tasks.design.session import DesignSession  # with what judges crystals, which a screening does not need

    session = _SESSION.get()
    if not isinstance(session, DesignSession):
        raise GmtError("no design is open: call the flow `design`, not its tasks")
    return session


@contextmanager
def session_for(kind: type[S], open_session: Callable[[], S]) -> Iterator[S]:
    """The session in use, or, in a deployment, a new one.

    Args:
        kind: of session that the flow needs.
        open_session: opens it.

    Raises:
        GmtError: the session in use is of another kind.
    """
    session = _SESSION.get()
    if session is None:
        opened = open_session()
        with opened, session_in_use(opened):
            yield opened
    elif isinstance(session, kind):
        yield session
    else:
        raise GmtError(f"the session in use is a {type(session).__name__}, the flow needs a {kind.__name__}")
