"""Crystals as OPTIMADE's structures: the attributes that are columns, and those that are made of the atoms."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from db.codec import read_crystals
from db.explorer.cursors import from_cursor, to_cursor
from db.explorer.optimade.definitions import OPTIMADE_NAMES, STRUCTURES
from db.explorer.optimade.parameters import EntryQuery
from db.explorer.optimade.references import OF_STRUCTURES
from db.query.pages import page
from db.query.properties import CRYSTALS, Vocabulary
from db.query.request import Request
from db.tables import crystals
from models.crystals.crystal import SYMBOLS, Crystal
from models.quantities import UNCERTAINTY_COLUMNS

VOCABULARY = Vocabulary(CRYSTALS.kinds, CRYSTALS.aliases, CRYSTALS.constants, foreign=True)
"""What a filter over structures may name."""

_DETAILS = {"id", "type", *(OPTIMADE_NAMES[name] for name in UNCERTAINTY_COLUMNS)} | {
    name for ours, name in OPTIMADE_NAMES.items() if ours.startswith(("symprec_spread", "spacegroup_1e"))
}
DEFAULT_FIELDS: tuple[str, ...] = tuple(name for name in STRUCTURES if name not in _DETAILS)
"""Attributes of an answer where nobody says which: the standard ones, and ours without ends of intervals."""


def _elements(crystal: Crystal) -> tuple[list[str], list[float]]:
    """Symbols in alphabetical order and their shares among the atoms."""
    symbols, counts = np.unique([SYMBOLS[z] for z in crystal.numbers], return_counts=True)
    return symbols.tolist(), (counts / counts.sum()).tolist()


FROM_ATOMS: dict[str, Callable[[Crystal], Any]] = {
    "elements_ratios": lambda crystal: _elements(crystal)[1],
    "lattice_vectors": lambda crystal: crystal.lattice.tolist(),
    "cartesian_site_positions": lambda crystal: (crystal.frac_coords @ crystal.lattice).tolist(),
    "species_at_sites": lambda crystal: [SYMBOLS[z] for z in crystal.numbers],
    "species": lambda crystal: [
        {"name": symbol, "chemical_symbols": [symbol], "concentration": [1.0]} for symbol in _elements(crystal)[0]
    ],
}
"""Attributes that are made of the atoms."""

ALIKE: dict[str, Any] = {"dimension_types": [1, 1, 1], "nperiodic_dimensions": 3, "structure_features": []}
"""Attributes that all structures have alike."""


def structures_page(connection: Connection, query: EntryQuery) -> tuple[list[dict[str, Any]], str | None]:
    """Entries of one page and the cursor of the next; None when this is the last.

    Raises:
        FilterError: filter, sort or cursor are not valid.
    """
    wanted = query.fields if query.fields is not None else DEFAULT_FIELDS
    sources = [STRUCTURES[name].source for name in wanted if name in STRUCTURES]
    fields = tuple(dict.fromkeys(["id", *(source for source in sources if source)]))
    sort = None if query.sort == "id" else query.sort
    request = Request(
        query.filter,
        fields,
        sort,
        query.limit,
        after=from_cursor(query.cursor, sort),
        vocabulary=VOCABULARY,
        one_per_crystal=True,
    )
    hits = page(connection, request)
    ids = [row["id"] for row in hits.rows]
    atoms = crystals_of(connection, ids) if any(name in FROM_ATOMS for name in wanted) else {}
    return [entry(row, wanted, atoms.get(row["id"])) for row in hits.rows], to_cursor(hits.next)


def crystals_of(connection: Connection, ids: Sequence[str]) -> dict[str, Crystal]:
    """The crystals of the given content ids."""
    columns = [crystals.c.id, crystals.c.lattice, crystals.c.numbers, crystals.c.frac_coords]
    found = {}
    for row in connection.execute(select(*columns).where(crystals.c.id.in_(ids))):
        batch = read_crystals([row.lattice], [row.numbers], [row.frac_coords])
        found[row.id] = Crystal(batch.lattice[0], batch.frac_coords, batch.numbers)
    return found


def entry(row: dict[str, Any], wanted: Sequence[str], crystal: Crystal | None) -> dict[str, Any]:
    """One structure.

    Args:
        row: our properties of the crystal by our names, `id` among them.
        wanted: names of the attributes.
        crystal: its atoms, where an attribute is made of them.
    """
    attributes = {}
    for name in wanted:
        definition = STRUCTURES.get(name)
        if name in FROM_ATOMS and crystal is not None:
            attributes[name] = FROM_ATOMS[name](crystal)
        elif definition is not None and definition.source is not None:
            attributes[name] = row[definition.source]
        else:
            attributes[name] = ALIKE.get(name)  # null for what nobody here knows
    attributes = {name: value for name, value in attributes.items() if name not in ("id", "type")}
    related = [{"type": "references", "id": name} for name in OF_STRUCTURES]
    return {
        "type": "structures",
        "id": row["id"],
        "attributes": attributes,
        "relationships": {"references": {"data": related}},
    }
