"""Which stored crystals have labels: by their content id, or because a label was made for them.

A calculation that was asked for relaxes the cell first, so its label is of a slightly different crystal; its row
carries the content id of the crystal that was asked for as its id.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, or_, select

from db.bulk import chunks
from db.runs.deduplication import crystals_of
from db.tables import LabelState, crystals, labels
from models.crystals.crystal import CrystalBatch

WITHOUT_VALUE = (LabelState.REFUSED, LabelState.RETRACTED)
"""States of labels that say nothing about their crystal."""


def label_kinds(connection: Connection, crystal_ids: Sequence[str]) -> dict[str, set[str]]:
    """Kinds of the labels that crystals have; refused and retracted labels do not count.

    Args:
        connection: for reading.
        crystal_ids: content ids.

    Returns:
        By content id, of those with a label only.
    """
    kinds: dict[str, set[str]] = {}
    for chunk in chunks(crystal_ids):
        mine = or_(labels.c.crystal_id.in_(chunk), labels.c.source_id.in_(chunk))
        columns = select(labels.c.crystal_id, labels.c.source_id, labels.c.kind)
        for row in connection.execute(columns.where(mine, labels.c.state.not_in(WITHOUT_VALUE))):
            for name in {row.crystal_id, row.source_id} & set(chunk):
                kinds.setdefault(name, set()).add(row.kind)
    return kinds


def known_crystals(connection: Connection, crystal_ids: Sequence[str]) -> tuple[list[str], CrystalBatch]:
    """Those of the given crystals that are stored: their content ids, in that order, and their cells."""
    known: set[str] = set()
    for chunk in chunks(crystal_ids):
        known.update(connection.execute(select(crystals.c.id).where(crystals.c.id.in_(chunk))).scalars())
    stored = [crystal_id for crystal_id in crystal_ids if crystal_id in known]
    return stored, crystals_of(connection, stored)
