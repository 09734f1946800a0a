"""From a file to the texts of its crystals: which format a name means, bounded reading and unpacking, splitting.

This is the parent's half of reading structure files. It touches foreign bytes only with bounded, linear-time work;
whatever interprets them runs in a sandboxed child (CIF, POSCAR) or is plain data reading (JSON).
"""

import gzip
import re
import zlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gmt_tasks.sources.parsed import RefusedInputError
from models.errors import Reason

MAX_UNPACKING_RATIO = 200
"""Text unpacks to at most this many times its packed size (plus 1 MiB); real crystals reach 20."""

_FREE_UNPACKING = 1 << 20
_CHUNK = 1 << 20


class FileFormat(StrEnum):
    """The files that are read."""

    CIF = "cif"
    POSCAR = "poscar"
    EXTENDED_XYZ = "extxyz"
    JSON = "json"
    JSON_LINES = "jsonl"
    PARQUET = "parquet"
    ASE_DATABASE = "db"
    ARCHIVE = "archive"


_BY_ENDING = {
    ".cif": FileFormat.CIF,
    ".mcif": FileFormat.CIF,
    ".vasp": FileFormat.POSCAR,
    ".poscar": FileFormat.POSCAR,
    ".contcar": FileFormat.POSCAR,
    ".xyz": FileFormat.EXTENDED_XYZ,
    ".extxyz": FileFormat.EXTENDED_XYZ,
    ".json": FileFormat.JSON,
    ".jsonl": FileFormat.JSON_LINES,
    ".ndjson": FileFormat.JSON_LINES,
    ".parquet": FileFormat.PARQUET,
    ".db": FileFormat.ASE_DATABASE,
}
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
"""Files that hold other files."""
_NEVER_PACKED = (FileFormat.PARQUET, FileFormat.ASE_DATABASE)
_POSCAR_NAME = re.compile(r"(?:^|[^a-z])(?:poscar|contcar)(?:[^a-z]|$)", re.IGNORECASE)


def file_format(name: str) -> FileFormat | None:
    """The format that a file name means; None if it means none that is read here.

    `.gz` behind any text format is looked through; POSCAR and CONTCAR may stand anywhere in a name as a word.
    """
    lowered = name.lower()
    if lowered.endswith(ARCHIVES):
        return FileFormat.ARCHIVE
    packed = lowered.endswith(".gz")
    found = _BY_ENDING.get(Path(lowered.removesuffix(".gz")).suffix)
    if found is None and _POSCAR_NAME.search(name):
        found = FileFormat.POSCAR
    return None if packed and found in _NEVER_PACKED else found


def is_packed(path: Path) -> bool:
    """True for a gzip file, by its name."""
    return path.name.lower().endswith(".gz")


def unpacked_limit(path: Path, max_text_bytes: int) -> int:
    """How many bytes a packed file may unpack to: the absolute limit, or less for a file that is small itself."""
    return min(max_text_bytes, MAX_UNPACKING_RATIO * path.stat().st_size + _FREE_UNPACKING)


def read_bytes(path: Path, max_text_bytes: int) -> bytes:
    """The whole file, unpacked.

    Raises:
        RefusedInputError: too large (`too_large`), a bad or suspicious gzip (`archive`), unreadable (`parse`).
    """
    try:
        if is_packed(path):
            limit = unpacked_limit(path, max_text_bytes)
            with gzip.open(path) as stream:
                data = stream.read(limit + 1)
            if len(data) > limit:
                raise RefusedInputError(Reason.ARCHIVE, f"{path.stat().st_size} bytes unpack to more than {limit}")
            return data
        size = path.stat().st_size
        if size > max_text_bytes:
            raise RefusedInputError(Reason.TOO_LARGE, f"a text of {size} bytes, limit {max_text_bytes}")
        return path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise RefusedInputError(Reason.ARCHIVE, f"not a complete gzip file: {error}") from error
    except OSError as error:
        raise RefusedInputError(Reason.PARSE, f"cannot be read: {error.strerror or error}") from error


def decode(data: bytes) -> tuple[str, tuple[str, ...]]:
    """Text of a file and a note if it was not UTF-8; never fails, because Latin-1 knows every byte."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace"), ("encoding: read as UTF-16",)
    try:
        return data.decode("utf-8-sig"), ()
    except UnicodeDecodeError as error:
        return data.decode("latin-1"), (f"encoding: byte {error.start} is not UTF-8, read as Latin-1",)


@dataclass(frozen=True)
class CifPart:
    """One data block of a CIF: its name, its text, and its first line (1-based) in the file."""

    header: str
    text: str
    first_line: int


_BLOCK_START = re.compile(r"^\s*data_(\S*)", re.IGNORECASE)
# Blanks, not white space: a run of a million empty lines would be looked through from each of them.
_HOLDS_CRYSTAL = re.compile(r"^[ \t]*_(?:atom_site_(?:label|type_symbol|fract_x)|cell_length_a)\b", re.I | re.M)


def split_cif(text: str) -> list[CifPart]:
    """The data blocks of a CIF that hold a cell or atoms.

    Blocks without either (publication data, powder patterns) are no inputs. Text fields between semicolons may hold
    anything, also a line that begins with `data_`.

    Raises:
        RefusedInputError: no block holds a cell or atoms (`parse`).
    """
    lines = text.splitlines()
    starts: list[tuple[int, str]] = []
    in_text_field = False
    for number, line in enumerate(lines):
        if line.startswith(";"):
            in_text_field = not in_text_field
        elif not in_text_field and (match := _BLOCK_START.match(line)):
            starts.append((number, match[1]))
    ends = [*(number for number, _ in starts), len(lines)][1:]
    parts = [
        CifPart(header, "\n".join(lines[start:end]) + "\n", start + 1)
        for (start, header), end in zip(starts, ends, strict=True)
    ]
    crystals = [part for part in parts if "powder_pattern" not in part.header and _HOLDS_CRYSTAL.search(part.text)]
    if not crystals:
        raise RefusedInputError(Reason.PARSE, _why_no_block(lines, len(parts)))
    return crystals


def _why_no_block(lines: list[str], n_blocks: int) -> str:
    if n_blocks:
        return f"{n_blocks} data blocks, none with a cell or atoms"
    first = next(((n, line) for n, line in enumerate(lines, start=1) if line.strip() and line[:1] != "#"), None)
    if first is None:
        return "the file is empty"
    return f"line {first[0]}: no data block begins (a line such as data_name); found {first[1].strip()[:60]!r}"
