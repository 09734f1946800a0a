"""The data blocks of a CIF: cut apart by the driver without being understood."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gmt_tasks.sources.files.inputs import FileInput, TextFile
from gmt_tasks.sources.parsed import RefusedInputError
from models.errors import Reason


@dataclass(frozen=True)
class CifBlock:
    """One data block of a CIF: its name, its text, and its first line (1-based) in the file."""

    header: str
    text: str
    first_line: int


_NEWLINE = re.compile(r"\r\n|\r|\n")  # not splitlines, which also cuts where CIF sees nothing but a letter
_BLOCK_START = re.compile(r"^\s*data_(\S*)", re.IGNORECASE)
_HOLDS_CRYSTAL = re.compile(
    r"(?:^|\s)_(?:atom_site[_.](?:label|type_symbol|fract_x)|cell[_.]length_a)(?:\s|$)", re.IGNORECASE
)


def split_blocks(file: TextFile) -> Iterator[FileInput]:
    """Every data block with a crystal; blocks of one file are distinguished by `#` and their 0-based number."""
    text, notes = file.read()
    blocks = blocks_with_crystals(text)
    for number, block in enumerate(blocks):
        source_id = f"{file.label}#{number}" if len(blocks) > 1 else file.label
        yield FileInput(source_id, file.job(block.text, block.first_line), notes)


def blocks_with_crystals(text: str) -> list[CifBlock]:
    """The data blocks of a CIF that hold a cell or atoms.

    Blocks without either (publication data, powder patterns) are no inputs. Text fields between semicolons may hold
    anything, also a line that begins with `data_`.

    Raises:
        RefusedInputError: no block holds a cell or atoms (`parse`).
    """
    lines = _NEWLINE.split(text)
    starts: list[tuple[int, str]] = []
    with_crystal: set[int] = set()
    in_text_field = False
    for number, line in enumerate(lines):
        if line.startswith(";"):
            in_text_field = not in_text_field
        elif not in_text_field and (match := _BLOCK_START.match(line)):
            starts.append((number, match[1]))
        elif not in_text_field and starts and "_" in line and line[0] != "#" and _HOLDS_CRYSTAL.search(line):
            with_crystal.add(len(starts) - 1)
    ends = [*(number for number, _ in starts), len(lines)][1:]
    blocks = [
        CifBlock(header, "\n".join(lines[start:end]) + "\n", start + 1)
        for (start, header), end in zip(starts, ends, strict=True)
    ]
    crystals = [block for k, block in enumerate(blocks) if k in with_crystal and "powder_pattern" not in block.header]
    if crystals:
        return crystals
    if blocks:
        raise RefusedInputError(Reason.PARSE, f"{len(blocks)} data blocks, none with a cell or atoms")
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith("#"):
            shown = line.strip()[:60]
            detail = f"line {number}: no data block begins (a line such as data_name); found {shown!r}"
            raise RefusedInputError(Reason.PARSE, detail)
    raise RefusedInputError(Reason.PARSE, "the file is empty")
