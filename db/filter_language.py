"""Filter text to a `Filter` tree and back: the OPTIMADE grammar over a closed list of properties.

    k_vrh_gpa > 150 AND elements HAS ALL "Al","N" AND NOT symmetry_ambiguous

On top of OPTIMADE's grammar a flag may stand alone (`mechanically_stable`). Ours may carry OPTIMADE's provider prefix
(`_gmt_k_vrh_gpa`). Unknown values follow three-valued logic, as in SQL: comparing an unknown value gives unknown, and
so does NOT of it; a crystal is a hit only where the whole filter is true. Use IS UNKNOWN to ask for the gaps.

Texts are bounded in length, terms and depth, and parsed by an LALR automaton in time linear in the length: a hostile
filter is refused, not suffered. Source: OPTIMADE specification 1.2, section "The Filter Language EBNF Grammar".
"""

import difflib
import math
import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from db.filter_tree import (
    And,
    Comparison,
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
    TextMatch,
)
from db.properties import PROPERTIES, Kind, resolve_property
from models.crystal import SYMBOLS
from models.errors import FilterError

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

MAX_BYTES = 4096
MAX_TERMS = 100
MAX_DEPTH = 32
MAX_PARENTHESES = 2 * MAX_TERMS
"""Opening ones: more than a filter of so many terms needs, few enough that empty nesting costs nothing."""


_GRAMMAR = r"""
start: either
?either: both (_OR both)*
?both: single (_AND single)*
?single: _NOT single_term -> negation
       | single_term
?single_term: comparison
            | "(" either ")"
?comparison: PROPERTY OPERATOR value -> compare
           | value OPERATOR PROPERTY -> compare_mirrored
           | PROPERTY OPERATOR PROPERTY -> compare_properties
           | PROPERTY (CONTAINS | STARTS _WITH? | ENDS _WITH?) STRING -> matches
           | PROPERTY _HAS value -> has_one
           | PROPERTY _HAS (ALL | ANY | ONLY) value ("," value)* -> has_many
           | PROPERTY _LENGTH OPERATOR? NUMBER -> length
           | PROPERTY _IS (KNOWN | UNKNOWN) -> presence
           | PROPERTY -> flag
?value: STRING | NUMBER | TRUE | FALSE

_OR: "OR"
_AND: "AND"
_NOT: "NOT"
_WITH: "WITH"
_HAS: "HAS"
_IS: "IS"
_LENGTH: "LENGTH"
CONTAINS: "CONTAINS"
STARTS: "STARTS"
ENDS: "ENDS"
ALL: "ALL"
ANY: "ANY"
ONLY: "ONLY"
KNOWN: "KNOWN"
UNKNOWN: "UNKNOWN"
TRUE: "TRUE"
FALSE: "FALSE"
OPERATOR: "<=" | ">=" | "!=" | "<" | ">" | "="
PROPERTY: /[a-z_][a-z0-9_]*/
STRING: /"(?:[^"\\]|\\["\\])*"/
NUMBER: /[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?/
%ignore /[ \t\r\n]+/
"""

# A text that does not end is one match to the end: looked for again from each of its quotes, it would cost a square.
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[(),]|AND|OR', re.DOTALL)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_ORDERED = {Kind.NUMBER, Kind.INTEGER, Kind.TEXT}
_EXAMPLE = 'For example: k_vrh_gpa > 150 AND elements HAS ALL "Al","N".'


@cache
def _parser() -> "Lark":
    from lark import Lark

    return Lark(_GRAMMAR, parser="lalr")


def parse_filter(text: str) -> Filter:
    """Reads a filter text.

    Args:
        text: at most 4096 bytes, 100 terms and 32 parentheses deep.

    Returns:
        The tree, with every property known and every value of its property's kind.

    Raises:
        FilterError: the text is too long or deep, is not in the language, names an unknown property, or compares what
            cannot be compared; `position` says where.
    """
    from lark.exceptions import UnexpectedInput, UnexpectedToken

    _check_size(text)
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        at_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
        raise _syntax_error(text, len(text) if at_end else error.pos_in_stream or 0) from None
    return _Builder().build(tree.children[0])


