"""Searches: SQL agrees with plain Python on every row, pages join without gap, one model speaks per crystal."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.query.analysis.evaluate import truth
from db.query.by_column import selection
from db.query.by_column.table import BY_COLUMN
from db.query.filter_tree import Filter, Flag, Is, Knowledge, Not, to_text
from db.query.pages import sql_page
from db.query.properties import LISTS, PROPERTIES
from db.query.request import DEFAULT_FIELDS, Page, Request
from db.records import DecisionRecord, IngestedBlock, ModelVersion, ResultBlock
from db.store import ResultStore
from db.transactions import reading
from models.crystals.crystal import SYMBOLS as ALL_SYMBOLS
from models.crystals.crystal import CrystalBatch
from models.errors import FilterError, StoreError
from models.quantities import DERIVED, ColumnKind
from models.refinement_quantities import REFINEMENT, RefinementKind
from tests.db.blocks import SHARD_ATOMS, block, crystal_id, results, spec, work_off
from tests.db.query.filters import DOUBTS, NUMBERS, SYMBOLS, TEXTS, filters
from tests.db.refinements.opinions import refinement

N_CRYSTALS = 60
WIDE = ("id", "formula", "elements", *(name for name in PROPERTIES if name not in ("id", "formula", "elements")))


def fill_at_random(store: ResultStore, seed: int = 7) -> None:
    """Crystals of few elements and results full of gaps, of values that the random filters compare with."""
    rng = np.random.default_rng(seed)
    run = store.open_run(spec())
    species = [
        rng.choice([ALL_SYMBOLS.index(each) for each in SYMBOLS], size=rng.integers(1, 5)) for _ in range(N_CRYSTALS)
    ]
    batch = CrystalBatch.from_arrays(
        [rng.choice([2.0, 3.0]) * np.eye(3) for _ in species], [rng.uniform(size=(len(z), 3)) for z in species], species
    )
    ids = [crystal_id(k) for k in range(N_CRYSTALS)]
    texts = [*TEXTS[1:], "made-2"]
    # Every third crystal comes twice, under another source id.
    again = list(range(0, N_CRYSTALS, 3))
    everyone = [*range(N_CRYSTALS), *again]
    given_block = IngestedBlock(
        source="made",
        start=0,
        stop=len(everyone),
        positions=np.arange(len(everyone)),
        source_ids=[texts[k % len(texts)] for k in range(len(everyone))],
        crystal_ids=[ids[k] for k in everyone],
        crystals=batch.select(everyone),
        metadata=[metadata_with(rng) for _ in everyone],
        rejected=[],
    )
    store.add_block(run.id, given_block, 10**6)
    lease = store.lease_shard(run.id, "w")
    assert lease is not None
    assert store.commit_shard(lease, _gappy(lease.crystal_ids, rng))


def metadata_with(rng: np.random.Generator) -> str | None:
    """Metadata with none to two doubts and, now and then, a remark."""
    notes = [f"{doubt}: made up" for doubt in rng.choice(DOUBTS, size=rng.integers(0, 3))]
    notes += ["isotope_merged: D read as H"] * int(rng.integers(0, 2))
    return json.dumps({"notes": notes}) if notes else None


def _gappy(ids: list[str], rng: np.random.Generator) -> ResultBlock:
    def some(values: list[Any]) -> Any:
        return np.array([values[k] for k in rng.integers(0, len(values), len(ids))], dtype=object)

    kinds: dict[ColumnKind, list[Any]] = {
        ColumnKind.NUMBER: [None, *NUMBERS],
        ColumnKind.FLAG: [None, True, False],
        ColumnKind.TEXT: [None, *TEXTS],
    }
    columns = {name: some(kinds[quantity.kind]) for name, quantity in DERIVED.items()}
    columns |= {name: some([None, 1, 2, 3, 50]) for name in ("spacegroup", "spacegroup_1e3", "spacegroup_1e2")}
    columns |= {"point_group": some([None, *TEXTS]), "symmetry_ambiguous": some([None, True, False])}
    values: dict[RefinementKind, list[Any]] = {
        RefinementKind.NUMBER: [None, *NUMBERS[:-2]],
        RefinementKind.INTEGER: [None, 1, 2, 3, 50],
        RefinementKind.FLAG: [None, True, False],
        RefinementKind.TEXT: [None, *TEXTS],
    }
    opinions = []
    for each in ids[::2]:
        drawn = {name: rng.choice(np.array(values[row.kind], object)) for name, row in REFINEMENT.items()}
        opinions.append(refinement(each, **drawn))
    return ResultBlock(ids, columns, {}, {}, ["[]"] * len(ids), [], opinions)


@pytest.fixture
def random_store(store: ResultStore) -> ResultStore:
    fill_at_random(store)
    return store


def python_rows(store: ResultStore) -> Iterator[dict[str, Any]]:
    """All rows as the oracle wants them: lists as sets, gaps as None."""
    for row in store.page(Request(fields=WIDE, limit=0)).rows:
        yield {name: set(value) if isinstance(value, list) else value for name, value in row.items()}


@settings(max_examples=75, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=filters())
def test_columns_and_sql_find_exactly_the_rows_that_plain_python_finds(random_store: ResultStore, tree: Filter) -> None:
    if not hasattr(random_store, "oracle_rows"):
        random_store.oracle_rows = list(python_rows(random_store))  # type: ignore[attr-defined]
    rows: list[dict[str, Any]] = random_store.oracle_rows  # type: ignore[attr-defined]
    wanted = sorted(row["id"] for row in rows if truth(tree, row) is True)
    request = Request(to_text(tree), fields=("id",), limit=0)
    assert [row["id"] for row in random_store.page(request).rows] == wanted
    with reading(random_store._engine) as connection:
        assert [row["id"] for row in sql_page(connection, request).rows] == wanted
    assert random_store.count(to_text(tree)) == len(wanted)


def test_the_random_rows_make_filters_differ(random_store: ResultStore) -> None:
    rows = list(python_rows(random_store))
    assert len(rows) == N_CRYSTALS
    for name in DERIVED:
        assert 0 < sum(row[name] is None for row in rows) < N_CRYSTALS
    assert any(len(row["source_ids"]) == 2 for row in rows)
    for doubt in (*DOUBTS, "doubtful"):
        assert 0 < sum(row[doubt] for row in rows) < N_CRYSTALS
    assert {len(row["doubts"]) for row in rows} >= {0, 1, 2, 3}


def test_not_of_an_unknown_value_is_no_hit(random_store: ResultStore) -> None:
    flag = Flag("mechanically_stable")
    counts = [
        random_store.count(to_text(tree)) for tree in (flag, Not(flag), Is("mechanically_stable", Knowledge.UNKNOWN))
    ]
    assert sum(counts) == N_CRYSTALS
    assert min(counts) > 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sort=st.sampled_from(
        [None, "k_vrh_gpa", "-k_vrh_gpa", "-formula", "spacegroup", "-piezo_allowed", "optical_class", "-id"]
    ),
    size=st.integers(1, 25),
)
def test_pages_join_to_the_whole_in_order_whatever_their_size(
    random_store: ResultStore, sort: str | None, size: int
) -> None:
    whole = random_store.page(Request(fields=("id", "k_vrh_gpa"), sort=sort, limit=0)).rows
    joined: list[dict[str, Any]] = []
    after = None
    while True:
        page = random_store.page(Request(fields=("id", "k_vrh_gpa"), sort=sort, limit=size, after=after))
        joined += page.rows
        after = page.next
        if after is None:
            break
    assert joined == whole
    assert len({row["id"] for row in joined}) == N_CRYSTALS


def by_sql(store: ResultStore, request: Request) -> Page:
    with reading(store._engine) as connection:
        return sql_page(connection, request)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from([name for name, kind in PROPERTIES.items() if kind not in LISTS]), size=st.integers(9, 60))
def test_columns_and_sql_give_the_same_pages_by_every_property(random_store: ResultStore, name: str, size: int) -> None:
    for sort in (name, f"-{name}"):
        request = Request(fields=("id", "k_vrh_gpa", "formula"), sort=sort, limit=size)
        while True:
            page = random_store.page(request)
            assert page == by_sql(random_store, request)
            if page.next is None:
                break
            request = replace(request, after=page.next)


@pytest.mark.parametrize("sort", [None, "-model", "last_modified"])
def test_rows_made_of_columns_are_those_of_their_tables(
    random_store: ResultStore, sort: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request('model CONTAINS ""', (*sorted(BY_COLUMN), "source_ids"), sort, limit=25)
    monkeypatch.setattr(selection, "FETCHED_ROWS", 1)
    page = random_store.page(request)
    assert page == by_sql(random_store, request)
    kinds = [{key: type(value) for key, value in row.items()} for row in page.rows]
    assert kinds == [{key: type(value) for key, value in row.items()} for row in by_sql(random_store, request).rows]


def test_a_stream_gives_the_rows_of_all_pages_in_blocks(random_store: ResultStore) -> None:
    request = Request("k_vrh_gpa > 0 OR optical_class IS KNOWN", fields=("id",), sort="-k_vrh_gpa", limit=0)
    blocks = list(random_store.stream(request, 7))
    assert [row for rows in blocks for row in rows] == random_store.page(request).rows
    assert {len(rows) for rows in blocks[:-1]} == {7}
    limited = [row for rows in random_store.stream(replace(request, limit=10), 7) for row in rows]
    assert limited == random_store.page(replace(request, limit=10)).rows
    # what only SQL can sort by comes in the same blocks
    looked_up = Request(fields=("id",), sort="-doubtful", limit=0)
    assert [row for rows in random_store.stream(looked_up, 7) for row in rows] == by_sql(random_store, looked_up).rows


@pytest.mark.parametrize("sign", ["", "-"])
def test_sorted_rows_are_in_order_with_unknown_ones_last_and_ties_by_id(random_store: ResultStore, sign: str) -> None:
    rows = random_store.page(Request(fields=("id", "k_vrh_gpa"), sort=f"{sign}k_vrh_gpa", limit=0)).rows
    factor = -1 if sign else 1
    keys = [(row["k_vrh_gpa"] is None, factor * (row["k_vrh_gpa"] or 0.0), row["id"]) for row in rows]
    assert keys == sorted(keys)
    assert keys != sorted(keys, key=lambda key: key[2])


def test_a_query_gives_a_table_with_typed_columns_even_without_hits(random_store: ResultStore) -> None:
    full = random_store.query(limit=0)
    empty = random_store.query('point_group = "no such"')
    assert list(full.columns) == list(empty.columns) == list(DEFAULT_FIELDS)
    assert (full.dtypes == empty.dtypes).all()
    assert len(full) == N_CRYSTALS
    assert full["k_vrh_gpa"].dtype == "float64"
    assert full["mechanically_stable"].dtype == "boolean"
    assert len(random_store.query()) == 50


def test_fields_are_taken_under_all_their_names_and_only_known_ones(random_store: ResultStore) -> None:
    table = random_store.query(fields=["_gmt_k_vrh_gpa", "id", "nsites", "id"], limit=3)
    assert list(table.columns) == ["k_vrh_gpa", "id", "n_atoms"]
    with pytest.raises(FilterError, match="no property 'lattice'"):
        random_store.query(fields=["lattice"])
    with pytest.raises(FilterError, match="has no order"):
        random_store.query(sort="elements")
    with pytest.raises(FilterError, match="limit is -1"):
        random_store.query(limit=-1)


def test_numbers_that_are_not_finite_are_stored_as_unknown(store: ResultStore) -> None:
    run = store.open_run(spec())
    store.add_block(run.id, block(0, [1, 2, 3]), 10**6)
    lease = store.lease_shard(run.id, "w")
    assert lease is not None
    made = results(lease)
    made.columns["k_vrh_gpa"] = np.array([np.nan, np.inf, 5.0])
    store.commit_shard(lease, made)
    assert store.count("k_vrh_gpa IS UNKNOWN") == 2
    assert store.count("k_vrh_gpa > 0") == 1


NEW = ModelVersion("toy", "2", "b" * 64)


def screened_twice(store: ResultStore) -> None:
    """Crystals 0 to 4 by the first version, 2 to 7 by the second, whose numbers are larger by 1000."""
    first = store.open_run(spec("a"))
    store.add_block(first.id, block(0, range(5), "a"), SHARD_ATOMS)
    work_off(store, first.id)
    second = store.open_run(spec("b", model=NEW))
    store.add_block(second.id, block(0, range(2, 8), "b"), SHARD_ATOMS)
    while (lease := store.lease_shard(second.id, "w")) is not None:
        store.commit_shard(lease, results(lease, shift=1000.0))


def seeds_by_model(store: ResultStore, **options: Any) -> dict[str, list[int]]:
    names = {crystal_id(seed): seed for seed in range(8)}
    table = store.query(fields=["id", "model"], limit=0, **options)
    return {str(model): sorted(names[each] for each in rows["id"]) for model, rows in table.groupby("model")}


def test_each_crystal_is_one_row_by_its_current_model_else_by_the_newest(store: ResultStore) -> None:
    screened_twice(store)
    assert seeds_by_model(store) == {"toy@1": [0, 1, 2, 3, 4], "toy@2": [5, 6, 7]}
    store.promote_model("toy", "2", DecisionRecord("ana", "it is better"))
    assert seeds_by_model(store) == {"toy@1": [0, 1], "toy@2": [2, 3, 4, 5, 6, 7]}
    store.roll_back_model("toy", DecisionRecord("ana", "it was not"))
    assert seeds_by_model(store) == {"toy@1": [0, 1, 2, 3, 4], "toy@2": [5, 6, 7]}


def test_a_model_can_be_asked_for_by_name_by_version_and_in_the_filter(store: ResultStore) -> None:
    screened_twice(store)
    assert seeds_by_model(store, model="toy@2") == {"toy@2": [2, 3, 4, 5, 6, 7]}
    assert seeds_by_model(store, model="toy") == seeds_by_model(store)
    assert seeds_by_model(store, filter='model ENDS WITH "@2"') == {"toy@2": [2, 3, 4, 5, 6, 7]}
    with pytest.raises(StoreError, match=r"no model 'toy@9'.*toy@"):
        store.query(model="toy@9")


def test_source_ids_are_all_that_a_crystal_came_with(store: ResultStore) -> None:
    screened_twice(store)
    table = store.query('source_ids HAS "a-2"', fields=["source_ids"])
    assert table["source_ids"].tolist() == [["a-2", "b-0"]]
    assert store.count('source_id = "a-2" AND source_id = "b-0"') == 1
    assert store.count('source_id = "a-2" AND source_id = "b-1"') == 0


def test_a_table_goes_to_json_and_back(store: ResultStore) -> None:
    screened_twice(store)
    table = store.query(limit=0, sort="-k_vrh_gpa")
    read = json.loads(table.to_json(orient="records"))
    assert [row["id"] for row in read] == table["id"].tolist()
    assert read[0]["source_ids"] == table["source_ids"][0]


def test_a_filter_never_becomes_sql_text(store: ResultStore, open_again: Callable[[], ResultStore]) -> None:
    screened_twice(store)
    evil = "x' OR '1'='1'; DROP TABLE results; --"
    assert store.count(f'point_group = "{evil}" OR source_ids HAS "{evil}" OR formula CONTAINS "{evil}"') == 0
    assert open_again().count() == 8
