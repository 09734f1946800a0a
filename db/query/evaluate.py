"""Filters in plain Python."""

from collections.abc import Mapping
from typing import Any

from db.query.filter_language import holds
from db.query.filter_tree import And, Decided, Filter, Flag, Is, Knowledge, Not, Or


def evaluate(tree: Filter, row: Mapping[str, Any]) -> bool | None:
    """Whether a row is a hit; None when that is unknown."""
    match tree:
        case And(terms) | Or(terms):
            outcomes = [evaluate(term, row) for term in terms]
            decisive = isinstance(tree, Or)
            return decisive if decisive in outcomes else None if None in outcomes else not decisive
        case Not(term):
            outcome = evaluate(term, row)
            return None if outcome is None else not outcome
        case Decided(value):
            return value
        case Is(name, knowledge):
            return (row[name] is None) == (knowledge is Knowledge.UNKNOWN)
        case Flag(name):
            return None if row[name] is None else bool(row[name])
        case _:
            return None if row[tree.property] is None else holds(tree, row[tree.property])
