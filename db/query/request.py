"""What a search asks for, and a page of what it gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from db.query.properties import CRYSTALS, LISTS, PROPERTIES, Vocabulary, resolve_property
from models.errors import FilterError

DEFAULT_FIELDS: tuple[str, ...] = (
    "id",
    "source_ids",
    "formula",
    "spacegroup",
    "point_group",
    "k_vrh_gpa",
    "g_vrh_gpa",
    "poisson_vrh",
    "mechanically_stable",
    "e_max_c_per_m2",
    "d_max_pc_per_n",
    "eps_electronic_mean",
    "eps_total_mean",
    "refractive_index",
)
"""What a query prints when nobody says what it should."""


@dataclass(frozen=True)
class PageMark:
    """The last row of a page: the next page starts after it."""

    value: Any
    crystal_id: str
    model_id: int


@dataclass(frozen=True)
class Request:
    """What is asked for; see `ResultStore.query`.

    Attributes:
        vocabulary: what the filter may name.
        one_per_crystal: one row per crystal also where the filter asks for a model.
    """

    filter: str = ""
    fields: tuple[str, ...] = DEFAULT_FIELDS
    sort: str | None = None
    limit: int = 50
    model: str | None = None
    after: PageMark | None = None
    vocabulary: Vocabulary = CRYSTALS
    one_per_crystal: bool = False


@dataclass(frozen=True)
class Page:
    """Some hits, one dict per row, and the mark of the next page; None when this is the last."""

    rows: list[dict[str, Any]]
    next: PageMark | None


def field_names(fields: Sequence[str] | None) -> tuple[str, ...]:
    """Our names of the wanted fields, without repetitions; the default ones for None.

    Raises:
        FilterError: a field is unknown.
    """
    if fields is None:
        return DEFAULT_FIELDS
    return tuple(dict.fromkeys(resolve_property(field.strip()) for field in fields))


def sort_property(sort: str | None) -> tuple[str | None, bool]:
    """The property that is sorted by, None for the default order, and whether it descends.

    Raises:
        FilterError: there is no such property, or it has no order.
    """
    if sort is None:
        return None, False
    name = resolve_property(sort.removeprefix("-"))
    if PROPERTIES[name] in LISTS:
        raise FilterError(f"{name} is a {PROPERTIES[name]} and has no order. Sort by a number or a text.")
    return name, sort.startswith("-")
