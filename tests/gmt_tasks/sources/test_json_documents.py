"""Public dumps as JSON: every shape gives its crystals with their ids in order, and no record is lost or doubled."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmt_tasks.sources.json_documents import records_of
from gmt_tasks.sources.json_records import parse_record, refused_or_parsed
from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.parsed import ParsedCrystal, Reading, Refusal, RefusedInputError
from models.errors import Doubt, Reason, SourceError
from tests.gmt_tasks.sources.dumps import (
    SAMPLES,
    WRITERS,
    Sample,
    ase_database,
    ase_new,
    ase_old,
    by_index,
    entry,
    frames,
    optimade,
    pymatgen,
    sample,
    split,
)

ONE, TWO, THREE = sample(1, 2), sample(2, 3), sample(3, 1)


def read(document: Any) -> list[tuple[str | None, Reading]]:
    """Id and reading of each record, as a file of this content gives them; None where it would count them."""
    records = records_of(json.loads(json.dumps(document)))
    if records is None:
        reading = refused_or_parsed(document)
        return [(reading.source_id, reading)]
    results: list[tuple[str | None, Reading]] = []
    for record in records:
        refused = isinstance(record.value, RefusedInputError)
        reading = Refusal(record.value.reason, "") if refused else refused_or_parsed(record.value)
        results.append((reading.source_id or record.key, reading))
    return results


def assert_are(results: Sequence[tuple[str | None, Reading]], samples: Sequence[Sample]) -> None:
    assert len(results) == len(samples)
    for (_, reading), expected in zip(results, samples, strict=True):
        assert isinstance(reading, ParsedCrystal), reading
        assert reading.notes == ()
        assert np.array_equal(reading.lattice, expected.lattice)
        assert np.allclose(reading.frac_coords, expected.frac_coords, atol=1e-12)
        assert np.array_equal(reading.numbers, expected.numbers)


@pytest.mark.parametrize("shape", WRITERS)
@settings(max_examples=15, deadline=None)
@given(samples=SAMPLES)
def test_every_dump_gives_its_crystals_and_their_ids_in_order(shape: str, samples: list[Sample]) -> None:
    results = read(WRITERS[shape](samples))
    assert [name for name, _ in results] == [s.name for s in samples]
    assert_are(results, samples)


@settings(max_examples=15, deadline=None)
@given(samples=SAMPLES)
def test_frames_of_a_trajectory_are_named_by_material_and_frame(samples: list[Sample]) -> None:
    ordered = samples[::2] + samples[1::2]
    numbered = [f"mp-0-{s.name}" for s in samples[::2]] + [f"mp-1-{s.name}" for s in samples[1::2]]
    results = read(frames(samples))
    assert [name for name, _ in results] == numbered
    assert_are(results, ordered)
    other = read({"mp-1": {"0": {"structure": pymatgen(ONE)}, "1": {"structure": pymatgen(TWO)}}})
    assert [name for name, _ in other] == ["mp-1/0", "mp-1/1"]


@pytest.mark.parametrize("shape", WRITERS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_mutated_dump_gives_readings_or_one_refusal(shape: str, data: st.DataObject) -> None:
    document = copy.deepcopy(WRITERS[shape]([ONE, TWO]))
    junk = st.sampled_from([None, "x", "{", -1, 1e300, float("nan"), [], [[]], {}, {"lattice": 1}, True])
    for _ in range(data.draw(st.integers(1, 3))):
        parent: Any = document
        while parent:
            keys = list(parent) if isinstance(parent, dict) else range(len(parent))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(parent[key], (dict, list)) or not parent[key] or data.draw(st.booleans()):
                parent[key] = copy.deepcopy(data.draw(junk))
                break
            parent = parent[key]
    try:
        results = read(document)
    except RefusedInputError as refused:
        assert refused.reason in Reason
    else:
        assert results and all(isinstance(reading, (ParsedCrystal, Refusal)) for _, reading in results)


def test_an_index_that_only_counts_is_no_id() -> None:
    frame = {"structure": by_index([pymatgen(ONE), pymatgen(TWO)])}
    assert [name for name, _ in read(frame)] == [None, None]
    assert [name for name, _ in read(split([ONE, TWO]) | {"index": [0, 1]})] == [None, None]
    assert [name for name, _ in read(split([ONE, TWO]) | {"index": [1, 0]})] == ["1", "0"]
    assert [name for name, _ in read(split([ONE, TWO]) | {"index": [["a", 1], ["b", 2]]})] == ["a/1", "b/2"]
    without_pairs = [{k: v for k, v in ase_old(s).items() if k != "key_value_pairs"} for s in (ONE, TWO)]
    assert [name for name, _ in read(ase_database(without_pairs))] == [None, None]


@pytest.mark.parametrize(
    "document",
    [
        split([ONE, TWO, THREE]) | {"data": [[pymatgen(ONE), 1.0], ["ragged"], [pymatgen(THREE), 1.0]]},
        split([ONE, TWO, THREE]) | {"data": [[pymatgen(ONE), 1.0]]},
        split([ONE]) | {"data": [[pymatgen(ONE), 1.0]] * 3},
        {"entries": [entry(ONE), None, {"energy": 1.0}]},
        {"a": pymatgen(ONE), "b": None, "c": {"comment": "no crystal"}},
        {"a": {"x": pymatgen(ONE), "y": pymatgen(TWO)}, "b": {}},
        ase_database([ase_new(ONE), ase_new(TWO)]) | {"ids": [1, 2, 7]},
        ase_database([ase_new(ONE), ase_new(TWO), ase_new(THREE)]) | {"ids": [1]},
        {"structure": by_index([pymatgen(ONE), None, {"lattice": {}}])},
    ],
)
def test_a_broken_record_is_refused_in_its_place_and_none_is_lost(document: Any) -> None:
    results = read(document)
    assert len(results) == 3 and isinstance(results[0][1], ParsedCrystal)


@pytest.mark.parametrize(
    "record",
    [
        {"initial_structure": pymatgen(ONE), "final_structure": pymatgen(TWO)},
        {"structure": pymatgen(ONE), "computed_structure_entry": entry(TWO)},
        {**optimade(ONE), "structure": pymatgen(ONE)},
        {**optimade(ONE), **ase_old(ONE)},
        {"structure": json.dumps(pymatgen(ONE)), "relaxed": pymatgen(TWO)},
    ],
)
def test_several_structures_in_one_record_are_refused_by_name(record: dict[str, Any]) -> None:
    with pytest.raises(RefusedInputError, match=r"structure|lattice_vectors") as refused:
        parse_record(record)
    assert refused.value.reason is Reason.PARSE and "keep" in refused.value.detail


def test_one_structure_twice_in_a_record_is_one_structure() -> None:
    record = {"structure": pymatgen(ONE), "entry": entry(ONE), "material_id": "m"}
    assert parse_record(record).source_id == "m"


@pytest.mark.parametrize("name", ["initial_structure", "relaxed_structure", "opt", "cse"])
def test_the_only_structure_of_a_record_may_have_any_name(name: str) -> None:
    assert_are([(None, parse_record({name: pymatgen(ONE), "gap": 1.0}))], [ONE])


def test_ids_are_taken_in_their_order_and_the_others_travel_along() -> None:
    crystal = parse_record({"structure": entry(ONE), "jid": "j", "uuid": "u"})
    assert crystal.source_id == "j"
    assert crystal.extra["uuid"] == "u" and crystal.extra["entry_id"] == ONE.name and "jid" not in crystal.extra
    assert parse_record({**optimade(ONE), "immutable_id": "i", "id": "own"}).source_id == "own"
    assert parse_record({**optimade(ONE), "data": {"mat_id": "inner"}}).source_id == "inner"


@pytest.mark.parametrize(
    ("record", "shown"),
    [
        ({**pymatgen(ONE), "lattice": {**pymatgen(ONE)["lattice"], "pbc": [True, True, False]}}, "T T F"),
        ({**optimade(ONE), "dimension_types": [1, 0, 1]}, "T F T"),
        ({**optimade(ONE), "dimension_types": None, "nperiodic_dimensions": 2}, "is 2"),
        ({**ase_new(ONE), "pbc": [False, True, True]}, "F T T"),
        ({**ase_old(ONE), "pbc": False}, "F"),
    ],
)
def test_a_crystal_that_is_not_periodic_along_all_axes_is_doubted(record: dict[str, Any], shown: str) -> None:
    (note,) = parse_record(record).notes
    assert note.startswith(f"{Doubt.PERIODICITY}:") and shown in note


@pytest.mark.parametrize(
    "document",
    [[], {}, {"data": []}, {"entries": {}}, {"a": 1}, {"a": {"b": {"c": {}}}}, 7, {"entries": [], "data": []}],
)
def test_a_document_without_crystals_is_refused(document: Any) -> None:
    try:
        results = read(document)
    except RefusedInputError as refused:
        assert refused.reason in (Reason.EMPTY, Reason.PARSE)
    else:
        assert all(isinstance(reading, Refusal) for _, reading in results) and results


def test_foreign_arrays_of_objects_are_never_made() -> None:
    for array in ([[2, 3], "object", [0] * 6], [[2, 3], "float64", [0.0] * 5], [[2, 3], "O8", [0] * 6]):
        with pytest.raises(RefusedInputError) as refused:
            parse_record({**ase_new(ONE), "positions": {"__ndarray__": array}})
        assert refused.value.reason is Reason.PARSE


REPORTED = Path(__file__).parents[3] / ".." / "shared" / "data" / "reported"


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("j01_matbench_split.json.gz", ["mb-a-001", "mb-a-002"]),
        ("j04_alexandria_entries.json", ["agm000001", "agm000002"]),
        ("t01_lemat.parquet", ["agm-1"]),
    ],
)
def test_reported_dumps_are_read(name: str, ids: list[str], shared_children: None) -> None:
    if not (REPORTED / name).exists():
        pytest.skip("the folder of reported files is not here (../shared/data)")
    try:
        blocks = list(open_source(str(REPORTED / name)).blocks())
    except SourceError as error:
        pytest.fail(str(error))
    assert [source_id for block in blocks for source_id in block.source_ids] == ids
    assert not any(block.rejected for block in blocks)
