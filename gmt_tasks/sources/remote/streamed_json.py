"""A long JSON list, one item at a time: hundreds of megabytes of text with a few in memory."""

import json
from collections.abc import Iterator
from typing import Any, TextIO

from models.errors import SourceError

MAX_ITEM_CHARS = 32 << 20
_CHUNK = 1 << 20
_BETWEEN = " \t\r\n,"


def list_items(stream: TextIO, name: str) -> Iterator[Any]:
    """The objects of a JSON list.

    Args:
        stream: text that is a list of objects.
        name: of the file, for the error.

    Raises:
        SourceError: the text is no list of objects, ends early, or has an item of more than 32 million characters.
    """
    decoder = json.JSONDecoder()
    text, place = "", 0
    while not text:
        text = _next_chunk(stream, name).lstrip()
    if text[0] != "[":
        raise SourceError(f"{name} is no JSON list (it begins {text[:20]!r}). The format of the source has changed.")
    place = 1
    while True:
        while place < len(text) and text[place] in _BETWEEN:
            place += 1
        if text[place : place + 1] == "]":
            return
        try:
            if place < len(text) and text[place] != "{":
                raise SourceError(f"{name} holds {text[place : place + 20]!r} where a record should begin.")
            item, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError:  # the item goes on in what was not read yet
            text, place = text[place:] + _next_chunk(stream, name), 0
            if len(text) > MAX_ITEM_CHARS:
                raise SourceError(f"{name} has a record of more than {MAX_ITEM_CHARS:,} characters.") from None
            continue
        except (ValueError, RecursionError) as error:  # where such a record ends nobody knows
            raise SourceError(f"{name} has a record that is no JSON which can be read: {error}.") from error
        yield item


def _next_chunk(stream: TextIO, name: str) -> str:
    """More of the text, which must go on: its list has not ended."""
    chunk = stream.read(_CHUNK)
    if not chunk:
        raise SourceError(f"{name} ends in the middle of its list. It is fetched anew in the next call.")
    return chunk
