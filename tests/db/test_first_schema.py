"""A database as the first version wrote it, with a run half done, opens today: nothing of it changes, and it goes on.

`first_schema.*.sql` are dumps by sqlite3 and pg_dump of a run over six inputs: two done, one quarantined, one rejected,
one a duplicate, one pending.
"""

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine, inspect, select, text

from db.base import metadata
from db.engine import parse_url
from db.migrations.state import HEAD, revision_of
from db.records import Balance, RunState
from db.store import ResultStore
from db.transactions import reading
from tests.db.blocks import spec, work_off

Tables = dict[str, list[dict[str, Any]]]


@pytest.fixture
def first_db(empty_db: str, dialect: str) -> str:
    """A database of the first version."""
    dump = (Path(__file__).parent / f"first_schema.{dialect}.sql").read_text(encoding="utf-8")
    if dialect == "sqlite":
        connection = sqlite3.connect(empty_db)
        connection.executescript(dump)
        connection.close()
    else:
        import psycopg

        with psycopg.connect(empty_db.replace("+psycopg", "")) as server:
            server.execute(dump.encode())
    return empty_db


def content(db: str) -> Tables:
    """Every row of every table, read without our own code but for packed values."""
    engine = create_engine(parse_url(db))
    with engine.connect() as connection:
        is_packed = revision_of(connection) == HEAD
        names = sorted(set(inspect(connection).get_table_names()) - {"alembic_version"})
        tables = {}
        for name in names:
            found = connection.exec_driver_sql(f"SELECT * FROM {name}").mappings()  # noqa: S608  names of our tables
            if is_packed and name in metadata.tables:
                found = connection.execute(select(metadata.tables[name])).mappings()
            tables[name] = sorted((dict(row) for row in found), key=str)
    engine.dispose()
    return tables


def as_before(value: Any) -> Any:
    """A number with the digits that float32 keeps."""
    return float(np.float32(value)) if isinstance(value, float) and abs(value) < 1e6 else value


def test_every_value_of_the_first_version_is_there_after_the_migration(first_db: str) -> None:
    before = content(first_db)
    assert len(before["results"]) == 2
    with ResultStore(first_db) as store, reading(store._engine) as connection:
        assert revision_of(connection) == HEAD
    after = content(first_db)
    for table, rows in before.items():
        kept = [{name: as_before(row[name]) for name in rows[0]} for row in after[table]]
        expected = [{name: as_before(value) for name, value in row.items()} for row in rows]
        assert sorted(kept, key=str) == sorted(expected, key=str), table
    assert all(row["ood"] is None for row in after["results"])


def test_what_later_versions_store_is_read_out_of_what_the_first_stored(first_db: str) -> None:
    notes = ["symmetry_missing: no space group", "pbc: T T F", "isotope_merged: D read as H"]
    metadata = json.dumps({"notes": notes})
    engine = create_engine(parse_url(first_db))
    with engine.begin() as connection:
        connection.execute(text("UPDATE inputs SET metadata = :json WHERE position = 4"), {"json": metadata})
        # the predicted values of an orthorhombic crystal are equal by accident: 2 2 3; then those of a trigonal one
        optics = text(
            "UPDATE results SET eps_electronic_min = 2, eps_electronic_mean = 7.0 / 3, eps_electronic_max = 3, "
            "spacegroup = :group WHERE crystal_id LIKE :start"
        )
        connection.execute(optics, [{"group": 62, "start": "5fae%"}, {"group": 152, "start": "cc50%"}])
    engine.dispose()
    with ResultStore(first_db) as store:
        fields = ["id", "formula_anonymous", "optical_class", "optic_sign", "doubts"]
        table = store.query(fields=fields, sort="id")
        assert store.doubts(1) == {"symmetry_doubt": 1, "periodicity_doubt": 1}
        assert store.count("doubtful") == store.count('formula = "NbMg"') == 1
    assert table["formula_anonymous"].tolist() == ["AB", "A"]
    assert table["optical_class"].tolist() == ["biaxial", "uniaxial"]
    assert table["optic_sign"].tolist() == ["+", "+"]
    assert table["doubts"].tolist() == [["periodicity_doubt", "symmetry_doubt"], []]


def test_the_comparison_sees_a_changed_value(first_db: str) -> None:
    before = content(first_db)
    engine = create_engine(parse_url(first_db))
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE results SET k_vrh_gpa = k_vrh_gpa + 1e-9")
    engine.dispose()
    assert content(first_db) != before


def test_a_run_of_the_first_version_goes_on_to_its_end(first_db: str) -> None:
    with ResultStore(first_db) as store:
        run = store.open_run(spec())
        assert run.resumed
        assert store.balance(run.id) == Balance(n_in=6, done=2, duplicate=1, rejected=1, quarantined=1, pending=1)
        assert work_off(store, run.id) == 1
        assert store.finish(run.id, 1.0) == Balance(n_in=6, done=3, duplicate=1, rejected=1, quarantined=1, pending=0)
        assert store.get_run(run.id).state is RunState.FINISHED
