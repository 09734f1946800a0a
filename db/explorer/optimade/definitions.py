"""Definitions of the properties of our entries, as `/info/structures` gives them.

Source: OPTIMADE specification 1.2, section "Property Definitions". The key `type` holds OPTIMADE's own type, as up to
1.1 and as existing clients and the validator of optimade-python-tools demand; the definition of one property alone
(`json_schema`) has the JSON type there, as 1.2 does.
"""

from dataclasses import dataclass
from typing import Any

from db.query.properties import ALIASES, DESCRIPTIONS, LISTS, Kind, Vocabulary

PREFIX = "_gmt_"

UNITS: dict[str, tuple[str, str]] = {
    "GPa": ("GPa", "gigapascal"),
    "1/TPa": ("TPa-1", "reciprocal terapascal"),
    "C/m^2": ("C.m-2", "coulomb per square metre"),
    "pC/N": ("pC.N-1", "picocoulomb per newton"),
    "mV m/N": ("mV.m.N-1", "millivolt metre per newton"),
    "angstrom": ("Ao", "angstrom, 1e-10 m"),
    "angstrom^3": ("Ao3", "cubic angstrom"),
    "eV": ("eV", "electronvolt"),
    "eV/atom": ("eV", "electronvolt per atom"),
    "eV/angstrom": ("eV.Ao-1", "electronvolt per angstrom"),
    "THz": ("THz", "terahertz"),
    "s": ("s", "second"),
    "m/s": ("m.s-1", "metre per second"),
    "g/cm^3": ("g.cm-3", "gram per cubic centimetre"),
    "K": ("K", "kelvin"),
    "W/(m K)": ("W.m-1.K-1", "watt per metre and kelvin"),
}
"""Our units: the symbol in the Unified Code for Units of Measure, and the name."""

JSON_TYPES = {
    "string": "string",
    "integer": "integer",
    "float": "number",
    "boolean": "boolean",
    "timestamp": "string",
    "list": "array",
    "dictionary": "object",
}
"""JSON's type of each of OPTIMADE's."""

_TYPES = {Kind.NUMBER: "float", Kind.INTEGER: "integer", Kind.FLAG: "boolean", Kind.TIME: "timestamp"}


@dataclass(frozen=True)
class Definition:
    """One property of an entry type.

    Attributes:
        name: as OPTIMADE writes it; ours carry the prefix.
        type: OPTIMADE's.
        description: one sentence.
        unit: ours; "1" for a ratio, "" for what has none.
        source: our own name of what it is made of; None for what is made of the atoms, or alike for all.
        sortable: whether answers can be sorted by it.
        queryable: whether filters may name it.
        items: OPTIMADE's type of the entries of a list, from the outside in.
    """

    name: str
    type: str
    description: str
    unit: str = ""
    source: str | None = None
    sortable: bool = False
    queryable: bool = True
    items: tuple[str, ...] = ()

    def in_list(self, base_url: str) -> dict[str, Any]:
        """As it stands in `/info/structures`."""
        return self.json_schema(base_url) | {"type": self.type, "unit": self._code, "sortable": self.sortable}

    def json_schema(self, base_url: str) -> dict[str, Any]:
        """The definition as a JSON schema.

        Args:
            base_url: of this server's OPTIMADE interface, without a version.
        """
        level = _level(self.type, self.items, self._symbol)
        title = self.name.removeprefix(PREFIX).removeprefix("_").replace("_", " ")
        level["type"] = [level["type"], "null"]
        details: dict[str, Any] = {"property-format": "1.2", "name": self.name, "label": f"{self.name}_gmtscreen"}
        if self._code:
            symbol, (code, name) = self._symbol, UNITS[self.unit]
            standard = {"name": "ucum", "version": "2.1", "symbol": code}
            details["unit-definitions"] = [
                {"symbol": symbol, "title": name, "description": f"{name}, in UCUM {code}", "standard": standard}
            ]
        support = "all mandatory" if self.queryable else "none"
        return {
            "$id": f"{base_url}/definitions/{self.name}",
            "title": title,
            "description": self.description,
            **level,
            "x-optimade-property": details,
            "x-optimade-implementation": {"sortable": self.sortable, "query-support": support},
        }

    @property
    def _code(self) -> str | None:
        return UNITS[self.unit][0] if self.unit in UNITS else None

    @property
    def _symbol(self) -> str:
        """The unit as definitions refer to it: a symbol without signs of arithmetic."""
        if self.unit in UNITS:
            return UNITS[self.unit][0]
        is_number = self.type in ("float", "integer") or bool({"float", "integer"} & set(self.items))
        return "dimensionless" if is_number and self.unit in ("", "1") else "inapplicable"


