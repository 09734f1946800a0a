"""Filter tree to the condition of a SELECT: SQL that means the same on SQLite and PostgreSQL.

A filter becomes SQLAlchemy expressions with bound values; no text of the user ever becomes SQL. There is no LIKE (its
case rules differ), no NaN in the database, and texts are compared by code point.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Double,
    Integer,
    Text,
    and_,
    cast,
    false,
    func,
    literal,
    not_,
    null,
    or_,
    true,
)

from db.base import ComparedNumber, Float32
from db.query.filter_tree import (
    And,
    Comparison,
    Decided,
    Filter,
    Flag,
    Has,
    Is,
    Knowledge,
    Matches,
    Not,
    Operator,
    Or,
    TextMatch,
)
from db.query.properties import PROPERTIES, Kind
from db.query.sql.lists import INPUT_LISTS, any_source_id, doubted, has
from db.query.sql.second_opinions import refined, second_opinion_columns
from db.query.times import whole_seconds
from db.tables import crystals, models, results
from models.errors import Doubt
from models.refinement_quantities import REFINED

Condition = ColumnElement[bool]

LOOKED_UP_FLAGS: dict[str, Condition] = {
    "doubtful": doubted(),
    **{doubt.value: doubted(doubt) for doubt in Doubt},
    REFINED: refined(),
}
"""Flags that ask what a crystal came with, and whether it has a second opinion: never unknown."""

COLUMNS: dict[str, ColumnElement[Any]] = {
    **{name: results.c[name] for name in PROPERTIES if name in results.c},
    **{name: crystals.c[name] for name in PROPERTIES if name in crystals.c},
    **second_opinion_columns(),
    "last_modified": results.c.created,
    "model": models.c.name.concat("@").concat(models.c.version),
    **LOOKED_UP_FLAGS,
}
"""The column, or the expression, of every property that has one value per crystal."""

HITS = results.join(crystals, crystals.c.id == results.c.crystal_id).join(models, models.c.id == results.c.model_id)
"""What searches select from: one row per crystal and model."""


def to_condition(tree: Filter) -> Condition:
    """The SQL condition of a filter; unknown values follow SQL's three-valued logic."""
    match tree:
        case And(terms) | Or(terms):
            joined = and_ if isinstance(tree, And) else or_
            return joined(*(to_condition(term) for term in terms))
        case Not(term):
            return not_(to_condition(term))
        case Comparison(name, operator, value):
            return _compare(name, operator, value)
        case Matches(name, match, text):
            return _on_texts(name, lambda column: _match(column, match, text))
        case Has(name, quantifier, values):
            return has(name, quantifier, values)
        case Is(name, knowledge):
            # What a crystal came with is always known, also where the list is empty.
            column = crystals.c.id if name in INPUT_LISTS else COLUMNS[name]
            return column.is_not(None) if knowledge is Knowledge.KNOWN else column.is_(None)
        case Decided(value):
            return cast(null(), Boolean()) if value is None else true() if value else false()
        case Flag(name):
            column = COLUMNS[name]
            # a condition as it is can begin from its own index; compared with a value it cannot
            return column if name in LOOKED_UP_FLAGS else column == literal(True)


def _compare(name: str, operator: Operator, value: float | str | bool) -> Condition:
    # Of a list, != means that no entry is equal, not that some entry differs.
    if name == "source_ids" and operator is Operator.UNEQUAL:
        return not_(_compare(name, Operator.EQUAL, value))
    if PROPERTIES[name] is Kind.TIME:
        return _compare_time(COLUMNS[name], operator, whole_seconds(str(value)))
    bound: ColumnElement[Any] = literal(value)
    if name in COLUMNS and isinstance(COLUMNS[name].type, Float32):
        bound = literal(value, ComparedNumber())
    elif isinstance(value, float):
        # With its own type: typed like an integer column, PostgreSQL would round 2.5 to 2.
        small_integer = value.is_integer() and abs(value) < 2**31
        bound = literal(int(value), Integer()) if small_integer else literal(value, Double())
    return _on_texts(name, lambda column: operator.compare(column, bound))


def _compare_time(column: ColumnElement[Any], operator: Operator, seconds: int) -> Condition:
    """Comparison of a time without its fraction of a second, as results print it."""
    first: ColumnElement[Any] = literal(float(seconds), Double())
    next_second: ColumnElement[Any] = literal(seconds + 1.0, Double())
    match operator:
        case Operator.EQUAL:
            return and_(column >= first, column < next_second)
        case Operator.UNEQUAL:
            return or_(column < first, column >= next_second)
        case Operator.LESS | Operator.GREATER_EQUAL:
            compared: Condition = operator.compare(column, first)
            return compared
        case Operator.LESS_EQUAL:
            return column < next_second
        case Operator.GREATER:
            return column >= next_second


def _on_texts(name: str, test: Callable[[ColumnElement[Any]], Condition]) -> Condition:
    """The test of a property's column; of source ids, that one of the crystal's passes."""
    return any_source_id(test) if name == "source_ids" else test(COLUMNS[name])


def _match(column: ColumnElement[Any], match: TextMatch, text: str) -> Condition:
    n = len(text)
    if n == 0:
        return func.length(column) >= 0  # every text holds the empty one; unknown stays unknown
    needle = literal(text, Text())
    if match is TextMatch.CONTAINS:
        return func.replace(column, needle, literal("", Text())) != column
    if match is TextMatch.STARTS:
        return func.substr(column, 1, n) == needle
    # For a shorter text the start is 0 or less, and what comes back is shorter than the needle on either dialect.
    return func.substr(column, func.length(column) - (n - 1)) == needle
