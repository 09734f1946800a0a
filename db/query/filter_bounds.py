"""Bounds of a filter text: whatever costs time is refused here, before the parser sees it.

What stands inside a text in quotes counts towards no bound but the length.
"""

import re

from db.query.presets import MAX_PRESET_TERMS
from models.errors import FilterError

MAX_BYTES = 4096
MAX_TERMS = 100
MAX_DEPTH = 32
MAX_PARENTHESES = MAX_TERMS
"""Opening ones: a tree of so many terms prints with fewer, and empty nesting costs nothing."""

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

# Nothing but AND, OR and a comma begins a further term. A text that does not end takes the rest with it: the lexer
# reads no further either, and looking for its end again from each quote inside it would take quadratic time.
_COUNTED = re.compile(r'"[^"\\]*+(?:\\["\\][^"\\]*+)*+(?:"|.*)|AND|OR|[(),]|preset:', re.DOTALL)


def check_bounds(text: str) -> None:
    """Refuses a filter text that is too long, has too many terms or is nested too deeply.

    Args:
        text: at most 4096 bytes, 100 terms (a preset counts for ten), 32 parentheses deep and 100 opening parentheses.

    Raises:
        FilterError: the text is beyond a bound; `position` says where.
    """
    _check_characters(text)
    depth = opened = 0
    terms = 1
    for match in _COUNTED.finditer(text):
        sign, at = match[0], match.start()
        terms += sign in {"AND", "OR", ","}
        terms += (MAX_PRESET_TERMS - 1) * (sign == "preset:")
        opened += sign == "("
        depth += (sign == "(") - (sign == ")")
        if depth > MAX_DEPTH:
            raise FilterError(f"The filter is more than {MAX_DEPTH} parentheses deep at position {at}. Flatten it.", at)
        if opened > MAX_PARENTHESES:
            message = f"The filter opens more than {MAX_PARENTHESES} parentheses, from position {at}. Leave out some."
            raise FilterError(message, at)
        if terms > MAX_TERMS:
            raise FilterError(f"The filter has more than {MAX_TERMS} terms, from position {at}. Split it.", at)


def _check_characters(text: str) -> None:
    unstorable = _UNSTORABLE.search(text)
    if unstorable:
        at = unstorable.start()
        raise FilterError(f"Position {at} holds a character that no text can have. Remove it.", at)
    # Bytes, not characters: what the lexer and the database must hold.
    size = len(text.encode())
    if size > MAX_BYTES:
        at = len(text.encode()[:MAX_BYTES].decode(errors="ignore"))
        raise FilterError(f"The filter has {size} bytes, the limit is {MAX_BYTES}. Split it into several queries.", at)
