"""Designs in the database: resumed by their goal, rounds and proposals replaced when they come again."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import inspect

from db.designs.records import DesignSpec
from db.designs.store import proposal_text
from db.migrations.state import HEAD, revision_of
from db.store import ResultStore
from db.transactions import reading, writing
from models.errors import MissingError, Reason
from tests.db.blocks import block, crystal_id, spec
from tests.db.designs.made_designs import FACTS, REFUSED, SPEC, add_design, design_round, proposals_of


@pytest.fixture
def filled(store: ResultStore) -> ResultStore:
    """Two runs: crystals 1 and 2, then 2 again, 3 and a refused input."""
    store.add_block(store.open_run(spec()).id, block(0, [2, 1, 2]), 100)
    store.add_block(store.open_run(spec("later")).id, block(0, [3, Reason.PARSE, 2], "later"), 100)
    return store


def test_a_design_that_is_opened_twice_is_resumed_and_any_other_goal_is_another(store: ResultStore) -> None:
    first, again = store.designs.open(SPEC), store.designs.open(SPEC)
    assert (first.resumed, again.resumed) == (False, True)
    assert again == replace(first, resumed=True) == store.designs.get(first.id)
    others = [replace(SPEC, filter=""), replace(SPEC, sort="d_max_pc_per_n"), replace(SPEC, settings={"seed": 1})]
    numbers = [store.designs.open(other).id for other in others]
    assert len({first.id, *numbers}) == 4
    assert [one["design"] for one in store.designs.overview()] == [*reversed(numbers), first.id]


def test_settings_are_the_same_in_any_order(store: ResultStore) -> None:
    reordered = DesignSpec(SPEC.filter, SPEC.sort, dict(reversed(SPEC.settings.items())))
    assert list(reordered.settings) != list(SPEC.settings)
    assert store.designs.open(SPEC).id == store.designs.open(reordered).id


def test_rounds_come_back_as_they_went_in_and_one_of_the_same_number_is_replaced(filled: ResultStore) -> None:
    number = filled.designs.open(SPEC).id
    first, second = design_round(1, 1, n_wanted=0), design_round(2, 2)
    for finished in (second, first, first):
        filled.designs.add_round(number, finished)
    assert filled.designs.rounds(number) == [first, second]
    changed = replace(first, seconds=1.5, run=2)
    filled.designs.add_round(number, changed)
    assert filled.designs.rounds(number) == [changed, second]
    assert filled.designs.rounds(number + 1) == []


def test_proposals_replace_those_of_before_and_only_their_own_design(filled: ResultStore) -> None:
    number = add_design(filled, [1, 2], [crystal_id(3), crystal_id(1), crystal_id(2)])
    other = add_design(filled, [1], [crystal_id(1)], replace(SPEC, filter=""))
    assert [row["crystal_id"] for row in filled.designs.proposals(number)] == [crystal_id(seed) for seed in (3, 1, 2)]
    filled.designs.propose(number, proposals_of([crystal_id(2)]))
    (row,) = filled.designs.proposals(number)
    formula = filled.show(crystal_id(2))["formula"]
    assert row == {
        "design_id": number, "rank": 1, "crystal_id": crystal_id(2), "round": 2, "value": 31.25, "facts": FACTS,
        "formula": formula, "filter": SPEC.filter, "sort": SPEC.sort, "refused": None, "text": proposal_text(row),
    }  # fmt: skip
    assert len(filled.designs.proposals(other)) == 1
    filled.designs.propose(number, [])
    assert filled.designs.proposals(number) == []


def test_what_was_chosen_and_refused_is_no_proposal_and_is_kept_with_its_reason(filled: ResultStore) -> None:
    number = add_design(filled, [1], [crystal_id(1)], refused=[crystal_id(2)])
    assert [row["crystal_id"] for row in filled.designs.proposals(number)] == [crystal_id(1)]
    (refused,) = filled.designs.refused(number)
    assert (refused["crystal_id"], refused["refused"]) == (crystal_id(2), REFUSED)
    assert refused["text"].startswith("refused by design 1 (NOT metal, by -d_max_pc_per_n) as number 2, from round 2: ")
    assert refused["text"].endswith(f"formation_ev_per_atom -0.50; {REFUSED}")
    assert filled.designs.describe(number)["refused"] == [refused]
    assert filled.designs.proposals_of_crystal(crystal_id(2)) == []
    assert filled.designs.overview()[0]["proposals"] == 1


def test_a_crystal_knows_who_proposed_it_the_newest_first(filled: ResultStore) -> None:
    first = add_design(filled, [1, 2], [crystal_id(2), crystal_id(1)])
    second = add_design(filled, [1], [crystal_id(1)], replace(SPEC, filter=""))
    rows = filled.designs.proposals_of_crystal(crystal_id(1))
    assert [(row["design_id"], row["rank"]) for row in rows] == [(second, 1), (first, 2)]
    assert filled.show(crystal_id(1))["proposals"] == rows
    assert filled.show(crystal_id(3))["proposals"] == []


@pytest.mark.parametrize("number", [0, 7, -(2**63), 2**70])
def test_an_unknown_number_is_an_error_that_says_where_the_others_are(store: ResultStore, number: int) -> None:
    store.designs.open(SPEC)
    for ask in (store.designs.get, store.designs.describe):
        with pytest.raises(MissingError, match=rf"no design {number}\. gmtscreen designs lists all"):
            ask(number)


def test_overview_and_description_agree(filled: ResultStore) -> None:
    number = add_design(filled, [1, 2], [crystal_id(2), crystal_id(1)])
    add_design(filled, [], [], replace(SPEC, filter=""))
    unfinished, finished = filled.designs.overview()
    described = filled.designs.describe(number)
    assert (unfinished["rounds"], unfinished["proposals"]) == (0, 0)
    assert described["rounds"] == [asdict(one) for one in filled.designs.rounds(number)]
    assert described["proposals"] == filled.designs.proposals(number)
    counts = {name: len(described[name]) for name in ("rounds", "proposals")}
    assert described.pop("refused") == []
    assert described | counts == finished


def test_a_run_says_which_round_it_is(filled: ResultStore) -> None:
    number = add_design(filled, [2], [])
    assert [run["round_of"] for run in filled.runs()] == [{"design": number, "round": 1}, None]
    assert filled.runs(1)[0]["round_of"] is None
    assert filled.runs(2)[0]["round_of"] == {"design": number, "round": 1}


def test_crystals_of_a_run_come_once_in_the_order_of_its_inputs_duplicates_too(filled: ResultStore) -> None:
    assert filled.designs.crystals_of_run(1) == [crystal_id(2), crystal_id(1)]
    assert filled.designs.crystals_of_run(2) == [crystal_id(3), crystal_id(2)]


def test_a_proposal_is_said_in_words() -> None:
    row = {"design_id": 1, "filter": "NOT metal", "sort": "-d_max_pc_per_n", "refused": None}
    row |= {"rank": 3, "round": 2, "value": 31.2345}
    assert proposal_text(row | {"facts": FACTS}) == (
        "proposed by design 1 (NOT metal, by -d_max_pc_per_n) as number 3, from round 2: d_max_pc_per_n 31.23, promise "
        "0.81, uncertainty 0.64, crowding 0.10"
    )
    everything = proposal_text(row | {"facts": {}, "filter": "", "sort": "k_vrh_gpa"})
    assert everything.endswith("(all crystals, by k_vrh_gpa) as number 3, from round 2: k_vrh_gpa 31.23")


@pytest.fixture(scope="module")
def one_store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A store for many examples."""
    with ResultStore(tmp_path_factory.mktemp("designs") / "designs.db") as opened:
        yield opened


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
VALUES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | TEXTS


@given(TEXTS, TEXTS, st.dictionaries(TEXTS, VALUES, max_size=4))
def test_whatever_is_asked_for_comes_back_from_the_database(
    one_store: ResultStore, filter: str, sort: str, settings: dict[str, Any]
) -> None:
    asked = DesignSpec(filter, sort, settings)
    number = one_store.designs.open(asked).id
    assert one_store.designs.get(number).spec == asked
    assert one_store.designs.open(asked) == one_store.designs.get(number)


def test_a_database_of_before_gets_the_tables_and_keeps_its_inputs(
    filled: ResultStore, open_again: Callable[[], ResultStore]
) -> None:
    before: list[dict[str, Any]] = list(filled.dump())
    with writing(filled._engine) as connection:
        for table in ("design_proposals", "design_rounds", "designs"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0013'")
    newer = open_again()
    with reading(newer._engine) as connection:
        assert revision_of(connection) == HEAD
        assert inspect(connection).has_table("design_proposals")
    assert list(newer.dump()) == before
    assert newer.designs.overview() == []
    assert add_design(newer, [1], [crystal_id(1)]) == 1
