"""Columns beside the rows: they hold what the rows hold, whatever order, merging or replacement made them."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, func, select

from db import segments
from db.migrations import upgrade
from db.records import ModelVersion
from db.storage.segment_ids import decode_ids
from db.store import ResultStore
from db.tables import column_segments
from db.transactions import reading, writing
from tests.db.blocks import MODEL, block, results, spec, work_off


def columns(store: ResultStore, model_id: int = 1) -> dict[str, Any]:
    """The stored columns of a model, by name, in the order of the ids."""
    with reading(store._engine) as connection:
        arrays = [*segments.read(connection, model_id, [segments.ID, *segments.SEGMENT_COLUMNS])]
    arrays.sort(key=lambda array: array[1])
    ids: list[str] = []
    for name, _, data in arrays:
        if name == segments.ID:
            of_segment = decode_ids(data)
            assert of_segment is not None
            ids += of_segment.texts(slice(None))  # type: ignore[arg-type]
    order = sorted(range(len(ids)), key=ids.__getitem__)
    found: dict[str, Any] = {"id": [ids[k] for k in order]}
    for name in {name for name, _, _ in arrays} - {segments.ID}:
        whole = segments.joined([segments.decode(name, data) for other, _, data in arrays if other == name])
        texts = whole.texts
        values = whole.values[order].tolist()
        found[name] = values if texts is None else [None if place < 0 else texts[place] for place in values]
    return found


def n_segments(store: ResultStore) -> int:
    with reading(store._engine) as connection:
        counted = select(func.count()).select_from(column_segments).where(column_segments.c.name == segments.ID)
        return int(connection.execute(counted).scalar_one())


def screened(store: ResultStore, n_crystals: int, shard_atoms: int) -> None:
    run = store.open_run(spec())
    store.add_block(run.id, block(0, range(n_crystals)), shard_atoms)
    work_off(store, run.id)


def rebuilt(store: ResultStore) -> None:
    with writing(store._engine) as connection:
        segments.rebuild(connection, 1)


def test_columns_made_at_commit_are_those_made_of_the_rows(store: ResultStore) -> None:
    screened(store, 40, 12)
    assert n_segments(store) > 5
    at_commit = columns(store)
    assert len(at_commit["id"]) == 40
    rebuilt(store)
    assert n_segments(store) == 1
    assert columns(store) == at_commit


def test_many_small_segments_are_merged(store: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LEAST_FRESH", 2), ("FRESH_ROWS", 12), ("SMALL_ROWS", 20), ("MOST_SMALL", 2)):
        monkeypatch.setattr(segments, name, value)
    screened(store, 60, 4)
    assert n_segments(store) < 10
    merged = columns(store)
    rebuilt(store)
    assert columns(store) == merged


def test_a_crystal_that_two_runs_compute_at_once_is_in_the_columns_once(store: ResultStore) -> None:
    runs = [store.open_run(spec(source)) for source in ("a", "b")]
    for run, source in zip(runs, ("a", "b"), strict=True):
        store.add_block(run.id, block(0, range(8), source), 10**6)
    held = [store.lease_shard(run.id, "w") for run in runs]
    for lease, shift in zip(held, (0.0, 1000.0), strict=True):
        assert lease is not None
        assert store.commit_shard(lease, results(lease, shift=shift))
    assert store.count() == 8
    assert store.count("k_vrh_gpa > 900") == 8
    of_both = columns(store)
    rebuilt(store)
    assert columns(store) == of_both


def test_columns_of_a_database_without_any_are_made_when_it_is_opened(store: ResultStore, db: str) -> None:
    screened(store, 12, 12)
    before = columns(store)
    with writing(store._engine) as connection:
        connection.execute(delete(column_segments))
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0008'")
        assert segments.models_without(connection) == [1]
        segments.rebuild(connection, 1)
        assert segments.models_without(connection) == []
    assert columns(store) == before


def test_ids_of_another_form_are_searched_by_sql(store: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "ids_of", lambda _texts: None)
    screened(store, 12, 12)
    assert store.count("k_vrh_gpa > -1") == 12
    assert store.facets("point_group").values == [("m-3m", 12)]
    assert sum(store.histogram("k_vrh_gpa", bins=3).counts) == 12
    by_sql = store.query("k_vrh_gpa > 20", sort="-k_vrh_gpa", limit=0)
    monkeypatch.undo()
    rebuilt(store)
    assert store.query("k_vrh_gpa > 20", sort="-k_vrh_gpa", limit=0).equals(by_sql)


@pytest.mark.parametrize("name", ["elements", "point_group", "spacegroup", "mechanically_stable", "nelements"])
def test_facets_add_up_and_count_what_a_filter_counts(store: ResultStore, name: str) -> None:
    screened(store, 40, 12)
    facets = store.facets(name, "k_vrh_gpa > 30", limit=1000)
    assert facets.exact
    for value, n in facets.values[:3]:
        term = f'elements HAS "{value}"' if name == "elements" else f"{name} = {_literal(value)}"
        assert store.count(f"k_vrh_gpa > 30 AND {term}") == n
    if name != "elements":
        assert sum(n for _, n in facets.values) == store.count("k_vrh_gpa > 30")


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).upper()


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_a_histogram_counts_what_filters_between_its_edges_count(store: ResultStore, scale: str) -> None:
    screened(store, 40, 12)
    shape = store.histogram("k_vrh_gpa", "mechanically_stable", bins=5, scale=scale)
    assert sum(shape.counts) + shape.n_unknown == store.count("mechanically_stable")
    for low, high, n in zip(shape.edges[1:-2], shape.edges[2:-1], shape.counts[1:-1], strict=True):
        assert store.count(f"mechanically_stable AND k_vrh_gpa >= {low!r} AND k_vrh_gpa < {high!r}") == n


def test_another_version_has_columns_of_its_own(store: ResultStore) -> None:
    screened(store, 12, 12)
    other = store.open_run(spec("b", model=ModelVersion(MODEL.name, "2", "b" * 64)))
    store.add_block(other.id, block(0, range(4), "b"), 12)
    work_off(store, other.id)
    assert len(columns(store, 1)["id"]) == 12
    assert len(columns(store, 2)["id"]) == 4


def test_a_fresh_segment_is_two_rows_and_a_merged_one_a_row_for_each_column(store: ResultStore) -> None:
    screened(store, 40, 12)
    n_fresh = n_segments(store)

    def n_rows() -> int:
        with reading(store._engine) as connection:
            return int(connection.execute(select(func.count()).select_from(column_segments)).scalar_one())

    assert n_rows() == 2 * n_fresh
    at_commit = columns(store)
    with writing(store._engine) as connection:
        numbers = [segment for _, segment in segments.numbers_of(connection, [1], segments.ID)]
        # one alone, then what is left with it: fresh and merged ones are read together
        segments.replace(connection, 1, numbers[:1], drop=())
    assert columns(store) == at_commit
    with writing(store._engine) as connection:
        numbers = [segment for _, segment in segments.numbers_of(connection, [1], segments.ID)]
        segments.replace(connection, 1, numbers, drop=())
    assert columns(store) == at_commit
    assert n_segments(store) == 1 and n_rows() == len(at_commit)


def test_columns_of_a_table_without_rowids_are_kept_and_a_message_names_the_change(
    store: ResultStore,
    open_again: Callable[[], ResultStore],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if store._engine.dialect.name != "sqlite":
        pytest.skip("only SQLite has tables without rowids")
    screened(store, 40, 12)
    before = columns(store)
    with writing(store._engine) as connection:
        schema = "SELECT sql FROM sqlite_master WHERE name = 'column_segments'"
        declared = connection.exec_driver_sql(schema).scalar_one()
        connection.exec_driver_sql("ALTER TABLE column_segments RENAME TO moved")
        connection.exec_driver_sql(f"{declared} WITHOUT ROWID")
        connection.exec_driver_sql("INSERT INTO column_segments SELECT * FROM moved")
        # and what later revisions added goes
        for table in ("moved", "lineage", "design_proposals", "design_rounds", "designs"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0011'")
    monkeypatch.setattr(upgrade, "WORTH_A_MESSAGE", 40)
    opened = open_again()
    assert "changing a database of 40 crystals" in caplog.text
    assert columns(opened) == before
    with reading(opened._engine) as connection:
        assert "WITHOUT ROWID" not in connection.exec_driver_sql(schema).scalar_one()
