"""Metadata as it travels with a crystal: JSON text that every database accepts (no NaN, bounded)."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

MAX_METADATA_BYTES = 64 << 10

MAX_KEPT_NOTES, MAX_KEPT_CHARACTERS = 50, 1000
"""Notes that are kept of metadata that are dropped."""


def metadata_json(extra: Mapping[str, Any], notes: Sequence[str]) -> str | None:
    """JSON text of everything that came with a crystal and the reader's notes; None if there is nothing.

    Non-finite numbers become null, what JSON does not know becomes its text, and metadata above 64 KiB is replaced by
    a note that says so. Notes that came with the crystal follow the reader's.
    """
    content = dict(extra)
    if notes:
        foreign = extra.get("notes")
        notes = content["notes"] = [*notes, *foreign] if isinstance(foreign, list) else [*notes]
    if not content:
        return None
    try:
        # The rule is clean content: only where that fails is every value looked at.
        text = json.dumps(content, allow_nan=False, default=str)
    except (ValueError, TypeError, RecursionError):
        text = json.dumps(_clean(content, 20), allow_nan=False, default=str)
    return bounded_metadata(text, notes)


def metadata_of(text: str | None) -> dict[str, Any]:
    """Metadata as a dictionary, the counterpart of `metadata_json`.

    Raises:
        ValueError: it is no JSON object.
    """
    content = {} if text is None else json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("metadata that is no object")
    return content


def with_note(text: str | None, note: str) -> str:
    """The metadata with one more note."""
    return metadata_json(metadata_of(text), (note,)) or "{}"


def bounded_metadata(text: str, notes: Sequence[str]) -> str:
    """The JSON text, or, if it is too long to travel, the first notes and one that says so."""
    if len(text) <= MAX_METADATA_BYTES:
        return text
    dropped = f"metadata_dropped: {len(text)} characters, limit {MAX_METADATA_BYTES}"
    # notes that came with the crystal may be what is too long; those of our reader stand before them
    kept = [note[:MAX_KEPT_CHARACTERS] for note in notes[:MAX_KEPT_NOTES] if isinstance(note, str)]
    return json.dumps({"notes": [*kept, dropped]})


def _clean(value: Any, depth: int) -> Any:
    """The value without NaN, with text keys, and with everything below `depth` as text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth and isinstance(value, Mapping):
        return {str(key): _clean(inner, depth - 1) for key, inner in value.items()}
    if depth and isinstance(value, (list, tuple)):
        return [_clean(inner, depth - 1) for inner in value]
    return value if value is None or isinstance(value, (str, int)) else "..." if not depth else str(value)
