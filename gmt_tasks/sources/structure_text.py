"""Runs in a sandboxed child: one crystal's CIF or POSCAR text in, a `ParsedCrystal` or a `Refusal` out."""

import warnings
from dataclasses import dataclass
from enum import StrEnum

from gmt_tasks.sources.cif_reader import read_cif_block
from gmt_tasks.sources.parsed import ParsedCrystal, RefusedInputError
from gmt_tasks.sources.poscar_reader import read_poscar
from gmt_tasks.sources.source import MissingSymmetry
from models.errors import Reason


class TextFormat(StrEnum):
    """The text formats that pymatgen reads for us."""

    CIF = "cif"
    POSCAR = "poscar"


@dataclass(frozen=True)
class TextJob:
    """One crystal's text: a data block of a CIF or a whole POSCAR; `first_line` is its 1-based line in the file."""

    format: TextFormat
    text: str
    first_line: int
    max_sites: int
    missing_symmetry: MissingSymmetry


@dataclass(frozen=True)
class Refusal:
    """Why a text is no crystal, as a value (an exception would lose its attributes between processes)."""

    reason: Reason
    detail: str


def parse_text(job: TextJob) -> ParsedCrystal | Refusal:
    """Reads one crystal; every failure is a `Refusal`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if job.format is TextFormat.CIF:
                return read_cif_block(job.text, job.first_line, job.max_sites, job.missing_symmetry)
            return read_poscar(job.text)
    except RefusedInputError as refused:
        return Refusal(refused.reason, refused.detail)
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, NotImplementedError) as error:
        return Refusal(Reason.PARSE, f"from line {job.first_line}: {type(error).__name__}: {str(error)[:300]}")
