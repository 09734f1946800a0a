"""From one file to its inputs: what `FilesSource` puts into blocks, before anything foreign has been interpreted."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from gmt_tasks.sandbox import Ending, Outcome
from gmt_tasks.sources.json_records import load_json, parse_record
from gmt_tasks.sources.parsed import ParsedCrystal, RefusedInputError
from gmt_tasks.sources.source import ReadOptions
from gmt_tasks.sources.structure_files import (
    MAX_UNPACKING_RATIO,
    FileFormat,
    decode,
    is_packed,
    read_bytes,
    split_cif,
    unpacked_limit,
)
from gmt_tasks.sources.structure_text import Refusal, TextFormat, TextJob
from models.errors import Reason

SITES_PER_ATOM_LIMIT = 10
"""A CIF may list sites times operations up to this many times the atom limit: most sites lie on symmetry elements."""


@dataclass(frozen=True)
class JsonInput:
    """A crystal as a JSON value, or as the text of one line of JSON."""

    value: Any


@dataclass(frozen=True)
class FileInput:
    """One input of a file: the id it has if the crystal brings none, what it holds, and notes of how it was read."""

    source_id: str
    payload: TextJob | JsonInput | Refusal
    notes: tuple[str, ...] = ()

    @property
    def n_bytes(self) -> int:
        """Rough size, for bounding a block."""
        if isinstance(self.payload, TextJob):
            return len(self.payload.text)
        if isinstance(self.payload, JsonInput) and isinstance(self.payload.value, bytes):
            return len(self.payload.value)
        return 1000


def inputs_of(path: Path, label: str, kind: FileFormat | None, options: ReadOptions) -> Iterator[FileInput]:
    """The inputs of one CIF, POSCAR, JSON or JSONL file, in order; a file that cannot be read is one refused input.

    Args:
        path: the file.
        label: its name in ids.
        kind: its format; None for a file that was named on purpose but has no known format.
        options: limits of reading.
    """
    try:
        if kind is FileFormat.JSON_LINES:
            yield from _json_lines(path, label, options)
            return
        if kind is None:
            raise RefusedInputError(Reason.PARSE, "the file's name means no known format")
        data = read_bytes(path, options.max_text_bytes)
        if kind is FileFormat.JSON:
            yield from _json_values(data, label)
        elif kind is FileFormat.CIF:
            yield from _cif_blocks(data, label, options)
        else:
            text, notes = decode(data)
            yield FileInput(label, _job(TextFormat.POSCAR, text, 1, options), notes)
    except RefusedInputError as refused:
        yield FileInput(label, Refusal(refused.reason, refused.detail))


def finished(item: FileInput, outcome: Outcome | None) -> ParsedCrystal | Refusal:
    """The crystal of an input, or why it is none.

    Args:
        item: the input.
        outcome: what the sandbox made of a text; None for the other payloads.
    """
    if isinstance(item.payload, Refusal):
        return item.payload
    if isinstance(item.payload, JsonInput):
        try:
            value = item.payload.value
            return parse_record(load_json(value) if isinstance(value, bytes) else value)
        except RefusedInputError as refused:
            return Refusal(refused.reason, refused.detail)
    if outcome is None or outcome.ending is Ending.DIED:
        return Refusal(Reason.WORKER_DIED, f"reading it: {outcome.detail if outcome else 'no outcome'}")
    if outcome.ending is Ending.TIMED_OUT:
        return Refusal(Reason.DEADLINE, outcome.detail)
    if outcome.ending is Ending.FAILED:
        return Refusal(Reason.PARSE, outcome.detail[:300])
    result: ParsedCrystal | Refusal = outcome.value
    return result


def _job(kind: TextFormat, text: str, first_line: int, options: ReadOptions) -> TextJob:
    return TextJob(kind, text, first_line, SITES_PER_ATOM_LIMIT * options.max_atoms, options.missing_symmetry)


def _cif_blocks(data: bytes, label: str, options: ReadOptions) -> Iterator[FileInput]:
    """Every data block with a crystal; blocks of one file are told apart by `#` and their 0-based number."""
    text, notes = decode(data)
    parts = split_cif(text)
    for number, part in enumerate(parts):
        source_id = f"{label}#{number}" if len(parts) > 1 else label
        yield FileInput(source_id, _job(TextFormat.CIF, part.text, part.first_line, options), notes)


def _json_values(data: bytes, label: str) -> Iterator[FileInput]:
    """The crystals of a JSON document: an object, a list, or an OPTIMADE answer."""
    value = load_json(data)
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        value = value["data"]
    if not isinstance(value, list):
        yield FileInput(label, JsonInput(value))
        return
    if not value:
        raise RefusedInputError(Reason.EMPTY, "the list holds no crystals")
    for row, record in enumerate(value):
        yield FileInput(f"{label}#{row}", JsonInput(record))


def _json_lines(path: Path, label: str, options: ReadOptions) -> Iterator[FileInput]:
    """The non-blank lines of a JSONL file, streamed; ids without an own id are `label#line`, line 1-based."""
    number = 0
    try:
        packed = is_packed(path)
        allowed = unpacked_limit(path, 1 << 62) if packed else 1 << 62
        with gzip.open(path) if packed else path.open("rb") as stream:
            while line := stream.readline(options.max_text_bytes + 1):
                number += 1
                allowed -= len(line)
                if allowed < 0:
                    detail = f"unpacks to more than {MAX_UNPACKING_RATIO} times its size; line {number} and on not read"
                    raise RefusedInputError(Reason.ARCHIVE, detail)
                if len(line) > options.max_text_bytes:
                    _skip_line(stream)
                    detail = f"line {number} is longer than {options.max_text_bytes} bytes"
                    yield FileInput(f"{label}#{number}", Refusal(Reason.TOO_LARGE, detail))
                elif line.strip():
                    yield FileInput(f"{label}#{number}", JsonInput(line))
    except RefusedInputError as refused:
        yield FileInput(f"{label}#{number}", Refusal(refused.reason, refused.detail))
    except (gzip.BadGzipFile, EOFError, zlib.error, OSError) as error:
        broken_archive = isinstance(error, (gzip.BadGzipFile, EOFError, zlib.error))
        reason = Reason.ARCHIVE if broken_archive else Reason.PARSE
        yield FileInput(f"{label}#{number + 1}", Refusal(reason, f"not readable after line {number}: {error}"))


def _skip_line(stream: IO[bytes] | gzip.GzipFile) -> None:
    """Reads to the end of an overlong line without keeping it."""
    while (rest := stream.readline(1 << 20)) and not rest.endswith(b"\n"):
        pass
