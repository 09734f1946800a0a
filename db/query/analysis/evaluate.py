"""A filter on rows in plain Python: the same hits as the database's, for rows that lie in memory.

Three-valued logic, as in SQL: comparing an unknown value gives unknown (None), NOT of unknown is unknown, and a row is
a hit only where the whole filter is true.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

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
    Quantifier,
)

Row = Mapping[str, Any]

_SETS: dict[Quantifier, Callable[[set[str], set[str]], bool]] = {
    Quantifier.ONE: set.issuperset,
    Quantifier.ALL: set.issuperset,
    Quantifier.ANY: lambda entries, wanted: not entries.isdisjoint(wanted),
    Quantifier.ONLY: set.issubset,
}
"""What the entries of a list must be to the given ones."""


def evaluate(tree: Filter, rows: Iterable[Row]) -> list[bool | None]:
    """Whether each row is a hit.

    Args:
        tree: of `parse_filter`.
        rows: each with every property that the filter mentions, as `Page.rows` has them: None or NaN where unknown,
            lists of texts for elements, source ids and doubts.

    Returns:
        Per row True, False, or None where that is unknown.
    """
    return [truth(tree, row) for row in rows]


def truth(tree: Filter, row: Row) -> bool | None:
    """Whether one row is a hit; None where that is unknown. See `evaluate`."""
    match tree:
        case And(terms) | Or(terms):
            return _joined((truth(term, row) for term in terms), decisive=isinstance(tree, Or))
        case Not(term):
            inner = truth(term, row)
            return None if inner is None else not inner
        case Is(name, knowledge):
            return (_known(row[name]) is None) == (knowledge is Knowledge.UNKNOWN)
        case Has(name, quantifier, values):
            return _SETS[quantifier](set(row[name]), set(values))
        case Comparison(name, sign, value):
            # Of a list, != means that no entry is equal, not that some entry differs.
            is_list = isinstance(row[name], Collection) and not isinstance(row[name], str)
            inverse = is_list and sign is Operator.UNEQUAL
            return value not in row[name] if inverse else _any(row[name], lambda held: sign.compare(held, value))
        case Matches(name, how, text):
            return _any(row[name], lambda held: how.test(held, text))
        case Flag(name):
            return _any(row[name], bool)
        case Decided(outcome):
            return outcome


def _joined(truths: Iterable[bool | None], *, decisive: bool) -> bool | None:
    """AND of terms, which one False decides, or OR, which one True decides; else an unknown one leaves it open."""
    unknown = False
    for term in truths:
        if term is decisive:
            return decisive
        unknown |= term is None
    return None if unknown else not decisive


def _known(value: Any) -> Any:
    """The value, None where it is unknown: tables of pandas hold NaN, or NA that equals nothing, for it."""
    return value if value is None or isinstance(value, Collection) or bool(value == value) else None


def _any(held: Any, test: Callable[[Any], bool]) -> bool | None:
    """The test of a value, or whether an entry of a list passes it; None for an unknown value."""
    if isinstance(held, Collection) and not isinstance(held, str):
        return any(test(entry) for entry in held)
    value = _known(held)
    return None if value is None else test(value)
