"""The closed list of what can be filtered, sorted and printed, and the names it goes by.

Derived columns come from the registry of quantities; the rest are columns of crystals and results.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from models.errors import Doubt, FilterError
from models.quantities import (
    DERIVED,
    INTERVALS,
    TENSORS,
    UNCERTAINTY_COLUMNS,
    DerivedQuantity,
    Tensor,
    symprec_spread_column,
)
from models.refinement_quantities import REFINED, REFINEMENT
from models.reliability_columns import RELIABILITY


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
    FEATURES = "list of structure features"  # OPTIMADE's: disorder and the like
    TIME = "time"


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
    "last_modified": Kind.TIME,
    "spacegroup": Kind.INTEGER,
    "point_group": Kind.TEXT,
    "symprec": Kind.NUMBER,
    "symmetry_ambiguous": Kind.FLAG,
    "spacegroup_1e3": Kind.INTEGER,
    "spacegroup_1e2": Kind.INTEGER,
    "spacegroup_1e1": Kind.INTEGER,
    "symmetry_displacement_angstrom": Kind.NUMBER,
    "symmetry_strain": Kind.NUMBER,
    **{symprec_spread_column(tensor): Kind.NUMBER for tensor in Tensor},
    **{name: Kind(quantity.kind.value) for name, quantity in DERIVED.items()},
    **dict.fromkeys(UNCERTAINTY_COLUMNS, Kind.NUMBER),
    **{name: Kind(quantity.kind.value) for name, quantity in RELIABILITY.items()},
    REFINED: Kind.FLAG,
    **{name: Kind(quantity.kind.value) for name, quantity in REFINEMENT.items()},
}
"""Everything that can be filtered, sorted and printed."""


class Group(StrEnum):
    """What a property is about, for lists of columns."""

    COMPOSITION = "composition"
    SYMMETRY = "symmetry"
    ELASTIC = "elastic"
    PIEZOELECTRIC = "piezoelectric"
    DIELECTRIC = "dielectric"
    THERMAL = "thermal"
    RELIABILITY = "reliability"
    SECOND_OPINION = "second opinion"
    PROVENANCE = "provenance"


@dataclass(frozen=True)
class Property:
    """What a property means.

    Attributes:
        kind: what it holds.
        unit: "1" for a ratio or a count, "" for what has none.
        description: in words.
        group: what it is about.
        interval: names of the ends of its 90 % interval; None where it has none.
    """

    kind: Kind
    unit: str
    description: str
    group: Group
    interval: tuple[str, str] | None = None


_STORED: dict[str, tuple[str, str, Group]] = {
    "id": ("", "content id of the crystal: the same for equivalent descriptions of it", Group.PROVENANCE),
    "twin_id": ("", "content id of the mirror image of a chiral crystal, stored or not", Group.PROVENANCE),
    "source_ids": ("", "every id that the crystal came with from its sources", Group.PROVENANCE),
    "doubts": ("", "what was doubtful about the inputs that the crystal came with", Group.RELIABILITY),
    "doubtful": ("", "one of the inputs that the crystal came with is doubtful", Group.RELIABILITY),
    **{doubt.value: ("", doubt.sentence[0].lower() + doubt.sentence[1:-1], Group.RELIABILITY) for doubt in Doubt},
    "formula": ("", "reduced formula, symbols in alphabetical order", Group.COMPOSITION),
    "formula_anonymous": ("", "reduced formula with letters for elements, the most frequent first", Group.COMPOSITION),
    "elements": ("", "chemical elements, in alphabetical order", Group.COMPOSITION),
    "nelements": ("1", "number of chemical elements", Group.COMPOSITION),
    "n_atoms": ("1", "number of atoms in the stored cell", Group.COMPOSITION),
    "volume_per_atom": ("angstrom^3", "volume of the cell per atom", Group.COMPOSITION),
    "model": ("", "model version that the result is of, NAME@VERSION", Group.PROVENANCE),
    "last_modified": ("", "when the result was stored, UTC, to the second", Group.PROVENANCE),
    "spacegroup": ("", "number of the space group at the tolerance used", Group.SYMMETRY),
    "point_group": ("", "Hermann-Mauguin symbol of the point group", Group.SYMMETRY),
    "symprec": ("angstrom", "tolerance of the symmetry search", Group.SYMMETRY),
    "symmetry_ambiguous": ("", "the space group changes between tolerances of 0.001 and 0.1 angstrom", Group.SYMMETRY),
    "spacegroup_1e3": ("", "number of the space group at a tolerance of 0.001 angstrom", Group.SYMMETRY),
    "spacegroup_1e2": ("", "number of the space group at a tolerance of 0.01 angstrom", Group.SYMMETRY),
    "spacegroup_1e1": ("", "number of the space group at a tolerance of 0.1 angstrom", Group.SYMMETRY),
    "symmetry_displacement_angstrom": (
        "angstrom",
        "how far an atom was moved at most to make the crystal obey its space group exactly",
        Group.SYMMETRY,
    ),
    "symmetry_strain": ("1", "by how much a length of the cell was changed at most for that", Group.SYMMETRY),
    REFINED: ("", "a second opinion by a potential is stored", Group.SECOND_OPINION),
}
"""Unit, description and group of what no registry of quantities holds."""

_THERMAL = ("sound_", "debye_", "thermal_")
"""How the names of derived numbers begin that are about heat and sound, whatever tensor they are made from."""


def _group_of(name: str, quantity: DerivedQuantity) -> Group:
    if name.startswith(_THERMAL):
        return Group.THERMAL
    # a number made without any tensor is one of the crystal itself
    return Group(TENSORS[quantity.from_tensors[0]].group) if quantity.from_tensors else Group.COMPOSITION


def _described() -> dict[str, Property]:
    """Every property with its description, from the registries, in the order of `PROPERTIES`."""
    texts = dict(_STORED)
    for name, quantity in DERIVED.items():
        texts[name] = quantity.unit, quantity.label, _group_of(name, quantity)
        for side, end in zip(("lower", "upper"), INTERVALS.get(name, ()), strict=False):
            description = f"{side} end of the 90 % interval of the {quantity.label}"
            texts[end] = quantity.unit, description, _group_of(name, quantity)
    for tensor, row in TENSORS.items():
        radius = f"with 90 % the true {row.label} is within this Frobenius distance of the predicted one"
        spread = f"largest change of the {row.label} with the tolerance of the symmetry search, relative to its norm"
        texts[row.error_column] = row.unit, radius, Group(row.group)
        texts[symprec_spread_column(tensor)] = "1", spread, Group.SYMMETRY
    texts |= {name: (row.unit, row.label, Group.RELIABILITY) for name, row in RELIABILITY.items()}
    texts |= {name: (row.unit, row.label, Group.SECOND_OPINION) for name, row in REFINEMENT.items()}
    return {name: Property(kind, *texts[name], INTERVALS.get(name)) for name, kind in PROPERTIES.items()}


SECOND_OPINION: frozenset[str] = frozenset({REFINED, *REFINEMENT})
"""Properties of a crystal by its newest second opinion, the same beside the result of any model."""

DESCRIPTIONS: dict[str, Property] = _described()
"""What every property means: kind, unit, description, group, interval."""

ALIASES = {
    "source_id": "source_ids",
    "nsites": "n_atoms",
    "immutable_id": "id",
    "chemical_formula_reduced": "formula",
    "chemical_formula_descriptive": "formula",
    "chemical_formula_anonymous": "formula_anonymous",
    "space_group_it_number": "spacegroup",
}
"""OPTIMADE's names for ours."""