def _level(kind: str, items: tuple[str, ...], unit: str) -> dict[str, Any]:
    """Type and unit of a property, and of the entries of a list below it; the unit belongs to what lies deepest."""
    level: dict[str, Any] = {"x-optimade-type": kind, "type": JSON_TYPES[kind]}
    level["x-optimade-unit"] = "inapplicable" if kind in ("list", "dictionary") else unit
    if items:
        level["items"] = _level(items[0], items[1:], unit)
    elif kind == "dictionary":
        level["properties"] = {
            "name": _level("string", (), "inapplicable"),
            "chemical_symbols": _level("list", ("string",), "inapplicable"),
            "concentration": _level("list", ("float",), "dimensionless"),
        }
    return level


_STANDARD = {ours: theirs for theirs, ours in ALIASES.items() if theirs not in ("immutable_id", "source_id")}
_STANDARD |= {name: name for name in ("id", "elements", "nelements", "last_modified")}
_STANDARD["formula"] = "chemical_formula_reduced"

OPTIMADE_NAMES: dict[str, str] = {name: _STANDARD.get(name, PREFIX + name) for name in DESCRIPTIONS}
"""OPTIMADE's name of each of our properties: a standard one where there is one, else ours with the prefix."""

_SITES = "in the order of the sites"
_STRUCTURES: tuple[Definition, ...] = (
    Definition("type", "string", "the name of the entry type"),
    Definition("immutable_id", "string", "content id of the crystal, which never changes", source="id", sortable=True),
    Definition(
        "elements_ratios", "list", "share of each element among the atoms", "1", queryable=False, items=("float",)
    ),
    Definition("chemical_formula_descriptive", "string", "the reduced formula", source="formula", sortable=True),
    Definition(
        "dimension_types",
        "list",
        "1 for each lattice vector, as all are periodic",
        "1",
        queryable=False,
        items=("integer",),
    ),
    Definition("nperiodic_dimensions", "integer", "number of periodic directions", "1"),
    Definition(
        "lattice_vectors", "list", "lattice vectors a, b, c", "angstrom", queryable=False, items=("list", "float")
    ),
    Definition(
        "cartesian_site_positions",
        "list",
        "Cartesian positions of the sites",
        "angstrom",
        queryable=False,
        items=("list", "float"),
    ),
    Definition("species", "list", "the elements as species", queryable=False, items=("dictionary",)),
    Definition("species_at_sites", "list", f"names of species {_SITES}", queryable=False, items=("string",)),
    Definition("structure_features", "list", "special features; no structure here has any", items=("string",)),
)


def _of_stored(ours: str, name: str) -> Definition:
    described = DESCRIPTIONS[ours]
    is_list = described.kind in LISTS
    return Definition(
        name=name,
        type="list" if is_list else _TYPES.get(described.kind, "string"),
        description=described.description,
        unit=described.unit,
        source=ours,
        sortable=not is_list,
        items=("string",) if is_list else (),
    )


STRUCTURES: dict[str, Definition] = {name: _of_stored(ours, name) for ours, name in OPTIMADE_NAMES.items()}
STRUCTURES |= {definition.name: definition for definition in _STRUCTURES}
"""Every property of a structure, by its name in OPTIMADE."""

STANDARD_UNSUPPORTED = frozenset(
    {
        "assemblies", "chemical_formula_hill", "space_group_symbol_hall", "space_group_symbol_hermann_mauguin",
        "space_group_symbol_hermann_mauguin_extended", "space_group_symmetry_operations_xyz", "elements_ratios",
        "dimension_types", "lattice_vectors", "cartesian_site_positions", "species", "species_at_sites",
    }
)  # fmt: skip
"""Standard properties of a structure that no filter here can name: asking for them is right and is not implemented."""


def bibliographic(kinds: Vocabulary) -> dict[str, Definition]:
    """Properties of a reference: those that can be asked for, and its authors."""
    texts = [
        Definition(
            name, "timestamp" if kind is Kind.TIME else "string", f"{name.replace('_', ' ')} of the work", sortable=True
        )
        for name, kind in kinds.kinds.items()
    ]
    same_id = Definition("immutable_id", "string", "the same as id", sortable=True)
    authors = Definition("authors", "list", "names of the authors", queryable=False, items=("dictionary",))
    return {definition.name: definition for definition in (*texts, same_id, authors)}
