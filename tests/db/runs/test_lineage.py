"""How crystals were made is stored with the inputs that brought them, once, and found from either end."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import inspect

from db.migrations.state import HEAD, revision_of
from db.records import IngestedBlock, Lineage, LineageOperation
from db.runs.lineage import lineage_text
from db.store import ResultStore
from db.transactions import reading, writing
from flows.reports.crystal_view import identity_lines
from models.errors import Reason, StoreError
from tests.db.blocks import block, crystal_id, spec

STRAIN = Lineage("made-0", LineageOperation.STRAIN, '{"strain": 0.02}', 7)
SWAP = Lineage(crystal_id(1), LineageOperation.SUBSTITUTION, '{"Ti": "Zr"}', None, None, -1.5)
NEW = Lineage(None, LineageOperation.GENERATION, "{}", 2**40, "wyckoff@1")


def made_block() -> IngestedBlock:
    """Crystals 1 and 2 were read; 3 is a strain of input 0, 2 again a substitution, a refusal, 5 was generated."""
    items: list[int | Reason] = [1, 2, 3, 2, Reason.PARSE, 5]
    return replace(block(0, items), lineage=[None, None, STRAIN, SWAP, NEW])


@pytest.fixture
def filled(store: ResultStore) -> ResultStore:
    store.add_block(store.open_run(spec()).id, made_block(), 100)
    return store


def test_lineage_comes_back_as_it_went_in_with_what_the_parent_is(filled: ResultStore) -> None:
    (strain,) = filled.lineage_of(crystal_id(3))
    formula = filled.show(crystal_id(1))["formula"]
    assert strain == {
        "run": 1, "source": "made", "source_id": "made-2", "crystal_id": crystal_id(3), "parent": "made-0",
        "operation": "strain", "detail": {"strain": 0.02}, "seed": 7, "model": None, "log_probability": None,
        "parent_id": crystal_id(1), "parent_formula": formula, "text": f"strain from made-0 ({formula}), seed 7",
    }  # fmt: skip
    (new,) = filled.lineage_of(crystal_id(5))
    assert (new["parent"], new["parent_id"], new["seed"], new["model"]) == (None, None, 2**40, "wyckoff@1")


def test_a_duplicate_keeps_its_lineage_and_what_was_only_read_has_none(filled: ResultStore) -> None:
    (swap,) = filled.lineage_of(crystal_id(2))
    assert (swap["source_id"], swap["log_probability"], swap["detail"]) == ("made-3", -1.5, {"Ti": "Zr"})
    assert filled.show(crystal_id(2))["source_ids"] == ["made-1", "made-3"]
    assert filled.lineage_of(crystal_id(1)) == []


@pytest.mark.parametrize(
    ("operation", "detail", "more", "text"),
    [
        ("substitution", {"Ti": "Zr", "Ba": "Sr"}, {"log_probability": -3.661}, "substitution Ti -> Zr, Ba -> Sr from "
            "gx-1 (BaO3Ti), log probability -3.66"),
        ("decoration", {"Ca": "Ba", "O": "O"}, {"seed": 1}, "decoration Ca -> Ba from gx-1 (BaO3Ti), seed 1"),
        ("strain", {"kind": "shear xy", "strain_voigt": [0, 0, 0, 0, 0, 0.04]}, {}, "strain shear xy "
            "[0, 0, 0, 0, 0, 0.04] from gx-1 (BaO3Ti)"),
        ("vacancy", {"removed": "O", "placed": None, "multiplicity": 24}, {}, "vacancy of O, one of 24 sites, from gx-1"
            " (BaO3Ti)"),
        ("antisite", {"removed": "O", "placed": "Ti", "multiplicity": 3}, {}, "antisite Ti on O, one of 3 sites, from "
            "gx-1 (BaO3Ti)"),
        ("generation", {"spacegroup": 225}, {"parent": None, "parent_formula": None, "model": "wyckoff@1", "seed": 4},
            "generation by wyckoff@1, seed 4"),
        ("generation", [1], {"parent_formula": None, "model": "wyckoff@1"}, "generation from gx-1 by wyckoff@1"),
    ],
)  # fmt: skip
def test_lineage_is_said_in_words(operation: str, detail: Any, more: dict[str, Any], text: str) -> None:
    facts = {"parent": "gx-1", "parent_formula": "BaO3Ti", "seed": None, "model": None, "log_probability": None}
    assert lineage_text(facts | {"operation": operation, "detail": detail} | more) == text


def test_show_has_lineage_and_how_many_crystals_were_made_of_one(filled: ResultStore) -> None:
    facts = filled.show(crystal_id(1))
    assert (facts["lineage"], facts["children"]) == ([], {"strain": 1, "substitution": 1})
    made = filled.show(crystal_id(3))
    assert made["lineage"] == filled.lineage_of(crystal_id(3))
    lines = list(identity_lines(made))
    assert f"  made by {made['lineage'][0]['text']}" in lines
    assert "  from it were made 1 by strain, 1 by substitution" in list(identity_lines(facts))


def test_crystals_that_were_only_made_are_not_among_those_of_a_formula(filled: ResultStore) -> None:
    formulas = {seed: filled.show(crystal_id(seed))["formula"] for seed in (1, 2, 3, 5)}
    # 2 was read and made, 3 and 5 were only made
    assert crystal_id(1) in filled.read_crystals_of_formula(formulas[1])
    assert crystal_id(2) in filled.read_crystals_of_formula(formulas[2])
    assert filled.read_crystals_of_formula(formulas[3]) == filled.read_crystals_of_formula(formulas[5]) == []


def test_fingerprints_are_those_of_unfinished_runs_newest_first(store: ResultStore) -> None:
    first, second = (spec("made", limit=limit) for limit in (1, 2))
    second = replace(second, fingerprints=("newer",))
    for one in (first, second, spec("other")):
        run = store.open_run(one)
    assert store.fingerprints_of_unfinished("made") == ["newer", "fingerprint of made"]
    store.end_ingest(run.id, "other")
    store.finish(run.id, 1.0)
    assert store.fingerprints_of_unfinished("other") == []


def test_children_are_found_by_content_id_and_by_source_id_of_their_parent(filled: ResultStore) -> None:
    children = {child["crystal_id"]: child["operation"] for child in filled.children_of(crystal_id(1))}
    assert children == {crystal_id(3): "strain", crystal_id(2): "substitution"}
    assert filled.children_of(crystal_id(2)) == []


def test_a_repeated_block_writes_nothing_twice(filled: ResultStore) -> None:
    before = list(filled.dump())
    assert sum(row["table"] == "lineage" for row in before) == 3
    filled.add_block(1, made_block(), 100)
    assert list(filled.dump()) == before


def test_a_block_whose_lineage_has_another_length_is_refused_as_a_whole(store: ResultStore) -> None:
    run = store.open_run(spec())
    with pytest.raises(StoreError, match="different lengths"):
        store.add_block(run.id, replace(made_block(), lineage=[STRAIN]), 100)
    assert list(store.dump()) == []


def test_many_rows_go_in_at_once(store: ResultStore) -> None:
    """PostgreSQL takes many rows by COPY."""
    run, n = store.open_run(spec()), 200
    store.add_block(run.id, replace(block(0, range(n)), lineage=[SWAP] * n), 100)
    assert sum(row["table"] == "lineage" for row in store.dump()) == n


def test_a_database_of_before_gets_the_table_and_keeps_its_inputs(
    store: ResultStore, open_again: Callable[[], ResultStore]
) -> None:
    store.add_block(store.open_run(spec()).id, replace(made_block(), lineage=[]), 100)
    before: list[dict[str, Any]] = list(store.dump())
    with writing(store._engine) as connection:
        for table in ("design_proposals", "design_rounds", "designs", "lineage"):  # those of later revisions first
            connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0012'")
    newer = open_again()
    with reading(newer._engine) as connection:
        assert revision_of(connection) == HEAD
        assert inspect(connection).has_table("lineage")
    assert list(newer.dump()) == before
    assert newer.lineage_of(crystal_id(3)) == []
