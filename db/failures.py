"""What a failure of the database means: it may go away by itself, the disk is full, or somebody has to look.

Passwords never reach an error message.
"""

import re
import sqlite3

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

from models.errors import StoreError

_TRANSIENT_SQLITE = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})

_TRANSIENT_POSTGRES = ("08", "57P0", "40001", "40P01", "53300", "55P03")
"""SQLSTATEs, or how they begin: no connection, server stops or starts, serialization, deadlock, too many clients,
lock timeout. Source: PostgreSQL documentation, appendix A."""

_POSTGRES_FULL = "53100"
_PASSWORD = re.compile(r"(://[^:/@\s]*:)\S*(@)")
_RESUME = "then run the same command again: nothing that was committed is lost."


class StoreUnavailableError(StoreError):
    """The database cannot be reached or is locked for now; the same call may succeed later."""

    may_pass = True


def store_error(url: URL, error: Exception) -> StoreError:
    """The error that reports what the database answered and what to do, in one line and without the password.

    Args:
        url: the database.
        error: what SQLAlchemy or the driver raised.
    """
    shown = url.render_as_string(hide_password=True)
    answer = " ".join(hide_password(str(getattr(error, "orig", None) or error)).split()).rstrip(".?")
    # Short passwords would blank out parts of ordinary words; drivers do not echo them anyway.
    if url.password and len(url.password) >= 4:
        answer = answer.replace(url.password, "***")
    if _is_transient(error):
        return StoreUnavailableError(
            f"The database {shown} does not answer: {answer}. Check that it runs and that nothing else locks it, "
            f"{_RESUME}"
        )
    if _is_full(error):
        return StoreError(f"The database {shown} is full: {answer}. Free space where it lies, {_RESUME}")
    return StoreError(
        f"The database {shown} refused: {answer}. Check that it is reachable, that its disk works, and that it is "
        f"written by nothing but gmtscreen, {_RESUME}"
    )


def _is_transient(error: Exception) -> bool:
    """True when the failure can go away by itself: a lost connection, a server that restarts, a lock."""
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        return _sqlite_code(error.orig) in _TRANSIENT_SQLITE
    state = getattr(error.orig, "sqlstate", None)
    # A connection that breaks, or cannot be made, ends before the server could name a state.
    nameless = state is None and type(error.orig).__name__ == "OperationalError"
    return error.connection_invalidated or nameless or (state or "").startswith(_TRANSIENT_POSTGRES)


def _is_full(error: Exception) -> bool:
    """True when the database has no space left."""
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        return _sqlite_code(error.orig) == sqlite3.SQLITE_FULL
    return getattr(error.orig, "sqlstate", None) == _POSTGRES_FULL


def _sqlite_code(error: sqlite3.Error) -> int:
    # The low byte is the primary code; the rest says which kind of it. Errors of the module itself have none.
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def hide_password(text: str) -> str:
    """The text with the password of every URL in it replaced by ***."""
    return _PASSWORD.sub(r"\1***\2", text)
