"""Crystals that may be the same as new ones, found by their bucket: one indexed look-up, no scan."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, select, update

from db.bulk import MAX_VARIABLES
from db.codec import read_crystals
from db.records import KnownCrystals
from db.tables import crystals


def crystals_in_buckets(connection: Connection, buckets: Iterable[str]) -> KnownCrystals:
    """The crystals of the given buckets; see `ResultStore.crystals_in_buckets`."""
    keys = list(buckets)
    starts = range(0, len(keys), MAX_VARIABLES)
    return _crystals(connection, [crystals.c.family.in_(keys[at : at + MAX_VARIABLES]) for at in starts])


def crystals_without_bucket(connection: Connection, limit: int) -> KnownCrystals:
    """Crystals that no look-up finds; see `ResultStore.crystals_without_bucket`."""
    return _crystals(connection, [crystals.c.family.is_(None)], limit)


def set_buckets(
    connection: Connection, ids: Sequence[str], buckets: Sequence[str], enantiomorph_ids: Sequence[str | None]
) -> None:
    """Makes crystals known to look-ups; see `ResultStore.set_buckets`."""
    columns = crystals.c
    statement = update(crystals).where(columns.id == bindparam("of"), columns.family.is_(None))
    names = ("of", "family", "twin_id")
    rows = [dict(zip(names, row, strict=True)) for row in zip(ids, buckets, enantiomorph_ids, strict=True)]
    if rows:
        # In the order of their ids: two drivers that do the same wait for each other instead of deadlocking.
        connection.execute(statement, sorted(rows, key=lambda row: str(row["of"])))


def _crystals(
    connection: Connection, conditions: Iterable[ColumnElement[bool]], limit: int | None = None
) -> KnownCrystals:
    columns = crystals.c
    chosen = (columns.id, columns.twin_id, columns.family, columns.lattice, columns.numbers, columns.frac_coords)
    rows: list[Row[Any]] = []
    for condition in conditions:
        rows += connection.execute(select(*chosen).where(condition).order_by(columns.id).limit(limit)).all()
    return KnownCrystals(
        [row.id for row in rows],
        [row.twin_id for row in rows],
        [row.family or "" for row in rows],
        read_crystals([r.lattice for r in rows], [r.numbers for r in rows], [r.frac_coords for r in rows]),
    )
