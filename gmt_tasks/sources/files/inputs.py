"""From one file to its inputs: what `FilesSource` puts into blocks, before anything foreign has been interpreted."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from gmt_tasks.sandbox.children import Ending, Outcome
from gmt_tasks.sandbox.target import load
from gmt_tasks.sources.files.find import NamedFile
from gmt_tasks.sources.files.formats import FileFormat
from gmt_tasks.sources.files.text_bytes import decode_text, lines_of, read_bytes
from gmt_tasks.sources.files.text_jobs import TextJob
from gmt_tasks.sources.json_records import load_json, refused_or_parsed
from gmt_tasks.sources.parsed import (
    ParsedCrystal,
    Reading,
    Refusal,
    RefusedInputError,
    reading_or_refusal,
    refusal_of,
)
from gmt_tasks.sources.row_errors import row_or_refusal
from gmt_tasks.sources.source import ReadOptions
from models.errors import Reason

SITES_PER_ATOM_LIMIT = 10
"""A CIF may list sites times operations up to this many times the atom limit: most sites lie on symmetry elements."""

Interpret = Callable[[TextJob], Outcome]


@dataclass(frozen=True)
class JsonInput:
    """A crystal as a JSON value, or as one short line of JSON (`is_line`), not yet read."""

    value: Any
    is_line: bool = False


@dataclass(frozen=True)
class FileInput:
    """One input of a file.

    Attributes:
        source_id: the id it has if the crystal brings none.
        payload: what it holds.
        notes: how it was read.
        place: file and line or record, for messages; empty where `source_id` says it already.
        first_line: 1-based line of the file at which it begins.
    """

    source_id: str
    payload: TextJob | JsonInput | ParsedCrystal | Refusal
    notes: tuple[str, ...] = ()
    place: str = ""
    first_line: int = 1

    @property
    def n_bytes(self) -> int:
        """Rough size, for bounding a block."""
        if isinstance(self.payload, TextJob):
            return len(self.payload.text)
        if isinstance(self.payload, JsonInput) and self.payload.is_line:
            return len(self.payload.value)
        return 1000


@dataclass(frozen=True)
class TextFile:
    """A file of text as its splitter sees it: bytes within bounds, and jobs for the children.

    Attributes:
        path: the file.
        label: its name in ids.
        format: its row in the table of formats.
        options: limits of reading.
        interpret: has one text read by a child, for files whose number of inputs shows only then.
    """

    path: Path
    label: str
    format: FileFormat
    options: ReadOptions
    interpret: Interpret

    def read(self) -> tuple[str, tuple[str, ...]]:
        """The whole text, and a note if it was not UTF-8.

        Raises:
            RefusedInputError: it is too large or cannot be read.
        """
        return decode_text(read_bytes(self.path, self.options.max_text_bytes))

    def lines(self) -> Iterator[tuple[int, bytes | Refusal]]:
        """The lines with their 1-based numbers; see `lines_of`."""
        return lines_of(self.path, self.options.max_text_bytes)

    def job(self, text: str, first_line: int = 1) -> TextJob:
        """What a child is to read: a part of the file, and the 1-based line at which it begins."""
        max_sites = SITES_PER_ATOM_LIMIT * self.options.max_atoms
        return TextJob(self.format.name, text, first_line, max_sites, self.options.missing_symmetry)


def split_nothing(file: TextFile) -> Iterator[FileInput]:
    """The splitter of formats with one crystal in a file."""
    text, notes = file.read()
    yield FileInput(file.label, file.job(text), notes)


def inputs_of(file: NamedFile, options: ReadOptions, interpret: Interpret) -> Iterator[FileInput]:
    """The inputs of one file of text, in order, at least one: a file that cannot be read is one refused input.

    Args:
        file: the file; a format of None is a file that was named on purpose but has no known format.
        options: limits of reading.
        interpret: has one text read by a child, for long JSON documents.
    """
    items = _split(file, options, interpret)
    while item := row_or_refusal(partial(next, items, None), refusal_of):
        # A splitter that raised is at its end: what it gave before stays.
        yield FileInput(file.label, item) if isinstance(item, Refusal) else item


def _split(file: NamedFile, options: ReadOptions, interpret: Interpret) -> Iterator[FileInput]:
    """What the splitter of its format makes of a file."""
    if not file.path.is_file():
        raise RefusedInputError(Reason.PARSE, "no regular file, or one that may not be looked at")
    if file.format is None:
        raise RefusedInputError(Reason.PARSE, "the file's name means no known format")
    split = load(file.format.splitter)  # light: in the driver no splitter imports a reader
    n_inputs = 0
    for item in split(TextFile(file.path, file.label, file.format, options, interpret)):
        n_inputs += 1
        yield item
    if not n_inputs:  # an empty file must not vanish
        raise RefusedInputError(Reason.EMPTY, "the file holds no line")


def finished(item: FileInput, outcome: Outcome | None) -> Reading:
    """The crystal of an input, with the notes of how it was read, or why it is none, and where.

    Args:
        item: the input.
        outcome: what the sandbox made of a text; None for the other payloads.
    """
    reading = _interpreted(item, outcome)
    if isinstance(reading, ParsedCrystal):
        return replace(reading, notes=item.notes + reading.notes) if item.notes else reading
    # With an id of its own, an input is not found by its id: the place says where it stands.
    is_placed = item.place in ("", reading.source_id or item.source_id) or reading.detail.startswith(item.place)
    return reading if is_placed else replace(reading, detail=f"{item.place}: {reading.detail}")


def _interpreted(item: FileInput, outcome: Outcome | None) -> Reading:
    """What an input holds, read now where it is short JSON."""
    if isinstance(item.payload, (Refusal, ParsedCrystal)):
        return item.payload
    if isinstance(item.payload, JsonInput):
        return reading_or_refusal(_read_json, item.payload, item.first_line)
    if outcome is None or outcome.ending is not Ending.VALUE:
        return refusal_without_value(outcome)
    reading: Reading = outcome.value
    return reading


def _read_json(payload: JsonInput, first_line: int) -> Reading:
    """A crystal from a JSON value, or from the text of one."""
    return refused_or_parsed(load_json(payload.value, first_line) if payload.is_line else payload.value)


def refusal_without_value(outcome: Outcome | None) -> Refusal:
    """Why a text that a child was given has no value."""
    if outcome is None or outcome.ending is Ending.DIED:
        return Refusal(Reason.WORKER_DIED, f"reading it: {outcome.detail if outcome else 'no outcome'}")
    if outcome.ending is Ending.TIMED_OUT:
        return Refusal(Reason.DEADLINE, outcome.detail)
    return Refusal(Reason.PARSE, outcome.detail[:300])
