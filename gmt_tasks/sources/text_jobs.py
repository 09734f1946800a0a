"""What travels between the driver and the children that read foreign texts; light: the driver loads no reader."""

from dataclasses import dataclass
from enum import StrEnum

from gmt_tasks.sources.source import MissingSymmetry
from models.errors import Reason


class TextFormat(StrEnum):
    """The texts that children read: one crystal each, but a JSON document, which may hold a list."""

    CIF = "cif"
    POSCAR = "poscar"
    EXTENDED_XYZ = "extxyz"
    JSON_RECORD = "json_record"
    JSON_DOCUMENT = "json_document"


@dataclass(frozen=True)
class TextJob:
    """A text to read: a data block of a CIF, a POSCAR, a frame, JSON; `first_line` is its 1-based line in the file."""

    format: TextFormat
    text: str
    first_line: int
    max_sites: int
    missing_symmetry: MissingSymmetry


@dataclass(frozen=True)
class Refusal:
    """Why an input is no crystal, as a value (an exception would lose its attributes between processes).

    Attributes:
        reason: from the closed list.
        detail: where and what.
        source_id: the id that the input has of its own, where it could be read.
    """

    reason: Reason
    detail: str
    source_id: str | None = None
