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
        # every row of a template carries the same id
        row = _json_of(_text_of(level / TEMPLATE).partition("\n")[0])
        if isinstance(row, dict) and isinstance(row.get("id"), str) and row["id"]:
            return str(row["id"])
        suggestions = level / SUGGESTIONS
        if level != place and suggestions.is_file():
            # a job whose template was removed, by its folder; read anew when another file lies at that place
            status = suggestions.stat()
            ids = _ids_by_folder(suggestions, status.st_mtime_ns, status.st_size)
            if (name := ids.get(place.relative_to(level).parts[0])) is not None:
                return name
    return None


def is_unfilled(row: Any) -> bool:
    """Whether a row of a template still waits for its answer: every value of its kind is null."""
    kind = KINDS.get(str(row.get("kind"))) if isinstance(row, dict) else None
    return kind is not None and all(row.get(key) is None for key in kind.keys)


@lru_cache(16)
def _ids_by_folder(suggestions: Path, _modified_ns: int, _size: int) -> dict[str, str]:
    """Content id of each job by the name of its folder."""
    document = _json_of(_text_of(suggestions))
    jobs = document.get("suggestions") if isinstance(document, dict) else None
    ids = {}
    for job in jobs if isinstance(jobs, list) else []:
        folder, name = (job.get(key) for key in ("folder", "id")) if isinstance(job, dict) else (None, None)
        if isinstance(folder, str) and isinstance(name, str):
            ids[folder] = name
    return ids


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
