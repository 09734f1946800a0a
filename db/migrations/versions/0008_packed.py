"""Values in few bytes: numbers of results as float32, tensors as components, arrays and texts deflated; partitions.

Of what is stored nothing is lost but digits that float32 does not keep. On PostgreSQL `results` has one partition per
model version from here on.

Revision ID: 0008
Revises: 0007
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import sqlalchemy as sa
from alembic import op

from db.storage.packing import deflate, order_code, pack_tensor, pack_text, rounded_single
from db.storage.partitions import add_partition
from models.quantities import Tensor

revision = "0008"
down_revision = "0007"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
SINGLE: Any = sa.REAL().with_variant(sa.Integer(), "sqlite")
DOUBLES = ("created", "symprec")
TENSORS = ("dielectric_electronic", "dielectric_total", "piezoelectric", "elastic_voigt")
RESULT_INDEXES = ("spacegroup", "k_vrh_gpa", "g_vrh_gpa", "e_max_c_per_m2", "d_max_pc_per_n", "eps_total_mean")
ROWS = 1000
"""Rows that are converted at once."""

Row = Mapping[str, Any]
Packers = dict[str, Callable[[Any], Any]]


def upgrade() -> None:
    """Packs crystals and inputs where they are and copies the results into a new table; minutes per million rows."""
    connection = op.get_bind()
    pack_in_place(connection, "crystals", ("id",), dict.fromkeys(("lattice", "numbers", "frac_coords"), deflate))
    op.add_column("inputs", sa.Column("packed", sa.LargeBinary()))
    keys = ("run_id", "source_index", "position")
    pack_in_place(connection, "inputs", keys, {"turn": deflate, "metadata": pack_text}, {"metadata": "packed"})
    op.drop_column("inputs", "metadata")
    op.alter_column("inputs", "packed", new_column_name="metadata")
    columns = sa.inspect(connection).get_columns("results")
    for name in RESULT_INDEXES:
        op.drop_index(f"ix_results_{name}", "results")
    op.rename_table("results", "results_before")
    if connection.dialect.name == "postgresql":
        # names of constraints and their indexes belong to the schema there
        op.drop_constraint("pk_results", "results_before")
    create_results([(column["name"], column["type"], column["nullable"]) for column in columns])
    copy_results(connection, {column["name"]: column["type"] for column in columns})
    op.drop_table("results_before")
    create_segments()
    op.add_column("runs", sa.Column("pruned", sa.Double()))


def pack_in_place(
    connection: sa.Connection,
    table: str,
    keys: tuple[str, ...],
    packers: Packers,
    into: Mapping[str, str] | None = None,
) -> None:
    """Replaces values by their packed form, some of them into another column."""
    targets = {name: (into or {}).get(name, name) for name in packers}
    rows = sa.table(table, *(sa.column(name) for name in dict.fromkeys((*keys, *packers, *targets.values()))))
    present = sa.or_(*(rows.c[name].is_not(None) for name in packers))
    wanted = sa.select(*(rows.c[name] for name in (*keys, *packers))).where(present)
    at_row = [rows.c[key] == sa.bindparam(f"at_{key}") for key in keys]
    values = {target: sa.bindparam(f"new_{name}", type_=sa.LargeBinary()) for name, target in targets.items()}
    statement = sa.update(rows).where(*at_row).values(values)
    for found in blocks(connection, wanted):
        rows_of_block = []
        for row in found:
            values_of_row = {f"at_{key}": row[key] for key in keys}
            for name, pack in packers.items():
                values_of_row[f"new_{name}"] = None if row[name] is None else pack(row[name])
            rows_of_block.append(values_of_row)
        connection.execute(statement, rows_of_block)


def blocks(connection: sa.Connection, statement: sa.Select[Any]) -> Iterator[list[Row]]:
    """The rows of a statement, some at a time."""
    rows = connection.execute(statement.execution_options(yield_per=ROWS)).mappings()
    for block in rows.partitions(ROWS):
        yield [dict(row) for row in block]


def create_results(columns: Iterable[tuple[str, Any, bool]]) -> None:
    """The new table: the same columns, numbers as float32, everything packed in binary."""
    made = []
    for name, kind, nullable in columns:
        packed: Any = KEY if isinstance(kind, sa.Text) else kind
        if isinstance(kind, sa.Double | sa.Float) and name not in DOUBLES:
            packed = SINGLE
        elif name == "warnings":
            packed = sa.LargeBinary()
        made.append(sa.Column(name, packed, nullable=nullable))
    op.create_table(
        "results",
        *made,
        sa.PrimaryKeyConstraint("crystal_id", "model_id", name="pk_results"),
        sa.ForeignKeyConstraint(["crystal_id"], ["crystals.id"], name="fk_results_crystal_id_crystals"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_results_model_id_models"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_results_run_id_runs"),
        postgresql_partition_by="LIST (model_id)",
    )
    models = sa.table("models", sa.column("id"))
    for model_id in op.get_bind().execute(sa.select(models.c.id)).scalars().all():
        add_partition(op.get_bind(), int(model_id))


def create_segments() -> None:
    """Columns of results beside their rows; filled when the database is opened (see `db.segments`)."""
    op.create_table(
        "column_segments",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("segment", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("model_id", "name", "segment", name="pk_column_segments"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_column_segments_model_id_models"),
        sqlite_with_rowid=False,
    )


def copy_results(connection: sa.Connection, kinds: Mapping[str, Any]) -> None:
    """Every row of the old table into the new one."""
    before = sa.table("results_before", *(sa.column(name) for name in kinds))
    after = sa.table("results", *(sa.column(name) for name in kinds))
    numbers = [name for name, kind in kinds.items() if isinstance(kind, sa.Double | sa.Float) and name not in DOUBLES]
    code: Callable[[float], float] = order_code if connection.dialect.name == "sqlite" else float
    for found in blocks(connection, sa.select(before)):
        rows = [dict(row) for row in found]
        for name in numbers:
            values = rounded_single(name, np.array([row[name] for row in rows], dtype=np.float64))
            for row, value in zip(rows, values.tolist(), strict=True):
                # NaN is what numpy made of an unknown number
                row[name] = code(value) if value == value else None
        for row in rows:
            row["warnings"] = pack_text(row["warnings"])
            for name in TENSORS:
                row[name] = None if row[name] is None else pack_tensor(Tensor(name), row[name])
        connection.execute(sa.insert(after), rows)
