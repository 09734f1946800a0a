"""Ingest: readable crystals in, accepted crystals with content ids and rejected inputs with reasons out."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from db.records import IngestedBlock, RejectedInput
from gmt_tasks.ingest.content_id_pool import Identify
from gmt_tasks.sources.metadata import with_note
from gmt_tasks.sources.row_errors import error_text, read_in_parts
from gmt_tasks.sources.source import SourceBlock
from models.crystals.crystal import MAX_ATOMS, CrystalBatch, find_malformed, overlap_problem
from models.crystals.primitive import with_primitive_cells
from models.errors import Reason, SourceError
from models.fingerprint.content_id import Identities, identify
from models.tensors.frames import axes_of_lattice

if TYPE_CHECKING:
    from gmt_tasks.gates.gates import Gates

MAX_ID_CHARS = 500
MAX_DETAIL_CHARS = 1000


def ingest_block(
    source_name: str, block: SourceBlock, max_atoms: int = MAX_ATOMS, identify: Identify = identify
) -> IngestedBlock:
    """Validates a block of a source, sends it through its gates, and gives each accepted crystal its content id.

    Neighbours are searched for once: the search that gives the content ids also shows which atoms overlap.

    Args:
        source_name: the source as the user wrote it.
        block: the next inputs of that source.
        max_atoms: largest number of atoms in a cell; a larger cell passes as its primitive one where that is smaller.
        identify: computes content ids, here or in processes beside this one.

    Returns:
        The same range of positions; each position is accepted (with a content id) or rejected (with a reason).

    Raises:
        SourceError: the block loses or doubles an input, or its parts differ in length; a fault of the source.
    """
    _check_complete(source_name, block)
    block = _with_primitive_cells(block, max_atoms)
    invalid = find_malformed(block.crystals, max_atoms)
    rows = [row for row in range(block.crystals.n_crystals) if row not in invalid]
    identities, failed = _identified(block.crystals.select(rows) if invalid else block.crystals, identify)
    invalid |= {rows[k]: (Reason.PARSE, f"no content id: {problem}") for k, problem in failed.items()}
    rows = [row for k, row in enumerate(rows) if k not in failed]
    invalid |= {rows[k]: overlap_problem(*pair) for k, pair in identities.overlaps.items()}
    if identities.overlaps:
        identities = identities.select([k for k in range(len(rows)) if k not in identities.overlaps])
        rows = [row for row in rows if row not in invalid]
    if block.gates is not None:
        block, refused = _through_gates(block, block.gates, rows, identities.ids)
        identities = identities.select([k for k, row in enumerate(rows) if row not in refused])
        invalid, rows = invalid | refused, [row for row in rows if row not in refused]
    rejected = [*block.rejected]
    for row, (reason, detail) in invalid.items():
        place = block.places[row] if block.places else ""
        # the file and line it came from, where its id does not say it
        placed = f"{place}: {detail}" if place and place != block.source_ids[row] else detail
        rejected.append(RejectedInput(int(block.positions[row]), block.source_ids[row], reason, placed))
    rejected = [
        replace(item, source_id=storable(item.source_id, MAX_ID_CHARS), detail=storable(item.detail, MAX_DETAIL_CHARS))
        for item in rejected
    ]
    good = np.array(rows, dtype=np.int64)
    return IngestedBlock(
        source=source_name,
        start=block.start,
        stop=block.stop,
        positions=block.positions[good],
        source_ids=[storable(block.source_ids[row], MAX_ID_CHARS) for row in rows],
        crystal_ids=identities.ids,
        crystals=block.crystals.select(good) if invalid else block.crystals,
        metadata=[block.metadata[row] for row in rows],
        rejected=sorted(rejected, key=lambda rejected: rejected.position),
        enantiomorph_ids=identities.enantiomorph_ids,
        buckets=identities.buckets,
        prefilter_rows=identities.prefilter,
        lineage=[block.lineage[row] for row in rows] if block.lineage else [],
    )


def _identified(batch: CrystalBatch, identify: Identify) -> tuple[Identities, dict[int, str]]:
    """Content ids of the crystals of a batch without those at which something is raised, and what that was by row."""
    failed: dict[int, Exception] = {}

    def refuse(row: int, error: Exception) -> Identities:
        failed[row] = error
        return Identities.join([])

    def read(rows: range) -> Identities:
        return identify(batch if len(rows) == batch.n_crystals else batch.select(rows))

    parts = read_in_parts(read, range(batch.n_crystals), refuse)
    # What fails for all of several crystals is no property of a crystal.
    if len(failed) == batch.n_crystals > 1:
        raise failed[0]
    return Identities.join(parts), {row: error_text(error) for row, error in failed.items()}


def _through_gates(
    block: SourceBlock, gates: "Gates", rows: list[int], crystal_ids: list[str]
) -> tuple[SourceBlock, dict[int, tuple[Reason, str]]]:
    """The block with notes beside crystals that pass its gates, and why others do not, by row of the block."""
    groups = None if block.spacegroups is None else block.spacegroups[rows]
    report = gates.judge(block.crystals.select(rows), crystal_ids, groups)
    metadata = list(block.metadata)
    for k, notes in report.notes.items():
        for note in notes:
            metadata[rows[k]] = with_note(metadata[rows[k]], note)
    return replace(block, metadata=metadata), {rows[k]: (why.reason, why.detail) for k, why in report.refused.items()}


def _with_primitive_cells(block: SourceBlock, max_atoms: int) -> SourceBlock:
    """The block with its too large cells as primitive cells, where these are small enough, and notes that say so."""
    crystals, listed = with_primitive_cells(block.crystals, max_atoms)
    if not listed:
        return block
    metadata = list(block.metadata)
    # said beside the crystal: its tensors are those of the given cell, but its atoms are fewer
    for row, n_atoms in listed.items():
        n_left = int(crystals.atoms_per_crystal[row])
        note = f"reduced_to_primitive: {n_atoms} atoms listed, {n_left} in the primitive cell; same Cartesian frame"
        # the rows that remain say no longer how the frame lies to those that were given
        note += f", that of the listed cell: {axes_of_lattice(block.crystals.lattice[row])}"
        metadata[row] = with_note(metadata[row], note)
    return replace(block, crystals=crystals, metadata=metadata)


def storable(text: str, limit: int) -> str:
    """A foreign text as every database, log and terminal takes it: printable and bounded.

    NUL (PostgreSQL refuses it), surrogates (nothing encodes them), other control characters and marks of writing
    direction (they drive terminals and mislead readers) become replacement characters.

    Args:
        text: an id or a detail from a source.
        limit: longest text kept; of a longer one the beginning and its length.
    """
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    if len(text) <= limit:
        return text
    mark = f"... ({len(text)} characters)"
    return text[: limit - len(mark)] + mark


def _check_complete(source_name: str, block: SourceBlock) -> None:
    """Raises unless every position of the block is exactly once a crystal or a rejection."""
    n_crystals = block.crystals.n_crystals
    lengths = {len(block.positions), len(block.source_ids), len(block.metadata)}
    lengths |= {len(block.places) or n_crystals, len(block.lineage) or n_crystals}
    lengths.add(n_crystals if block.spacegroups is None else len(block.spacegroups))
    if lengths != {n_crystals}:
        raise SourceError(
            f"Source {source_name} gave a block of {n_crystals} crystals with {sorted(lengths)} positions, ids and "
            "metadata; report it, nothing of this block was stored."
        )
    rejected = np.array([item.position for item in block.rejected], dtype=np.int64)
    covered = np.sort(np.concatenate([block.positions, rejected]))
    expected = np.arange(block.start, block.stop)
    if not np.array_equal(covered, expected):
        raise SourceError(
            f"Source {source_name} covers {len(covered)} of {len(expected)} inputs of its block {block.start} to "
            f"{block.stop} exactly once; report it, nothing of this block was stored."
        )
