"""Label batches that can be taken back: who brought and who retracted them, and which label decided about another.

Of what is stored nobody knows who brought it. Which label decided is known by its rule only: of one crystal and kind
the accepted one; a retraction decides anew from the labels themselves, so that a missing name costs nothing.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Adds the columns, and fills which label decided about each duplicate, contradiction and superseded label."""
    op.add_column("label_ingests", sa.Column("who", KEY))
    op.add_column("label_ingests", sa.Column("retracted", sa.Double()))
    for name in ("retracted_by", "retracted_why"):
        op.add_column("label_ingests", sa.Column(name, KEY))
    op.add_column("models", sa.Column("batches", sa.Text()))
    op.add_column("labels", sa.Column("decided_by", KEY))
    fill_decided_by(op.get_bind())
    op.create_index("ix_labels_decided_by", "labels", ["decided_by"])


def fill_decided_by(connection: sa.Connection) -> None:
    """Of labels that are not trained on, the hash of the accepted one of the same crystal and kind."""
    names = ("hash", "crystal_id", "kind", "state", "decided_by")
    labels, accepted = (sa.table("labels", *map(sa.column, names)).alias(name) for name in ("label", "accepted"))
    same = (accepted.c.crystal_id == labels.c.crystal_id) & (accepted.c.kind == labels.c.kind)
    decided = labels.c.state.in_(["duplicate", "overruled"]) & (accepted.c.state == "accepted")
    pairs = sa.select(labels.c.hash.label("label_hash"), accepted.c.hash.label("by")).where(same, decided)
    rows = [dict(row) for row in connection.execute(pairs).mappings()]
    if rows:
        table = sa.table("labels", *map(sa.column, names))
        filled = sa.update(table).where(table.c.hash == sa.bindparam("label_hash"))
        connection.execute(filled.values(decided_by=sa.bindparam("by")), rows)
