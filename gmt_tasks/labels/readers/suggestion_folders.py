"""The folders that `suggest` writes, as a reader of labels meets them: whose answer a finished calculation is."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from gmt_tasks.labels.kinds import KINDS

TEMPLATE = "label.template.jsonl"
"""Of each job: its label with gaps, and the content id of its crystal."""

SUGGESTIONS = "suggestions.json"
"""Of the whole: every job with its folder and its content id."""

_LEVELS_UP = 8
_MAX_BYTES = 16 << 20


def requested_id(folder: Path) -> str | None:
    """Content id of the crystal that a calculation was asked for; None where no suggestion stands beside or above it.

    Args:
        folder: where the output of the calculation lies.
    """
    place = folder.absolute()
    for level in [place, *place.parents][:_LEVELS_UP]:
        found = _id_of_template(level / TEMPLATE) or _id_in_suggestions(level / SUGGESTIONS, place)
        if found is not None:
            return found
    return None


def is_unfilled(row: Any) -> bool:
    """Whether a row of a template still waits for its answer: every value of its kind is null."""
    kind = KINDS.get(str(row.get("kind"))) if isinstance(row, dict) else None
    return kind is not None and all(row.get(key) is None for key in kind.keys)


@lru_cache(4096)
def _id_of_template(path: Path) -> str | None:
    """The id that every row of a template carries."""
    text = _text_of(path)
    first_line = text.partition("\n")[0]
    return _id_of(_json_of(first_line)) if first_line else None


def _id_in_suggestions(path: Path, place: Path) -> str | None:
    """The id of the job whose folder holds a place; its template may have been removed."""
    document = _json_of(_text_of(path)) if path.is_file() else None
    if not isinstance(document, dict) or not isinstance(document.get("suggestions"), list):
        return None
    below = place.relative_to(path.parent).parts
    jobs = [job for job in document["suggestions"] if isinstance(job, dict) and job.get("folder") in below[:1]]
    return _id_of(jobs[0]) if jobs else None


def _text_of(path: Path) -> str:
    """The text of a small file; "" where there is none."""
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _json_of(text: str) -> Any:
    """The value of a JSON text; None for anything else."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _id_of(row: Any) -> str | None:
    """The id of a row or job."""
    name = row.get("id") if isinstance(row, dict) else None
    return name if isinstance(name, str) and name else None
