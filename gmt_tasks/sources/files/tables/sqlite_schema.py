"""Which tables an SQLite file has, read off its schema's pages: so the driver tells files apart without opening them.

Source of the format: sqlite.org/fileformat2.html, sections 1.3 (header), 1.6 (b-tree pages), 2.1 (records) and 2.6
(schema).
"""

import struct
from collections.abc import Iterator
from os import SEEK_END
from pathlib import Path
from typing import IO

_MAGIC = b"SQLite format 3\0"
_LEAF, _INTERIOR = 0x0D, 0x05
_MAX_PAGES = 1000
"""Pages of a schema that are looked at: thousands of tables."""


def is_sqlite(path: Path) -> bool:
    """True for a file that begins like an SQLite database."""
    with path.open("rb") as stream:
        return stream.read(len(_MAGIC)) == _MAGIC


def table_names(path: Path) -> set[str]:
    """Names of the tables of an SQLite file; none if it is no such file, those before the fault if it is damaged.

    Raises:
        OSError: the file cannot be read.
    """
    names: set[str] = set()
    with path.open("rb") as stream:
        header = stream.read(100)
        if not header.startswith(_MAGIC) or len(header) < 100:
            return names
        size = int.from_bytes(header[16:18], "big")
        try:
            for page, start in _schema_leaves(stream, 1 << 16 if size == 1 else size):
                for cell in _cells(page, start, 8):
                    kind, name = _first_two_texts(page, cell)
                    if kind == "table":
                        names.add(name)
        except (struct.error, IndexError, UnicodeDecodeError):
            return names
    return names


def _schema_leaves(stream: IO[bytes], page_size: int) -> Iterator[tuple[bytes, int]]:
    """The leaf pages of the schema's tree, each with the offset at which its own header begins."""
    n_pages = stream.seek(0, SEEK_END) // page_size if page_size else 0
    waiting, seen = [1], {1}
    while waiting and len(seen) <= _MAX_PAGES:
        number = waiting.pop()
        # a damaged number may lie beyond what any file system can hold
        if number > n_pages:
            raise IndexError(f"page {number} of {n_pages}")
        stream.seek((number - 1) * page_size)
        page = stream.read(page_size)
        start = 100 if number == 1 else 0  # the header of the file stands before that of page 1
        if page[start] == _LEAF:
            yield page, start
        elif page[start] == _INTERIOR:
            offsets = [start + 8, *_cells(page, start, 12)]
            children = {struct.unpack_from(">I", page, offset)[0] for offset in offsets} - seen - {0}
            waiting += sorted(children)
            seen |= children


def _cells(page: bytes, start: int, header_bytes: int) -> tuple[int, ...]:
    """Offsets of the cells of a page."""
    (n_cells,) = struct.unpack_from(">H", page, start + 3)
    return struct.unpack_from(f">{n_cells}H", page, start + header_bytes)


def _first_two_texts(page: bytes, cell: int) -> tuple[str, str]:
    """The columns `type` and `name` of a row of the schema; they stand first, so that they never overflow the page."""
    _, offset = _variable_integer(page, cell)  # size of the row
    _, first = _variable_integer(page, offset)  # its number
    header_bytes, offset = _variable_integer(page, first)
    kind_code, offset = _variable_integer(page, offset)
    name_code, _ = _variable_integer(page, offset)
    kind_end = first + header_bytes + max(0, kind_code - 13) // 2
    kind = page[first + header_bytes : kind_end].decode()
    return kind, page[kind_end : kind_end + max(0, name_code - 13) // 2].decode()


def _variable_integer(page: bytes, offset: int) -> tuple[int, int]:
    """A number of one to nine bytes, seven bits each but for the ninth, and the offset behind it."""
    value = 0
    for byte in page[offset : offset + 8]:
        value, offset = value << 7 | byte & 0x7F, offset + 1
        if byte < 0x80:
            return value, offset
    return value << 8 | page[offset], offset + 1
