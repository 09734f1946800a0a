"""Second opinions by a potential, and energies of crystals for convex hulls.

The columns that follow from the registry of second opinions are added when the database is opened.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
PACKED = (
    "lattice", "numbers", "frac_coords", "strain", "given_stress", "stiffness", "stiffness_clamped", "modes",
    "force_constants", "internal_strain", "notes",
)  # fmt: skip


def upgrade() -> None:
    """Adds both tables, empty."""
    op.create_table(
        "refinements",
        sa.Column("crystal_id", KEY, nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("potential", KEY, nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        *(sa.Column(name, sa.LargeBinary(), nullable=False) for name in PACKED),
        sa.PrimaryKeyConstraint("crystal_id", "model_id", name="pk_refinements"),
        sa.ForeignKeyConstraint(["crystal_id"], ["crystals.id"], name="fk_refinements_crystal_id_crystals"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_refinements_model_id_models"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_refinements_run_id_runs"),
    )
    op.create_index("ix_refinements_model_id", "refinements", ["model_id"])
    op.create_index("ix_refinements_run_id", "refinements", ["run_id"])
    op.create_table(
        "reference_energies",
        sa.Column("crystal_id", KEY, nullable=False),
        sa.Column("potential", KEY, nullable=False),
        sa.Column("energy_ev_per_atom", sa.Double()),
        sa.Column("detail", KEY),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("crystal_id", "potential", name="pk_reference_energies"),
        sa.ForeignKeyConstraint(["crystal_id"], ["crystals.id"], name="fk_reference_energies_crystal_id_crystals"),
    )
