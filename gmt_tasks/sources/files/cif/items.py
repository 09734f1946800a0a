"""The data items of one CIF block, tokenised by gemmi's grammar: nothing here knows what they mean."""

import math
import re
from collections.abc import Sequence
from typing import cast

from gemmi import cif

from gmt_tasks.sources.parsed import RefusedInputError
from models.errors import Reason

UNKNOWN = ("", "?", ".")
"""Values that say nothing."""

_NEWLINE = re.compile(r"\r\n?")
_NAME_WITH_BLANKS = re.compile(r"^(\s*data_\S+)(?:[ \t]+(?!_|#|data_|loop_|save_)\S+)+[ \t]*(?=\n|$)", re.IGNORECASE)
_QUOTED_BIBLIOGRAPHY = re.compile(
    r"^([ \t]*_(?:audit|citation|computing|journal|publ)[_.]\S+[ \t]+)['\"].*$", re.IGNORECASE | re.MULTILINE
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_BLANKS = re.compile(r"[^\S\n]")
_PLACE = re.compile(r"^\w+:(\d+)(?::\d+)?(?:\(\d+\))?:? ?(.*)", re.DOTALL)
_NUMBER = re.compile(
    r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?:\(\d*\)?)?|([+-]?\d+)/(\d+)|([+-]?)(nan|inf(?:inity)?)", re.I
)


class Items:
    """The items of a block under names in small letters, with `_` for the dots of newer dictionaries.

    Args:
        text: the block, from its `data_` line on.
        first_line: 1-based line of the file at which it begins.

    Raises:
        RefusedInputError: `parse`, with the line at which the text is no CIF.
    """

    def __init__(self, text: str, first_line: int) -> None:
        self._first_line = first_line
        text = _CONTROL.sub(" ", _NEWLINE.sub("\n", text)).lstrip("\ufeff")
        text = _NAME_WITH_BLANKS.sub(r"\1", text)  # no value can stand there: people write a title as the name
        self._lines = text.split("\n")
        self._columns: dict[str, list[str]] = {}
        self._line_of: dict[str, int] = {}
        self._contradictory: set[str] = set()
        for item in self._parsed(text):
            # An item is a pair, a loop, or a frame, which holds no crystal.
            pair, loop = cast("tuple[str, str] | None", item.pair), item.loop
            if pair is not None:
                self._add(pair[0], [pair[1]], item.line_number)
            elif loop is not None:
                tags, values = loop.tags, loop.values
                for column, tag in enumerate(tags):
                    self._add(tag, values[column :: len(tags)], item.line_number)

    def _parsed(self, text: str) -> "cif.Block":
        """The only block of the text."""
        try:
            document = _document(text)
        except (ValueError, RuntimeError) as error:
            place = _PLACE.match(str(error))
            line, what = (int(place[1]), place[2]) if place else (1, str(error))
            detail = f"line {self._first_line + line - 1}: not the grammar of CIF ({what.strip()[:200]})"
            raise RefusedInputError(Reason.PARSE, detail) from error
        if len(document) != 1:
            detail = (
                f"block at line {self._first_line}: {len(document)} data blocks begin in it, one of them amid a line"
            )
            raise RefusedInputError(Reason.PARSE, detail)
        return document[0]

    def _add(self, tag: str, values: Sequence[str], line: int) -> None:
        """Takes an item in; one that is given twice must say the same."""
        name = tag.lower().replace(".", "_").rstrip("_")
        column = [value if value in UNKNOWN else cif.as_string(value).strip() for value in values]
        if name not in self._columns:
            self._columns[name] = column
            self._line_of[name] = line
        elif self._columns[name] != column:
            self._contradictory.add(name)

    def column(self, name: str) -> list[str]:
        """All values of an item; empty where the block does not have it.

        Raises:
            RefusedInputError: it is there twice, with other values.
        """
        if name in self._contradictory:
            raise RefusedInputError(Reason.PARSE, f"{self.line(name)}{name} is given twice, with different values")
        return self._columns.get(name, [])

    def text(self, *names: str) -> str:
        """The first value of the first of the items that says something; empty if none does."""
        for name in names:
            value = next(iter(self.column(name)), "")
            if value not in UNKNOWN:
                return value
        return ""

    def number(self, *names: str) -> float | None:
        """The number of the first of the items that holds one; None if none does."""
        return parse_number(self.text(*names))

    def line(self, name: str) -> str:
        """The start of a detail, "line 12: " for an item (the line at which its loop begins)."""
        number = self._line_of.get(name)
        return f"block at line {self._first_line}: " if number is None else f"line {self._first_line + number - 1}: "

    def line_of(self, *words: str) -> str:
        """The start of a detail: "line 12: " if a line of the sites holds all the words, else that of the block."""
        # Labels stand in other loops too, which may come first.
        first = self._line_of.get("_atom_site_label", self._line_of.get("_atom_site_type_symbol", 1))
        for number, line in enumerate(self._lines[first - 1 :], start=self._first_line + first - 1):
            if set(words) <= set(re.split(r"[\s'\"]+", line)):
                return f"line {number}: "
        return f"block at line {self._first_line}: "

    def starting_with(self, *prefixes: str) -> list[str]:
        """Names of the items that begin with one of the prefixes."""
        return [name for name in self._columns if name.startswith(prefixes)]

    def texts(self, *names: str) -> list[str]:
        """The first values of the items that say something, each value once."""
        return list(dict.fromkeys(value for name in names if (value := self.text(name))))


def _document(text: str) -> "cif.Document":
    """The parsed text; if need be without what the grammar forbids where it cannot be part of a crystal.

    That is letters beyond ASCII outside of quotes, and authors or titles whose quotes do not end with the value.
    """
    try:
        return cif.read_string(text, check_level=0)
    except (ValueError, RuntimeError):
        # Not by a letter: with "\u00bd" as one, "\u00bd+z" would be another operation.
        plain = _NOT_ASCII.sub("~", _BLANKS.sub(" ", text))
        mended = _QUOTED_BIBLIOGRAPHY.sub(r"\1?", plain)
        if mended == text:
            raise
        return cif.read_string(mended, check_level=0)


def parse_number(value: str) -> float | None:
    """A number as CIF writes it, its standard uncertainty dropped ("5.431(2)"), or a fraction; None if it is none."""
    match = _NUMBER.fullmatch(value)
    if match is None:
        return None
    number, numerator, denominator, _, special = match.groups()
    if special:
        return math.nan if special[0] in "nN" else math.inf
    if denominator:
        return int(numerator[:20]) / int(denominator[:20]) if int(denominator[:20]) else math.inf
    return float(number)


def decimals(value: str) -> int:
    """Digits behind the point of a number as it is written: its resolution is 10 to the minus this."""
    mantissa, _, exponent = value.partition("(")[0].lower().partition("e")
    n_decimals = len(mantissa.partition(".")[2])
    return n_decimals - int(exponent) if exponent.lstrip("+-").isdecimal() and len(exponent) < 5 else n_decimals
