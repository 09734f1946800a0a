"""The migrated schema is the one in `db.tables`, on both dialects, for fresh, older, and simultaneous openings."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, update

from db import tables
from db.base import metadata
from db.engine import create_or_migrate
from db.migrations import fill
from db.migrations.state import HEAD, has_unfilled_columns, revision_of
from db.migrations.upgrade import config_for
from db.records import ModelVersion
from db.store import ResultStore
from db.transactions import reading, writing
from models.derived.elastic import bulk_modulus_voigt
from models.derived.extremes.directional import derive_directional
from models.errors import StoreError
from models.quantities import DERIVED, UNCERTAINTY_COLUMNS
from tests.db.blocks import block, crystal_id, number_of, spec, work_off


def differences(connection: Connection) -> list[Any]:
    def is_declared(_object: Any, name: str | None, kind: str, *_: Any) -> bool:
        return kind != "table" or not (name or "").startswith("results_of_model_")

    options = {"compare_type": True, "include_object": is_declared}
    context = MigrationContext.configure(connection, opts=options)
    return list(compare_metadata(context, metadata))


def test_migrating_an_empty_database_gives_exactly_the_declared_schema(empty_db: str) -> None:
    with ResultStore(empty_db) as store, reading(store._engine) as connection:
        assert differences(connection) == []
        assert revision_of(connection) == HEAD


@pytest.mark.parametrize("statement", ["DROP INDEX ix_crystals_formula", "ALTER TABLE shards DROP COLUMN n_atoms"])
def test_the_comparison_sees_a_missing_index_or_column(store: ResultStore, statement: str) -> None:
    with writing(store._engine) as connection:
        connection.exec_driver_sql(statement)
    with reading(store._engine) as connection:
        assert len(differences(connection)) == 1


def test_constraints_carry_the_names_of_the_convention(store: ResultStore) -> None:
    with reading(store._engine) as connection:
        inspector = inspect(connection)
        for table in metadata.sorted_tables:
            assert inspector.get_pk_constraint(table.name)["name"] == f"pk_{table.name}"
            wanted = {key.name for key in table.foreign_key_constraints}
            assert {key["name"] for key in inspector.get_foreign_keys(table.name)} == wanted


def test_the_head_in_the_code_is_the_newest_revision_of_the_folder() -> None:
    assert ScriptDirectory.from_config(config_for()).get_heads() == [HEAD]


def test_every_derived_quantity_has_a_column() -> None:
    assert set(DERIVED) <= set(tables.results.c.keys())


def test_a_quantity_that_is_new_in_the_registry_becomes_a_column_of_an_older_database(
    store: ResultStore, open_again: Callable[[], ResultStore]
) -> None:
    run = store.open_run(spec())
    store.add_block(run.id, block(0, [1, 2]), 100)
    work_off(store, run.id)
    name = next(name for name in UNCERTAINTY_COLUMNS if not _is_indexed(name))
    with writing(store._engine) as connection:
        connection.exec_driver_sql(f"ALTER TABLE results DROP COLUMN {name}")
    newer = open_again()
    # an interval is not made up afterwards
    assert newer.count(f"{name} IS UNKNOWN") == newer.count() == 2
    with reading(newer._engine) as connection:
        assert differences(connection) == []


def test_new_derived_columns_are_computed_from_stored_tensors_however_often_that_is_killed(
    store: ResultStore, open_again: Callable[[], ResultStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept: a value that is there already. Searches by column and by row see the same."""
    run = store.open_run(spec())
    store.add_block(run.id, block(0, range(10)), 12)
    work_off(store, run.id)
    moved = ("k_voigt_gpa", "density_g_per_cm3", "poisson_min")
    with writing(store._engine) as connection:
        for name in moved[1:]:
            connection.exec_driver_sql(f"ALTER TABLE results DROP COLUMN {name}")
        connection.exec_driver_sql("INSERT INTO unfilled_columns (name) VALUES ('k_voigt_gpa')")
        kept = crystal_id(3)
        connection.execute(update(tables.results).values(k_voigt_gpa=None).where(tables.results.c.crystal_id != kept))
    monkeypatch.setattr(fill, "RESULTS_PER_TRANSACTION", 3)

    def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    for place in ("computed_rows", "_rebuild_segments"):
        with monkeypatch.context() as patched:
            steps = iter([getattr(fill, place)] * (2 if place == "computed_rows" else 0) + [killed])
            patched.setattr(fill, place, lambda *given, steps=steps: next(steps)(*given))
            with pytest.raises(KeyboardInterrupt):
                open_again()
    newer = open_again()
    rows = {row["crystal_id"]: row for row in newer.dump() if "elastic_voigt" in row}
    n_dense = sum(row["density_g_per_cm3"] > 5 for row in rows.values())
    assert newer.count("density_g_per_cm3 > 5") == n_dense > 0
    assert rows.pop(kept)["k_voigt_gpa"] == pytest.approx(100 * number_of(kept), rel=1e-6)
    for row in rows.values():
        stiffness = np.frombuffer(row["elastic_voigt"]).reshape(1, 6, 6)
        assert row["k_voigt_gpa"] == pytest.approx(bulk_modulus_voigt(stiffness)[0], rel=1e-6)
        assert row["poisson_min"] == pytest.approx(derive_directional(stiffness)["poisson_min"][0], rel=1e-6)
    with reading(newer._engine) as connection:
        assert not has_unfilled_columns(connection)


def _is_indexed(name: str) -> bool:
    return any(name in index.columns for index in tables.results.indexes)


def test_opening_again_keeps_the_data(store: ResultStore, open_again: Callable[[], ResultStore]) -> None:
    store.register_model(ModelVersion("toy", "1", "a" * 64), {})
    assert open_again().list_models() == store.list_models()


def test_a_database_of_a_newer_gmtscreen_is_refused(store: ResultStore, open_again: Callable[[], ResultStore]) -> None:
    with writing(store._engine) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=f"revision 9999, this gmtscreen knows revisions up to {HEAD}"):
        open_again()


def test_a_migration_that_fails_leaves_nothing_behind(
    store: ResultStore, revisions_run: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writing(store._engine) as connection:
        metadata.drop_all(connection)
        connection.exec_driver_sql("DROP TABLE alembic_version")

    def broken(*_: object) -> None:
        raise RuntimeError("killed in the middle")

    with monkeypatch.context() as patched:
        patched.setattr("db.migrations.upgrade.add_new_columns", broken)
        with pytest.raises(RuntimeError):
            create_or_migrate(store._engine)
    with reading(store._engine) as connection:
        assert inspect(connection).get_table_names() == []
    create_or_migrate(store._engine)
    assert store.list_models() == []


def test_stores_that_open_an_empty_database_at_the_same_time_all_succeed(empty_db: str) -> None:
    def open_and_register(k: int) -> int:
        with ResultStore(empty_db) as store:
            return store.register_model(ModelVersion("toy", str(k), "a" * 64), {})

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(open_and_register, range(4)))) == 4
