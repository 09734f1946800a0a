"""Tables of crystals (Parquet, ASE database) read by a child: the driver sees blocks of arrays, never the file.

The child keeps a table open between two jobs, so that a table is read once from front to back. A child that dies, hangs
or answers nonsense costs the rest of the row group at which it did.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from db.records import RejectedInput
from gmt_tasks.sandbox.children import Ending, Outcome, SandboxPool
from gmt_tasks.sandbox.messages import Message
from gmt_tasks.sources.files.formats import FileFormat
from gmt_tasks.sources.files.text_jobs import batch_arrays, decode_batch, text_of
from gmt_tasks.sources.metadata import MAX_METADATA_BYTES, metadata_of
from gmt_tasks.sources.source import SourceBlock, rejected_rows
from models.errors import Reason, SourceError

_CONTROL = re.compile(r"[\x00-\x1f\ud800-\udfff]")
READER = "gmt_tasks.sources.files.table_child:answer"


@dataclass(frozen=True)
class TableJob:
    """What the driver asks: the block that begins at `start_row`; without one, where the row groups end."""

    path: Path
    label: str
    format: FileFormat
    first_position: int
    start_row: int | None

    def content(self) -> dict[str, Any]:
        """The job as a JSON value."""
        return {**asdict(self), "path": str(self.path)}

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> "TableJob":
        """The job that a JSON value tells."""
        return cls(**{**content, "path": Path(content["path"]), "format": FileFormat(content["format"])})


def encode_block(block: SourceBlock) -> Message:
    """A block as a message."""
    rejected = [[item.position, item.source_id, item.reason, item.detail] for item in block.rejected]
    content = [block.start, block.stop, block.source_ids, block.metadata, block.places, rejected]
    return Message(content, (block.positions, *batch_arrays(block.crystals)))


def decode_table(message: Message) -> list[int] | SourceBlock | str:
    """What a child says about a table, checked: ends of row groups, a block whose parts fit together, or an error.

    Raises:
        ValueError, TypeError: it is none of these.
    """
    content = message.content
    if isinstance(content, str):
        return text_of(content)
    if not message.arrays:
        if not all(type(end) is int for end in content) or any(a > b for a, b in pairwise([0, *content])):
            raise ValueError("row groups that do not follow each other")
        return list(content)
    start, stop, ids, metadata, places, rejected = content
    positions, *arrays = message.arrays
    block = SourceBlock(
        start=_whole(start),
        stop=_whole(stop),
        positions=np.asarray(positions, dtype=np.int64),
        source_ids=[text_of(text) for text in ids],
        crystals=decode_batch(arrays),
        metadata=[None if text is None else _metadata(text) for text in metadata],
        rejected=[RejectedInput(_whole(n), text_of(i), Reason(why), text_of(how)) for n, i, why, how in rejected],
        places=[text_of(text) for text in places],
    )
    seen = np.sort([*block.positions.tolist(), *(item.position for item in block.rejected)])
    n_crystals = block.crystals.n_crystals
    lengths = {len(block.positions), len(ids), len(metadata), len(places) or n_crystals, n_crystals}
    if len(lengths) > 1 or block.stop - block.start != len(seen) or (seen != np.arange(block.start, block.stop)).any():
        raise ValueError("a block that loses or doubles rows")
    return block


def _metadata(text: Any) -> str:
    """Metadata that every reader and database takes: a JSON object, bounded, without control characters."""
    if len(text_of(text)) > MAX_METADATA_BYTES or _CONTROL.search(text):
        raise ValueError("metadata that cannot be stored")
    metadata_of(text)
    return text_of(text)


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{type(value).__name__} where a whole number belongs")
    return value


class Table:
    """One table, read through a child.

    Args:
        path: the file.
        label: how its rows are named when they have no id.
        kind: Parquet or ASE database.
        pool: one child that runs `READER`, with `heard_table` as its `decode`.

    Raises:
        SourceError: the child could not open it; the text says why.
    """

    def __init__(self, path: Path, label: str, kind: FileFormat, pool: SandboxPool) -> None:
        self._job = TableJob(path.absolute(), label, kind, 0, None)
        self._pool = pool
        outcome = self._pool.run(self._job.content())
        if outcome.ending is not Ending.VALUE or isinstance(outcome.value, SourceBlock):
            raise SourceError(f"{label} cannot be opened: reading it was ended ({outcome.detail}). Write it again.")
        if isinstance(outcome.value, str):
            raise SourceError(outcome.value)
        self.group_ends: list[int] = outcome.value
        self.n_rows = self.group_ends[-1] if self.group_ends else 0
        if self.n_rows > path.stat().st_size:
            raise SourceError(f"{label} announces {self.n_rows} rows, more than it has bytes. Write it again.")

    def blocks(self, first_position: int, start_row: int = 0) -> Iterator[SourceBlock]:
        """Blocks from row `start_row` on; row 0 has input position `first_position`."""
        row = start_row
        while row < self.n_rows:
            job = TableJob(self._job.path, self._job.label, self._job.format, first_position, row)
            outcome = self._pool.run(job.content())
            if self._answers(outcome, first_position, row):
                yield outcome.value
                row = outcome.value.stop - first_position
            else:
                end = self.group_ends[bisect_right(self.group_ends, row)]
                yield from rejected_rows(job.label, first_position, (row, end), *_why_not(outcome, row, end))
                row = end

    def _answers(self, outcome: Outcome, first_position: int, row: int) -> bool:
        """Whether the child gave the block that was asked for: it begins at the row and does not leave the table."""
        block = outcome.value
        if not isinstance(block, SourceBlock):
            return False
        return block.start == first_position + row and row < block.stop - first_position <= self.n_rows


def _why_not(outcome: Outcome, row: int, end: int) -> tuple[Reason, str]:
    """Reason and detail of the rows of a row group that could not be read."""
    reason = {Ending.TIMED_OUT: Reason.DEADLINE, Ending.DIED: Reason.WORKER_DIED}.get(outcome.ending, Reason.PARSE)
    told = outcome.value if isinstance(outcome.value, str) else "the reader gave other rows than asked for"
    return reason, f"reading rows {row} to {end - 1}: {(outcome.detail or told)[:200]}"
