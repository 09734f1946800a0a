"""Runs in a sandboxed child: foreign text in, a `ParsedCrystal` or a `Refusal` out."""

import warnings
from functools import partial
from typing import Any

from gmt_tasks.sandbox.messages import Message
from gmt_tasks.sandbox.target import load
from gmt_tasks.sources.files.formats import Content, formats_of
from gmt_tasks.sources.files.text_jobs import TextJob, encode_readings
from gmt_tasks.sources.parsed import Reading, Refusal, RefusedInputError, refusal_of
from gmt_tasks.sources.row_errors import error_text, row_or_refusal
from models.errors import Reason

# All readers now: after the child was confined, an import would count as the time of some text.
_READERS = {row.name: load(row.reader) for row in formats_of(Content.TEXT)}


def answer(content: Any) -> Message:
    """Runs in the child: reads one text and answers with what it holds."""
    return encode_readings(parse_text(TextJob.from_content(content)))


def parse_text(job: TextJob) -> Reading | list[Reading]:
    """Reads one text; every failure is a `Refusal`. Only a JSON document that holds a list gives a list."""

    def refusal(error: Exception) -> Refusal:
        if isinstance(error, RefusedInputError):
            return refusal_of(error)
        deep = isinstance(error, RecursionError)
        problem = "nested too deeply to be a crystal" if deep else error_text(error)
        return Refusal(Reason.PARSE, f"from line {job.first_line}: {problem}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        readings: Reading | list[Reading] = row_or_refusal(partial(_READERS[job.format], job), refusal)
    return readings
