"""Every table of the database.

`inputs` has one row per input of a run: nothing that came in can vanish. `shards` is the ledger of the work, with a
fencing token per lease. `results` holds one row per crystal and model: its derived columns and tensors are generated
from `models.quantities`, so a new quantity there is a new column here.
"""

from enum import StrEnum

from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Index, Table, UniqueConstraint

from db.base import (
    ARRAY,
    BYTES,
    COUNT,
    FLAG,
    INTEGER,
    JSON_TEXT,
    KEY,
    KIND_TYPES,
    NUMBER,
    PACKED_TEXT,
    SINGLE,
    UNIX_TIME,
    PackedTensor,
    metadata,
)
from models.quantities import DERIVED, UNCERTAINTY_COLUMNS, Tensor, symprec_spread_column
from models.reliability_columns import RELIABILITY


class ModelState(StrEnum):
    """Whether a model version is the one to use."""

    CANDIDATE = "candidate"
    CURRENT = "current"
    RETIRED = "retired"


class Decision(StrEnum):
    """Decision about a model version that was to become the current one."""

    PROMOTED = "promoted"
    REFUSED = "refused"
    ROLLED_BACK = "rolled_back"
    PRUNED = "pruned"  # its results were removed


class Outcome(StrEnum):
    """Where an input ended; an accepted one is done as soon as its crystal has a result."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    QUARANTINED = "quarantined"


class ShardState(StrEnum):
    """State of a shard."""

    PENDING = "pending"
    LEASED = "leased"
    DONE = "done"


class LabelState(StrEnum):
    """State of a label."""

    PENDING = "pending"  # checked by itself; its batch is not decided yet
    ACCEPTED = "accepted"  # trained on
    DUPLICATE = "duplicate"  # kept with its provenance; an accepted label has the same value
    OVERRULED = "overruled"  # kept; an accepted label of the same crystal has another value
    REFUSED = "refused"
    RETRACTED = "retracted"  # kept; somebody took back the batch that brought it


class LabelStage(StrEnum):
    """In which check a label was refused: what a row shows by itself stays, a decision about a batch may change."""

    ROW = "row"
    BATCH = "instalment"  # the word of stored databases


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
    # Folder of the checkpoint and the sha256 of its files; NULL for a model that comes with the program.
    Column("folder", KEY),
    Column("files", JSON_TEXT),
    Column("snapshot", KEY),
    Column("code_version", KEY),
    # Label batches that its dataset snapshot was made of; NULL where they are unknown.
    Column("batches", JSON_TEXT),
    UniqueConstraint("name", "version"),
)

promotions = Table(
    "promotions",
    metadata,
    Column("id", INTEGER, primary_key=True),
    Column("model_id", INTEGER, ForeignKey("models.id"), nullable=False),
    # The version that was current before; NULL for the first of a name.
    Column("before_id", INTEGER, ForeignKey("models.id")),
    Column("decision", KEY, nullable=False),
    Column("who", KEY, nullable=False),
    Column("why", KEY, nullable=False),
    Column("report", JSON_TEXT),
    Column("created", UNIX_TIME, nullable=False),
    Index(None, "model_id"),
)

crystals = Table(
    "crystals",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("formula", KEY, nullable=False),
    # "A2B" of "O2Si"; NULL nowhere but while a database is migrated.
    Column("formula_anonymous", KEY),
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
    Index(None, "formula_anonymous"),
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
    # When the results of its model were removed; NULL while they are there.
    Column("pruned", UNIX_TIME),
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
    Column("metadata", PACKED_TEXT),
    # ",cell_doubt,symmetry_doubt,", from the notes in the metadata; NULL for an input without a doubt.
    Column("doubts", KEY),
    # Only accepted inputs whose crystal had no result yet have a place in a shard.
    Column("shard_id", INTEGER),
    Column("slot", INTEGER),
    # Orthogonal matrix from the stored crystal's frame into that of this input; NULL where they are the same.
    Column("turn", ARRAY),
    ForeignKeyConstraint(["run_id", "source_index"], ["cursors.run_id", "cursors.source_index"]),
    Index(None, "crystal_id", "run_id"),
    Index(None, "source_id"),
    Index(None, "run_id", "shard_id", "slot"),
    # Covers the balance, in the order of the results' key: it is counted without touching a table.
    Index(None, "run_id", "outcome", "crystal_id"),
)

_DOUBTFUL = inputs.c.doubts.is_not(None)

# Of doubtful inputs only, which are few: a filter and the count of a run touch no table.
Index(
    None,
    *(inputs.c[name] for name in ("run_id", "outcome", "doubts", "crystal_id")),
    sqlite_where=_DOUBTFUL,
    postgresql_where=_DOUBTFUL,
)

lineage = Table(
    "lineage",
    metadata,
    # Of an accepted or duplicate input that was made here; its crystal may have come in otherwise as well.
    Column("run_id", INTEGER, primary_key=True),
    Column("source_index", INTEGER, primary_key=True),
    Column("position", COUNT, primary_key=True),
    Column("crystal_id", KEY, ForeignKey("crystals.id"), nullable=False),
    # Content id, source id or structure type; NULL for what a generator made from nothing.
    Column("parent", KEY),
    Column("operation", KEY, nullable=False),
    Column("detail", JSON_TEXT, nullable=False),
    Column("seed", COUNT),
    Column("model", KEY),
    Column("log_probability", NUMBER),
    ForeignKeyConstraint(
        ["run_id", "source_index", "position"], ["inputs.run_id", "inputs.source_index", "inputs.position"]
    ),
    Index(None, "crystal_id"),
    Index(None, "parent"),
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
    Column("symmetry_displacement_angstrom", SINGLE),
    Column("symmetry_strain", SINGLE),
    *(Column(symprec_spread_column(tensor), SINGLE) for tensor in Tensor),
    *(Column(name, KIND_TYPES[quantity.kind]) for name, quantity in DERIVED.items()),
    *(Column(name, SINGLE) for name in UNCERTAINTY_COLUMNS),
    *(Column(name, KIND_TYPES[quantity.kind]) for name, quantity in RELIABILITY.items()),
    *(Column(tensor.value, PackedTensor(tensor)) for tensor in Tensor),
    *(Column(removed_fraction_column(tensor), SINGLE) for tensor in Tensor),
    Column("warnings", PACKED_TEXT, nullable=False),
    postgresql_partition_by="LIST (model_id)",
)

column_segments = Table(
    "column_segments",
    metadata,
    Column("model_id", INTEGER, ForeignKey("models.id"), primary_key=True),
    # Of a property, or "id".
    Column("name", KEY, primary_key=True),
    # Drawn by lot when it is written: a number never comes again with other values.
    Column("segment", COUNT, primary_key=True),
    Column("data", BYTES, nullable=False),
)

# Derived columns that came when results were there already, while they are computed from the stored tensors.
unfilled_columns = Table(
    "unfilled_columns",
    metadata,
    Column("name", KEY, primary_key=True),
    # The last result that has them, in the order of crystal and model; NULL at the start.
    Column("crystal_id", KEY),
    Column("model_id", INTEGER),
)

label_ingests = Table(
    "label_ingests",
    metadata,
    Column("id", INTEGER, primary_key=True),
    Column("source", KEY, nullable=False),
    Column("fingerprint", KEY, nullable=False),
    # NULL until the batch is decided.
    Column("verdict", KEY),
    Column("report", JSON_TEXT),
    Column("created", UNIX_TIME, nullable=False),
    # NULL for batches of before this was kept.
    Column("who", KEY),
    # NULL unless the batch was taken back.
    Column("retracted", UNIX_TIME),
    Column("retracted_by", KEY),
    Column("retracted_why", KEY),
    Index(None, "source", "fingerprint"),
)

labels = Table(
    "labels",
    metadata,
    # Of the row's content without its split: the same label is one row however often it comes.
    Column("hash", KEY, primary_key=True),
    Column("ingest_id", INTEGER, ForeignKey("label_ingests.id"), nullable=False),
    Column("position", COUNT, nullable=False),
    Column("kind", KEY, nullable=False),
    # NULL where the row holds no crystal.
    Column("crystal_id", KEY, ForeignKey("crystals.id")),
    Column("formula", KEY),
    Column("source", KEY, nullable=False),
    Column("source_id", KEY, nullable=False),
    Column("licence", KEY),
    Column("provenance", JSON_TEXT, nullable=False),
    Column("declared_split", KEY),
    Column("content", JSON_TEXT),
    Column("state", KEY, nullable=False),
    Column("stage", KEY),
    Column("reason", KEY),
    Column("detail", KEY),
    Column("residual", NUMBER),
    Column("tells_order", FLAG, nullable=False),
    Column("tells_frame", FLAG, nullable=False),
    Column("sizes", JSON_TEXT, nullable=False),
    # Label over prediction of the size that units would change most; of the rows that were compared.
    Column("ratio", NUMBER),
    # The label of the same crystal and kind that this one is a duplicate of, contradicts or is superseded by.
    Column("decided_by", KEY),
    Index(None, "ingest_id", "state"),
    Index(None, "crystal_id", "kind"),
    Index(None, "source_id", "kind"),
    Index(None, "state", "kind"),
    Index(None, "decided_by"),
)

formula_splits = Table(
    "formula_splits",
    metadata,
    Column("formula", KEY, primary_key=True),
    Column("split", KEY, nullable=False),
    # "declared" by the first row of the formula, or drawn by "hash".
    Column("origin", KEY, nullable=False),
)

SYMMETRY_COLUMNS: tuple[str, ...] = (
    "spacegroup",
    "point_group",
    "symprec",
    "symmetry_ambiguous",
    "spacegroup_1e3",
    "spacegroup_1e2",
    "spacegroup_1e1",
    "symmetry_displacement_angstrom",
    "symmetry_strain",
    *(symprec_spread_column(tensor) for tensor in Tensor),
)
"""Columns of a result about the symmetry of its crystal, and how it depends on the tolerance."""

BLOCK_COLUMNS: tuple[str, ...] = (*SYMMETRY_COLUMNS, *DERIVED, *UNCERTAINTY_COLUMNS, *RELIABILITY)
"""What `ResultBlock.columns` may hold."""
