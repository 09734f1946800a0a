"""Where the next page starts, as a text that a URL can carry.

The text is read back as plain values of known types; whoever changes it gets another page, nothing else.
"""

import base64
import binascii
import json
import math

from db.query.pages import PageMark
from models.errors import FilterError

_MAX_CHARACTERS = 2000


def to_cursor(mark: PageMark | None) -> str | None:
    """The text of a mark; None where there is no next page."""
    if mark is None:
        return None
    values = [mark.value, mark.crystal_id, mark.model_id]
    return base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().rstrip("=")


def from_cursor(text: str) -> PageMark | None:
    """The mark that a text stands for; None for an empty one.

    Raises:
        FilterError: the text was not made by `to_cursor`.
    """
    if not text:
        return None
    try:
        if len(text) > _MAX_CHARACTERS:
            raise ValueError("too long")
        value, crystal_id, model_id = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        finite = not isinstance(value, float) or math.isfinite(value)
        if not (finite and isinstance(value, str | int | float | None) and isinstance(crystal_id, str)):
            raise ValueError("other types")
        return PageMark(value, crystal_id, int(model_id))
    except (ValueError, TypeError, binascii.Error, UnicodeError):
        raise FilterError("This mark of a page is none of ours. Take it from the answer before, unchanged.") from None
