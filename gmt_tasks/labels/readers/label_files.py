"""Labels from JSON lines: the format of the label files, one object per line."""

from collections.abc import Iterator, Sequence
from functools import partial

from gmt_tasks.labels.readers.rows import labels_or_refusal
from gmt_tasks.labels.readers.source import Label, LabelRow, RefusedLabel
from gmt_tasks.labels.reasons import LabelReason
from gmt_tasks.sources.files.find import NamedFile, content_fingerprint, find_files
from gmt_tasks.sources.files.formats import JSON_LINES
from gmt_tasks.sources.files.text_bytes import lines_of
from gmt_tasks.sources.json_records import load_json
from gmt_tasks.sources.parsed import Refusal, RefusedInputError
from gmt_tasks.sources.source import ReadOptions
from models.errors import SourceError


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
        files = [file for file in find_files(text).files if file.format is JSON_LINES]
        if not files:
            raise SourceError(f"No label file (.jsonl, also packed) in {text}. Give the file, folder or glob of them.")
        return cls(text, files, options)

    def fingerprint(self) -> str:
        """Changes with names and contents of the files."""
        return content_fingerprint(self._files)

    def rows(self) -> Iterator[Label]:
        """The non-blank lines of the files; a line that is no JSON object is refused with its place."""
        for file in self._files:
            for number, line in lines_of(file.path, self._options.max_text_bytes):
                place = f"{file.label}#{number}"
                if isinstance(line, Refusal):
                    yield RefusedLabel(place, "", LabelReason.PARSE, line.detail)
                elif line.strip():
                    yield from labels_or_refusal(partial(_label_row, line, place, number), place)


def _label_row(line: bytes, place: str, number: int) -> Iterator[Label]:
    """The label of one line."""
    try:
        row = load_json(line, number)
    except RefusedInputError as refused:
        yield RefusedLabel(place, "", LabelReason.PARSE, refused.detail)
        return
    if not isinstance(row, dict):
        yield RefusedLabel(place, "", LabelReason.PARSE, f"line {number} holds no JSON object")
        return
    # Without an id of its own a label is found by its place.
    source_id = row.get("id")
    yield LabelRow(source_id if isinstance(source_id, str) and source_id else place, row)
