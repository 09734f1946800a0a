"""Output of the command line: facts on standard output, everything else on standard error, errors as one line.

Exit codes: 0 done; 1 the work began and was not completed (stopped, inputs unaccounted for, workers died); 2 the
command cannot be carried out as it was given (no such file, no such run, a filter that cannot be read).
This module imports nothing of gmtscreen at its top, because it also reports that gmtscreen's packages are shadowed.
"""

import errno
import functools
import json
import math
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Exit(IntEnum):
    """Exit codes."""

    DONE = 0
    BROKEN_PROMISE = 1
    BAD_USAGE = 2


WHAT_TO_DO = {
    errno.ENOENT: ("make its folder first, or name another one", Exit.BAD_USAGE),
    errno.ENOTDIR: ("a part of its path is a file: name another one", Exit.BAD_USAGE),
    errno.EISDIR: ("name a file", Exit.BAD_USAGE),
    errno.EEXIST: ("name another one, or remove it", Exit.BAD_USAGE),
    errno.ENOTEMPTY: ("name another one, or empty it", Exit.BAD_USAGE),
    errno.ENAMETOOLONG: ("name a shorter one", Exit.BAD_USAGE),
    errno.EACCES: ("name a place where you may write", Exit.BAD_USAGE),
    errno.EPERM: ("name a place where you may write", Exit.BAD_USAGE),
    errno.EROFS: ("name a place where you may write", Exit.BAD_USAGE),
    errno.ENOSPC: ("free space, then run the same command again", Exit.BROKEN_PROMISE),
    errno.EDQUOT: ("free space, then run the same command again", Exit.BROKEN_PROMISE),
}
"""Advice and exit code where the system refuses a file: no fault of gmtscreen."""


def say(text: str) -> None:
    """Prints a line for people on standard error."""
    print(printable(text), file=sys.stderr, flush=True)


def say_command(purpose: str, *arguments: str) -> None:
    """Prints a command of gmtscreen for people to copy, quoted for a shell: names of files may hold anything.

    Args:
        purpose: what it is for, without the colon.
        arguments: of `gmtscreen`.
    """
    # Who called it by its path, as make does, has no shell that knows its name.
    called = sys.argv[0] if Path(sys.argv[0]).name == "gmtscreen" and shutil.which("gmtscreen") is None else "gmtscreen"
    say(f"{purpose}: {shlex.join((called, *arguments))}")


def printable(text: str) -> str:
    """The text without control characters: ids come from foreign files and must not steer the terminal."""
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in text)


def fail(text: str, code: Exit) -> SystemExit:
    """Prints an error as one line on standard error and gives the exit to raise."""
    from gmt_tasks.telemetry import redact

    # Whatever library raised, a URL in its text may hold a password.
    say("gmtscreen: " + redact(" ".join(text.split())))
    return SystemExit(int(code))


def errors_as_one_line(function: Callable[P, R]) -> Callable[P, R]:
    """Makes a command end with one line instead of a traceback; our own errors are bad usage by default."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with errors_as_lines(Exit.BAD_USAGE):
            return function(*args, **kwargs)

    return wrapped


@contextmanager
def errors_as_lines(code: Exit) -> Iterator[None]:
    """Turns errors inside into one line and an exit code.

    Args:
        code: for our own errors; a stop is always incomplete work, an unreadable filter always bad usage.
    """
    from gmt_tasks.process import StoppedError
    from models.errors import FilterError, GmtError

    try:
        yield
    except StoppedError as error:
        raise fail(str(error), Exit.BROKEN_PROMISE) from None
    except KeyboardInterrupt:
        raise fail("stopped; run the same command again to finish the rest", Exit.BROKEN_PROMISE) from None
    except FilterError as error:
        raise fail(str(error), Exit.BAD_USAGE) from None
    except GmtError as error:
        raise fail(str(error), code) from None
    except BrokenPipeError:
        # The reader of a pipe (head, less) left; the interpreter must not write to it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(int(Exit.DONE)) from None
    except Exception as error:
        # A traceback is for who asked for it; everybody else gets one line and what to do.
        if os.environ.get("GMTSCREEN_DEBUG"):
            raise
        if isinstance(error, OSError) and error.errno in WHAT_TO_DO:
            advice, severity = WHAT_TO_DO[error.errno]
            place = f"{error.filename}: " if error.filename else ""
            raise fail(f"{place}{os.strerror(error.errno)}; {advice}", severity) from None
        raise fail(
            f"unexpected {type(error).__name__}: {error} -- this is a fault of gmtscreen or of its environment: run "
            "`gmtscreen doctor`, and report what the same command prints with GMTSCREEN_DEBUG=1",
            Exit.BROKEN_PROMISE,
        ) from error


def print_json(value: Any) -> None:
    """Prints a value as JSON on standard output; numbers that are not finite become null."""
    print(json_text(value, indent=2))


def json_text(value: Any, indent: int | None = None) -> str:
    """A value as JSON without numbers that JSON does not have.

    Letters of all languages stand as they are. What would steer a terminal is escaped: JSON itself demands that of
    ASCII's control characters only, not of those above 0x7f and of marks that turn the direction of writing.
    """
    text = json.dumps(plain(value), indent=indent, ensure_ascii=False, allow_nan=False)
    if text.isprintable():
        return text
    # Of the characters that are not printable, only line breaks of the indentation stand outside a text.
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def plain(value: Any) -> Any:
    """A value made of JSON's types only; numpy arrays and numbers become lists and numbers."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def show_filter(text: str, position: int | None) -> None:
    """Prints a filter with a caret under the place where it could not be read."""
    # A longer filter wraps in the terminal, and the caret would point at another place.
    if position is not None and "\n" not in text and len(text) <= 200:
        say(f"  {text}\n  {' ' * position}^")


def duration(seconds: float | None) -> str:
    """Seconds as a short text, e.g. "4.2 s", "3 min 05 s", "2 h 10 min"; a dash when unknown."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
