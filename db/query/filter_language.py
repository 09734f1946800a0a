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
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

from db.query.filter_tree import (
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
from db.query.lexer import DECLARED, Word, read_words
from db.query.properties import PROPERTIES, Kind, resolve_property
from models.crystals.crystal import SYMBOLS
from models.errors import FilterError

if TYPE_CHECKING:
    from lark import Lark, Tree

_GRAMMAR = r"""
start: either
?either: both (_OR both)*
?both: single (_AND single)*
?single: _NOT single_term -> negation
       | single_term
?single_term: comparison
            | _OPEN either _CLOSE
?comparison: PROPERTY OPERATOR value -> compare
           | value OPERATOR PROPERTY -> compare_mirrored
           | PROPERTY OPERATOR PROPERTY -> compare_properties
           | PROPERTY (CONTAINS | STARTS _WITH? | ENDS _WITH?) STRING -> matches
           | PROPERTY _HAS value -> has_one
           | PROPERTY _HAS (ALL | ANY | ONLY) value (_COMMA value)* -> has_many
           | PROPERTY _LENGTH OPERATOR? NUMBER -> length
           | PROPERTY _IS (KNOWN | UNKNOWN) -> presence
           | PROPERTY -> flag
?value: STRING | NUMBER | TRUE | FALSE
"""

_ORDERED = {Kind.NUMBER, Kind.INTEGER, Kind.TEXT}
_EXAMPLE = 'For example: k_vrh_gpa > 150 AND elements HAS ALL "Al","N".'


@cache
def _parser() -> "Lark":
    """The automaton; its words are read already (db/query/lexer.py), three times as fast as lark reads them."""
    from lark import Lark
    from lark.lexer import Lexer

    class Read(Lexer):
        def __init__(self, conf: object) -> None:
            """Lark gives every lexer its terminals."""

        def lex(self, words: Sequence[Word]) -> Iterator[Word]:  # type: ignore[override]  # lark asks for attributes only
            return iter(words)

    return Lark(f"{_GRAMMAR}%declare {' '.join(DECLARED)}", parser="lalr", lexer=Read)


def parse_filter(text: str) -> Filter:
    """Reads a filter text.

    Args:
        text: within the bounds of `db.query.lexer.read_words`.

    Returns:
        The tree, with every property known and every value of its property's kind.

    Raises:
        FilterError: the text is too long or deep, is not in the language, names an unknown property, or compares what
            cannot be compared; `position` says where.
    """
    from lark.exceptions import UnexpectedToken

    words = read_words(text)
    try:
        tree = _parser().parse(words)
    except UnexpectedToken as error:
        at_end = error.token.type == "$END"
        raise _syntax_error(text, len(text) if at_end else error.token.start_pos) from None
    return _Builder().build(tree.children[0])  # type: ignore[arg-type]  # lark's types know its own tokens only


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

    def build(self, node: "Tree[Word] | Word") -> Filter:
        """The filter that one node means; recursion is bounded by the depth that `read_words` admits."""
        rule, children = str(node.data), node.children  # type: ignore[union-attr]
        if rule in ("both", "either"):
            terms = tuple(self.build(child) for child in children)
            return And(terms) if rule == "both" else Or(terms)
        if rule == "negation":
            return Not(self.build(children[0]))
        return self._leaf(rule, children)  # type: ignore[arg-type]  # the other rules have words only

    def _leaf(self, rule: str, tokens: list[Word]) -> Filter:
        match rule:
            case "compare":
                return self._compare(tokens[0], Operator(tokens[1].text), tokens[2])
            case "compare_mirrored":
                return self._compare(tokens[2], Operator(tokens[1].text).mirrored, tokens[0])
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

    def _compare(self, name: Word, operator: Operator, token: Word) -> Comparison:
        known = _property(name)
        kind = PROPERTIES[known]
        value = _value(token)
        allowed: type = {Kind.NUMBER: float, Kind.INTEGER: float, Kind.FLAG: bool}.get(kind, str)
        if kind is Kind.ELEMENTS:
            raise _misfit(name, f'{name} is a {kind}; write {name} HAS "Al"')
        if type(value) is not allowed:
            wanted = {float: "a number", bool: "TRUE or FALSE", str: "a text in double quotes"}[allowed]
            raise _misfit(token, f"{known} is a {kind} and is compared with {wanted}, not with {token.text[:40]}")
        if kind not in _ORDERED and operator not in (Operator.EQUAL, Operator.UNEQUAL):
            raise _misfit(name, f"{known} is a {kind} and has no order; use = or !=")
        return Comparison(known, operator, value)

    def _matches(self, tokens: list[Word]) -> Matches:
        known = _property(tokens[0])
        if PROPERTIES[known] not in (Kind.TEXT, Kind.SOURCE_IDS):
            raise _misfit(tokens[0], f"{known} is a {PROPERTIES[known]}; {tokens[1]} needs a text")
        match = {"CONTAINS": TextMatch.CONTAINS, "STARTS": TextMatch.STARTS, "ENDS": TextMatch.ENDS}[tokens[1].text]
        return Matches(known, match, str(_value(tokens[2])))

    def _has(self, name: Word, quantifier: Quantifier, tokens: Sequence[Word]) -> Has:
        known = _property(name)
        kind = PROPERTIES[known]
        if kind not in (Kind.ELEMENTS, Kind.SOURCE_IDS):
            raise _misfit(name, f"{known} is a {kind}; HAS needs a list, elements or source_ids")
        return Has(known, quantifier, tuple(_member(kind, token) for token in tokens))

    def _length(self, tokens: list[Word]) -> Comparison:
        if PROPERTIES[_property(tokens[0])] is not Kind.ELEMENTS:
            raise _misfit(tokens[0], f"LENGTH is known of elements only, not of {tokens[0]}")
        operator = Operator(tokens[1].text) if len(tokens) == 3 else Operator.EQUAL
        return Comparison("nelements", operator, _value(tokens[-1]))


def _misfit(token: Word, sentence: str) -> FilterError:
    return FilterError(f"At position {token.start_pos}: {sentence}.", token.start_pos)


def _property(token: Word) -> str:
    return resolve_property(token.text, token.start_pos)


def _flag(token: Word) -> Flag:
    known = _property(token)
    if PROPERTIES[known] is not Kind.FLAG:
        raise _misfit(token, f"{known} is a {PROPERTIES[known]} and cannot stand alone; compare it with a value")
    return Flag(known)


def _value(token: Word) -> float | str | bool:
    if token.type == "STRING":
        return re.sub(r"\\(.)", r"\1", token.text[1:-1])
    if token.type in ("TRUE", "FALSE"):
        return token.type == "TRUE"
    number = float(token.text)
    if not math.isfinite(number):
        raise _misfit(token, f"{token.text[:40]} is too large a number")
    return number


def _member(kind: Kind, token: Word) -> str:
    value = _value(token)
    if not isinstance(value, str):
        raise _misfit(token, f"a {kind} holds texts; write {token.text[:40]} in double quotes")
    if kind is Kind.ELEMENTS and value not in SYMBOLS[1:]:
        close = difflib.get_close_matches(value[:8].capitalize(), SYMBOLS[1:], n=3, cutoff=0.5)
        raise _misfit(
            token, f"there is no element {value[:40]!r}" + (f"; did you mean {' or '.join(close)}?" if close else "")
        )
    return value
