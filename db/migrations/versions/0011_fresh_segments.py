"""Segments of columns that one transaction wrote have one array for all columns until they are merged.

Nothing changes in a database that has none. The revision keeps versions out that would not find what such a segment
holds.

Revision ID: 0011
Revises: 0010
"""

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Nothing to do."""
