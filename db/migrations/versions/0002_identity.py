"""The identity of crystals: the mirror image's id and the family of a crystal, the orientation of a listing.

Crystals that were stored before have no family, so nothing is recognised as one of them: their ids are hashes of a
listing, and they stay what they were.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

from db.base import ARRAY

revision = "0002"
down_revision = "0001"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Adds the columns, unknown for all rows, and the indexes of what is looked up."""
    op.add_column("crystals", sa.Column("twin_id", KEY))
    op.add_column("crystals", sa.Column("family", KEY))
    op.add_column("inputs", sa.Column("turn", ARRAY))
    op.create_index("ix_crystals_family", "crystals", ["family"])
    op.create_index("ix_crystals_twin_id", "crystals", ["twin_id"])
