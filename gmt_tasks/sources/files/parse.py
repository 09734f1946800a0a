"""Runs in a sandboxed child: foreign text in, a `ParsedCrystal` or a `Refusal` out."""

import warnings
from typing import Any

from gmt_tasks.sandbox.messages import Message
from gmt_tasks.sandbox.target import load
from gmt_tasks.sources.files.formats import Content, formats_of
from gmt_tasks.sources.files.text_jobs import TextJob, encode_readings
from gmt_tasks.sources.parsed import Reading, Refusal, RefusedInputError
from models.errors import Reason

# All readers now: after the child was confined, an import would count as the time of some text.
_READERS = {row.name: load(row.reader) for row in formats_of(Content.TEXT)}


def answer(content: Any) -> Message:
    """Runs in the child: reads one text and answers with what it holds."""
    return encode_readings(parse_text(TextJob.from_content(content)))


def parse_text(job: TextJob) -> Reading | list[Reading]:
    """Reads one text; every failure is a `Refusal`. Only a JSON document that holds a list gives a list."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            readings: Reading | list[Reading] = _READERS[job.format](job)
            return readings
    except RefusedInputError as refused:
        return Refusal(refused.reason, refused.detail)
    except RecursionError:
        return Refusal(Reason.PARSE, f"from line {job.first_line}: nested too deeply to be a crystal")
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        return Refusal(Reason.PARSE, f"from line {job.first_line}: {type(error).__name__}: {str(error)[:300]}")
