"""Runs in a sandboxed child: opens a table and gives its blocks, one per job, in order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from gmt_tasks.sandbox.messages import Message
from gmt_tasks.sandbox.target import load
from gmt_tasks.sources.files.formats import Content, formats_of
from gmt_tasks.sources.files.tables.table import TableJob, encode_block
from gmt_tasks.sources.source import SourceBlock
from models.errors import SourceError

# All readers now: after the child was confined, an import would count as the time of some block.
_READERS = {row.name: load(row.reader) for row in formats_of(Content.TABLE)}


class ReadableTable(Protocol):
    """A table: where its row groups end, and its blocks from a row on."""

    group_ends: list[int]

    def blocks(self, first_position: int, start_row: int = 0) -> Iterator[SourceBlock]:
        """Blocks from row `start_row` on; row 0 has input position `first_position`."""


class _Open:
    """The table that this child has open, and the row at which its iterator stands."""

    path: Path | None = None
    row = -1
    blocks: Iterator[SourceBlock] = iter(())


def answer(content: dict[str, Any]) -> Message:
    """Runs in the child: the ends of the row groups, one block, or the text of the error that forbids to open it."""
    job = TableJob.from_content(content)
    try:
        # Kept open between two jobs, so that a table is read once from front to back.
        if job.start_row is None or (_Open.path, _Open.row) != (job.path, job.start_row):
            table: ReadableTable = _READERS[job.format](job.path, job.label)
            if job.start_row is None:
                return Message(table.group_ends)
            _Open.path, _Open.blocks = job.path, table.blocks(job.first_position, job.start_row)
        block = next(_Open.blocks)
    except SourceError as error:
        return Message(str(error))
    _Open.row = block.stop - job.first_position
    return encode_block(block)
