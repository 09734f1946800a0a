"""The tables of second opinions: one row per crystal and combined model, and energies of crystals by a potential."""

from typing import Any

from sqlalchemy import Column, ForeignKey, Index, Table
from sqlalchemy.types import TypeEngine

from db.base import ARRAY, BYTES, FLAG, INTEGER, KEY, NUMBER, PACKED_TEXT, SINGLE, UNIX_TIME, PackedTensor, metadata
from models.quantities import Tensor
from models.refinement_quantities import REFINEMENT, RefinementKind

REFINEMENT_TYPES: dict[RefinementKind, TypeEngine[Any]] = {
    RefinementKind.NUMBER: SINGLE,
    RefinementKind.INTEGER: INTEGER,
    RefinementKind.FLAG: FLAG,
    RefinementKind.TEXT: KEY,
}
"""How a property of each kind is stored."""

refinements = Table(
    "refinements",
    metadata,
    Column("crystal_id", KEY, ForeignKey("crystals.id"), primary_key=True),
    # The combined model, whose result of the crystal stands in `results`.
    Column("model_id", INTEGER, ForeignKey("models.id"), primary_key=True),
    Column("run_id", INTEGER, ForeignKey("runs.id"), nullable=False),
    Column("potential", KEY, nullable=False),
    Column("created", UNIX_TIME, nullable=False),
    *(Column(name, REFINEMENT_TYPES[quantity.kind]) for name, quantity in REFINEMENT.items()),
    Column("lattice", ARRAY, nullable=False),
    Column("numbers", ARRAY, nullable=False),
    Column("frac_coords", ARRAY, nullable=False),
    Column("strain", ARRAY, nullable=False),
    Column("given_stress", ARRAY, nullable=False),
    Column("stiffness", PackedTensor(Tensor.ELASTIC), nullable=False),
    Column("stiffness_clamped", PackedTensor(Tensor.ELASTIC), nullable=False),
    Column("modes", PACKED_TEXT, nullable=False),
    # float32, of the symmetric force constants the upper triangle
    Column("force_constants", BYTES, nullable=False),
    Column("internal_strain", BYTES, nullable=False),
    Column("notes", PACKED_TEXT, nullable=False),
    Index(None, "model_id"),
    Index(None, "run_id"),
)

reference_energies = Table(
    "reference_energies",
    metadata,
    Column("crystal_id", KEY, ForeignKey("crystals.id"), primary_key=True),
    # NAME@VERSION; energies of two potentials cannot be compared.
    Column("potential", KEY, primary_key=True),
    # NULL where it could not be computed, for the reason in `detail`.
    Column("energy_ev_per_atom", NUMBER),
    Column("detail", KEY),
    Column("created", UNIX_TIME, nullable=False),
)
