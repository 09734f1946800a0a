"""Where crystals come from: the `Source` protocol, and the block in which they arrive.

A source yields its inputs in a fixed order as `SourceBlock`s. Every input has a position (0-based, counted per source)
and ends either as a readable crystal or as a `RejectedInput`; nothing vanishes between the two. Whether a readable
crystal is a sensible one is decided later, by `gmt_tasks.ingest.validate`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from db.records import Lineage, RejectedInput
from models.crystals.crystal import MAX_ATOMS, CrystalBatch
from models.errors import Reason

if TYPE_CHECKING:  # the gates search for space groups: who reads files need not load that
    from gmt_tasks.gates.gates import Gates

Ints = NDArray[np.int64]

ROWS_PER_BLOCK = 4096
"""Rows of a table in a block, at most."""


class MissingSymmetry(StrEnum):
    """What to do with a CIF that names an unknown space group and gives no operations."""

    REFUSE = "refuse"
    ASSUME_P1 = "assume_p1"


@dataclass(frozen=True)
class ReadOptions:
    """How foreign files are read.

    Attributes:
        deadline_s: seconds that one crystal's text may take to parse before its worker is stopped.
        memory_bytes: address space of one parser process.
        max_workers: parser processes at most; they start only when there is work for them.
        max_text_bytes: largest text (after unpacking) of one file or one line.
        max_atoms: largest number of atoms a text may expand to by its symmetry operations, times ten.
        missing_symmetry: what to do with a CIF whose space group cannot be resolved.
    """

    deadline_s: float = 30.0
    memory_bytes: int = 4 << 30
    max_workers: int = 2
    max_text_bytes: int = 64 << 20
    max_atoms: int = MAX_ATOMS
    missing_symmetry: MissingSymmetry = MissingSymmetry.REFUSE


@dataclass(frozen=True)
class SourceBlock:
    """The next inputs of a source, in order: readable crystals (not validated) and rejected inputs.

    Attributes:
        start, stop: half-open range of input positions (0-based, per source) that this block covers; every position
            is either in `positions` or in `rejected`.
        positions: input position of each crystal, ascending, shape [n_crystals].
        source_ids: the source's own id of each crystal.
        crystals: n_crystals crystals; readable, not validated (entries may be NaN, atoms may overlap).
        metadata: JSON text of everything else that came with the crystal (and the reader's notes), or None.
        rejected: the inputs that are no crystal.
        places: file and line, row or record of each crystal, for messages; empty where the ids say it already.
        lineage: how each crystal was made, None for one that was not made here; empty where none was.
        gates: what crystals that were made here have to pass; None for crystals from outside, which are taken as given.
        spacegroups: number of the space group that each was made in, 0 for none, shape [n_crystals]; None if nobody
            knows any.
    """

    start: int
    stop: int
    positions: Ints
    source_ids: list[str]
    crystals: CrystalBatch
    metadata: list[str | None]
    rejected: list[RejectedInput] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    lineage: list[Lineage | None] = field(default_factory=list)
    gates: "Gates | None" = None
    spacegroups: Ints | None = None


def join_blocks(blocks: Sequence[SourceBlock]) -> SourceBlock:
    """The block of several that follow each other, of one source: all have the same gates.

    All name places, lineage and space groups of their crystals, or none does.
    """
    groups = [block.spacegroups for block in blocks if block.spacegroups is not None]
    return SourceBlock(
        start=blocks[0].start,
        stop=blocks[-1].stop,
        positions=np.concatenate([block.positions for block in blocks]),
        source_ids=list(chain.from_iterable(block.source_ids for block in blocks)),
        crystals=CrystalBatch.join([block.crystals for block in blocks]),
        metadata=list(chain.from_iterable(block.metadata for block in blocks)),
        rejected=list(chain.from_iterable(block.rejected for block in blocks)),
        places=list(chain.from_iterable(block.places for block in blocks)),
        lineage=list(chain.from_iterable(block.lineage for block in blocks)),
        gates=blocks[0].gates,
        spacegroups=np.concatenate(groups) if groups else None,
    )


def rejected_rows(
    label: str, first_position: int, rows: tuple[int, int], reason: Reason, detail: str
) -> Iterator[SourceBlock]:
    """Blocks of rows of a table that are all refused for the same reason.

    Args:
        label: name of the file; the rows get the ids `label#row`.
        first_position: input position of row 0.
        rows: first row and the one after the last; a damaged file may announce very many.
        reason: why.
        detail: what happened.
    """
    for first in range(*rows, ROWS_PER_BLOCK):
        stop = min(first + ROWS_PER_BLOCK, rows[1])
        refused = [RejectedInput(first_position + row, f"{label}#{row}", reason, detail) for row in range(first, stop)]
        bounds, positions = (first_position + first, first_position + stop), np.zeros(0, np.int64)
        yield SourceBlock(*bounds, positions, [], CrystalBatch.from_arrays([], [], []), [], refused)


class Source(Protocol):
    """Crystals in a fixed order."""

    @property
    def name(self) -> str:
        """The source as the user wrote it."""

    def fingerprint(self) -> str:
        """A text that changes when the content of the source changes."""

    def blocks(self, start: int = 0) -> Iterator[SourceBlock]:
        """The inputs from position `start` on, in an order that never changes for one fingerprint."""
