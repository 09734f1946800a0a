"""Extended XYZ: frames of a count, a line of key=value pairs with the lattice, and one line per atom.

Source of the format: https://github.com/libAtoms/extxyz (README, "Extended XYZ specification"). Beyond it, keys without
a value, values in single quotes, bare values with an equals sign and `_JSON` values are read, as ASE writes or reads
them.
"""

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from gmt_tasks.sources.files.inputs import FileInput, TextFile
from gmt_tasks.sources.files.text_bytes import decode_text
from gmt_tasks.sources.files.text_jobs import TextJob
from gmt_tasks.sources.parsed import ID_KEYS, Floats, Ints, ParsedCrystal, Refusal, RefusedInputError, fractional
from gmt_tasks.sources.text_columns import decimal_rows, element_numbers
from models.crystals.crystal import SYMBOLS
from models.errors import Doubt, Reason

# Every repetition is possessive and every alternative begins with another character: the time is linear.
_DOUBLE = r'"(?:[^"\\]|\\.)*+"'
_SINGLE = r"'(?:[^'\\]|\\.)*+'(?=[\s=]|$)"  # elsewhere an apostrophe is a letter like others
_BRACES = r"\{(?:[^}\\]|\\.)*+\}"
_LIST = rf'\[(?:[^\[\]"\\]|\\.|{_DOUBLE})*+\]'
for _ in range(3):  # lists of lists, and deeper ones that are no matrix
    _LIST = rf'\[(?:[^\[\]"\\]|\\.|{_DOUBLE}|{_LIST})*+\]'
_CLOSED = f"{_DOUBLE}|{_SINGLE}|{_BRACES}|{_LIST}"
_KEY = rf"""[^\s="'{{\[][^\s=]*+|{_CLOSED}|'[^\s=]*+"""
_VALUE = rf"""[^\s"'{{\[]\S*+|{_CLOSED}|'\S*+|(?=\s|$)"""
_PAIR = re.compile(rf"\s*({_KEY})(?:\s*=\s*({_VALUE}))?")
_ESCAPED = re.compile(r"\\(.)")
_ROW = re.compile(r"\[([^\[\]]*)\]")
_LIST_ITEM = re.compile(rf"{_DOUBLE}|[^\s,]+")
_BRACKETS = re.compile(r"[\[\]{},]")
_INTEGER = r"[+-]?(?:0|[1-9][0-9]{0,17}+)"
_FLOAT = r"(?![+-]?[0-9]{19})[+-]?(?:(?:0|[1-9][0-9]*+)(?:\.[0-9]*+)?|\.[0-9]++)(?:[dDeE][+-]?[0-9]++)?"
_INTEGERS, _FLOATS = (re.compile(rf"{number}(?: {number})*+") for number in (_INTEGER, _FLOAT))
_FIRST_OF_TYPED = frozenset("0123456789+-.tTfF")
_BOOLEANS = {text: text[0] in "tT" for text in ("T", "true", "True", "TRUE", "F", "false", "False", "FALSE")}
_PROPERTY = re.compile(r"([^:]+):[RISL]:([0-9]{1,6})(?::|$)")
_DEFAULT_PROPERTIES = "species:S:1:pos:R:3"
_SPECIES = ("species", "element", "elements", "symbol", "symbols")
_NUMBERS = ("numbers", "atomic_numbers")
_POSITIONS = ("pos", "positions")
_IDS = (*ID_KEYS, "structure_id", "uid", "name")
_MAX_COMMENT = 100_000  # of the whole line; real ones have some hundred characters
_MAX_DIGITS = 9  # of a number of atoms
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class _Columns(NamedTuple):
    """0-based columns of a frame's lines: of the symbols and of the atomic numbers, where there are any, of x."""

    symbol: int | None
    number: int | None
    position: int
    n_columns: int


