"""What happens to a shard whose work fails: try again, split, quarantine one crystal, and put together.

A worker answers for a `Job`, a range of rows of a leased shard. Inside a worker a job is cut into batches, and a batch
that fails into parts, down to the one crystal that fails alone (isolation.py). When the worker itself dies, its job is
tried once more and then split in halves. `Assembly` collects the answers of a shard's jobs and gives back one
`ResultBlock`, so that the ledger keeps one commit per shard. Nothing here knows Ray.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from db.records import ResultBlock, ShardLease
from models.crystals.crystal import CrystalBatch
from models.errors import GmtError, Reason

TRIES_BEFORE_SPLIT = 2
MAX_DETAIL_CHARS = 300

_Name = TypeVar("_Name")


class WrongAnswerError(GmtError):
    """A worker's answer does not cover exactly the crystals that it was given, or holds what nobody can store."""


@dataclass(frozen=True)
class Job:
    """The rows `start` to `stop` of a leased shard, and how often work on them failed.

    Attributes:
        lease: the shard.
        start, stop: half-open range of rows of the shard.
        tries_left: failures that are still followed by another try of the same rows.
    """

    lease: ShardLease
    start: int
    stop: int
    tries_left: int = TRIES_BEFORE_SPLIT - 1

    @staticmethod
    def whole(lease: ShardLease) -> "Job":
        """All rows of a shard."""
        return Job(lease, 0, len(lease.crystal_ids))

    @property
    def is_retry(self) -> bool:
        """True when work on these rows failed before."""
        return self.tries_left < TRIES_BEFORE_SPLIT - 1

    @property
    def n_crystals(self) -> int:
        """Number of rows."""
        return self.stop - self.start

    @property
    def n_atoms(self) -> int:
        """Number of atoms of these rows."""
        first = self.lease.crystals.first_atom
        return int(first[self.stop] - first[self.start])

    @property
    def crystal_ids(self) -> list[str]:
        """Content ids of these rows."""
        return self.lease.crystal_ids[self.start : self.stop]

    @property
    def crystals(self) -> CrystalBatch:
        """The crystals of these rows."""
        return self.lease.crystals.select(range(self.start, self.stop))

    def after_failure(self) -> list["Job"]:
        """What to try next: the same rows, two halves, or nothing when a single crystal has had its tries."""
        if self.tries_left > 0:
            return [replace(self, tries_left=self.tries_left - 1)]
        if self.n_crystals <= 1:
            return []
        return self.parts(2)

    def parts(self, n_parts: int) -> list["Job"]:
        """The rows in `n_parts` jobs of nearly equal numbers of crystals; fewer when there are fewer crystals."""
        n_parts = min(n_parts, self.n_crystals)
        ends = [self.start + self.n_crystals * k // n_parts for k in range(n_parts + 1)]
        return [replace(self, start=start, stop=stop) for start, stop in pairwise(ends)]

    def batches(self, max_atoms: int) -> list["Job"]:
        """The rows in consecutive jobs of at most `max_atoms` atoms; a crystal above that has a job to itself."""
        first, batches, start = self.lease.crystals.first_atom, [], self.start
        while start < self.stop:
            fitting = int(np.searchsorted(first, first[start] + max_atoms, side="right")) - 1
            stop = min(max(fitting, start + 1), self.stop)
            batches.append(replace(self, start=start, stop=stop))
            start = stop
        return batches


def quarantine(job: Job, reason: Reason, detail: str) -> ResultBlock:
    """The answer for a job that is given up: no result, every crystal of it quarantined.

    Args:
        job: normally one crystal.
        reason: why.
        detail: first line of the error; longer texts are cut at 300 characters.

    Returns:
        A block with 0 crystals and `job.n_crystals` quarantined ones.
    """
    short = first_line(detail)
    return ResultBlock([], {}, {}, {}, [], [(crystal_id, reason, short) for crystal_id in job.crystal_ids])


def first_line(text: str) -> str:
    """The first line of a text that is not blank, at most 300 characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[0] if lines else "no message")[:MAX_DETAIL_CHARS]


def check_rows(job: Job, block: ResultBlock) -> None:
    """Checks an answer: each crystal of the job once, a result or quarantined; arrays of that length; finite tensors.

    What passes here the store accepts, so that a model's fault costs one crystal and never the driver.

    Raises:
        WrongAnswerError: rows are missing, doubled or foreign, an array has another length, a tensor is not finite.
    """
    # Counted and not compared in order: a row that is there twice is as wrong as one that is missing.
    given = Counter(job.crystal_ids)
    answered = Counter([*block.crystal_ids, *(crystal_id for crystal_id, _, _ in block.quarantined)])
    if given != answered:
        missing, surplus = given - answered, answered - given
        raise WrongAnswerError(
            f"the worker answered for {answered.total()} of {given.total()} crystals: {missing.total()} missing, "
            f"{surplus.total()} not asked for"
        )
    n = len(block.crystal_ids)
    arrays = {**block.columns, **{str(k): v for k, v in block.tensors.items()}}
    arrays |= {f"removed {k}": v for k, v in block.removed_fraction.items()}
    wrong = [name for name, array in arrays.items() if len(array) != n]
    if len(block.warnings) != n:
        wrong.append("warnings")
    if wrong:
        raise WrongAnswerError(f"{len(wrong)} arrays of the answer do not have {n} rows, first {wrong[0]!r}")
    # One value that is not finite would make the database refuse the whole shard.
    broken = [str(name) for name, array in block.tensors.items() if not np.isfinite(array).all()]
    if broken:
        raise WrongAnswerError(f"{len(broken)} tensors of the answer are not finite, first {broken[0]}")


@dataclass
class Assembly:
    """The answers for the jobs of one shard, until they cover it.

    Attributes:
        lease: the shard.
        parts: answers by the first row of their job.
        n_answered: rows covered so far.
    """

    lease: ShardLease
    parts: dict[int, ResultBlock] = field(default_factory=dict)
    n_answered: int = 0

    def add(self, job: Job, block: ResultBlock) -> None:
        """Takes the answer of a job whose rows were checked."""
        self.parts[job.start] = block
        self.n_answered += job.n_crystals

    @property
    def complete(self) -> bool:
        """True when every row of the shard is answered."""
        return self.n_answered == len(self.lease.crystal_ids)

    def block(self) -> ResultBlock:
        """All answers as one block, in the order of the shard."""
        return merge([self.parts[start] for start in sorted(self.parts)])


def merge(blocks: list[ResultBlock]) -> ResultBlock:
    """Joins blocks in order; blocks without results only add their quarantined crystals.

    Args:
        blocks: with the same columns and tensors wherever they have results.

    Returns:
        One block.

    Raises:
        WrongAnswerError: two blocks with results differ in their columns or tensors.
    """
    quarantined = [entry for block in blocks for entry in block.quarantined]
    # A block without results has no columns to compare.
    full = [block for block in blocks if block.crystal_ids]
    if len(full) <= 1:
        base = full[0] if full else ResultBlock([], {}, {}, {}, [], [])
        return replace(base, quarantined=quarantined)
    head = full[0]
    for block in full[1:]:
        if block.columns.keys() != head.columns.keys() or block.tensors.keys() != head.tensors.keys():
            raise WrongAnswerError("two parts of a shard have different columns: the workers run different versions")
    return ResultBlock(
        [crystal_id for block in full for crystal_id in block.crystal_ids],
        _concatenated([block.columns for block in full]),
        _concatenated([block.tensors for block in full]),
        _concatenated([block.removed_fraction for block in full]),
        [text for block in full for text in block.warnings],
        quarantined,
        [one for block in full for one in block.refinements],
        [energy for block in full for energy in block.energies],
    )


def _concatenated(parts: Sequence[Mapping[_Name, NDArray[Any]]]) -> dict[_Name, NDArray[Any]]:
    """Arrays by name, the rows of one part behind those of the other."""
    return {name: np.concatenate([*map(itemgetter(name), parts)]) for name in parts[0]}