def _check_size(text: str) -> None:
    bad = _UNSTORABLE.search(text)
    if bad:
        raise FilterError(f"Position {bad.start()} holds a character that no text can have. Remove it.", bad.start())
    size = len(text.encode())
    if size > MAX_BYTES:
        kept = len(text.encode()[:MAX_BYTES].decode(errors="ignore"))
        raise FilterError(
            f"The filter has {size} bytes, the limit is {MAX_BYTES}. Split it into several queries.", kept
        )
    _check_structure(text)


def _check_structure(text: str) -> None:
    """Bounds on parentheses and terms, before the parser spends time on them; what stands inside texts does not count.

    Only AND, OR and the commas of a list begin a further term, and no other word of the language contains these.
    """
    depth = opened = 0
    terms = 1
    for found in _STRUCTURE.finditer(text):
        word, at = found.group(), found.start()
        depth += {"(": 1, ")": -1}.get(word, 0)
        opened += word == "("
        terms += word in {"AND", "OR", ","}
        if depth > MAX_DEPTH:
            raise FilterError(f"The filter is more than {MAX_DEPTH} parentheses deep at position {at}. Flatten it.", at)
        if opened > MAX_PARENTHESES:
            message = f"The filter opens more than {MAX_PARENTHESES} parentheses, from position {at}. Leave out some."
            raise FilterError(message, at)
        if terms > MAX_TERMS:
            raise FilterError(f"The filter has more than {MAX_TERMS} terms, from position {at}. Split it.", at)


def _syntax_error(text: str, at: int) -> FilterError:
    if not text[at:].strip():
        return FilterError(f"The filter ends too early. {_EXAMPLE}", len(text))
    word = re.match(r"\w+|\W", text[at:])
    shown = word.group()[:40] if word else text[at]
    hint = _EXAMPLE
    if shown.upper() in {
        "AND",
        "OR",
        "NOT",
        "HAS",
        "ALL",
        "ANY",
        "ONLY",
        "IS",
        "KNOWN",
        "UNKNOWN",
        "CONTAINS",
        "TRUE",
        "FALSE",
    }:
        hint = f"Keywords are written in capitals: {shown.upper()}. {hint}" if shown != shown.upper() else hint
    elif shown == '"':
        hint = 'A text starts and ends with a double quote; inside it write \\" for a quote and \\\\ for a backslash.'
    elif shown.lower() in PROPERTIES:
        hint = f"Properties are written in small letters: {shown.lower()}."
    elif shown in "'“”":
        hint = f"Texts stand in straight double quotes. {hint}"
    return FilterError(f"Did not expect {shown!r} at position {at}. {hint}", at)


