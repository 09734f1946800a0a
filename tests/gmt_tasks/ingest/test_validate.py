"""Ingest: every position of a block ends accepted or rejected, exactly once."""

from dataclasses import replace

import numpy as np
import pytest

from db.records import RejectedInput
from gmt_tasks.ingest.deduplicate import content_ids
from gmt_tasks.ingest.validate import ingest_block, storable
from gmt_tasks.sources.source import SourceBlock
from models.crystals.crystal import CrystalBatch
from models.errors import Reason, SourceError
from models.fingerprint.content_id import Identities, identify

CUBE = np.eye(3) * 4.0
ROCKSALT = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])
NACL = np.array([11, 17])


def block() -> SourceBlock:
    """Positions 10 to 17: sound, NaN, overlap, (rejected by the source), sound, empty, flat, too large."""
    close = np.array([[0.0, 0.0, 0.0], [0.01, 0.0, 0.0]])
    grid = np.stack(np.meshgrid(*[np.arange(3) / 3] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    grid[0] += 0.01  # else a smaller cell would do
    crystals = [
        (CUBE, ROCKSALT, NACL),
        (CUBE * np.nan, ROCKSALT, NACL),
        (CUBE, close, NACL),
        (CUBE * 1.1, ROCKSALT, NACL),
        (CUBE, np.zeros((0, 3)), np.zeros(0, np.int64)),
        (np.diag([4.0, 4.0, 1e-6]), ROCKSALT, NACL),
        (CUBE * 3, grid, np.full(27, 11)),
    ]
    positions = np.array([10, 11, 12, 14, 15, 16, 17])
    return SourceBlock(
        start=10,
        stop=18,
        positions=positions,
        source_ids=[f"id-{p}" for p in positions],
        crystals=CrystalBatch.from_arrays(*zip(*crystals, strict=True)),  # type: ignore[arg-type]
        metadata=[f'{{"p": {p}}}' for p in positions],
        rejected=[RejectedInput(13, "id-13", Reason.PARSE, "line 3")],
    )


def test_each_input_is_accepted_or_rejected_with_its_reason() -> None:
    result = ingest_block("here", block(), max_atoms=26)
    assert result.positions.tolist() == [10, 14]
    assert result.source_ids == ["id-10", "id-14"]
    assert result.metadata == ['{"p": 10}', '{"p": 14}']
    assert result.crystals.n_crystals == len(result.crystal_ids) == 2
    reasons = {item.position: item.reason for item in result.rejected}
    assert reasons == {
        11: Reason.NONFINITE,
        12: Reason.OVERLAP,
        13: Reason.PARSE,
        15: Reason.EMPTY,
        16: Reason.DEGENERATE_CELL,
        17: Reason.TOO_LARGE,
    }
    assert [item.position for item in result.rejected] == sorted(reasons)
    assert all(item.source_id == f"id-{item.position}" for item in result.rejected)


@pytest.mark.parametrize("bad", [0, 1])
def test_a_crystal_at_which_the_content_id_fails_is_rejected_alone(bad: int) -> None:
    def failing(batch: CrystalBatch) -> Identities:
        # another crystal has the same lattice, and overlapping atoms
        atoms_apart = batch.frac_coords[batch.first_atom[:-1] + 1, 0] == 0.5
        if (atoms_apart & np.all(batch.lattice == whole.crystals.lattice[bad], axis=(1, 2))).any():
            raise StopIteration
        return identify(batch)

    whole = ingest_block("here", block(), max_atoms=26)
    result = ingest_block("here", block(), 26, failing)
    assert result.positions.tolist() == [int(whole.positions[1 - bad])]
    assert result.crystal_ids == [whole.crystal_ids[1 - bad]] and len(result.buckets) == len(result.prefilter_rows) == 1
    (rejected,) = [each for each in result.rejected if each not in whole.rejected]
    assert (rejected.position, rejected.reason) == (int(whole.positions[bad]), Reason.PARSE)
    assert rejected.detail == "no content id: StopIteration"


def test_what_fails_for_every_crystal_is_no_fault_of_the_crystals() -> None:
    def failing(batch: CrystalBatch) -> Identities:
        raise OSError(24, "Too many open files")

    with pytest.raises(OSError, match="Too many"):
        ingest_block("here", block(), 26, failing)


def test_the_atom_limit_decides_what_is_too_large() -> None:
    assert 17 in ingest_block("here", block(), max_atoms=27).positions


def test_accepted_crystals_keep_their_arrays_and_get_the_id_of_their_content() -> None:
    result = ingest_block("here", block(), max_atoms=26)
    assert np.array_equal(result.crystals.lattice[1], CUBE * 1.1)
    assert np.array_equal(result.crystals.frac_coords[2:], ROCKSALT)
    assert result.crystal_ids == content_ids(CrystalBatch.from_arrays([CUBE, CUBE * 1.1], [ROCKSALT] * 2, [NACL] * 2))


@pytest.mark.parametrize(
    "broken",
    [
        lambda b: replace(b, rejected=[]),  # loses position 13
        lambda b: replace(b, stop=19),  # loses position 18
        lambda b: replace(b, rejected=[*b.rejected, RejectedInput(10, "id-10", Reason.PARSE, "")]),  # doubles 10
        lambda b: replace(b, source_ids=b.source_ids[1:]),
    ],
)
def test_a_source_that_loses_or_doubles_an_input_is_caught(broken) -> None:  # noqa: ANN001
    with pytest.raises(SourceError, match="nothing of this block was stored"):
        ingest_block("here", broken(block()))


def test_a_block_without_crystals_passes() -> None:
    rejected = [RejectedInput(k, f"id-{k}", Reason.PARSE, "") for k in range(3)]
    empty = SourceBlock(0, 3, np.zeros(0, np.int64), [], CrystalBatch.from_arrays([], [], []), [], rejected)
    result = ingest_block("here", empty)
    assert result.crystal_ids == [] and len(result.rejected) == 3


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("mp-1 Å", "mp-1 Å"),
        ("a\x00b", "a\N{REPLACEMENT CHARACTER}b"),
        ("\ud800x", "\N{REPLACEMENT CHARACTER}x"),
        ("a\u202ecif.b", "a\N{REPLACEMENT CHARACTER}cif.b"),
        ("\x1b[2Jgone", "\N{REPLACEMENT CHARACTER}[2Jgone"),
    ],
)
def test_ids_and_details_become_what_every_database_and_terminal_takes(text: str, stored: str) -> None:
    original = block()
    source_ids = [text, *original.source_ids[1:]]
    rejected = [RejectedInput(13, text, Reason.PARSE, f"line 3: {text}")]
    result = ingest_block("here", replace(original, source_ids=source_ids, rejected=rejected))
    assert result.source_ids[0] == stored
    found = next(item for item in result.rejected if item.position == 13)
    assert (found.source_id, found.detail) == (stored, f"line 3: {stored}")


def test_an_endless_id_is_cut_and_says_so() -> None:
    cut = storable("x" * 10_000, 500)
    assert len(cut) == 500 and cut.endswith("(10000 characters)")
    assert storable("x" * 500, 500) == "x" * 500


def test_a_refused_crystal_with_an_id_of_its_own_says_where_it_stands() -> None:
    original = block()
    places = [f"f.jsonl line {k}" for k in range(7)]
    result = ingest_block("here", replace(original, places=places), max_atoms=26)
    details = {item.position: item.detail for item in result.rejected}
    assert details[12].startswith("f.jsonl line 2: atoms 0 and 1")
    assert details[13] == "line 3"  # the source's own refusals say it themselves
    with pytest.raises(SourceError, match="nothing of this block was stored"):
        ingest_block("here", replace(original, places=places[1:]))
