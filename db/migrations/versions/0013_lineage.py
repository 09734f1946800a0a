"""How the inputs were made that sources made from other crystals.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Adds the table, empty: of earlier inputs nobody kept how they were made."""
    op.create_table(
        "lineage",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("source_index", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("crystal_id", KEY, nullable=False),
        sa.Column("parent", KEY),
        sa.Column("operation", KEY, nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger()),
        sa.Column("model", KEY),
        sa.Column("log_probability", sa.Double()),
        sa.PrimaryKeyConstraint("run_id", "source_index", "position", name="pk_lineage"),
        sa.ForeignKeyConstraint(["crystal_id"], ["crystals.id"], name="fk_lineage_crystal_id_crystals"),
        sa.ForeignKeyConstraint(
            ["run_id", "source_index", "position"],
            ["inputs.run_id", "inputs.source_index", "inputs.position"],
            name="fk_lineage_run_id_source_index_position_inputs",
        ),
    )
    op.create_index("ix_lineage_crystal_id", "lineage", ["crystal_id"])
    op.create_index("ix_lineage_parent", "lineage", ["parent"])
