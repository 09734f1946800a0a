"""Labels: what models are taught with, the instalments that brought it, and which formulas are kept for testing.

Revision ID: 0004
Revises: 0003
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def needed(name: str, kind: Any) -> sa.Column[Any]:
    """A column that must have a value."""
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    """Creates the tables in the order of their references."""
    op.create_table(
        "label_ingests",
        sa.Column("id", sa.Integer(), nullable=False),
        *(needed(name, KEY) for name in ("source", "fingerprint")),
        sa.Column("verdict", KEY),
        sa.Column("report", sa.Text()),
        needed("created", sa.Double()),
        sa.PrimaryKeyConstraint("id", name="pk_label_ingests"),
    )
    op.create_index("ix_label_ingests_source_fingerprint", "label_ingests", ["source", "fingerprint"])
    op.create_table(
        "labels",
        needed("hash", KEY),
        needed("ingest_id", sa.Integer()),
        needed("position", sa.BigInteger()),
        needed("kind", KEY),
        *(sa.Column(name, KEY) for name in ("crystal_id", "formula")),
        *(needed(name, KEY) for name in ("source", "source_id")),
        sa.Column("licence", KEY),
        needed("provenance", sa.Text()),
        sa.Column("declared_split", KEY),
        sa.Column("content", sa.Text()),
        needed("state", KEY),
        *(sa.Column(name, KEY) for name in ("stage", "reason", "detail")),
        sa.Column("residual", sa.Double()),
        *(needed(name, sa.Boolean()) for name in ("tells_order", "tells_frame")),
        needed("sizes", sa.Text()),
        sa.Column("ratio", sa.Double()),
        sa.PrimaryKeyConstraint("hash", name="pk_labels"),
        sa.ForeignKeyConstraint(["ingest_id"], ["label_ingests.id"], name="fk_labels_ingest_id_label_ingests"),
        sa.ForeignKeyConstraint(["crystal_id"], ["crystals.id"], name="fk_labels_crystal_id_crystals"),
    )
    for columns in (("ingest_id", "state"), ("crystal_id", "kind"), ("source_id", "kind"), ("state", "kind")):
        op.create_index(f"ix_labels_{'_'.join(columns)}", "labels", list(columns))
    op.create_table(
        "formula_splits",
        *(needed(name, KEY) for name in ("formula", "split", "origin")),
        sa.PrimaryKeyConstraint("formula", name="pk_formula_splits"),
    )
