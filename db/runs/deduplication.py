"""Crystals that may be the same as new ones, found by their bucket: one indexed look-up, no scan; and those of ids."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, select, update

from db.bulk import chunks
from db.codec import read_crystals
from db.tables import crystals
from models.crystals.crystal import CrystalBatch

Known = tuple[list[str], list[str | None], list[str]]
"""Ids, those of the mirror images, and buckets, "" where there is none yet."""


def crystals_in_buckets(connection: Connection, buckets: Iterable[str]) -> Known:
    """The crystals of the given buckets; see `ResultStore.crystals_in_buckets`."""
    return _known(connection, [crystals.c.family.in_(chunk) for chunk in chunks(list(buckets))])


def crystals_without_bucket(connection: Connection, limit: int) -> Known:
    """Crystals that no look-up finds; see `ResultStore.crystals_without_bucket`."""
    return _known(connection, [crystals.c.family.is_(None)], limit)


def crystals_of(connection: Connection, crystal_ids: Sequence[str]) -> CrystalBatch:
    """The stored crystals of the given ids, in that order, each in the frame of its first representation."""
    kept: dict[str, Row[Any]] = {}
    for chunk in chunks(list(dict.fromkeys(crystal_ids))):
        named = crystals.c
        wanted = select(named.id, named.lattice, named.numbers, named.frac_coords).where(named.id.in_(chunk))
        kept |= {row.id: row for row in connection.execute(wanted)}
    rows = [kept[crystal_id] for crystal_id in crystal_ids]
    return read_crystals([r.lattice for r in rows], [r.numbers for r in rows], [r.frac_coords for r in rows])


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


def _known(connection: Connection, conditions: Iterable[ColumnElement[bool]], limit: int | None = None) -> Known:
    chosen = select(crystals.c.id, crystals.c.twin_id, crystals.c.family).order_by(crystals.c.id).limit(limit)
    rows: list[Row[Any]] = []
    for condition in conditions:
        rows += connection.execute(chosen.where(condition)).all()
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] or "" for row in rows]
