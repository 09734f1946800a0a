"""Blocks with gates: made crystals are refused with a reason and counted, crystals from outside are taken as given."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from db.store import ResultStore
from gmt_tasks.gates.gates import Gates
from gmt_tasks.ingest.blocks import IngestPlan, head
from gmt_tasks.ingest.deduplicate import content_ids
from gmt_tasks.ingest.validate import ingest_block
from gmt_tasks.runs.lifecycle import ingest_source
from gmt_tasks.runs.session import run_spec
from gmt_tasks.sources.metadata import metadata_of
from gmt_tasks.sources.source import SourceBlock, join_blocks
from models.crystals.crystal import CrystalBatch
from models.errors import Reason
from tests.gmt_tasks.gates.test_gates import BATCH, CASES, EXPECTED, rocksalt


def made(gates: Gates | None, crystals: CrystalBatch = BATCH, start: int = 0) -> SourceBlock:
    """A block of the crystals of the gates' own tests."""
    n, positions = crystals.n_crystals, np.arange(start, start + crystals.n_crystals)
    names = [f"made:{position}" for position in positions]
    groups = np.full(n, 225)
    return SourceBlock(start, start + n, positions, names, crystals, [None] * n, gates=gates, spacegroups=groups)


def test_refused_crystals_become_rejected_inputs_with_reason_and_numbers() -> None:
    result = ingest_block("made", made(Gates()))
    assert result.positions.tolist() == [0, 5]
    assert {item.position: item.reason for item in result.rejected} == {k: g.reason for k, g in EXPECTED.items()}
    assert result.crystal_ids == content_ids(result.crystals)
    assert len(result.buckets) == len(result.prefilter_rows) == 2
    details = {item.position: item.detail for item in result.rejected}
    assert "0.634" in details[1] and "4.82" in details[2] and "Na +1 (0.93)" in details[3]


def test_crystals_from_outside_are_never_gated() -> None:
    result = ingest_block("file.cif", made(None))
    assert len(result.crystal_ids) == len(CASES) and result.rejected == []


def test_overlapping_atoms_keep_their_own_reason_and_shift_nothing() -> None:
    overlapping = CrystalBatch.from_arrays([4 * np.eye(3)], [np.array([[0, 0, 0], [0.01, 0, 0]])], [np.array([11, 17])])
    result = ingest_block("made", made(Gates(), CrystalBatch.join([overlapping, BATCH])))
    reasons = {item.position: item.reason for item in result.rejected}
    assert reasons == {0: Reason.OVERLAP} | {row + 1: gate.reason for row, gate in EXPECTED.items()}
    assert result.positions.tolist() == [1, 6]


def test_what_is_known_is_refused_by_its_content_id_and_notes_travel_as_metadata() -> None:
    crystals = CrystalBatch.join([rocksalt(5.64), rocksalt(5.70)])
    known = frozenset(content_ids(rocksalt(5.64)))
    block = replace(made(Gates(known=known), crystals), spacegroups=np.array([0, 216]))
    result = ingest_block("made", block)
    assert [(item.position, item.reason) for item in result.rejected] == [(0, Reason.IN_TRAINING_DATA)]
    (note,) = metadata_of(result.metadata[0])["notes"]
    assert note.startswith("gate_symmetry: supergroup: space group 216 was intended, 225 at 0.01")


def test_cutting_and_joining_blocks_keeps_gates_and_space_groups() -> None:
    gates = Gates()
    first, second = made(gates), made(gates, start=BATCH.n_crystals)
    joined = join_blocks([first, second])
    assert joined.gates is gates and joined.spacegroups is not None
    assert joined.spacegroups.tolist() == [225] * (2 * BATCH.n_crystals)
    cut = head(joined, 7)
    assert cut.gates is gates and cut.spacegroups is not None and len(cut.spacegroups) == 7
    assert join_blocks([made(None), made(None, start=BATCH.n_crystals)]).gates is None


class MadeSource:
    """The crystals of the gates' own tests twice, and one that is stored already."""

    name = "made"

    def fingerprint(self) -> str:
        """Never changes."""
        return "made"

    def blocks(self, start: int = 0) -> Iterator[SourceBlock]:
        """Two blocks."""
        for first in (0, BATCH.n_crystals):
            if first >= start:
                yield made(Gates(), start=first)


def test_the_balance_of_a_run_counts_what_the_gates_refused(tmp_path: Path) -> None:
    from tests.gmt_tasks.runs.test_balance import MODEL, PLAN

    store = ResultStore(str(tmp_path / "made.db"))
    store.register_model(MODEL, {})
    run = store.open_run(run_spec([MadeSource()], MODEL, 0.01, PLAN))
    ingest_source(store, run.id, MadeSource(), IngestPlan(PLAN.max_atoms, PLAN.shard_atoms))
    balance = store.balance(run.id)
    assert (balance.n_in, balance.rejected, balance.duplicate, balance.pending) == (12, 2 * len(EXPECTED), 2, 2)
    assert balance.n_in == balance.pending + balance.done + balance.duplicate + balance.rejected
