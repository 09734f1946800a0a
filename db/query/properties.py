"""The closed list of what can be filtered, sorted and printed, and the names it goes by.

Derived columns come from the registry of quantities; the rest are columns of crystals and results.
"""

import difflib
from enum import StrEnum

from models.errors import Doubt, FilterError
from models.quantities import DERIVED, RELIABILITY, UNCERTAINTY_COLUMNS, Tensor, symprec_spread_column


class Kind(StrEnum):
    """What a property holds, which decides what it can be compared with."""

    NUMBER = "number"
    INTEGER = "integer"
    TEXT = "text"
    FORMULA = "formula"
    FLAG = "flag"
    ELEMENTS = "list of elements"
    SOURCE_IDS = "list of source ids"
    DOUBTS = "list of doubts"


PROPERTIES: dict[str, Kind] = {
    "id": Kind.TEXT,
    "twin_id": Kind.TEXT,
    "source_ids": Kind.SOURCE_IDS,
    "doubts": Kind.DOUBTS,
    "doubtful": Kind.FLAG,
    **{doubt.value: Kind.FLAG for doubt in Doubt},
    "formula": Kind.FORMULA,
    "formula_anonymous": Kind.FORMULA,
    "elements": Kind.ELEMENTS,
    "nelements": Kind.INTEGER,
    "n_atoms": Kind.INTEGER,
    "volume_per_atom": Kind.NUMBER,
    "model": Kind.TEXT,
    "spacegroup": Kind.INTEGER,
    "point_group": Kind.TEXT,
    "symprec": Kind.NUMBER,
    "symmetry_ambiguous": Kind.FLAG,
    "spacegroup_1e3": Kind.INTEGER,
    "spacegroup_1e2": Kind.INTEGER,
    "spacegroup_1e1": Kind.INTEGER,
    **{symprec_spread_column(tensor): Kind.NUMBER for tensor in Tensor},
    **{name: Kind(quantity.kind.value) for name, quantity in DERIVED.items()},
    **dict.fromkeys(UNCERTAINTY_COLUMNS, Kind.NUMBER),
    **{name: Kind(quantity.kind.value) for name, quantity in RELIABILITY.items()},
}
"""Everything that can be filtered, sorted and printed."""

ALIASES = {
    "source_id": "source_ids",
    "nsites": "n_atoms",
    "immutable_id": "id",
    "chemical_formula_reduced": "formula",
    "chemical_formula_anonymous": "formula_anonymous",
    "space_group_it_number": "spacegroup",
}
"""OPTIMADE's names for ours."""

LISTS = frozenset({Kind.ELEMENTS, Kind.SOURCE_IDS, Kind.DOUBTS})
"""Kinds of which a crystal has several values, or none."""


def resolve_property(name: str, position: int | None = None) -> str:
    """Our name of a property, from ours, OPTIMADE's, or one with the prefix `_gmt_`.

    Raises:
        FilterError: there is no such property; names close ones.
    """
    bare = name.removeprefix("_gmt_")
    bare = ALIASES.get(bare, bare)
    if bare in PROPERTIES:
        return bare
    # names come from anybody: only the start is compared, since the cost grows with the length
    close = difflib.get_close_matches(bare[:64], [*PROPERTIES, *ALIASES], n=3)
    hint = f"Did you mean {' or '.join(close)}?" if close else f"There are {len(PROPERTIES)}, for example k_vrh_gpa."
    where = "" if position is None else f" at position {position}"
    raise FilterError(f"There is no property {name[:64]!r}{where}. {hint}", position)
