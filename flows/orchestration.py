"""What the flows share: Prefect's behaviour, and the session that tasks work on without it being a parameter.

Prefect stores the parameters of flows and tasks. A session holds the database URL, which may hold a password, so it
travels in a context variable; what the tasks take as parameters is numbers and source texts.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from gmt_tasks.session import ScreenSession
from models.errors import GmtError

_SESSION: ContextVar[ScreenSession | None] = ContextVar("gmtscreen_session", default=None)

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
    """Makes Prefect local and silent by default: no analytics, errors through our own channel, a patient server start."""
    for name, value in QUIET_PREFECT.items():
        os.environ.setdefault(name, value)


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
    with ScreenSession.open(settings, open_sources(sources, max_atoms=settings.max_atoms), limit=limit) as opened:
        with session_in_use(opened):
            yield opened
