"""Ingest: readable crystals in, accepted crystals with content ids and rejected inputs with reasons out."""

import numpy as np

from db.records import IngestedBlock, RejectedInput
from gmt_tasks.identity import content_ids
from gmt_tasks.sources.source import SourceBlock
from models.crystal import MAX_ATOMS, find_invalid
from models.errors import SourceError


def ingest_block(source_name: str, block: SourceBlock, max_atoms: int = MAX_ATOMS) -> IngestedBlock:
    """Validates a block of a source and names each accepted crystal by its content.

    Args:
        source_name: the source as the user wrote it.
        block: the next inputs of that source.
        max_atoms: largest number of atoms in a cell.

    Returns:
        The same range of positions; each position is accepted (with a content id) or rejected (with a reason).

    Raises:
        SourceError: the block loses or doubles an input, or its parts differ in length; a fault of the source.
    """
    _check_complete(source_name, block)
    invalid = find_invalid(block.crystals, max_atoms)
    refused = [
        RejectedInput(int(block.positions[row]), block.source_ids[row], reason, detail)
        for row, (reason, detail) in invalid.items()
    ]
    good = np.array([row for row in range(block.crystals.n_crystals) if row not in invalid], dtype=np.int64)
    crystals = block.crystals.select(good) if invalid else block.crystals
    return IngestedBlock(
        source=source_name,
        start=block.start,
        stop=block.stop,
        positions=block.positions[good],
        source_ids=[block.source_ids[row] for row in good],
        crystal_ids=content_ids(crystals),
        crystals=crystals,
        metadata=[block.metadata[row] for row in good],
        rejected=sorted([*block.rejected, *refused], key=lambda rejected: rejected.position),
    )


def _check_complete(source_name: str, block: SourceBlock) -> None:
    """Raises unless every position of the block is exactly once a crystal or a rejection."""
    n_crystals = block.crystals.n_crystals
    lengths = {len(block.positions), len(block.source_ids), len(block.metadata)}
    if lengths != {n_crystals}:
        raise SourceError(
            f"Source {source_name} gave a block of {n_crystals} crystals with {sorted(lengths)} positions, ids and "
            "metadata; report it, nothing of this block was stored."
        )
    rejected = np.array([item.position for item in block.rejected], dtype=np.int64)
    seen = np.sort(np.concatenate([block.positions, rejected]))
    expected = np.arange(block.start, block.stop)
    if not np.array_equal(seen, expected):
        raise SourceError(
            f"Source {source_name} covers {len(seen)} of {len(expected)} inputs of its block {block.start} to "
            f"{block.stop} exactly once; report it, nothing of this block was stored."
        )
