"""Runs in a sandboxed child: foreign text in, a `ParsedCrystal` or a `Refusal` out."""

import warnings
from typing import Any

from gmt_tasks.sandbox.messages import Message
from gmt_tasks.sources.files.cif import read_cif_block
from gmt_tasks.sources.files.extxyz import read_frame
from gmt_tasks.sources.files.poscar import read_poscar
from gmt_tasks.sources.files.text_jobs import Reading, Refusal, TextFormat, TextJob, told
from gmt_tasks.sources.json_records import load_json, records_of, refused_or_parsed
from gmt_tasks.sources.parsed import RefusedInputError
from models.errors import Reason


def answer(content: Any) -> Message:
    """Runs in the child: reads one text and tells what it holds."""
    return told(parse_text(TextJob.from_content(content)))


def parse_text(job: TextJob) -> Reading | list[Reading]:
    """Reads one text; every failure is a `Refusal`. Only a JSON document that holds a list gives a list."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _parse(job)
    except RefusedInputError as refused:
        return Refusal(refused.reason, refused.detail)
    except RecursionError:
        return Refusal(Reason.PARSE, f"from line {job.first_line}: nested too deeply to be a crystal")
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        return Refusal(Reason.PARSE, f"from line {job.first_line}: {type(error).__name__}: {str(error)[:300]}")


def _parse(job: TextJob) -> Reading | list[Reading]:
    if job.format is TextFormat.CIF:
        return read_cif_block(job.text, job.first_line, job.max_sites, job.missing_symmetry)
    if job.format is TextFormat.POSCAR:
        return read_poscar(job.text, job.max_sites)
    if job.format is TextFormat.EXTENDED_XYZ:
        return read_frame(job.text, job.first_line)
    value = load_json(job.text, job.first_line)
    if job.format is TextFormat.JSON_RECORD:
        return refused_or_parsed(value)
    records = records_of(value)
    return refused_or_parsed(value) if records is None else [refused_or_parsed(record) for record in records]
