"""Searches for new crystals with wanted properties: their goals, rounds and proposals.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Adds three empty tables."""
    op.create_table(
        "designs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("fingerprint", KEY, nullable=False),
        sa.Column("filter", KEY, nullable=False),
        sa.Column("sort", KEY, nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_designs"),
        sa.UniqueConstraint("fingerprint", name="uq_designs_fingerprint"),
    )
    op.create_table(
        "design_rounds",
        sa.Column("design_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("generator", KEY, nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("quantiles", sa.Text(), nullable=False),
        sa.Column("divergence", sa.Double(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("design_id", "number", name="pk_design_rounds"),
        sa.ForeignKeyConstraint(["design_id"], ["designs.id"], name="fk_design_rounds_design_id_designs"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_design_rounds_run_id_runs"),
    )
    op.create_table(
        "design_proposals",
        sa.Column("design_id", sa.Integer(), nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("crystal_id", KEY, nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("refused", KEY),
        sa.PrimaryKeyConstraint("design_id", "rank", name="pk_design_proposals"),
        sa.ForeignKeyConstraint(["design_id"], ["designs.id"], name="fk_design_proposals_design_id_designs"),
        sa.ForeignKeyConstraint(["crystal_id"], ["crystals.id"], name="fk_design_proposals_crystal_id_crystals"),
    )
    op.create_index("ix_design_proposals_crystal_id", "design_proposals", ["crystal_id"])
