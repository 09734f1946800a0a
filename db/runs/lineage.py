"""How crystals that were made here were made: rows beside the inputs that brought them, parents and children."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, or_, select

from db.codec import clean_text
from db.records import IngestedBlock, LineageOperation, RunState
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
        facts = {**row, "detail": json.loads(row["detail"])} | _stored_parent(connection, row["parent"])
        rows.append(facts | {"text": lineage_text(facts)})
    return rows


def lineage_text(facts: Mapping[str, Any]) -> str:
    """How a crystal was made, in words: "substitution Ti -> Zr from gx-... (BaTiO3), seed 1".

    Args:
        facts: a row of `lineage_of` without its text.
    """
    detail = facts["detail"] if isinstance(facts["detail"], dict) else {}
    operation = facts["operation"]
    match operation:
        case LineageOperation.SUBSTITUTION | LineageOperation.DECORATION:
            changed = [f" {old} -> {new}" for old, new in detail.items() if old != new]
            operation += ",".join(changed)
        case LineageOperation.STRAIN:
            operation += f" {detail.get('kind', '')} {detail.get('strain_voigt', '')}".rstrip()
        case LineageOperation.VACANCY | LineageOperation.ANTISITE:
            placed = f"{detail['placed']} on " if detail.get("placed") else "of "
            operation += f" {placed}{detail.get('removed', '?')}, one of {detail.get('multiplicity', '?')} sites,"
    formula = f" ({facts['parent_formula']})" if facts["parent_formula"] else ""
    text = operation if facts["parent"] is None else f"{operation} from {facts['parent']}{formula}"
    text += "" if facts["model"] is None else f" by {facts['model']}"
    text += "" if facts["seed"] is None else f", seed {facts['seed']}"
    return text if facts["log_probability"] is None else f"{text}, log probability {facts['log_probability']:.2f}"


def children_counts(connection: Connection, crystal_id: str) -> dict[str, int]:
    """How many crystals were made from one, by operation."""
    counted = select(lineage.c.operation, func.count(lineage.c.crystal_id.distinct()).label("n"))
    grouped = counted.where(_from(crystal_id)).group_by(lineage.c.operation).order_by(lineage.c.operation)
    return {row.operation: int(row.n) for row in connection.execute(grouped)}


def children_of(connection: Connection, crystal_id: str) -> list[dict[str, Any]]:
    """What was made from a crystal; see `ResultStore.children_of`."""
    made = _made(_from(crystal_id)).add_columns(crystals.c.formula)
    statement = made.join(crystals, crystals.c.id == lineage.c.crystal_id)
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


def _from(crystal_id: str) -> ColumnElement[bool]:
    """Made from a crystal, whether by its content id or by an id that it came with."""
    ids = select(inputs.c.source_id).where(inputs.c.crystal_id == crystal_id)
    return or_(lineage.c.parent == crystal_id, lineage.c.parent.in_(ids))


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
