"""The files that are read, one row each: what their names look like, how they split into crystals, who reads them.

A new format is a file with its reader (and its splitter, if one file holds several crystals) and a row here. Readers
and splitters are named, not imported: the driver loads no reader, a child all of its kind before it is confined.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gmt_tasks.sources.files.compression import COMPRESSIONS, compression_of

_FILES = "gmt_tasks.sources.files"
_MAX_ENDING_CHARS = 20


class Content(StrEnum):
    """What kind of file a format is, which decides who may touch it."""

    TEXT = "text"
    """The driver splits it, a child reads the parts; may be packed."""
    TABLE = "table"
    """A child opens it and gives its rows, block by block."""
    ARCHIVE = "archive"
    """A child unpacks the files in it."""


@dataclass(frozen=True)
class FileFormat:
    """One row of the table of formats.

    Attributes:
        name: what jobs for children call it.
        label: what messages call it.
        suffixes: endings of file names, in small letters.
        reader: `module:function` of the child: from a `TextJob` to a reading or a list of them for a text, from path
            and label to a table with `group_ends` and `blocks` for a table.
        splitter: `module:function` of the driver: from a `TextFile` to its inputs; by default the whole text is one.
        content: text, table or archive.
        name_pattern: names that mean it by another part than their ending.
    """

    name: str
    label: str
    suffixes: tuple[str, ...]
    reader: str = ""
    splitter: str = f"{_FILES}.inputs:split_nothing"
    content: Content = Content.TEXT
    name_pattern: re.Pattern[str] | None = None


CIF = FileFormat(
    name="cif",
    label="CIF",
    suffixes=(".cif", ".mcif"),
    reader=f"{_FILES}.cif.reader:read_cif_block",
    splitter=f"{_FILES}.cif.blocks:split_blocks",
)
POSCAR = FileFormat(
    name="poscar",
    label="POSCAR/CONTCAR/.vasp",
    suffixes=(".vasp", ".poscar", ".contcar"),
    reader=f"{_FILES}.poscar:read_poscar",
    name_pattern=re.compile(r"(?:^|[^a-z])(?:poscar|contcar)(?:[^a-z]|$)", re.IGNORECASE),
)
EXTENDED_XYZ = FileFormat(
    name="extxyz",
    label=".xyz/.extxyz",
    suffixes=(".xyz", ".extxyz"),
    reader=f"{_FILES}.extxyz:read_frame",
    splitter=f"{_FILES}.extxyz:split_frames",
)
JSON = FileFormat(
    name="json",
    label=".json",
    suffixes=(".json",),
    reader=f"{_FILES}.json_texts:read_document",
    splitter=f"{_FILES}.json_texts:split_document",
)
JSON_LINES = FileFormat(
    name="jsonl",
    label=".jsonl",
    suffixes=(".jsonl", ".ndjson"),
    reader=f"{_FILES}.json_texts:read_line",
    splitter=f"{_FILES}.json_texts:split_lines",
)
PARQUET = FileFormat(
    name="parquet",
    label=".parquet",
    suffixes=(".parquet",),
    reader=f"{_FILES}.tables.parquet:TableFile",
    content=Content.TABLE,
)
ASE_DATABASE = FileFormat(
    name="db",
    label="an ASE .db",
    suffixes=(".db",),
    reader=f"{_FILES}.tables.ase_database:AseDatabase",
    content=Content.TABLE,
)
_PACKED_TARS = tuple(
    suffix for packing in COMPRESSIONS for suffix in (f".tar{packing.suffix}", *packing.archive_suffixes)
)
ARCHIVE = FileFormat(
    name="archive",
    label="a .zip, .tar or packed .tar (.tar.gz, .tgz, ...)",
    suffixes=(".zip", ".tar", *_PACKED_TARS),
    content=Content.ARCHIVE,
)

FORMATS = (CIF, POSCAR, EXTENDED_XYZ, JSON, JSON_LINES, PARQUET, ASE_DATABASE, ARCHIVE)

_BY_SUFFIX = {suffix: row for row in FORMATS if row.content is not Content.ARCHIVE for suffix in row.suffixes}


def formats_of(content: Content) -> tuple[FileFormat, ...]:
    """The formats of one kind, in the order of the table."""
    return tuple(row for row in FORMATS if row.content is content)


def file_format(name: str) -> FileFormat | None:
    """The format that a file name means; None if it means none that is read here.

    The ending of a compression behind any text format is looked through; POSCAR and CONTCAR may stand anywhere in a
    name as a word.
    """
    lowered = name.lower()
    # Archives first: their endings may hold that of a compression.
    for archive in formats_of(Content.ARCHIVE):
        if lowered.endswith(archive.suffixes):
            return archive
    compression = compression_of(name)
    inner = lowered.removesuffix(compression.suffix) if compression else lowered
    row = _BY_SUFFIX.get(Path(inner).suffix)
    if row is None:
        row = next((other for other in FORMATS if other.name_pattern and other.name_pattern.search(name)), None)
    # A table is read at places all over the file, which a packed one does not allow.
    is_packed_table = compression is not None and row is not None and row.content is Content.TABLE
    return None if is_packed_table else row


def ending_of(name: str) -> str:
    """How a file of no known format is counted: by the ending of its name in small letters, with that of a compression.

    Files without an ending (and hidden ones, whose name begins with a dot) are counted together.
    """
    compression = compression_of(name)
    packed = compression.suffix if compression else ""
    return (Path(name.lower().removesuffix(packed)).suffix + packed)[:_MAX_ENDING_CHARS] or "without an ending"


def readable_formats() -> str:
    """Every format as messages list them."""
    texts = ", ".join(row.label for row in formats_of(Content.TEXT))
    packed = "/".join(compression.suffix for compression in COMPRESSIONS)
    tables = ", ".join(row.label for row in formats_of(Content.TABLE))
    archives = ", ".join(row.label for row in formats_of(Content.ARCHIVE))
    return f"{texts} (each also {packed}), {tables}, or {archives}"
