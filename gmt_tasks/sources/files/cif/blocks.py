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


_NEWLINE = re.compile(r"\r\n?")  # not splitlines, which also cuts where CIF sees nothing but a letter
_LANDMARK = re.compile(
    r"^(?:(?P<field>;)|#[^\n]*|(?P<data>[^\S\n]*\ufeff?data_(?P<header>\S*)))"
    r"|(?<!\S)_(?:atom_site[_.](?:label|type_symbol|fract_x)|cell[_.]length_a)(?!\S)",
    re.IGNORECASE | re.MULTILINE,
)
"""Borders of text fields, comments, beginnings of blocks, and names of items that a crystal has."""


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
    text = _NEWLINE.sub("\n", text)
    n_blocks, header, start, first_line, counted = 0, "", 0, 1, 0
    crystals: list[CifBlock] = []
    in_text_field = has_crystal = False
    for landmark in _LANDMARK.finditer(text):
        if landmark["field"]:
            in_text_field = not in_text_field
        elif in_text_field or landmark[0][0] == "#":
            continue
        elif landmark["data"] is None:
            has_crystal = True
        else:
            if has_crystal and n_blocks:
                crystals.append(CifBlock(header, text[start : landmark.start()], first_line))
            first_line += text.count("\n", counted, landmark.start())
            start = counted = landmark.start()
            n_blocks, header, has_crystal = n_blocks + 1, landmark["header"], False
    if has_crystal and n_blocks:
        crystals.append(CifBlock(header, text[start:] + "\n", first_line))
    crystals = [block for block in crystals if "powder_pattern" not in block.header]
    if crystals:
        return crystals
    if n_blocks:
        raise RefusedInputError(Reason.PARSE, f"{n_blocks} data blocks, none with a cell or atoms")
    raise _refusal_without_blocks(text)


def _refusal_without_blocks(text: str) -> RefusedInputError:
    """Why a text without a data block is none: its first line that says something."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip() and not line.startswith("#"):
            shown = line.strip()[:60]
            detail = f"line {number}: no data block begins (a line such as data_name); found {shown!r}"
            return RefusedInputError(Reason.PARSE, detail)
    return RefusedInputError(Reason.PARSE, "the file is empty")
