"""Crystals that may be the same as new ones, found by the families they lie in: one indexed look-up, no scan."""

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, Connection, Row, bindparam, select, update

from db.bulk import MAX_VARIABLES
from db.codec import read_crystals
from db.records import KnownCrystals
from db.tables import crystals

_Rows = list[Row[tuple[str, str | None, str | None, bytes, bytes, bytes]]]


def relatives(connection: Connection, families: Iterable[str]) -> KnownCrystals:
    """The crystals of the given families; see `ResultStore.relatives`."""
    wanted = list(families)
    rows: _Rows = []
    for start in range(0, len(wanted), MAX_VARIABLES):
        rows += _rows(connection, crystals.c.family.in_(wanted[start : start + MAX_VARIABLES]))
    return _known(rows)


def without_family(connection: Connection, limit: int) -> KnownCrystals:
    """Crystals that no look-up finds; see `ResultStore.crystals_without_family`."""
    return _known(_rows(connection, crystals.c.family.is_(None), limit))


def set_families(
    connection: Connection, ids: Sequence[str], families: Sequence[str], enantiomorph_ids: Sequence[str | None]
) -> None:
    """Makes crystals known to look-ups; see `ResultStore.set_families`."""
    named = crystals.c
    statement = update(crystals).where(named.id == bindparam("of"), named.family.is_(None))
    rows = zip(ids, families, enantiomorph_ids, strict=True)
    # in the order of their ids: two drivers that do the same wait for each other instead of deadlocking
    values = [
        {"of": of, "family": family, "twin_id": twin_id} for of, family, twin_id in sorted(rows, key=lambda r: r[0])
    ]
    if values:
        connection.execute(statement, values)


def _rows(connection: Connection, condition: ColumnElement[bool], limit: int | None = None) -> _Rows:
    named = crystals.c
    columns = (named.id, named.twin_id, named.family, named.lattice, named.numbers, named.frac_coords)
    return list(connection.execute(select(*columns).where(condition).order_by(named.id).limit(limit)))


def _known(rows: _Rows) -> KnownCrystals:
    return KnownCrystals(
        [row.id for row in rows],
        [row.twin_id for row in rows],
        [row.family or "" for row in rows],
        read_crystals([r.lattice for r in rows], [r.numbers for r in rows], [r.frac_coords for r in rows]),
    )
