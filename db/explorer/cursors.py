"""Where the next page starts, as a text that a URL can carry.

The text is read back as plain values of known types; whoever changes it gets another page, nothing else.
"""

import base64
import binascii
import json
from typing import Any

from db.query.properties import PROPERTIES, Kind
from db.query.request import PageMark, sort_property
from models.errors import FilterError

_MAX_CHARACTERS = 2000
_MAX_INTEGER = 2**63 - 1
_NUMBERS = frozenset({Kind.NUMBER, Kind.INTEGER, Kind.FLAG, Kind.TIME})


def to_cursor(mark: PageMark | None) -> str | None:
    """The text of a mark; None where there is no next page."""
    if mark is None:
        return None
    values = [mark.value, mark.crystal_id, mark.model_id]
    return base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().rstrip("=")


def from_cursor(text: str, sort: str | None = None) -> PageMark | None:
    """The mark that a text stands for; None for an empty one.

    Args:
        text: made by `to_cursor`.
        sort: what the pages are sorted by, as in a request; a value of another kind is none of its marks.

    Raises:
        FilterError: the text was not made by `to_cursor`, or for another order; or there is no such order.
    """
    name, _ = sort_property(sort)
    if not text:
        return None
    try:
        if len(text) > _MAX_CHARACTERS:
            raise ValueError("too long")
        value, crystal_id, model_id = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if name is not None and PROPERTIES[name] in _NUMBERS:
            # A larger number fits into no column, whatever a database does with it.
            fits = value is None or (isinstance(value, int | float) and abs(value) <= _MAX_INTEGER)
        else:
            fits = value is None or _is_storable(value)
        if not (fits and _is_storable(crystal_id) and type(model_id) is int and 0 <= model_id <= _MAX_INTEGER):
            raise ValueError("other types")
        return PageMark(value, crystal_id, model_id)
    except (ValueError, TypeError, binascii.Error, UnicodeError):
        raise FilterError(
            "This mark of a page is none of ours, or of another order. Take it from the answer before, unchanged."
        ) from None


def _is_storable(value: Any) -> bool:
    """Whether it is a text that every database holds: no half of a surrogate pair, no zero byte."""
    return isinstance(value, str) and b"\x00" not in value.encode()
