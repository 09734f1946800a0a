"""Properties of which a crystal has several values, or none: its elements, its source ids, the doubts about it.

Source ids and doubts belong to the inputs that a crystal came with: a condition on them is a look-up in that table.
"""

from collections.abc import Callable, Sequence
from functools import partial
from operator import eq
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, and_, case, false, func, literal, not_, or_, select, true

from db.bulk import chunks
from db.doubts import split_column
from db.query.filter_tree import Quantifier
from db.tables import crystals, inputs
from models.errors import Doubt

Condition = ColumnElement[bool]

INPUT_LISTS: dict[str, ColumnElement[Any]] = {"source_ids": inputs.c.source_id, "doubts": inputs.c.doubts}
"""Lists that belong to the inputs of a crystal, and the column that holds their entries."""


def any_source_id(test: Callable[[ColumnElement[Any]], Condition]) -> Condition:
    """Whether one of the source ids that a crystal came with passes a test."""
    passing = select(inputs.c.crystal_id).where(inputs.c.crystal_id.is_not(None), test(inputs.c.source_id))
    return crystals.c.id.in_(passing)


def doubted(doubt: Doubt | None = None) -> Condition:
    """Whether an input that a crystal came with is doubtful, for the given reason or for any."""
    # IS NOT NULL is what the partial index holds: without it the whole table would be looked through
    of_doubtful: list[Condition] = [inputs.c.doubts.is_not(None), inputs.c.crystal_id.is_not(None)]
    if doubt is not None:
        of_doubtful.append(_holds(inputs.c.doubts, doubt.value))
    return crystals.c.id.in_(select(inputs.c.crystal_id).where(*of_doubtful))


def has(name: str, quantifier: Quantifier, values: tuple[str, ...]) -> Condition:
    """The condition `name HAS [ALL | ANY | ONLY] values` of a list property."""
    if name == "source_ids":
        # One row per input, so each quantifier becomes a look-up there.
        if quantifier is Quantifier.ONLY:
            return not_(any_source_id(lambda column: column.not_in(values)))
        if quantifier is Quantifier.ANY:
            return any_source_id(lambda column: column.in_(values))
        return and_(*(any_source_id(partial(eq, value)) for value in values))
    if name == "doubts":
        if quantifier is Quantifier.ONLY:
            others = [doubted(doubt) for doubt in Doubt if doubt.value not in values]
            return and_(true(), *(not_(other) for other in others))
        held = [doubted(Doubt(value)) for value in dict.fromkeys(values)]
        return or_(false(), *held) if quantifier is Quantifier.ANY else and_(true(), *held)
    column = crystals.c.elements
    if quantifier is Quantifier.ONLY:
        # As many of the given symbols as there are elements; nested calls would overflow the parser of SQLite.
        held_symbols = [case((_holds(column, symbol), 1), else_=0) for symbol in dict.fromkeys(values)]
        return sum(held_symbols[1:], start=held_symbols[0]) == crystals.c.nelements
    present = [_holds(column, symbol) for symbol in values]
    return or_(*present) if quantifier is Quantifier.ANY else and_(*present)


def _holds(column: ColumnElement[Any], entry: str) -> Condition:
    """Whether a text like ",Al,N," holds an entry."""
    # then it can be removed: unlike LIKE this means the same on both dialects
    return func.replace(column, literal(f",{entry},", Text()), literal("", Text())) != column


def values_of(connection: Connection, name: str, crystal_ids: Sequence[str]) -> dict[str, list[str]]:
    """The values of a list that belongs to the inputs, of every input that a crystal came with, each once, sorted."""
    values: dict[str, set[str]] = {crystal_id: set() for crystal_id in crystal_ids}
    keys, column = list(values), INPUT_LISTS[name]
    for chunk in chunks(keys):
        statement = select(inputs.c.crystal_id, column).where(inputs.c.crystal_id.in_(chunk), column.is_not(None))
        for crystal_id, text in connection.execute(statement):
            values[crystal_id].update(split_column(text) if name == "doubts" else [text])
    return {crystal_id: sorted(of_crystal) for crystal_id, of_crystal in values.items()}
