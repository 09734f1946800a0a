"""Bounds of a filter text: whatever costs time is refused here, before the parser sees it.

What stands inside a text in quotes counts towards no bound but the length.
"""

import re

from models.errors import FilterError

MAX_BYTES = 4096
MAX_TERMS = 100
MAX_DEPTH = 32
MAX_PARENTHESES = MAX_TERMS
"""Opening ones: a tree of so many terms prints with fewer, and empty nesting costs nothing."""

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

# Nothing but AND, OR and a comma begins a further term. A text that does not end takes the rest with it: the lexer
# reads no further either, and looking for its end again from each quote inside it would take quadratic time.
_COUNTED = re.compile(r'"[^"\\]*+(?:\\["\\][^"\\]*+)*+(?:"|.*)|AND|OR|[(),]', re.DOTALL)


def check_bounds(text: str) -> None:
    """Refuses a filter text that is too long, has too many terms or is nested too deeply.

    Args:
        text: at most 4096 bytes, 100 terms, 32 parentheses deep and 100 opening parentheses.

    Raises:
        FilterError: the text is beyond a bound; `position` says where.
    """
    _check_characters(text)
    depth = opened = 0
    terms = 1
    for match in _COUNTED.finditer(text):
        sign = match[0]
        terms += sign in {"AND", "OR", ","}
        opened += sign == "("
        depth += (sign == "(") - (sign == ")")
        if depth > MAX_DEPTH or opened > MAX_PARENTHESES or terms > MAX_TERMS:
            raise _too_much(depth, opened, match.start())


def _check_characters(text: str) -> None:
    bad = _UNSTORABLE.search(text)
    if bad:
        raise FilterError(f"Position {bad.start()} holds a character that no text can have. Remove it.", bad.start())
    size = len(text.encode())
    if size > MAX_BYTES:
        kept = len(text.encode()[:MAX_BYTES].decode(errors="ignore"))
        raise FilterError(
            f"The filter has {size} bytes, the limit is {MAX_BYTES}. Split it into several queries.", kept
        )


def _too_much(depth: int, opened: int, at: int) -> FilterError:
    if depth > MAX_DEPTH:
        return FilterError(f"The filter is more than {MAX_DEPTH} parentheses deep at position {at}. Flatten it.", at)
    if opened > MAX_PARENTHESES:
        message = f"The filter opens more than {MAX_PARENTHESES} parentheses, from position {at}. Leave out some."
        return FilterError(message, at)
    return FilterError(f"The filter has more than {MAX_TERMS} terms, from position {at}. Split it.", at)
