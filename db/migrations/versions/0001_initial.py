"""The first schema: models, crystals, runs, cursors, shards, inputs, results.

The tables are written out here and not taken from `db.tables`, so that later revisions start from this one whatever
`db.tables` says by then. Only the derived columns and those of their intervals come from the registry of quantities:
they are added when missing on every opening (see `db.migrations.upgrade`), so building them twice cannot happen.

Revision ID: 0001
Revises:
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from models.quantities import DERIVED, UNCERTAINTY_COLUMNS, ColumnKind
from models.reliability_columns import RELIABILITY

revision = "0001"
down_revision = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
KIND_TYPES: dict[ColumnKind, Any] = {
    ColumnKind.NUMBER: sa.Double(),
    ColumnKind.FLAG: sa.Boolean(),
    ColumnKind.TEXT: KEY,
}
TENSORS = ("dielectric_electronic", "dielectric_total", "piezoelectric", "elastic_voigt")
RESULT_INDEXES = ("spacegroup", "k_vrh_gpa", "g_vrh_gpa", "e_max_c_per_m2", "d_max_pc_per_n", "eps_total_mean")


def needed(name: str, kind: Any) -> sa.Column[Any]:
    """A column that must have a value."""
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    """Creates the tables in the order of their references."""
    create_models_and_crystals()
    create_runs()
    create_ledger()
    create_inputs()
    create_results()


def create_models_and_crystals() -> None:
    """What is predicted with, and what is predicted."""
    op.create_table(
        "models",
        sa.Column("id", sa.Integer(), nullable=False),
        *(needed(name, KEY) for name in ("name", "version", "sha256")),
        needed("metrics", sa.Text()),
        needed("state", KEY),
        sa.Column("promotion", sa.Integer()),
        needed("created", sa.Double()),
        sa.PrimaryKeyConstraint("id", name="pk_models"),
        sa.UniqueConstraint("name", "version", name="uq_models_name_version"),
    )
    op.create_table(
        "crystals",
        *(needed(name, KEY) for name in ("id", "formula", "elements")),
        *(needed(name, sa.Integer()) for name in ("nelements", "n_atoms")),
        needed("volume_per_atom", sa.Double()),
        *(needed(name, sa.LargeBinary()) for name in ("lattice", "numbers", "frac_coords")),
        sa.PrimaryKeyConstraint("id", name="pk_crystals"),
    )
    op.create_index("ix_crystals_formula", "crystals", ["formula"])


def create_runs() -> None:
    """One row per run."""
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), nullable=False),
        needed("key", KEY),
        *(needed(name, sa.Text()) for name in ("sources", "fingerprints", "settings")),
        needed("model_id", sa.Integer()),
        needed("state", KEY),
        needed("created", sa.Double()),
        sa.Column("finished", sa.Double()),
        needed("seconds", sa.Double()),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.UniqueConstraint("key", name="uq_runs_key"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_runs_model_id_models"),
    )


def create_ledger() -> None:
    """How far each source is read, and which shards are done."""
    op.create_table(
        "cursors",
        *(needed(name, sa.Integer()) for name in ("run_id", "source_index")),
        needed("source", KEY),
        needed("next_position", sa.BigInteger()),
        needed("exhausted", sa.Boolean()),
        sa.PrimaryKeyConstraint("run_id", "source_index", name="pk_cursors"),
        sa.UniqueConstraint("run_id", "source", name="uq_cursors_run_id_source"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_cursors_run_id_runs"),
    )
    op.create_table(
        "shards",
        *(needed(name, sa.Integer()) for name in ("run_id", "shard_id")),
        needed("state", KEY),
        *(needed(name, sa.Integer()) for name in ("token", "attempt")),
        sa.Column("holder", KEY),
        *(sa.Column(name, sa.Double()) for name in ("heartbeat", "finished")),
        needed("n_crystals", sa.Integer()),
        needed("n_atoms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("run_id", "shard_id", name="pk_shards"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_shards_run_id_runs"),
    )
    op.create_index("ix_shards_run_id_state_shard_id", "shards", ["run_id", "state", "shard_id"])


def create_inputs() -> None:
    """One row per input of a run."""
    cursor = (["run_id", "source_index"], ["cursors.run_id", "cursors.source_index"])
    op.create_table(
        "inputs",
        *(needed(name, sa.Integer()) for name in ("run_id", "source_index")),
        needed("position", sa.BigInteger()),
        needed("source_id", KEY),
        sa.Column("crystal_id", KEY),
        needed("outcome", KEY),
        *(sa.Column(name, KEY) for name in ("stage", "reason", "detail")),
        sa.Column("metadata", sa.Text()),
        *(sa.Column(name, sa.Integer()) for name in ("shard_id", "slot")),
        sa.PrimaryKeyConstraint("run_id", "source_index", "position", name="pk_inputs"),
        sa.ForeignKeyConstraint(["crystal_id"], ["crystals.id"], name="fk_inputs_crystal_id_crystals"),
        sa.ForeignKeyConstraint(*cursor, name="fk_inputs_run_id_source_index_cursors"),
    )
    op.create_index("ix_inputs_crystal_id_run_id", "inputs", ["crystal_id", "run_id"])
    op.create_index("ix_inputs_source_id", "inputs", ["source_id"])
    op.create_index("ix_inputs_run_id_shard_id_slot", "inputs", ["run_id", "shard_id", "slot"])


def create_results() -> None:
    """One row per crystal and model."""
    op.create_table(
        "results",
        needed("crystal_id", KEY),
        *(needed(name, sa.Integer()) for name in ("model_id", "run_id")),
        needed("created", sa.Double()),
        sa.Column("spacegroup", sa.Integer()),
        sa.Column("point_group", KEY),
        sa.Column("symprec", sa.Double()),
        sa.Column("symmetry_ambiguous", sa.Boolean()),
        *(sa.Column(name, sa.Integer()) for name in ("spacegroup_1e3", "spacegroup_1e2", "spacegroup_1e1")),
        *(sa.Column(f"symprec_spread_{name}", sa.Double()) for name in TENSORS),
        *(sa.Column(name, KIND_TYPES[quantity.kind]) for name, quantity in DERIVED.items()),
        *(sa.Column(name, sa.Double()) for name in UNCERTAINTY_COLUMNS),
        *(sa.Column(name, KIND_TYPES[quantity.kind]) for name, quantity in RELIABILITY.items()),
        *(sa.Column(name, sa.LargeBinary()) for name in TENSORS),
        *(sa.Column(f"removed_fraction_{name}", sa.Double()) for name in TENSORS),
        needed("warnings", sa.Text()),
        sa.PrimaryKeyConstraint("crystal_id", "model_id", name="pk_results"),
        sa.ForeignKeyConstraint(["crystal_id"], ["crystals.id"], name="fk_results_crystal_id_crystals"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_results_model_id_models"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_results_run_id_runs"),
    )
    for name in RESULT_INDEXES:
        op.create_index(f"ix_results_{name}", "results", [name])
