"""What can be asked of the Materials Project: `mp:` and criteria, read once and checked on what arrives."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from models.errors import SourceError

Range = tuple[float | None, float | None]


class Route(StrEnum):
    """A collection of documents; the value is its name in the API, in mp-api and as a property that a material has."""

    SUMMARY = "summary"
    ELASTICITY = "elasticity"
    DIELECTRIC = "dielectric"
    PIEZOELECTRIC = "piezoelectric"


LABELLED = (Route.ELASTICITY, Route.DIELECTRIC, Route.PIEZOELECTRIC)

RANGES = {
    "band_gap": "band_gap",
    "density": "density",
    "e_electronic": "e_electronic",
    "e_ionic": "e_ionic",
    "e_total": "e_total",
    "elastic_anisotropy": "universal_anisotropy",
    "energy_above_hull": "energy_above_hull",
    "formation_energy": "formation_energy_per_atom",
    "g_reuss": "shear_modulus.reuss",
    "g_voigt": "shear_modulus.voigt",
    "g_vrh": "shear_modulus.vrh",
    "k_reuss": "bulk_modulus.reuss",
    "k_voigt": "bulk_modulus.voigt",
    "k_vrh": "bulk_modulus.vrh",
    "n": "n",
    "num_elements": "nelements",
    "num_sites": "nsites",
    "piezoelectric_modulus": "e_ij_max",
    "poisson_ratio": "homogeneous_poisson",
    "total_energy": "energy_per_atom",
    "volume": "volume",
}
"""Criteria that are ranges, `low..high` with either end open, and where a summary document has the number."""

LISTS = {
    "chemsys": "chemsys",
    "crystal_system": "crystal_system",
    "elements": "elements",
    "exclude_elements": "exclude_elements",
    "formula": "formula",
    "has_props": "has_props",
    "ids": "material_ids",
    "spacegroup_symbol": "spacegroup_symbol",
}
"""Criteria that are lists, `a,b,c`, and their names in mp-api."""

FLAGS = ("is_stable", "is_metal", "is_gap_direct", "theoretical", "include_gnome")
"""Criteria that are true or false."""

_ALIASES = {"nsites": "num_sites", "nelements": "num_elements", "material_ids": "ids"}
_SYSTEMS = ("Triclinic", "Monoclinic", "Orthorhombic", "Tetragonal", "Trigonal", "Hexagonal", "Cubic")
_EXAMPLES = "mp:chemsys=Al-N, mp:ids=mp-66,mp-149 or mp:band_gap=0.5..3,energy_above_hull=0..0.05"


@dataclass(frozen=True)
class MaterialsQuery:
    """Which materials are meant.

    Attributes:
        name: the source as the user wrote it.
        criteria: keyword arguments of mp-api's summary search.
        ranges: bounds by criterion, to be checked on what arrives.
        routes: which collections of labels are meant.
    """

    name: str
    criteria: Mapping[str, Any]
    ranges: Mapping[str, Range] = field(default_factory=dict)
    routes: tuple[Route, ...] = LABELLED

    @classmethod
    def from_text(cls, text: str) -> "MaterialsQuery":
        """Reads `mp:key=value[,value...],key=value...`.

        Raises:
            SourceError: no criterion, an unknown one, or a value that is no range, list or flag.
        """
        values: dict[str, list[str]] = {}
        key = ""
        for part in filter(None, map(str.strip, text.partition(":")[2].split(","))):
            name, equals, value = part.partition("=")
            if equals:
                key = _ALIASES.get(name, name)
                if key in values:
                    raise SourceError(f"{text[:100]!r} names {key} twice. Give each criterion once.")
                values[key] = [value]
            elif key in LISTS:  # a comma stands between criteria and between the entries of a list
                values[key].append(part)
            else:
                raise SourceError(f"{part[:50]!r} in {text[:100]!r} is no criterion. Give {_EXAMPLES}.")
        if not values:
            raise SourceError(
                f"{text!r} has no criterion; without one everything would be fetched. Give {_EXAMPLES}; "
                "docs/sources.md lists the criteria."
            )
        ranges = {name: _range(name, texts[0]) for name, texts in values.items() if name in RANGES}
        criteria = {LISTS.get(name, name): _value(name, texts) for name, texts in values.items()}
        named = tuple(route for route in LABELLED if route in values.get("has_props", ()))
        return cls(text, criteria, ranges, named or LABELLED)

    @property
    def range_fields(self) -> list[str]:
        """Top-level fields of a summary that the ranges look at."""
        return sorted({RANGES[name].partition(".")[0] for name in self.ranges})

    def is_meant(self, summary: Mapping[str, Any]) -> bool:
        """Whether a summary document lies in every range; a number that is missing lies in none."""
        for name, (low, high) in self.ranges.items():
            value: Any = summary
            for key in RANGES[name].split("."):
                value = value.get(key) if isinstance(value, Mapping) else None
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                return False
            if (low is not None and not value >= low) or (high is not None and not value <= high):
                return False
        return True


def _value(name: str, values: list[str]) -> Any:
    """A criterion as mp-api takes it."""
    if name in RANGES:
        return _range(name, values[0])
    if name in FLAGS:
        if values[0].lower() not in ("true", "false"):
            raise SourceError(f"{name}={values[0]} is neither true nor false.")
        return values[0].lower() == "true"
    if name == "spacegroup_number":
        if not (values[0].isascii() and values[0].isdigit() and 1 <= int(values[0]) <= 230):
            raise SourceError(f"spacegroup_number={values[0]} is no number from 1 to 230.")
        return int(values[0])
    if name not in LISTS:
        known = ", ".join(sorted([*RANGES, *LISTS, *FLAGS, "spacegroup_number"]))
        raise SourceError(f"{name[:50]!r} is no criterion of mp:. Known: {known}.")
    if name == "crystal_system":
        values = [value.capitalize() for value in values]
        unknown = [value for value in values if value not in _SYSTEMS]
        if unknown:
            raise SourceError(f"{unknown[0]!r} is no crystal system. Known: {', '.join(_SYSTEMS).lower()}.")
        return values[0] if len(values) == 1 else values
    if name == "spacegroup_symbol":
        return values[0] if len(values) == 1 else values
    return values


def _range(name: str, text: str) -> Range:
    """Bounds of `low..high`, `low..`, `..high`, or one number."""
    low, dots, high = text.partition("..")
    kind = int if name.startswith("num_") else float  # the server takes no 20.0 for a number of sites
    try:
        bounds = (kind(low) if low else None, kind(high) if high else None) if dots else (kind(low), kind(low))
    except ValueError:
        bounds = (math.nan, math.nan)
    given = [bound for bound in bounds if bound is not None]
    if not given or not all(map(math.isfinite, given)) or given != sorted(given):
        raise SourceError(f"{name}={text[:50]} is no range. Write {name}=low..high, with either end left out.")
    return bounds
