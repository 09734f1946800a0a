"""Columns of results lie behind an index of their keys.

Without rowids SQLite keeps a row in the tree of its key, and reads the whole of each row that it passes on the way to
another: of arrays of hundreds of kilobytes that was most of what a commit to a large database cost.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

KEY = sa.Text()


def upgrade() -> None:
    """Copies the table into one with rowids, on SQLite; PostgreSQL never had another."""
    if op.get_bind().dialect.name != "sqlite":
        return
    op.rename_table("column_segments", "column_segments_of_before")
    op.create_table(
        "column_segments",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("segment", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("model_id", "name", "segment", name="pk_column_segments"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_column_segments_model_id_models"),
    )
    op.execute("INSERT INTO column_segments SELECT model_id, name, segment, data FROM column_segments_of_before")
    op.drop_table("column_segments_of_before")
