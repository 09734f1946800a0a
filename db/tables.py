"""Every table of the database.

`inputs` has one row per input of a run: nothing that came in can vanish. `shards` is the ledger of the work, with a
fencing token per lease. `results` holds one row per crystal and model: its derived columns and tensors are generated
from `models.quantities`, so a new quantity there is a new column here.
"""

from enum import StrEnum

from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Index, Table, UniqueConstraint

from db.base import ARRAY, COUNT, FLAG, INTEGER, JSON_TEXT, KEY, KIND_TYPES, NUMBER, UNIX_TIME, metadata
from models.quantities import DERIVED, TRUST, UNCERTAINTY_COLUMNS, Tensor, symprec_spread_column


class ModelState(StrEnum):
    """Whether a model version is the one to use."""

    CANDIDATE = "candidate"
    CURRENT = "current"
    RETIRED = "retired"


class Outcome(StrEnum):
    """Where an input ended; an accepted one is done as soon as its crystal has a result."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    QUARANTINED = "quarantined"


class ShardState(StrEnum):
    """Where a shard stands."""

    PENDING = "pending"
    LEASED = "leased"
    DONE = "done"


def removed_fraction_column(tensor: Tensor) -> str:
    """Name of the column with the share of a raw tensor that symmetrization removed."""
    return f"removed_fraction_{tensor.value}"


models = Table(
    "models",
    metadata,
    Column("id", INTEGER, primary_key=True),
    Column("name", KEY, nullable=False),
    Column("version", KEY, nullable=False),
    Column("sha256", KEY, nullable=False),
    Column("metrics", JSON_TEXT, nullable=False),
    Column("state", KEY, nullable=False),
    # Counts promotions of this name upwards; roll back goes to the next lower one.
    Column("promotion", INTEGER),
    Column("created", UNIX_TIME, nullable=False),
    UniqueConstraint("name", "version"),
)

crystals = Table(
    "crystals",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("formula", KEY, nullable=False),
    # ",Al,N,": every symbol between commas, so that one substring test is one HAS.
    Column("elements", KEY, nullable=False),
    Column("nelements", INTEGER, nullable=False),
    Column("n_atoms", INTEGER, nullable=False),
    Column("volume_per_atom", NUMBER, nullable=False),
    Column("lattice", ARRAY, nullable=False),
    Column("numbers", ARRAY, nullable=False),
    Column("frac_coords", ARRAY, nullable=False),
    # Of a chiral crystal: the id of its mirror image, stored or not.
    Column("twin_id", KEY),
    # Bin in which crystals that are equal within the tolerance are looked for; NULL in databases older than it.
    Column("family", KEY),
    Index(None, "formula"),
    Index(None, "twin_id"),
    Index(None, "family"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", INTEGER, primary_key=True),
    Column("key", KEY, nullable=False, unique=True),
    Column("sources", JSON_TEXT, nullable=False),
    Column("fingerprints", JSON_TEXT, nullable=False),
    Column("settings", JSON_TEXT, nullable=False),
    Column("model_id", INTEGER, ForeignKey("models.id"), nullable=False),
    Column("state", KEY, nullable=False),
    Column("created", UNIX_TIME, nullable=False),
    Column("finished", UNIX_TIME),
    Column("seconds", NUMBER, nullable=False),
)

cursors = Table(
    "cursors",
    metadata,
    Column("run_id", INTEGER, ForeignKey("runs.id"), primary_key=True),
    Column("source_index", INTEGER, primary_key=True),
    Column("source", KEY, nullable=False),
    Column("next_position", COUNT, nullable=False),
    Column("exhausted", FLAG, nullable=False),
    UniqueConstraint("run_id", "source"),
)

shards = Table(
    "shards",
    metadata,
    Column("run_id", INTEGER, ForeignKey("runs.id"), primary_key=True),
    Column("shard_id", INTEGER, primary_key=True),
    Column("state", KEY, nullable=False),
    Column("token", INTEGER, nullable=False),
    Column("attempt", INTEGER, nullable=False),
    Column("holder", KEY),
    Column("heartbeat", UNIX_TIME),
    Column("finished", UNIX_TIME),
    Column("n_crystals", INTEGER, nullable=False),
    Column("n_atoms", COUNT, nullable=False),
    Index(None, "run_id", "state", "shard_id"),
)

inputs = Table(
    "inputs",
    metadata,
    Column("run_id", INTEGER, primary_key=True),
    Column("source_index", INTEGER, primary_key=True),
    Column("position", COUNT, primary_key=True),
    Column("source_id", KEY, nullable=False),
    Column("crystal_id", KEY, ForeignKey("crystals.id")),
    Column("outcome", KEY, nullable=False),
    Column("stage", KEY),
    Column("reason", KEY),
    Column("detail", KEY),
    Column("metadata", JSON_TEXT),
    # Only accepted inputs whose crystal had no result yet have a place in a shard.
    Column("shard_id", INTEGER),
    Column("slot", INTEGER),
    # Orthogonal matrix from the stored crystal's frame into that of this listing; NULL where they are the same.
    Column("turn", ARRAY),
    ForeignKeyConstraint(["run_id", "source_index"], ["cursors.run_id", "cursors.source_index"]),
    Index(None, "crystal_id", "run_id"),
    Index(None, "source_id"),
    Index(None, "run_id", "shard_id", "slot"),
    # Holds all that the balance asks, in the order of the results' key: it is counted without touching a table.
    Index(None, "run_id", "outcome", "crystal_id"),
)

results = Table(
    "results",
    metadata,
    Column("crystal_id", KEY, ForeignKey("crystals.id"), primary_key=True),
    Column("model_id", INTEGER, ForeignKey("models.id"), primary_key=True),
    Column("run_id", INTEGER, ForeignKey("runs.id"), nullable=False),
    Column("created", UNIX_TIME, nullable=False),
    Column("spacegroup", INTEGER),
    Column("point_group", KEY),
    Column("symprec", NUMBER),
    Column("symmetry_ambiguous", FLAG),
    Column("spacegroup_1e3", INTEGER),
    Column("spacegroup_1e2", INTEGER),
    Column("spacegroup_1e1", INTEGER),
    *(Column(symprec_spread_column(tensor), NUMBER) for tensor in Tensor),
    *(Column(name, KIND_TYPES[quantity.kind]) for name, quantity in DERIVED.items()),
    *(Column(name, NUMBER) for name in UNCERTAINTY_COLUMNS),
    *(Column(name, KIND_TYPES[quantity.kind]) for name, quantity in TRUST.items()),
    *(Column(tensor.value, ARRAY) for tensor in Tensor),
    *(Column(removed_fraction_column(tensor), NUMBER) for tensor in Tensor),
    Column("warnings", JSON_TEXT, nullable=False),
    Index(None, "spacegroup"),
    Index(None, "k_vrh_gpa"),
    Index(None, "g_vrh_gpa"),
    Index(None, "e_max_c_per_m2"),
    Index(None, "d_max_pc_per_n"),
    Index(None, "eps_total_mean"),
)

SYMMETRY_COLUMNS: tuple[str, ...] = (
    "spacegroup",
    "point_group",
    "symprec",
    "symmetry_ambiguous",
    "spacegroup_1e3",
    "spacegroup_1e2",
    "spacegroup_1e1",
    *(symprec_spread_column(tensor) for tensor in Tensor),
)
"""Columns of a result that say which symmetry was found and how firmly."""

BLOCK_COLUMNS: tuple[str, ...] = (*SYMMETRY_COLUMNS, *DERIVED, *UNCERTAINTY_COLUMNS, *TRUST)
"""What `ResultBlock.columns` may hold."""
