"""Crystals that may be the same as new ones, found by the families they lie in: one indexed look-up, no scan."""

from collections.abc import Iterable

from sqlalchemy import Connection, Row, select

from db.bulk import MAX_VARIABLES
from db.codec import read_crystals
from db.records import KnownCrystals
from db.tables import crystals


def relatives(connection: Connection, families: Iterable[str]) -> KnownCrystals:
    """The crystals of the given families; see `ResultStore.relatives`."""
    wanted = list(families)
    rows: list[Row[tuple[str, str | None, str | None, bytes, bytes, bytes]]] = []
    named = crystals.c
    columns = (named.id, named.twin_id, named.family, named.lattice, named.numbers, named.frac_coords)
    for start in range(0, len(wanted), MAX_VARIABLES):
        chunk = wanted[start : start + MAX_VARIABLES]
        rows += connection.execute(select(*columns).where(named.family.in_(chunk)).order_by(named.id))
    return KnownCrystals(
        [row.id for row in rows],
        [row.twin_id for row in rows],
        [row.family or "" for row in rows],
        read_crystals([r.lattice for r in rows], [r.numbers for r in rows], [r.frac_coords for r in rows]),
    )
