"""Crystals that are like a given one, by composition and structure type."""

from collections.abc import Iterator
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection

from db.query.pages import Request, page
from models.crystals.formula import anonymous_formula

SHOWN = 12
PER_RELATION = 60
FIELDS = (
    "id",
    "formula",
    "spacegroup",
    "k_vrh_gpa",
    "g_vrh_gpa",
    "eps_total_mean",
    "d_max_pc_per_n",
    "elements",
    "volume_per_atom",
    "n_atoms",
)


def similar_crystals(
    connection: Connection, facts: dict[str, Any], result: dict[str, Any], model: str | None
) -> list[dict[str, Any]]:
    """Rows of similar crystals, each with its relation, the nearest first.

    Args:
        connection: to read from.
        facts: of the crystal, see `ResultStore.show`.
        result: of the model whose space group counts.
        model: NAME@VERSION whose results are shown; None for each crystal's current one.
    """
    found: dict[str, dict[str, Any]] = {}
    for relation, filter in _relations(facts, result):
        rows = page(connection, Request(filter, FIELDS, limit=PER_RELATION, model=model, one_per_crystal=True)).rows
        rows = [row for row in rows if row["id"] != facts["id"]]
        # Of those that share a relation the one with the most common elements, then the closest in volume, is nearest.
        for row in rows:
            others = set(row.pop("elements")).symmetric_difference(facts["elements"])
            row["distance"] = len(others), abs(row["volume_per_atom"] / facts["volume_per_atom"] - 1)
        for row in sorted(rows, key=itemgetter("distance")):
            del row["distance"]
            found.setdefault(row["id"], {"id": row["id"], "formula": row["formula"], "relation": relation} | row)
    return list(found.values())[:SHOWN]


def _relations(facts: dict[str, Any], result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """How crystals may be alike, with the filter that finds them; the closest relation first."""
    if facts["twin_id"]:
        yield "mirror image", f'id = "{facts["twin_id"]}"'
    yield "same composition", f'formula = "{facts["formula"]}"'
    anonymous = anonymous_formula(facts["formula"])
    group = result["spacegroup"]
    if group:
        alike = f'formula_anonymous = "{anonymous}" AND spacegroup = {group} AND n_atoms = {facts["n_atoms"]}'
        shared = [f'elements HAS "{symbol}"' for symbol in facts["elements"]]
        # One with a common element is nearer than one without, and both may be more than a page.
        yield "same structure type", f"{alike} AND ({' OR '.join(shared)})"
        yield "same structure type", alike
    names = ", ".join(f'"{symbol}"' for symbol in facts["elements"])
    yield "same elements", f"elements HAS ALL {names} AND nelements = {len(facts['elements'])}"
