"""From one file to its inputs: what `FilesSource` puts into blocks, before anything foreign has been interpreted."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import IO, Any

from gmt_tasks.sandbox.children import Ending, Outcome
from gmt_tasks.sources.files.find import NamedFile
from gmt_tasks.sources.files.formats import (
    MAX_UNPACKING_RATIO,
    FileFormat,
    decode,
    is_packed,
    read_bytes,
    split_cif,
    unpacked_limit,
)
from gmt_tasks.sources.files.text_jobs import Refusal, TextFormat, TextJob
from gmt_tasks.sources.json_records import load_json, records_of, refused_or_parsed
from gmt_tasks.sources.parsed import ParsedCrystal, RefusedInputError
from gmt_tasks.sources.source import ReadOptions
from models.crystals.primitive import MAX_LISTED_ATOMS
from models.errors import Reason

SITES_PER_ATOM_LIMIT = 10
"""A CIF may list sites times operations up to this many times the atom limit: most sites lie on symmetry elements."""

SHORT_JSON_BYTES = 1 << 20
"""JSON up to this size is read in the driver: milliseconds and some ten times its size in memory at worst."""

Interpret = Callable[[TextJob], Outcome]


@dataclass(frozen=True)
class JsonInput:
    """A crystal as a JSON value, or as one short line of JSON (text), not yet read."""

    value: Any


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
        if isinstance(self.payload, JsonInput) and isinstance(self.payload.value, str):
            return len(self.payload.value)
        return 1000


def inputs_of(file: NamedFile, options: ReadOptions, interpret: Interpret) -> Iterator[FileInput]:
    """The inputs of one file of text, in order; a file that cannot be read is one refused input.

    Args:
        file: the file; a format of None is a file that was named on purpose but has no known format.
        options: limits of reading.
        interpret: has one text read by a child, for long JSON documents.
    """
    label = file.label
    try:
        if not file.path.is_file():
            raise RefusedInputError(Reason.PARSE, "no regular file, or one that may not be looked at")
        if file.format is None:
            raise RefusedInputError(Reason.PARSE, "the file's name means no known format")
        if file.format is FileFormat.JSON_LINES:
            yield from _non_empty(_json_lines(file, options), label)
        elif file.format is FileFormat.EXTENDED_XYZ:
            yield from _non_empty(_xyz_frames(file, options), label)
        else:
            text, notes = decode(read_bytes(file.path, options.max_text_bytes))
            if file.format is FileFormat.JSON:
                inputs = _json_values(text, label, options, interpret)
            elif file.format is FileFormat.CIF:
                inputs = _cif_blocks(text, label, options)
            else:
                job = replace(_job(TextFormat.POSCAR, text, 1, options), max_sites=MAX_LISTED_ATOMS)
                inputs = iter([FileInput(label, job)])
            yield from (replace(item, notes=notes) for item in inputs) if notes else inputs
    except RefusedInputError as refused:
        yield FileInput(label, Refusal(refused.reason, refused.detail))


def finished(item: FileInput, outcome: Outcome | None) -> ParsedCrystal | Refusal:
    """The crystal of an input, with the notes of how it was read, or why it is none, and where.

    Args:
        item: the input.
        outcome: what the sandbox made of a text; None for the other payloads.
    """
    result = _interpreted(item, outcome)
    if isinstance(result, ParsedCrystal):
        return replace(result, notes=item.notes + result.notes) if item.notes else result
    # With an id of its own, an input is not found by its id: the place says where it stands.
    known = item.place in ("", result.source_id or item.source_id) or result.detail.startswith(item.place)
    return result if known else replace(result, detail=f"{item.place}: {result.detail}")


def _interpreted(item: FileInput, outcome: Outcome | None) -> ParsedCrystal | Refusal:
    if isinstance(item.payload, (Refusal, ParsedCrystal)):
        return item.payload
    if isinstance(item.payload, JsonInput):
        try:
            value = item.payload.value
            return refused_or_parsed(load_json(value, item.first_line) if isinstance(value, str) else value)
        except RefusedInputError as refused:
            return Refusal(refused.reason, refused.detail)
    if outcome is None or outcome.ending is not Ending.VALUE:
        return _without_value(outcome)
    result: ParsedCrystal | Refusal = outcome.value
    return result


def _without_value(outcome: Outcome | None) -> Refusal:
    """Why a text that a child was given has no value."""
    if outcome is None or outcome.ending is Ending.DIED:
        return Refusal(Reason.WORKER_DIED, f"reading it: {outcome.detail if outcome else 'no outcome'}")
    if outcome.ending is Ending.TIMED_OUT:
        return Refusal(Reason.DEADLINE, outcome.detail)
    return Refusal(Reason.PARSE, outcome.detail[:300])


def _job(kind: TextFormat, text: str, first_line: int, options: ReadOptions) -> TextJob:
    return TextJob(kind, text, first_line, SITES_PER_ATOM_LIMIT * options.max_atoms, options.missing_symmetry)


def _cif_blocks(text: str, label: str, options: ReadOptions) -> Iterator[FileInput]:
    """Every data block with a crystal; blocks of one file are told apart by `#` and their 0-based number."""
    parts = split_cif(text)
    for number, part in enumerate(parts):
        source_id = f"{label}#{number}" if len(parts) > 1 else label
        yield FileInput(source_id, _job(TextFormat.CIF, part.text, part.first_line, options))


def _json_values(text: str, label: str, options: ReadOptions, interpret: Interpret) -> Iterator[FileInput]:
    """The crystals of a JSON document: an object, a list, or an OPTIMADE answer; a long one is read by a child."""
    if len(text) <= SHORT_JSON_BYTES:
        value = load_json(text)
        records = records_of(value)
        payloads: list[Any] | None = None if records is None else [JsonInput(record) for record in records]
        single: Any = JsonInput(value)
    else:
        outcome = interpret(_job(TextFormat.JSON_DOCUMENT, text, 1, options))
        single = outcome.value if outcome.ending is Ending.VALUE else _without_value(outcome)
        payloads = single if isinstance(single, list) else None
    if payloads is None:
        yield FileInput(label, single, place=label)
        return
    for row, payload in enumerate(payloads):
        yield FileInput(f"{label}#{row}", payload, place=f"{label} record {row}")


def _non_empty(inputs: Iterator[FileInput], label: str) -> Iterator[FileInput]:
    """The inputs of a file, at least one: an empty file is a refused input, so that it does not vanish."""
    n_inputs = 0
    for item in inputs:
        n_inputs += 1
        yield item
    if not n_inputs:
        yield FileInput(label, Refusal(Reason.EMPTY, "the file holds no line"))


def _json_lines(file: NamedFile, options: ReadOptions) -> Iterator[FileInput]:
    """The non-blank lines of a JSONL file, streamed; ids without an own id are `label#line`, line 1-based."""
    for number, line in lines_of(file, options):
        source_id, place = f"{file.label}#{number}", f"{file.label} line {number}"
        if isinstance(line, Refusal):
            yield FileInput(source_id, line, place=place)
        elif line.strip():
            text, notes = decode(line.rstrip(b"\r\n"))  # an error at the end stands in this line, not in the next
            long = len(line) > SHORT_JSON_BYTES
            payload = _job(TextFormat.JSON_RECORD, text, number, options) if long else JsonInput(text)
            yield FileInput(source_id, payload, notes, place, number)


def _xyz_frames(file: NamedFile, options: ReadOptions) -> Iterator[FileInput]:
    """The frames of an extended XYZ file, streamed, named `label#frame`, 0-based; what follows a bad count is lost."""
    lines = lines_of(file, options)
    frame = 0
    for number, first in lines:
        if not isinstance(first, Refusal) and not first.strip():
            continue
        source_id, place = f"{file.label}#{frame}", f"{file.label} frame {frame}"
        frame += 1
        count = b"" if isinstance(first, Refusal) else first.strip()
        n_more = int(count) + 1 if count.isdigit() and len(count) < 10 else 0
        parts, fault = [first], first if isinstance(first, Refusal) else None
        size = 0
        while n_more and fault is None and (following := next(lines, None)):
            part = following[1]
            size += len(part) if isinstance(part, bytes) else 0
            fault = part if isinstance(part, Refusal) else None
            if size > options.max_text_bytes:
                fault = Refusal(Reason.TOO_LARGE, f"from line {number}: more than {options.max_text_bytes} bytes")
            parts.append(part)
            n_more -= 1
        if fault is None:
            text, notes = decode(b"".join(part for part in parts if isinstance(part, bytes)))
            yield FileInput(source_id, _job(TextFormat.EXTENDED_XYZ, text, number, options), notes, place, number)
        else:
            yield FileInput(source_id, fault, place=place)
        if fault is not None or not count.isdigit():
            return


def lines_of(file: NamedFile, options: ReadOptions) -> Iterator[tuple[int, bytes | Refusal]]:
    """The lines of a file with their 1-based numbers, unpacked within bounds; a fault is the last one."""
    number = 0
    try:
        packed = is_packed(file.path)
        allowed = unpacked_limit(file.path, 1 << 62) if packed else 1 << 62
        with gzip.open(file.path) if packed else file.path.open("rb") as stream:
            while line := stream.readline(options.max_text_bytes + 1):
                number += 1
                allowed -= len(line)
                if len(line) > options.max_text_bytes:
                    allowed -= _skip_line(stream, allowed)
                    detail = f"line {number} is longer than {options.max_text_bytes} bytes"
                    yield number, Refusal(Reason.TOO_LARGE, detail)
                    line = b""
                if allowed < 0:
                    detail = f"unpacks to more than {MAX_UNPACKING_RATIO} times its size; line {number} and on not read"
                    yield number, Refusal(Reason.ARCHIVE, detail)
                    return
                if line:
                    yield number, line
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        yield number + 1, Refusal(Reason.ARCHIVE, f"not readable after line {number}: {error}")
    except OSError as error:
        yield number + 1, Refusal(Reason.PARSE, f"not readable after line {number}: {error.strerror or error}")


def _skip_line(stream: IO[bytes] | gzip.GzipFile, allowed: int) -> int:
    """Reads to the end of an overlong line without keeping it, at most as far as is allowed; returns the bytes."""
    skipped = 0
    while skipped <= allowed and (rest := stream.readline(1 << 20)):
        skipped += len(rest)
        if rest.endswith(b"\n"):
            break
    return skipped