def split_frames(file: TextFile) -> Iterator[FileInput]:
    """The frames of a file, streamed, named `label#frame`, 0-based; what follows a bad count is lost."""
    lines = _lines(file)
    limit = file.options.max_text_bytes
    frame = 0
    for number, first in lines:
        if not isinstance(first, Refusal) and not first.strip():
            continue
        source_id, place = f"{file.label}#{frame}", f"{file.label} frame {frame}"
        frame += 1
        count = b"" if isinstance(first, Refusal) else first.removeprefix(_BYTE_ORDER_MARK).strip()
        n_more = int(count) + 1 if count.isdigit() and len(count) <= _MAX_DIGITS else 0
        fault = first if isinstance(first, Refusal) else None
        parts = [] if isinstance(first, Refusal) else [first]
        size = 0
        while n_more and fault is None and (following := next(lines, None)):
            _, line = following
            if isinstance(line, Refusal):
                fault = line
                break
            size += len(line)
            if size > limit:
                fault = Refusal(Reason.TOO_LARGE, f"from line {number}: more than {limit} bytes")
            parts.append(line)
            n_more -= 1
        if fault is None:
            text, notes = decode_text(b"".join(parts))
            yield FileInput(source_id, file.job(text, number), notes, place, number)
        else:
            yield FileInput(source_id, fault, place=place)
        # Without a count nobody knows where the next frame begins.
        if fault is not None or not count.isdigit():
            return


def _lines(file: TextFile) -> Iterator[tuple[int, bytes | Refusal]]:
    """The lines of a file with their 1-based numbers; a carriage return alone ends a line too."""
    number = 0
    for _, line in file.lines():
        pieces = [line] if isinstance(line, Refusal) or b"\r" not in line else line.splitlines(keepends=True)
        for piece in pieces:
            number += 1
            yield number, piece


def read_frame(job: TextJob) -> ParsedCrystal:
    """Reads one frame; energies, names and other pairs of its second line travel along, with their types.

    Args:
        job: the frame, from the line of its count on.

    Raises:
        RefusedInputError: `parse` with the line, `empty`, `nonfinite`, `unknown_species`, `degenerate_cell`, or
            `composition_mismatch` where symbols and atomic numbers differ.
    """
    lines, first_line = job.text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), job.first_line
    n_atoms = _count(lines[0], first_line)
    if len(lines) < n_atoms + 2:
        raise RefusedInputError(Reason.PARSE, f"line {first_line}: {n_atoms} atoms announced, the file ends before")
    pairs = _pairs(lines[1], first_line + 1)
    lattice_text = _taken(pairs, "Lattice", first_line + 1)
    if lattice_text is None:
        detail = f"line {first_line + 1}: no Lattice=, so this is a molecule and no crystal"
        raise RefusedInputError(Reason.PARSE, detail)
    lattice = _lattice(lattice_text, first_line + 1)
    properties = _taken(pairs, "Properties", first_line + 1) or _DEFAULT_PROPERTIES
    periodicity = _taken(pairs, "pbc", first_line + 1) or "T"
    columns = _columns(properties, first_line + 1)
    # What stands behind the announced columns is not looked at.
    rows = [line.split() for line in lines[2 : n_atoms + 2]]
    if min(map(len, rows)) < columns.n_columns:
        number, row = next((n, row) for n, row in enumerate(rows, first_line + 2) if len(row) < columns.n_columns)
        raise RefusedInputError(Reason.PARSE, f"line {number}: {len(row)} columns, expected {columns.n_columns}")
    x = columns.position
    positions = decimal_rows([*chain.from_iterable(row[x : x + 3] for row in rows)], 3, first_line + 2)
    numbers, notes = _elements(rows, columns, first_line + 2)
    frac_coords = fractional(lattice, positions, f"line {first_line + 1}: ")
    axes = _BRACKETS.sub(" ", periodicity).split()
    if len(axes) not in {1, 3} or any(axis.upper() not in {"T", "TRUE", "1"} for axis in axes):
        notes += (f"{Doubt.PERIODICITY}: the file says pbc {periodicity[:20]}, read as periodic along every axis",)
    source_id, extra = _metadata(pairs)
    return ParsedCrystal(lattice, frac_coords, numbers, notes, source_id, extra)


def _count(line: str, number: int) -> int:
    """The number of atoms of a frame."""
    word = line.strip()
    if not (word.isascii() and word.isdecimal() and len(word) <= _MAX_DIGITS):
        raise RefusedInputError(Reason.PARSE, f"line {number}: {word[:40]!r} is no number of atoms")
    if int(word) == 0:
        raise RefusedInputError(Reason.EMPTY, f"line {number}: 0 atoms")
    return int(word)


