"""One bad row refuses itself only: whatever a library raises while a row is read or converted becomes its refusal.

A row is whatever a source counts: a record, a line, a document, a row of a table. What is no fault of the row passes: a
source that cannot be read (`SourceError`), a database or a sandbox that fails, memory that ran out, and everything that
is no `Exception` (an interrupt, an exit).
"""

import os
import re
from collections.abc import Callable
from typing import TypeVar

from gmt_tasks.sandbox.children import SandboxError
from gmt_tasks.telemetry import redact
from models.errors import SourceError, StoreError

Read = TypeVar("Read")
Refused = TypeVar("Refused")

MAX_ERROR_CHARS = 300
"""Longest text of an error that becomes part of a refusal."""

_NOT_OF_THE_ROW = (MemoryError, SourceError, StoreError, SandboxError)
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)
_LONGEST_TEXT = 64 << 10  # some repeat the whole document
_SHORTEST_SECRET = 8  # a shorter value would be found in any text


def row_or_refusal(read: Callable[[], Read], refuse: Callable[[Exception], Refused]) -> Read | Refused:
    """What is read of one row, or its refusal where that fails for any reason.

    Args:
        read: reads or converts one row, to its end: a generator would raise only after it was returned.
        refuse: makes the refusal of what was raised; `error_text` is its detail.

    Raises:
        MemoryError, SourceError, StoreError, SandboxError: as `read` raised it; no fault of the row.
    """
    try:
        return read()
    except _NOT_OF_THE_ROW:
        raise
    except Exception as error:  # noqa: BLE001 - libraries raise anything, StopIteration and warnings too
        return refuse(error)


def read_in_parts(read: Callable[[range], Read], rows: range, refuse: Callable[[int, Exception], Read]) -> list[Read]:
    """What is read of many rows at once; where that fails, of their halves, down to the rows that fail alone.

    Args:
        read: reads some consecutive rows; called again with parts of what it failed at.
        rows: all of them.
        refuse: makes the refusal of one row of what was raised.

    Returns:
        What was read of consecutive parts and the refusals, in the order of the rows; one part where nothing failed.
    """

    def halves(error: Exception) -> list[Read]:
        if not rows:
            raise error
        if len(rows) == 1:
            return [refuse(rows[0], error)]
        middle = len(rows) // 2
        return [*read_in_parts(read, rows[:middle], refuse), *read_in_parts(read, rows[middle:], refuse)]

    return row_or_refusal(lambda: [read(rows)], halves)


def error_text(error: Exception) -> str:
    """`ExceptionType: text` in one line, bounded, with passwords and the environment's secrets replaced by ***."""
    if isinstance(error.__cause__, StopIteration):
        error = error.__cause__  # inside a generator it becomes a RuntimeError that says less
    try:
        text = " ".join(str(error)[:_LONGEST_TEXT].split())
    except Exception:  # noqa: BLE001 - the text of a foreign error is foreign code too
        text = ""
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST_SECRET and _SECRET.search(name):
            text = text.replace(value, "***")
    # cut last: half of a secret is none that could be recognised
    text = redact(text)[:MAX_ERROR_CHARS]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
