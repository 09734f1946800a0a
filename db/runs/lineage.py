"""How crystals that were made here were made: rows beside the inputs that brought them, parents and children."""

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, or_, select

from db.codec import clean_text
from db.records import IngestedBlock, RunState
from db.tables import crystals, cursors, inputs, lineage, runs


def lineage_rows(block: IngestedBlock) -> Iterator[dict[str, Any]]:
    """The rows of a block's inputs that were made here, without run and source.

    Args:
        block: whose `crystal_ids` are those of stored crystals.
    """
    positions = block.positions.tolist()
    for row, made in enumerate(block.lineage):
        if made is not None:
            yield {
                "position": positions[row],
                "crystal_id": block.crystal_ids[row],
                "parent": None if made.parent is None else clean_text(made.parent),
                "operation": made.operation,
                "detail": clean_text(made.detail),
                "seed": made.seed,
                "model": made.model,
                "log_probability": made.log_probability,
            }


def lineage_of(connection: Connection, crystal_id: str) -> list[dict[str, Any]]:
    """How the inputs of a crystal were made; see `ResultStore.lineage_of`."""
    rows = []
    for row in connection.execute(_made(lineage.c.crystal_id == crystal_id)).mappings():
        parent = _stored_parent(connection, row["parent"])
        rows.append({**row, "detail": json.loads(row["detail"])} | parent)
    return rows


def children_of(connection: Connection, crystal_id: str) -> list[dict[str, Any]]:
    """What was made from a crystal; see `ResultStore.children_of`."""
    ids = select(inputs.c.source_id).where(inputs.c.crystal_id == crystal_id)
    from_it = or_(lineage.c.parent == crystal_id, lineage.c.parent.in_(ids))
    statement = _made(from_it).add_columns(crystals.c.formula).join(crystals, crystals.c.id == lineage.c.crystal_id)
    return [{**row, "detail": json.loads(row["detail"])} for row in connection.execute(statement).mappings()]


def read_crystals_of_formula(connection: Connection, formula: str) -> list[str]:
    """Content ids of crystals that were read and not only made here; see `ResultStore.read_crystals_of_formula`."""
    keys = ("run_id", "source_index", "position")
    of_input = and_(*(lineage.c[name] == inputs.c[name] for name in keys))
    was_made = exists().where(lineage.c.crystal_id == crystals.c.id)
    was_read = exists().where(inputs.c.crystal_id == crystals.c.id, ~exists().where(of_input))
    wanted = select(crystals.c.id).where(crystals.c.formula == formula, or_(~was_made, was_read))
    return list(connection.execute(wanted.order_by(crystals.c.id)).scalars())


def fingerprints_of_unfinished(connection: Connection, source: str) -> list[str]:
    """Fingerprints of a source in runs that are not finished; see `ResultStore.fingerprints_of_unfinished`."""
    unfinished = select(runs.c.sources, runs.c.fingerprints).where(runs.c.state != RunState.FINISHED)
    rows = connection.execute(unfinished.order_by(runs.c.id.desc())).all()
    pairs = [dict(zip(json.loads(row.sources), json.loads(row.fingerprints), strict=True)) for row in rows]
    return list(dict.fromkeys(of_run[source] for of_run in pairs if source in of_run))


def _made(condition: ColumnElement[bool]) -> Select[Any]:
    """Lineage with the run, source and id of the input, in the order in which it came."""
    of_cursor = and_(cursors.c.run_id == lineage.c.run_id, cursors.c.source_index == lineage.c.source_index)
    keys = ("run_id", "source_index", "position")
    of_input = and_(*(inputs.c[name] == lineage.c[name] for name in keys))
    named = ("crystal_id", "parent", "operation", "detail", "seed", "model", "log_probability")
    return (
        select(lineage.c.run_id.label("run"), cursors.c.source, inputs.c.source_id, *(lineage.c[n] for n in named))
        .join(cursors, of_cursor)
        .join(inputs, of_input)
        .where(condition)
        .order_by(*(lineage.c[name] for name in keys))
    )


def _stored_parent(connection: Connection, parent: str | None) -> dict[str, Any]:
    """Content id and formula of a parent that is stored; both None where it is not."""
    by_source = select(inputs.c.crystal_id).where(inputs.c.source_id == parent, inputs.c.crystal_id.is_not(None))
    statement = select(crystals.c.id, crystals.c.formula).where(
        or_(crystals.c.id == parent, crystals.c.id.in_(by_source))
    )
    row = None if parent is None else connection.execute(statement.order_by(crystals.c.id)).first()
    return {"parent_id": row and row.id, "parent_formula": row and row.formula}
