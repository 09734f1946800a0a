"""Predictions without a database: one JSON object per input, in the order of the sources."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import Any, Protocol

import numpy as np

from db.doubts import doubts_of, notes_of
from db.records import IngestedBlock, RejectedInput
from gmt_tasks.ingest.blocks import IngestPlan, ingested_blocks
from gmt_tasks.ingest.validate import storable
from gmt_tasks.sources.source import Source
from models.crystals.crystal import MIN_DISTANCE_ANGSTROM, CrystalBatch
from models.crystals.neighbors import closest_pairs
from models.fingerprint.content_id import Identities
from models.fingerprint.prefilter import WIDTH

ATOMS_PER_CALL = 2048
"""As many as a worker of a run computes at once."""

MAX_NOTES, MAX_NOTE_CHARS = 20, 300

HEAD = ("id", "formula", "status", "reason")
"""What stands first in a line."""


class LineScreener(Protocol):
    """Predicts crystals and writes them as the promised objects."""

    def predict_lines(self, ids: list[str], crystals: CrystalBatch) -> Iterable[dict[str, Any]]:
        """One object per crystal, in order."""
        ...


def load_screener(model: str, device: str, symprec: float) -> LineScreener:
    """Loads the screener in this process; torch is imported here."""
    from gmt_tasks.screening.screener import Screener

    return Screener.load(model, device=device, symprec=symprec)


def prediction_lines(
    load: Callable[[], LineScreener], sources: Iterable[Source], *, max_atoms: int, limit: int | None = None
) -> Iterator[dict[str, Any]]:
    """Predicts everything that the sources hold.

    Args:
        load: gives what does the work; called once, before this returns.
        sources: opened sources, in order.
        max_atoms: larger cells are rejected.
        limit: inputs to take from all sources together.

    Returns:
        One object per input in input order: the promised line, or for a rejected input its id, reason and detail.
    """
    blocks = _blocks(sources, IngestPlan(max_atoms, shard_atoms=1, limit=limit))
    # To import torch and to read the first file takes seconds each, on different processors.
    with ThreadPoolExecutor(1) as reading:
        first = reading.submit(lambda: list(islice(blocks, 1)))
        screener = load()
    return chain.from_iterable(_in_order(screener, block) for block in chain(first.result(), blocks))


def _blocks(sources: Iterable[Source], plan: IngestPlan) -> Iterator[IngestedBlock]:
    """The validated blocks of all sources, cut at the limit."""
    n_before = 0
    for source in sources:
        n_read = 0
        for block in ingested_blocks(source, plan, n_before=n_before, identify=_overlaps_alone):
            n_read = block.stop
            yield block
        n_before += n_read


def _overlaps_alone(batch: CrystalBatch) -> Identities:
    """What ingest asks of crystals that are not stored: no content ids, which cost more than all else here."""
    n = batch.n_crystals
    overlaps = closest_pairs(batch.lattice, batch.frac_coords, batch.crystal_of_atom, MIN_DISTANCE_ANGSTROM)
    return Identities([""] * n, [None] * n, [("",)] * n, np.zeros((n, WIDTH), np.float32), overlaps)


def _in_order(screener: LineScreener, block: IngestedBlock) -> Iterator[dict[str, Any]]:
    """The lines of a block: predictions and rejections merged by position."""
    rejected = sorted(block.rejected, key=lambda item: item.position)
    start, first_atom = 0, block.crystals.first_atom
    while start < len(block.source_ids):
        fitting = int(np.searchsorted(first_atom, first_atom[start] + ATOMS_PER_CALL, side="right")) - 1
        rows = range(start, max(fitting, start + 1))
        start = rows.stop
        ids = [block.source_ids[row] for row in rows]
        lines = screener.predict_lines(ids, block.crystals.select(rows))
        for row, prediction in zip(rows, lines, strict=True):
            notes = notes_of(block.metadata[row])
            # what the reader changed stands behind what the model warns of
            warnings = [*prediction.get("warnings", []), *reader_notes(notes)]
            # doubts in front of the long tensors, where they are seen
            line = {name: prediction[name] for name in HEAD if name in prediction}
            line |= {"doubts": [doubt.value for doubt in doubts_of(notes)]} | prediction | {"warnings": warnings}
            while rejected and rejected[0].position < block.positions[row]:
                yield rejection_line(rejected.pop(0))
            yield line
    yield from map(rejection_line, rejected)


def reader_notes(notes: Sequence[str]) -> list[str]:
    """What the reader changed or doubts about a crystal, bounded: "isotope_merged: D read as H (1 sites)"."""
    return [storable(note, MAX_NOTE_CHARS) for note in notes[:MAX_NOTES]]


def rejection_line(item: RejectedInput) -> dict[str, Any]:
    """The line of an input that gave no prediction."""
    return {
        "id": item.source_id,
        "formula": None,
        "status": "rejected",
        "reason": item.reason.value,
        "detail": item.detail,
        "advice": item.reason.advice,
    }
