"""Tables of crystals (Parquet, ASE database) read by a child: the driver sees blocks of arrays, never the file.

The child keeps a table open between two jobs, so that a table is read once from front to back. A child that dies, hangs
or answers nonsense costs the rest of the row group at which it did.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from db.records import RejectedInput
from gmt_tasks.sandbox.children import Ending, SandboxPool
from gmt_tasks.sandbox.messages import Message
from gmt_tasks.sources.files.text_jobs import batch_arrays, decode_batch, text_of
from gmt_tasks.sources.metadata import MAX_METADATA_BYTES, metadata_of
from gmt_tasks.sources.source import SourceBlock, rejected_rows
from models.errors import Reason, SourceError

_CONTROL = re.compile(r"[\x00-\x1f\ud800-\udfff]")
_REASONS = {Ending.TIMED_OUT: Reason.DEADLINE, Ending.DIED: Reason.WORKER_DIED}
READER = "gmt_tasks.sources.files.tables.child:answer"


@dataclass(frozen=True)
class TableJob:
    """What the driver asks: the block that begins at `start_row`; without one, where the row groups end.

    Attributes:
        path: the file.
        label: how its rows are named.
        format: name of its row in the table of formats.
        first_position: input position of row 0.
        start_row: row of the table, or None.
    """

    path: Path
    label: str
    format: str
    first_position: int
    start_row: int | None

    def content(self) -> dict[str, Any]:
        """The job as a JSON value."""
        return {**asdict(self), "path": str(self.path)}

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> "TableJob":
        """The job of a JSON value, the counterpart of `content`."""
        return cls(**{**content, "path": Path(content["path"])})


def encode_block(block: SourceBlock) -> Message:
    """A block as a message."""
    rejected = [[item.position, item.source_id, item.reason, item.detail] for item in block.rejected]
    content = [block.start, block.stop, block.source_ids, block.metadata, block.places, rejected]
    return Message(content, (block.positions, *batch_arrays(block.crystals)))


def decode_table(message: Message) -> list[int] | SourceBlock | str:
    """What a child answers about a table, checked: ends of row groups, a block whose parts fit together, or an error.

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
        metadata=[None if text is None else text_of(text) for text in metadata],
        rejected=[RejectedInput(_whole(n), text_of(i), Reason(why), text_of(how)) for n, i, why, how in rejected],
        places=[text_of(text) for text in places],
    )
    for text in [text for text in block.metadata if text is not None]:
        # What every reader and database takes: a JSON object, bounded, without control characters.
        if len(text) > MAX_METADATA_BYTES or _CONTROL.search(text):
            raise ValueError("metadata that cannot be stored")
        metadata_of(text)
    # Every row of the range exactly once, as a crystal or as a rejection: nothing vanishes in a child.
    rows = np.sort([*block.positions.tolist(), *(item.position for item in block.rejected)])
    n_crystals = block.crystals.n_crystals
    lengths = {len(block.positions), len(ids), len(metadata), len(places) or n_crystals, n_crystals}
    if len(lengths) > 1 or block.stop - block.start != len(rows) or (rows != np.arange(block.start, block.stop)).any():
        raise ValueError("a block that loses or doubles rows")
    return block


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{type(value).__name__} where a whole number belongs")
    return value


class Table:
    """One table, read through a child.

    Args:
        path: the file.
        label: how its rows are named when they have no id.
        file_format: name of its row in the table of formats.
        pool: one child that runs `READER`, with `decode_table` as its `decode`.

    Raises:
        SourceError: the child could not open it; the text says why.
    """

    def __init__(self, path: Path, label: str, file_format: str, pool: SandboxPool) -> None:
        self._job = TableJob(path.absolute(), label, file_format, 0, None)
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
            job = replace(self._job, first_position=first_position, start_row=row)
            outcome = self._pool.run(job.content())
            block = outcome.value
            # Only the block that was asked for: it begins at the row and does not leave the table.
            if (
                isinstance(block, SourceBlock)
                and block.start == first_position + row
                and row < block.stop - first_position <= self.n_rows
            ):
                yield block
                row = block.stop - first_position
            else:
                end = self.group_ends[bisect_right(self.group_ends, row)]
                reason = _REASONS.get(outcome.ending, Reason.PARSE)
                fault = block if isinstance(block, str) else "the reader gave other rows than asked for"
                detail = f"reading rows {row} to {end - 1}: {(outcome.detail or fault)[:200]}"
                yield from rejected_rows(job.label, first_position, (row, end), reason, detail)
                row = end
