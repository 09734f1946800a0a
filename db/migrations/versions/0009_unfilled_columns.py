"""Which columns of stored results are still to be computed from the stored tensors.

A derived column of which no result has a value came when its database was already there.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

from models.quantities import DERIVED

revision = "0009"
down_revision = "0008"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Adds the table and names the derived columns that are empty."""
    op.create_table(
        "unfilled_columns",
        sa.Column("name", KEY, nullable=False),
        sa.Column("crystal_id", KEY),
        sa.Column("model_id", sa.Integer()),
        sa.PrimaryKeyConstraint("name", name="pk_unfilled_columns"),
    )
    connection = op.get_bind()
    present = {column["name"] for column in sa.inspect(connection).get_columns("results")}
    names = [name for name in DERIVED if name in present]
    results = sa.table("results", *map(sa.column, names))
    counts = sa.select(sa.func.count(), *(sa.func.count(results.c[name]) for name in names)).select_from(results)
    n_results, *n_known = connection.execute(counts).one()
    empty = [{"name": name} for name, n in zip(names, n_known, strict=True) if n_results and not n]
    if empty:
        connection.execute(sa.insert(sa.table("unfilled_columns", sa.column("name"))), empty)
