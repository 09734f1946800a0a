"""Tables of crystals (Parquet, ASE database) read by a child: the driver sees blocks of arrays, never the file.

The child keeps a table open between two jobs, so that a table is read once from front to back. A child that dies or
hangs costs the rest of the row group at which it did.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gmt_tasks.sandbox import Ending, Outcome, SandboxPool
from gmt_tasks.sources.source import SourceBlock, rejected_rows
from gmt_tasks.sources.structure_files import FileFormat
from models.errors import Reason, SourceError

READER = "gmt_tasks.sources.table_child:answer"


@dataclass(frozen=True)
class TableJob:
    """What the driver asks: the block that begins at `start_row`; without one, where the row groups end."""

    path: Path
    label: str
    format: FileFormat
    first_position: int
    start_row: int | None


class Table:
    """One table, read through a child.

    Args:
        path: the file.
        label: how its rows are named when they have no id.
        kind: Parquet or ASE database.
        pool: one child that runs `READER`.

    Raises:
        SourceError: the child could not open it; the text says why.
    """

    def __init__(self, path: Path, label: str, kind: FileFormat, pool: SandboxPool) -> None:
        self._job = TableJob(path, label, kind, 0, None)
        self._pool = pool
        outcome = self._ask(self._job)
        if outcome.ending is not Ending.VALUE:
            raise SourceError(f"{label} cannot be opened: reading it was ended ({outcome.detail}). Write it again.")
        if isinstance(outcome.value, str):
            raise SourceError(outcome.value)
        self.group_ends: list[int] = outcome.value
        self.n_rows = self.group_ends[-1] if self.group_ends else 0

    def blocks(self, first_position: int, start_row: int = 0) -> Iterator[SourceBlock]:
        """Blocks from row `start_row` on; row 0 has input position `first_position`."""
        row = start_row
        while row < self.n_rows:
            block = self._next_block(first_position, row)
            yield block
            row = block.stop - first_position

    def _next_block(self, first_position: int, row: int) -> SourceBlock:
        """The block that begins at a row; the rows of a row group that ended the child are refused."""
        job = TableJob(self._job.path, self._job.label, self._job.format, first_position, row)
        outcome = self._ask(job)
        if outcome.ending is Ending.VALUE and isinstance(outcome.value, SourceBlock):
            return outcome.value
        reason = {Ending.TIMED_OUT: Reason.DEADLINE, Ending.DIED: Reason.WORKER_DIED}.get(outcome.ending, Reason.PARSE)
        end = self.group_ends[bisect_right(self.group_ends, row)]
        detail = f"reading rows {row} to {end - 1}: {outcome.detail[:200] or outcome.value}"
        return rejected_rows(job.label, first_position, (row, end), reason, detail)

    def _ask(self, job: TableJob) -> Outcome:
        return next(iter(self._pool.map([job])))
