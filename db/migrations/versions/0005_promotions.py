"""Where the files of a model version are and how it came to be, and every decision about which version is current.

Versions of before have no folder: they came with the program. Their promotions were not kept.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Adds the columns, unknown for all versions, and the empty table of decisions."""
    for name, kind in (("folder", KEY), ("files", sa.Text()), ("snapshot", KEY), ("code_version", KEY)):
        op.add_column("models", sa.Column(name, kind))
    op.create_table(
        "promotions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("before_id", sa.Integer()),
        *(sa.Column(name, KEY, nullable=False) for name in ("decision", "who", "why")),
        sa.Column("report", sa.Text()),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_promotions"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_promotions_model_id_models"),
        sa.ForeignKeyConstraint(["before_id"], ["models.id"], name="fk_promotions_before_id_models"),
    )
    op.create_index("ix_promotions_model_id", "promotions", ["model_id"])
