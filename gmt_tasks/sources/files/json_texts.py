"""JSON documents and JSON lines: short ones are plain data that the driver reads, long ones go to a child."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from gmt_tasks.sandbox.children import Ending
from gmt_tasks.sources.files.inputs import FileInput, JsonInput, TextFile, refusal_without_value
from gmt_tasks.sources.files.text_bytes import decode_text
from gmt_tasks.sources.files.text_jobs import TextJob
from gmt_tasks.sources.json_documents import DocumentRecord, records_of
from gmt_tasks.sources.json_records import load_json, refused_or_parsed
from gmt_tasks.sources.parsed import Reading, Refusal, RefusedInputError

SHORT_JSON_BYTES = 1 << 20
"""JSON up to this size is read in the driver: milliseconds and some ten times its size in memory at worst."""


def split_document(file: TextFile) -> Iterator[FileInput]:
    """The crystals of a JSON document: one object, or one of the dumps of many; a long one is read by a child."""
    text, notes = file.read()
    if len(text) <= SHORT_JSON_BYTES:
        value = load_json(text)
        records = records_of(value)
        payloads: list[Any] | None = None if records is None else [_payload(record) for record in records]
        keys = [record.key for record in records or []]
        single: Any = JsonInput(value)
    else:
        # How many inputs it holds is not known before it is read: so at once, not with the other texts of a block.
        outcome = file.interpret(file.job(text))
        single = outcome.value if outcome.ending is Ending.VALUE else refusal_without_value(outcome)
        payloads = single if isinstance(single, list) else None
        keys = [None] * len(payloads or [])
    if payloads is None:
        yield FileInput(file.label, single, notes, place=file.label)
        return
    for row, (key, payload) in enumerate(zip(keys, payloads, strict=True)):
        yield FileInput(key or f"{file.label}#{row}", payload, notes, place=f"{file.label} record {row}")


def _payload(record: DocumentRecord) -> JsonInput | Refusal:
    if isinstance(record.value, RefusedInputError):
        return Refusal(record.value.reason, record.value.detail)
    return JsonInput(record.value)


def split_lines(file: TextFile) -> Iterator[FileInput]:
    """The non-blank lines of a JSONL file, streamed; ids without an own id are `label#line`, line 1-based."""
    for number, line in file.lines():
        source_id, place = f"{file.label}#{number}", f"{file.label} line {number}"
        if isinstance(line, Refusal):
            yield FileInput(source_id, line, place=place)
        elif line.strip():
            text, notes = decode_text(line.rstrip(b"\r\n"))  # an error at the end stands in this line, not in the next
            payload = file.job(text, number) if len(line) > SHORT_JSON_BYTES else JsonInput(text, is_line=True)
            yield FileInput(source_id, payload, notes, place, number)


def read_document(job: TextJob) -> Reading | list[Reading]:
    """Runs in the child: a JSON document; a list only if it holds several records, each with the key it has there."""
    value = load_json(job.text, job.first_line)
    records = records_of(value)
    if records is None:
        return refused_or_parsed(value)
    readings: list[Reading] = []
    for record in records:
        payload = _payload(record)
        reading = payload if isinstance(payload, Refusal) else refused_or_parsed(payload.value)
        readings.append(replace(reading, source_id=reading.source_id or record.key))
    return readings


def read_line(job: TextJob) -> Reading:
    """Runs in the child: one JSON record."""
    return refused_or_parsed(load_json(job.text, job.first_line))