class _Builder:
    """Turns lark's tree into a `Filter`, checking names and kinds on the way."""

    def build(self, node: "Tree[Token] | Token") -> Filter:
        """The filter that one node means; recursion is bounded by the depth that `_check_size` admits."""
        rule, children = str(node.data), node.children  # type: ignore[union-attr]
        if rule in ("both", "either"):
            terms = tuple(self.build(child) for child in children)
            return And(terms) if rule == "both" else Or(terms)
        if rule == "negation":
            return Not(self.build(children[0]))
        return self._leaf(rule, [child for child in children if child is not None])  # type: ignore[misc]

    def _leaf(self, rule: str, tokens: "list[Token]") -> Filter:
        match rule:
            case "compare":
                return self._compare(tokens[0], Operator(tokens[1]), tokens[2])
            case "compare_mirrored":
                return self._compare(tokens[2], Operator(tokens[1]).mirrored, tokens[0])
            case "matches":
                return self._matches(tokens)
            case "has_one":
                return self._has(tokens[0], Quantifier.ONE, tokens[1:])
            case "has_many":
                return self._has(tokens[0], Quantifier(f"HAS {tokens[1]}"), tokens[2:])
            case "length":
                return self._length(tokens)
            case "presence":
                return Is(_property(tokens[0]), Knowledge(f"IS {tokens[1]}"))
            case "flag":
                return _flag(tokens[0])
            case _:
                raise _misfit(tokens[2], f"{tokens[2]} stands where a value must be; two properties cannot be compared")

    def _compare(self, name: "Token", operator: Operator, token: "Token") -> Comparison:
        known = _property(name)
        kind = PROPERTIES[known]
        value = _value(token)
        allowed: type = {Kind.NUMBER: float, Kind.INTEGER: float, Kind.FLAG: bool}.get(kind, str)
        if kind is Kind.ELEMENTS:
            raise _misfit(name, f'{name} is a {kind}; write {name} HAS "Al"')
        if type(value) is not allowed:
            wanted = {float: "a number", bool: "TRUE or FALSE", str: "a text in double quotes"}[allowed]
            raise _misfit(token, f"{known} is a {kind} and is compared with {wanted}, not with {str(token)[:40]}")
        if kind not in _ORDERED and operator not in (Operator.EQUAL, Operator.UNEQUAL):
            raise _misfit(name, f"{known} is a {kind} and has no order; use = or !=")
        return Comparison(known, operator, value)

    def _matches(self, tokens: "list[Token]") -> Matches:
        known = _property(tokens[0])
        if PROPERTIES[known] not in (Kind.TEXT, Kind.SOURCE_IDS):
            raise _misfit(tokens[0], f"{known} is a {PROPERTIES[known]}; {tokens[1]} needs a text")
        match = {"CONTAINS": TextMatch.CONTAINS, "STARTS": TextMatch.STARTS, "ENDS": TextMatch.ENDS}[str(tokens[1])]
        return Matches(known, match, str(_value(tokens[2])))

    def _has(self, name: "Token", quantifier: Quantifier, tokens: "Sequence[Token]") -> Has:
        known = _property(name)
        kind = PROPERTIES[known]
        if kind not in (Kind.ELEMENTS, Kind.SOURCE_IDS):
            raise _misfit(name, f"{known} is a {kind}; HAS needs a list, elements or source_ids")
        return Has(known, quantifier, tuple(_member(kind, token) for token in tokens))

    def _length(self, tokens: "list[Token]") -> Comparison:
        if PROPERTIES[_property(tokens[0])] is not Kind.ELEMENTS:
            raise _misfit(tokens[0], f"LENGTH is known of elements only, not of {tokens[0]}")
        operator = Operator(tokens[1]) if len(tokens) == 3 else Operator.EQUAL
        return Comparison("nelements", operator, _value(tokens[-1]))


def _position(token: "Token") -> int:
    return token.start_pos or 0


def _misfit(token: "Token", sentence: str) -> FilterError:
    return FilterError(f"At position {_position(token)}: {sentence}.", _position(token))


def _property(token: "Token") -> str:
    return resolve_property(str(token), _position(token))


def _flag(token: "Token") -> Flag:
    known = _property(token)
    if PROPERTIES[known] is not Kind.FLAG:
        raise _misfit(token, f"{known} is a {PROPERTIES[known]} and cannot stand alone; compare it with a value")
    return Flag(known)


def _value(token: "Token") -> float | str | bool:
    if token.type == "STRING":
        return re.sub(r"\\(.)", r"\1", token[1:-1])
    if token.type in ("TRUE", "FALSE"):
        return token.type == "TRUE"
    number = float(token)
    if not math.isfinite(number):
        raise _misfit(token, f"{token[:40]} is too large a number")
    return number


def _member(kind: Kind, token: "Token") -> str:
    value = _value(token)
    if not isinstance(value, str):
        raise _misfit(token, f"a {kind} holds texts; write {token[:40]} in double quotes")
    if kind is Kind.ELEMENTS and value not in SYMBOLS[1:]:
        close = difflib.get_close_matches(value[:8].capitalize(), SYMBOLS[1:], n=3, cutoff=0.5)
        raise _misfit(
            token, f"there is no element {value[:40]!r}" + (f"; did you mean {' or '.join(close)}?" if close else "")
        )
    return value
