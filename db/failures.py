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
_POSTGRES_CANCELED = "57014"
_PASSWORD = re.compile(r"(://[^:/@\s]*:)\S*(@)")
_RESUME = "then run the same command again: nothing that was committed is lost."


class StoreUnavailableError(StoreError):
    """The database cannot be reached or is locked for now; the same call may succeed later."""

    may_pass = True


class StatementTimeoutError(StoreError):
    """A statement took longer than it may, and was stopped."""


def store_error(url: URL, error: Exception) -> StoreError:
    """The error that reports what the database answered and what to do, in one line and without the password.

    Args:
        url: the database.
        error: what SQLAlchemy or the driver raised.
    """
    original = getattr(error, "orig", None) or error
    # The low byte is SQLite's primary code; the rest gives the exact kind. Errors of the module itself have none.
    sqlite_code = int(getattr(original, "sqlite_errorcode", 0)) & 0xFF
    sqlstate = getattr(original, "sqlstate", None)
    shown = url.render_as_string(hide_password=True)
    answer = " ".join(hide_password(str(original)).split()).rstrip(".?")
    # Short passwords would blank out parts of ordinary words; drivers do not echo them anyway.
    if url.password and len(url.password) >= 4:
        answer = answer.replace(url.password, "***")
    transient = False
    if isinstance(error, DBAPIError) and isinstance(original, sqlite3.Error):
        transient = sqlite_code in _TRANSIENT_SQLITE
    elif isinstance(error, DBAPIError):
        # A connection that breaks, or cannot be made, ends before the server could name a state.
        nameless = sqlstate is None and type(original).__name__ == "OperationalError"
        transient = error.connection_invalidated or nameless or (sqlstate or "").startswith(_TRANSIENT_POSTGRES)
    if transient:
        return StoreUnavailableError(
            f"The database {shown} does not answer: {answer}. Check that it runs and that nothing else locks it, "
            f"{_RESUME}"
        )
    if sqlite_code == sqlite3.SQLITE_INTERRUPT or sqlstate == _POSTGRES_CANCELED:
        return StatementTimeoutError(
            "The question took too long and was stopped. Ask a narrower one: fewer terms, or a filter by a column that "
            "has an index."
        )
    if sqlite_code == sqlite3.SQLITE_FULL or sqlstate == _POSTGRES_FULL:
        return StoreError(f"The database {shown} is full: {answer}. Free space where it lies, {_RESUME}")
    return StoreError(
        f"The database {shown} refused: {answer}. Check that it is reachable, that its disk works, and that it is "
        f"written by nothing but gmtscreen, {_RESUME}"
    )


def hide_password(text: str) -> str:
    """The text with the password of every URL in it replaced by ***."""
    return _PASSWORD.sub(r"\1***\2", text)
