"""Runs in a sandboxed child: opens a table and gives its blocks, one per job, in order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from gmt_tasks.sandbox.messages import Message
from gmt_tasks.sources.files.ase_database import AseDatabase
from gmt_tasks.sources.files.formats import FileFormat
from gmt_tasks.sources.files.parquet import TableFile
from gmt_tasks.sources.files.tables import TableJob, encode_block
from gmt_tasks.sources.source import SourceBlock
from models.errors import SourceError


class _Readable(Protocol):
    """A table: where its row groups end, and its blocks from a row on."""

    group_ends: list[int]

    def blocks(self, first_position: int, start_row: int = 0) -> Iterator[SourceBlock]: ...


class _Open:
    """The table that this child has open, and the row at which its iterator stands."""

    path: Path | None = None
    row = -1
    blocks: Iterator[SourceBlock] = iter(())


def answer(content: dict[str, Any]) -> Message:
    """Runs in the child: the ends of the row groups, one block, or the text of the error that forbids to open it."""
    job = TableJob.from_content(content)
    try:
        if job.start_row is None:
            return Message(_open(job).group_ends)
        if (_Open.path, _Open.row) != (job.path, job.start_row):
            _Open.path, _Open.blocks = job.path, _open(job).blocks(job.first_position, job.start_row)
        block = next(_Open.blocks)
    except SourceError as error:
        return Message(str(error))
    _Open.row = block.stop - job.first_position
    return encode_block(block)


def _open(job: TableJob) -> _Readable:
    if job.format is FileFormat.ASE_DATABASE:
        return AseDatabase(job.path, job.label)
    return TableFile(job.path, job.label)
