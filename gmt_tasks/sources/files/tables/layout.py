"""Which columns of a table hold its crystals."""

import re
from dataclasses import dataclass

import pyarrow as pa

from gmt_tasks.sources.files.tables.columns import is_list, is_text
from models.errors import SourceError

_STRUCTURE = re.compile(r"(?i)structure|atoms|crystal|entry")
"""In the name of a text column: it may hold a structure as JSON text."""
_SHAPE_COLUMNS = ({"lattice", "sites"}, {"lattice_mat", "coords", "elements"})
_SHAPE_FIELDS = {"lattice", "lattice_vectors", "lattice_mat", "cell"}
_MAX_LEVELS = 3


@dataclass(frozen=True)
class Layout:
    """Three list columns that hold crystals.

    Attributes:
        lattice: rows a, b, c in angstrom, 9 numbers or 3 x 3.
        species: one label or atomic number per atom.
        positions: 3n or n x 3 numbers.
        is_cartesian: whether the positions are in angstrom, not fractional.
    """

    lattice: str
    species: str
    positions: str
    is_cartesian: bool

    @property
    def names(self) -> tuple[str, str, str]:
        """The three columns."""
        return self.lattice, self.species, self.positions


OURS = Layout("lattice", "species", "frac_coords", is_cartesian=False)
OPTIMADE = Layout("lattice_vectors", "species_at_sites", "cartesian_site_positions", is_cartesian=True)
ASE = Layout("cell", "numbers", "positions", is_cartesian=True)


def layout_of(schema: pa.Schema, label: str) -> Layout | None:
    """The columns that hold the crystals of a table; None if each row is read as a record of its own.

    Raises:
        SourceError: no columns for crystals, columns of several kinds, one of them twice, or none of the right type.
    """
    complete = [layout for layout in (OURS, OPTIMADE, ASE) if set(layout.names) <= set(schema.names)]
    if len(complete) > 1:
        names = " and of ".join(", ".join(layout.names) for layout in complete)
        raise SourceError(f"{label} has the columns of {names}. Keep those of one.")
    if complete:
        twice = [name for name in complete[0].names if schema.names.count(name) != 1]
        if twice:
            raise SourceError(f"{label} has the column {twice[0]} twice. Write it again with one of them.")
        wrong = [name for name in complete[0].names if not is_list(schema.field(name).type)]
        if wrong:
            raise SourceError(f"Column {wrong[0]} of {label} is {schema.field(wrong[0]).type}, expected a list column.")
        return complete[0]
    if any(shape <= set(schema.names) for shape in _SHAPE_COLUMNS) or any(_may_hold_structures(f) for f in schema):
        return None
    missing = [name for name in OURS.names if name not in schema.names]
    raise SourceError(
        f"{label} has no column {', '.join(missing)} (it has {', '.join(schema.names[:12])}). Crystals need lattice (9 "
        "or 3x3, angstrom), species (atomic numbers or symbols) and frac_coords (n x 3), the columns of OPTIMADE, or "
        "a column of structures."
    )


def _may_hold_structures(field: pa.Field, level: int = 0) -> bool:
    """True for a text column named like a structure, and for objects with a lattice at most three levels deep."""
    if is_text(field.type):
        return level == 0 and bool(_STRUCTURE.search(field.name))
    if not pa.types.is_struct(field.type) or level >= _MAX_LEVELS:
        return False
    inner = [field.type.field(number) for number in range(field.type.num_fields)]
    return any(part.name in _SHAPE_FIELDS or _may_hold_structures(part, level + 1) for part in inner)
