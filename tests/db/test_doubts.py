"""Doubts: read out of notes, stored with their inputs, found by filters, counted per run."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from db.doubts import FORMER_NAMES, doubt_of, doubts_column, doubts_of, notes_of, split_column
from db.query.sql.lists import doubted as has_doubt
from db.records import IngestedBlock
from db.store import ResultStore
from db.tables import crystals
from db.transactions import reading
from models.errors import Doubt, FilterError, Reason
from tests.db.blocks import block, crystal_id, spec, work_off

SYMMETRY, CELL = f"{Doubt.SYMMETRY}: made up", f"{Doubt.CELL}: made up"


@pytest.mark.parametrize(
    ("note", "doubt"),
    [
        *((f"{doubt}: because", doubt) for doubt in Doubt),
        *((f"{name}: because", doubt) for name, doubt in FORMER_NAMES.items()),
        ("isotope_merged: D read as H (1 sites)", None),
        ("a symmetry_doubt: not at the beginning", None),
        ("symmetry_doubt", None),
        ("symmetry_doubts: longer", None),
        ("", None),
    ],
)
def test_a_note_is_a_doubt_by_its_name(note: str, doubt: Doubt | None) -> None:
    assert doubt_of(note) is doubt


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.sampled_from([SYMMETRY, CELL, "notes"]) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["notes", "a"]), inner, max_size=2),
)


@given(JSON)
def test_whatever_metadata_hold_gives_doubts_of_the_closed_list(content: object) -> None:
    notes = notes_of(json.dumps(content))
    held = content.get("notes") if isinstance(content, dict) else None
    assert notes == ([note for note in held if isinstance(note, str)] if isinstance(held, list) else [])
    assert split_column(doubts_column(doubts_of(notes))) == [doubt for doubt in Doubt if doubt in map(doubt_of, notes)]


def with_notes(
    start: int, seeds: list[int | Reason], notes: dict[int, list[str]], source: str = "made"
) -> IngestedBlock:
    """A block whose accepted inputs have the given notes, by their place among them."""
    made = block(start, seeds, source)
    texts = [json.dumps({"notes": notes[k]}) if k in notes else None for k in range(len(made.source_ids))]
    return replace(made, metadata=texts)


@pytest.fixture
def doubted(store: ResultStore) -> ResultStore:
    """Six crystals of `made`, two doubtful; crystal 4 comes again without, crystal 5 with a doubt, from `other`."""
    run = store.open_run(spec("made", "other"))
    seeds: list[int | Reason] = [1, 2, 3, Reason.PARSE, 4, 5, 6]
    notes = {0: [SYMMETRY, CELL, SYMMETRY], 1: ["isotope_merged: D read as H"], 3: [CELL]}
    store.add_block(run.id, with_notes(0, seeds, notes), 100)
    store.add_block(run.id, with_notes(0, [4, 5], {1: ["pbc: T T F"]}, "other"), 100)
    work_off(store, run.id)
    return store


def seeds_of(store: ResultStore, text: str) -> list[int]:
    found = set(store.query(text, fields=["id"], limit=0)["id"])
    return [seed for seed in range(1, 7) if crystal_id(seed) in found]


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("doubtful", [1, 4, 5]),
        ("NOT doubtful", [2, 3, 6]),
        ("_gmt_doubtful = TRUE", [1, 4, 5]),
        ("doubtful = FALSE", [2, 3, 6]),
        ("symmetry_doubt", [1]),
        ("NOT cell_doubt", [2, 3, 5, 6]),
        ("NOT _gmt_composition_doubt", [1, 2, 3, 4, 5, 6]),
        ("NOT cell_doubt AND NOT periodicity_doubt", [2, 3, 6]),
        ('doubts HAS "cell_doubt"', [1, 4]),
        ('_gmt_doubts HAS ALL "cell_doubt","symmetry_doubt"', [1]),
        ('doubts HAS ANY "periodicity_doubt","symmetry_doubt"', [1, 5]),
        ('doubts HAS ONLY "cell_doubt"', [2, 3, 4, 6]),
        ("doubts IS UNKNOWN OR doubtful IS UNKNOWN", []),
    ],
)
def test_a_crystal_is_doubtful_if_one_of_its_inputs_is(doubted: ResultStore, text: str, seeds: list[int]) -> None:
    assert seeds_of(doubted, text) == seeds
    assert doubted.count(text) == len(seeds)


def test_doubts_can_be_columns_and_flags_sort(doubted: ResultStore) -> None:
    fields = ["id", "doubts", "doubtful", "_gmt_cell_doubt"]
    table = doubted.query(fields=fields, sort="-doubtful", limit=0).set_index("id")
    assert list(table.columns) == ["doubts", "doubtful", "cell_doubt"]
    assert table["doubts"][crystal_id(1)] == ["cell_doubt", "symmetry_doubt"]
    assert table["doubts"][crystal_id(2)] == []
    assert table["doubtful"].tolist() == [True] * 3 + [False] * 3
    assert table["cell_doubt"].dtype == "boolean"
    with pytest.raises(FilterError, match="has no order"):
        doubted.query(sort="doubts")


def test_a_run_counts_its_accepted_inputs_by_doubt(doubted: ResultStore) -> None:
    assert (
        doubted.doubts(1)
        == doubted.runs(1)[0]["doubts"]
        == {"cell_doubt": 2, "symmetry_doubt": 1, "periodicity_doubt": 1}
    )
    other = doubted.open_run(spec("third"))
    doubted.add_block(other.id, block(0, [1], "third"), 100)
    assert doubted.doubts(other.id) == {}  # the crystal is doubtful, the input is not
    assert [run["doubts"] for run in doubted.runs()] == [{}, doubted.doubts(1)]


def test_show_gives_each_input_its_doubts_and_the_notes_about_them(doubted: ResultStore) -> None:
    arrivals = {arrival["source_id"]: arrival for arrival in doubted.show(crystal_id(4))["inputs"]}
    assert (arrivals["made-4"]["doubts"], arrivals["made-4"]["doubt_notes"]) == (["cell_doubt"], [CELL])
    assert (arrivals["other-0"]["doubts"], arrivals["other-0"]["doubt_notes"]) == ([], [])
    assert doubted.show(crystal_id(2))["inputs"][0]["doubt_notes"] == []  # a remark is no doubt


def test_a_filter_on_doubts_reads_no_table_of_inputs(store: ResultStore) -> None:
    if store.url.get_backend_name() != "sqlite":
        pytest.skip("PostgreSQL plans by statistics, which a small table does not have")
    statement = select(crystals.c.id).where(~has_doubt(Doubt.CELL))
    with reading(store._engine) as connection:
        text = statement.compile(connection, compile_kwargs={"literal_binds": True})
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
    assert any("COVERING INDEX ix_inputs_run_id_outcome_doubts_crystal_id" in step for step in plan), plan