LISTS = frozenset({Kind.ELEMENTS, Kind.SOURCE_IDS, Kind.DOUBTS, Kind.FEATURES})
"""Kinds of which a crystal has several values, or none."""

_FOREIGN = re.compile(r"_(?!gmt_)[a-z0-9]+_[a-z0-9_]*")
"""A property with the prefix of another provider than us."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """What a filter may name.

    Attributes:
        kinds: every property and its kind.
        aliases: other names for them.
        constants: properties that every entry has alike, with their value; a condition on them is decided at once.
        foreign: whether properties of other OPTIMADE providers are admitted; their value is unknown.
    """

    kinds: Mapping[str, Kind]
    aliases: Mapping[str, str]
    constants: Mapping[str, Any]
    foreign: bool = False

    def resolve(self, name: str, position: int | None = None) -> str:
        """The name in `kinds` of a property, from that, an alias, or one with the prefix `_gmt_`.

        Args:
            name: as it is written.
            position: where it stands in a filter text, for the error.

        Raises:
            FilterError: there is no such property; names close ones.
        """
        bare = name.removeprefix("_gmt_")
        bare = self.aliases.get(bare, bare)
        if bare in self.kinds or (self.foreign and self.is_foreign(bare)):
            return bare
        # names come from anybody: only the start is compared, since the cost grows with the length
        close = difflib.get_close_matches(bare[:64], [*self.kinds, *self.aliases], n=3)
        example = "k_vrh_gpa" if "k_vrh_gpa" in self.kinds else next(iter(self.kinds))
        hint = (
            f"Did you mean {' or '.join(close)}?" if close else f"There are {len(self.kinds)}, for example {example}."
        )
        where = "" if position is None else f" at position {position}"
        raise FilterError(f"There is no property {name[:64]!r}{where}. {hint}", position)

    @staticmethod
    def is_foreign(name: str) -> bool:
        """True for a property with the prefix of another provider."""
        return _FOREIGN.fullmatch(name) is not None


ALIKE: dict[str, tuple[Kind, Any]] = {
    "type": (Kind.TEXT, "structures"),
    "nperiodic_dimensions": (Kind.INTEGER, 3),
    "structure_features": (Kind.FEATURES, ()),
}
"""OPTIMADE's properties that all our crystals have alike: they can be asked for, and no column holds them."""

CRYSTALS = Vocabulary(
    {**PROPERTIES, **{name: kind for name, (kind, _) in ALIKE.items()}},
    ALIASES,
    {name: value for name, (_, value) in ALIKE.items()},
)
"""What a filter over crystals may name."""


def resolve_property(name: str, position: int | None = None) -> str:
    """Our name of a property that has a column; see `Vocabulary.resolve`.

    Raises:
        FilterError: there is no such property; names close ones.
    """
    return _WITH_COLUMNS.resolve(name, position)


_WITH_COLUMNS = Vocabulary(PROPERTIES, ALIASES, {})