def _pairs(line: str, number: int) -> dict[str, str]:
    """The pairs of the second line, values as they are written; a bare key is true."""
    line = line.rstrip()
    if len(line) > _MAX_COMMENT:
        raise RefusedInputError(Reason.PARSE, f"line {number}: {len(line)} characters, limit {_MAX_COMMENT}")
    pairs: dict[str, str] = {}
    start = 0
    while start < len(line):
        match = _PAIR.match(line, start)
        if match is None:
            place = f"line {number} column {start + 1}"
            detail = f"{place}: neither a key nor a value, or one that is not closed: {line[start : start + 20]!r}"
            raise RefusedInputError(Reason.PARSE, detail)
        key, value = _unquoted(match[1]), "T" if match[2] is None else match[2]
        if key in {"Lattice", "Properties"} and pairs.get(key, value) != value:
            raise RefusedInputError(Reason.PARSE, f"line {number}: two different values of {key}")
        pairs[key] = value
        start = match.end()
    return pairs


def _unquoted(token: str) -> str:
    """A key or value without its quotes or braces and escapes; lists keep their brackets, bare words everything."""
    if token[:1] not in {'"', "'", "{"} or len(token) == 1 or token[-1] not in "\"'}":
        return token
    inner = token[1:-1]
    return _ESCAPED.sub(lambda match: "\n" if match[1] == "n" else match[1], inner) if "\\" in inner else inner


def _taken(pairs: dict[str, str], name: str, number: int) -> str | None:
    """Takes a value with a meaning of its own out of the pairs; another case of its key counts where the usual is not.

    Raises:
        RefusedInputError: only other cases of it are there, and more than one (`parse`).
    """
    keys = [name] if name in pairs else [key for key in pairs if key.lower() == name.lower()]
    if len(keys) > 1:
        raise RefusedInputError(Reason.PARSE, f"line {number}: {' and '.join(keys[:5])}: which of them is meant?")
    return _unquoted(pairs.pop(keys[0])) if keys else None


def _lattice(text: str, number: int) -> Floats:
    """Rows a, b, c of nine numbers, vector after vector, or of a list of three lists; shape [3, 3]."""
    rows = [part.replace(",", " ").split() for part in _ROW.findall(text)] or [text.replace(",", " ").split()]
    lengths = [len(row) for row in rows]
    if lengths not in ([9], [3, 3, 3]):
        detail = f"line {number}: Lattice has {sum(lengths)} numbers in {len(rows)} rows, expected 9 or three times 3"
        raise RefusedInputError(Reason.PARSE, detail)
    return decimal_rows([*chain.from_iterable(rows)], 9, number).reshape(3, 3)


def _columns(properties: str, number: int) -> _Columns:
    """The columns that matter, of a text such as species:S:1:pos:R:3:forces:R:3."""
    spans, n_columns = _spans(properties)
    symbol = next((spans[name][0] for name in spans if name.lower() in _SPECIES), None)
    # A small z is a coordinate.
    atomic = next((spans[name][0] for name in spans if name == "Z" or name.lower() in _NUMBERS), None)
    position, size = next((spans[name] for name in spans if name.lower() in _POSITIONS), (0, 0))
    if not spans or (symbol is None and atomic is None) or size != 3:
        detail = f"line {number}: Properties={properties[:80]!r} lacks species or Z, or pos with 3 columns"
        raise RefusedInputError(Reason.PARSE, detail)
    return _Columns(symbol, atomic, position, n_columns)


@lru_cache(16)  # the frames of a file have the same columns
def _spans(properties: str) -> tuple[dict[str, tuple[int, int]], int]:
    """First column and number of columns of each property, and of all; nothing for what is no list of properties."""
    spans: dict[str, tuple[int, int]] = {}
    start = n_columns = 0
    while start < len(properties):
        match = _PROPERTY.match(properties, start)
        if match is None or match[1] in spans:
            return {}, 0
        spans[match[1]] = n_columns, int(match[2])
        n_columns += int(match[2])
        start = match.end()
    return spans, n_columns


