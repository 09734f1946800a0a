"""The index that a balance is counted from: outcomes of a run, accepted crystals in the order of the results' key.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Adds the index; a second or two per million inputs."""
    op.create_index("ix_inputs_run_id_outcome_crystal_id", "inputs", ["run_id", "outcome", "crystal_id"])
