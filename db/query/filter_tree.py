"""The tree that a filter text means, and the text that a tree prints as.

Properties and values in a tree are already checked against the closed list (`db.query.filter_language`); a tree
printed and parsed again is the same tree.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Operator(StrEnum):
    """Comparison operators; `mirrored` is the one for exchanged sides."""

    EQUAL = "="
    UNEQUAL = "!="
    LESS = "<"
    LESS_EQUAL = "<="
    GREATER = ">"
    GREATER_EQUAL = ">="

    @property
    def mirrored(self) -> "Operator":
        """The operator that says the same when left and right change places."""
        return Operator(self.value.translate(str.maketrans("<>", "><")))

    @property
    def compare(self) -> Callable[[Any, Any], Any]:
        """The comparison itself, of numbers and texts, of arrays, or of expressions of SQL."""
        return _COMPARISONS[self]


_COMPARISONS: dict[Operator, Callable[[Any, Any], Any]] = {
    Operator.EQUAL: operator.eq,
    Operator.UNEQUAL: operator.ne,
    Operator.LESS: operator.lt,
    Operator.LESS_EQUAL: operator.le,
    Operator.GREATER: operator.gt,
    Operator.GREATER_EQUAL: operator.ge,
}


class TextMatch(StrEnum):
    """Where a text must hold another."""

    CONTAINS = "CONTAINS"
    STARTS = "STARTS WITH"
    ENDS = "ENDS WITH"

    @property
    def test(self) -> Callable[[str, str], bool]:
        """Whether a text, the first, holds another one there."""
        return {"CONTAINS": str.__contains__, "STARTS WITH": str.startswith, "ENDS WITH": str.endswith}[self.value]


class Quantifier(StrEnum):
    """How many of the given values a list must hold."""

    ONE = "HAS"
    ALL = "HAS ALL"
    ANY = "HAS ANY"
    ONLY = "HAS ONLY"


class Knowledge(StrEnum):
    """Whether a value exists."""

    KNOWN = "IS KNOWN"
    UNKNOWN = "IS UNKNOWN"


@dataclass(frozen=True)
class Comparison:
    """property operator value."""

    property: str
    operator: Operator
    value: float | str | bool


@dataclass(frozen=True)
class Matches:
    """property CONTAINS / STARTS WITH / ENDS WITH text."""

    property: str
    match: TextMatch
    text: str


@dataclass(frozen=True)
class Has:
    """list property HAS [ALL | ANY | ONLY] values."""

    property: str
    quantifier: Quantifier
    values: tuple[str, ...]


@dataclass(frozen=True)
class Is:
    """property IS KNOWN / IS UNKNOWN."""

    property: str
    knowledge: Knowledge


@dataclass(frozen=True)
class Flag:
    """A flag property standing alone."""

    property: str


@dataclass(frozen=True)
class Decided:
    """A condition that is the same for every entry: true, false, or None for unknown."""

    value: bool | None


@dataclass(frozen=True)
class Not:
    """NOT term."""

    term: "Filter"


@dataclass(frozen=True)
class And:
    """Two or more terms joined by AND."""

    terms: "tuple[Filter, ...]"


@dataclass(frozen=True)
class Or:
    """Two or more terms joined by OR."""

    terms: "tuple[Filter, ...]"


Filter = Comparison | Matches | Has | Is | Flag | Decided | Not | And | Or


def to_text(tree: Filter) -> str:
    """The filter as text; `parse_filter(to_text(tree)) == tree`."""
    match tree:
        case And(terms) | Or(terms):
            # Parentheses also where precedence would do without: the tree distinguishes (a AND b) AND c from
            # a AND b AND c.
            texts = [f"({to_text(term)})" if isinstance(term, And | Or) else to_text(term) for term in terms]
            return (" AND " if isinstance(tree, And) else " OR ").join(texts)
        case Not(term):
            return f"NOT ({to_text(term)})" if isinstance(term, And | Or | Not) else f"NOT {to_text(term)}"
        case Comparison(name, operator, value):
            return f"{name} {operator} {_literal(value)}"
        case Matches(name, match, text):
            return f"{name} {match} {_literal(text)}"
        case Has(name, quantifier, values):
            return f"{name} {quantifier} {', '.join(_literal(value) for value in values)}"
        case Is(name, knowledge):
            return f"{name} {knowledge}"
        case Flag(name):
            return name
        case Decided(value):
            # Every crystal has an id, and none has a value for a property that nobody defined.
            return "_undefined_property = TRUE" if value is None else f"id IS {'KNOWN' if value else 'UNKNOWN'}"


def _literal(value: float | str | bool) -> str:
    # Flags first: in Python a bool is an int too.
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    # Beyond 1e15 `.0f` would print digits that the number does not have.
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else repr(value)


def properties_of(tree: Filter) -> set[str]:
    """The properties that a filter mentions."""
    match tree:
        case And(terms) | Or(terms):
            return set().union(*(properties_of(term) for term in terms))
        case Not(term):
            return properties_of(term)
        case Decided():
            return set()
        case _:
            return {tree.property}