def _elements(rows: list[list[str]], columns: _Columns, first_line: int) -> tuple[Ints, tuple[str, ...]]:
    """Atomic numbers, shape [n_atoms], and notes; symbols and atomic numbers must agree where both are given."""
    if columns.symbol is None or columns.number is None:
        return _column_elements(rows, columns.symbol, columns.number, first_line)
    numbers, notes = _column_elements(rows, columns.symbol, None, first_line)
    given, _ = _column_elements(rows, None, columns.number, first_line)
    if (differs := np.flatnonzero(numbers != given)).size:
        site = int(differs[0])
        pair = f"{rows[site][columns.symbol][:20]!r} and Z = {rows[site][columns.number][:20]!r}"
        detail = f"line {first_line + site}: {pair} are different elements ({differs.size} atoms)"
        raise RefusedInputError(Reason.COMPOSITION_MISMATCH, detail)
    return numbers, notes


def _column_elements(
    rows: list[list[str]], symbol: int | None, number: int | None, first_line: int
) -> tuple[Ints, tuple[str, ...]]:
    """Atomic numbers of one column, and notes; atomic numbers in a column of symbols are read, with a doubt."""
    column = (number or 0) if symbol is None else symbol
    labels = written = [row[column] for row in rows]
    notes: tuple[str, ...] = ()
    if any(map(str.isdecimal, dict.fromkeys(labels))):
        labels = [*map(_symbol, labels)]
        if symbol is not None:
            notes = (f"{Doubt.SPECIES}: numbers in the column of the symbols, read as atomic numbers",)
    numbers, label_notes = element_numbers(labels)
    if not numbers.all():
        site = int(np.flatnonzero(numbers == 0)[0])
        detail = f"line {first_line + site}: {written[site][:40]!r} is no element"
        raise RefusedInputError(Reason.UNKNOWN_SPECIES, detail)
    return numbers, notes + label_notes


def _symbol(label: str) -> str:
    """The symbol of an atomic number; any other label stays as it is."""
    is_number = label.isascii() and label.isdecimal() and len(label) < 4 and 0 < int(label) < len(SYMBOLS)
    return SYMBOLS[int(label)] if is_number else label


def _metadata(pairs: dict[str, str]) -> tuple[str | None, dict[str, Any]]:
    """The id among the pairs, if one is a text or a whole number, and the others with their types."""
    extra = {key: _typed(value) for key, value in pairs.items()}
    keys = {name: key for key in extra if (name := key.lower()) in _IDS}
    for key in [keys[name] for name in _IDS if name in keys] if keys else ():
        value, text = extra[key], _unquoted(pairs[key])
        if isinstance(value, str) or text.startswith("_JSON "):
            text = str(value)
        # Truth values, lists and fractions are no ids; a hash such as 12e45 is one, but a number to the grammar.
        is_id = isinstance(value, (str, int, float)) and not isinstance(value, bool)
        if is_id and text.strip() and (isinstance(value, str) or "." not in text):
            del extra[key]
            return text.strip(), extra
    return None, extra


def _typed(token: str) -> Any:
    """A value as the specification types it: whole number, number, truth value, text, or a list of one of these."""
    if token[:1] == "[":
        return _typed_list(token)
    text = _unquoted(token)
    if text.startswith("_JSON "):
        try:
            return json.loads(text[6:], strict=False)
        except (ValueError, RecursionError):
            return text  # ASE escapes no backslashes inside
    words = text.replace(",", " ").split()
    values = _promoted(words)
    if values is None:
        return words if token[:1] == "{" and len(words) > 1 else text
    return values[0] if len(values) == 1 else values


def _typed_list(token: str) -> Any:
    """A list in brackets, or a list of such lists; what is neither stays a text."""
    try:
        return json.loads(token)
    except (ValueError, RecursionError):
        pass
    lists = []
    for part in _ROW.findall(token):
        words = [_unquoted(item) for item in _LIST_ITEM.findall(part)]
        lists.append(_promoted(words) or words)
    if token[1:].lstrip()[:1] != "[":
        return lists[0] if len(lists) == 1 else token
    return lists


def _promoted(words: list[str]) -> list[Any] | None:
    """Words as numbers or truth values of one kind; None if there are none or they are texts."""
    if not words or words[0][0] not in _FIRST_OF_TYPED:
        return None
    text = " ".join(words)
    if _INTEGERS.fullmatch(text):
        return [*map(int, words)]
    if _FLOATS.fullmatch(text):
        return [*map(float, text.replace("d", "e").replace("D", "e").split())]
    return [_BOOLEANS[word] for word in words] if _BOOLEANS.keys() >= set(words) else None
