"""Filter text to words, within bounds: everything that costs time is refused here, before the parser sees it.

The text is looked through once, by one pattern that never goes back, so a hostile filter is refused and not suffered.
What stands inside a text in quotes is one word and counts towards no bound but the length.
"""

import re
from dataclasses import dataclass
from typing import ClassVar

from models.errors import FilterError

MAX_BYTES = 4096
MAX_TERMS = 100
MAX_DEPTH = 32
MAX_PARENTHESES = MAX_TERMS
"""Opening ones: a tree of so many terms prints with fewer, and empty nesting costs nothing."""

UNREADABLE = "UNREADABLE"
_SILENT = {"(": "_OPEN", ")": "_CLOSE", ",": "_COMMA"} | {
    word: f"_{word}" for word in ("AND", "OR", "NOT", "WITH", "HAS", "IS", "LENGTH")
}
"""Type by word; what begins with an underscore leaves nothing in lark's tree."""

_KEYWORDS = ("CONTAINS", "STARTS", "ENDS", "ALL", "ANY", "ONLY", "KNOWN", "UNKNOWN", "TRUE", "FALSE")
_FIXED = _SILENT | {word: word for word in _KEYWORDS}
DECLARED = ("PROPERTY", "OPERATOR", "NUMBER", "STRING", *_FIXED.values())
"""Types of words that the grammar knows."""

_WORD = re.compile(
    r"[ \t\r\n]*+(?:"
    r"(?P<PROPERTY>[a-z_][a-z0-9_]*+)"
    rf"|(?P<FIXED>{'|'.join(map(re.escape, _FIXED))})"
    r"|(?P<OPERATOR><=|>=|!=|<|>|=)"
    r"|(?P<NUMBER>[+-]?(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?+)"
    r'|(?P<STRING>"[^"\\]*+(?:\\["\\][^"\\]*+)*+")'
    rf"|(?P<{UNREADABLE}>.))",
    re.DOTALL,
)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(slots=True)
class Word:
    """A word of a filter: what lark asks of a token, in a fraction of the time, as a filter has up to hundreds.

    Attributes:
        type: one of `DECLARED`, or UNREADABLE for a character that begins no word; nothing is read after it.
        text: as written.
        start_pos: where it begins in the filter.
    """

    type: str
    text: str
    start_pos: int

    line: ClassVar[None] = None
    column: ClassVar[None] = None
    end_line: ClassVar[None] = None
    end_column: ClassVar[None] = None
    end_pos: ClassVar[None] = None

    def __str__(self) -> str:
        return self.text


def read_words(text: str) -> list[Word]:
    """The words of a filter.

    Args:
        text: at most 4096 bytes, 100 terms, 32 parentheses deep and 100 opening parentheses.

    Returns:
        The words in order.

    Raises:
        FilterError: the text is beyond a bound; `position` says where.
    """
    _check_characters(text)
    words: list[Word] = []
    depth = opened = 0
    terms = 1
    for found in _WORD.finditer(text):
        kind = str(found.lastgroup)
        word, at = found[kind], found.start(kind)
        if kind == "FIXED":
            kind = _FIXED[word]
            # Nothing else begins a further term.
            terms += kind in ("_AND", "_OR", "_COMMA")
            opened += kind == "_OPEN"
            depth += (kind == "_OPEN") - (kind == "_CLOSE")
            if depth > MAX_DEPTH or opened > MAX_PARENTHESES or terms > MAX_TERMS:
                raise _too_much(depth, opened, at)
        words.append(Word(kind, word, at))
        if kind == UNREADABLE:
            break
    return words


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
