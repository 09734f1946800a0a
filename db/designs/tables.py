"""The tables of designs."""

from sqlalchemy import Column, ForeignKey, Index, Table

from db.base import COUNT, INTEGER, JSON_TEXT, KEY, NUMBER, UNIX_TIME, metadata

designs = Table(
    "designs",
    metadata,
    Column("id", INTEGER, primary_key=True),
    # of filter, sort and settings: the same command goes on with the same design
    Column("fingerprint", KEY, nullable=False, unique=True),
    Column("filter", KEY, nullable=False),
    Column("sort", KEY, nullable=False),
    Column("settings", JSON_TEXT, nullable=False),
    Column("created", UNIX_TIME, nullable=False),
)

design_rounds = Table(
    "design_rounds",
    metadata,
    Column("design_id", INTEGER, ForeignKey("designs.id"), primary_key=True),
    Column("number", INTEGER, primary_key=True),
    Column("run_id", INTEGER, ForeignKey("runs.id"), nullable=False),
    Column("generator", KEY, nullable=False),
    Column("counts", JSON_TEXT, nullable=False),
    Column("quantiles", JSON_TEXT, nullable=False),
    Column("divergence", NUMBER, nullable=False),
    Column("seconds", NUMBER, nullable=False),
)

design_proposals = Table(
    "design_proposals",
    metadata,
    Column("design_id", INTEGER, ForeignKey("designs.id"), primary_key=True),
    Column("rank", COUNT, primary_key=True),
    Column("crystal_id", KEY, ForeignKey("crystals.id"), nullable=False),
    Column("round", INTEGER, nullable=False),
    Column("value", NUMBER, nullable=False),
    Column("facts", JSON_TEXT, nullable=False),
    # why a crystal that was chosen is not proposed; NULL for a proposal
    Column("refused", KEY),
    Index(None, "crystal_id"),
)
