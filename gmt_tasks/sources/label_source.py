"""Where labels come from: the `LabelSource` protocol, the rows in which they arrive, and `open_label_source`.

A label row is one JSON object: `id`, `source`, `lattice` (3x3, angstrom), `species` (atomic numbers), `frac_coords`,
`kind`, `unit`, the values of the kind, and optionally `frame`, `split`, `licence`, `doi`, `method`, `retrieved`.
Tensors are in the Cartesian frame of the lattice beside them, Voigt order 11, 22, 33, 23, 13, 12, units relative,
C/m^2 or GPa: whoever reads another convention converts it before the row is made. Whether a row may teach is decided
later, by `gmt_tasks.learning.label_check`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gmt_tasks.sources.file_inputs import lines_of
from gmt_tasks.sources.found_files import NamedFile, content_fingerprint, find_files
from gmt_tasks.sources.json_records import load_json
from gmt_tasks.sources.label_reasons import LabelReason
from gmt_tasks.sources.parsed import RefusedInputError
from gmt_tasks.sources.source import ReadOptions
from gmt_tasks.sources.structure_files import FileFormat
from gmt_tasks.sources.text_jobs import Refusal
from models.errors import SourceError


@dataclass(frozen=True)
class LabelRow:
    """A label as its source tells it, not checked.

    Attributes:
        source_id: the source's own id of the row, unique within the source where it has one.
        row: the JSON object in the format of the label files.
    """

    source_id: str
    row: dict[str, Any]


@dataclass(frozen=True)
class RefusedLabel:
    """What should have been a label and cannot be made one.

    Attributes:
        source_id: the source's own id, or file and line.
        kind: the kind of label it should have been, "" where that is unknown.
        reason: why.
        detail: what happened, with the numbers.
    """

    source_id: str
    kind: str
    reason: LabelReason
    detail: str


class LabelSource(Protocol):
    """Labels in a fixed order."""

    @property
    def name(self) -> str:
        """The source as the user wrote it."""

    def fingerprint(self) -> str:
        """A text that changes when the content of the source changes."""

    def rows(self) -> Iterator[LabelRow | RefusedLabel]:
        """Every label, readable or refused, in an order that never changes for one fingerprint."""


_REMOTE = re.compile(r"^(mp|jarvis|optimade):")


def open_label_source(text: str, options: ReadOptions | None = None) -> LabelSource:
    """Opens a source of labels by what the user wrote.

    Args:
        text: a label file (.jsonl, .jsonl.gz), a folder or glob of these, `mp:...` or `jarvis:...`.
        options: limits for reading files.

    Raises:
        SourceError: no such file or name, or a source that has no labels.
    """
    # Imported here: pymatgen and mp-api take seconds, and files need neither.
    match = _REMOTE.match(text)
    name = match[1] if match and not Path(text).exists() else ""
    if name == "mp":
        from gmt_tasks.sources import materials_project

        return materials_project.open_labels(text)
    if name == "jarvis":
        from gmt_tasks.sources import jarvis

        return jarvis.open_labels(text)
    if name:
        raise SourceError(f"{name}: gives crystals, not labels. Take label files, mp: or jarvis:.")
    return LabelFiles.from_text(text, options or ReadOptions())


class LabelFiles:
    """Labels from JSON lines.

    Args:
        name: the source as the user wrote it.
        files: in the order in which they are read.
        options: limits for reading.
    """

    def __init__(self, name: str, files: Sequence[NamedFile], options: ReadOptions) -> None:
        self.name = name
        self._files = list(files)
        self._options = options

    @classmethod
    def from_text(cls, text: str, options: ReadOptions) -> "LabelFiles":
        """Finds the label files that a path, folder or glob means; other files of a folder are no labels.

        Raises:
            SourceError: there is none.
        """
        files = [file for file in find_files(text) if file.format is FileFormat.JSON_LINES]
        if not files:
            raise SourceError(f"No label file (.jsonl or .jsonl.gz) in {text}. Give the file, folder or glob of them.")
        return cls(text, files, options)

    def fingerprint(self) -> str:
        """Changes with names and contents of the files."""
        return content_fingerprint(self._files)

    def rows(self) -> Iterator[LabelRow | RefusedLabel]:
        """The non-blank lines of the files; a line that is no JSON object is refused with its place."""
        for file in self._files:
            for number, line in lines_of(file, self._options):
                place = f"{file.label}#{number}"
                if isinstance(line, Refusal):
                    yield RefusedLabel(place, "", LabelReason.PARSE, line.detail)
                elif line.strip():
                    yield _label_row(line, place, number)


def _label_row(line: bytes, place: str, number: int) -> LabelRow | RefusedLabel:
    """The label of one line."""
    try:
        row = load_json(line, number)
    except RefusedInputError as refused:
        return RefusedLabel(place, "", LabelReason.PARSE, refused.detail)
    if not isinstance(row, dict):
        return RefusedLabel(place, "", LabelReason.PARSE, f"line {number} holds no JSON object")
    source_id = row.get("id")
    return LabelRow(source_id if isinstance(source_id, str) and source_id else place, row)
