"""Filter text to a `Filter` tree and back: the OPTIMADE grammar over a closed list of properties.

    k_vrh_gpa > 150 AND elements HAS ALL "Al","N" AND NOT symmetry_ambiguous

On top of OPTIMADE's grammar a flag may stand alone (`mechanically_stable`), and a preset stands for its filter
(`preset:piezo`, see `db.query.presets`). Ours may carry OPTIMADE's provider prefix
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

from db.query.analysis.evaluate import truth
from db.query.filter_bounds import check_bounds
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
    TextMatch,
)
from db.query.presets import find_preset
from db.query.properties import CRYSTALS, LISTS, PROPERTIES, Kind, Vocabulary
from db.query.times import normalized_time
from models.crystals.crystal import SYMBOLS
from models.crystals.formula import FormulaError, anonymous_formula, normalized_formula
from models.errors import Doubt, FilterError

if TYPE_CHECKING:
    from lark import Lark, Token

# The quantifiers in the patterns are possessive: no terminal looks at a character twice. Values are spelt out where a
# filter may have hundreds: a rule of their own costs a reduction for each.
_GRAMMAR = r"""
?start: either
?either: both ("OR" both)*
?both: single ("AND" single)*
?single: comparison
       | PRESET -> preset
       | "(" either ")"
       | "NOT" PRESET -> negated_preset
       | "NOT" comparison -> negation
       | "NOT" "(" either ")" -> negation
?comparison: PROPERTY OPERATOR (STRING | NUMBER | TRUE | FALSE) -> compare
           | (STRING | NUMBER | TRUE | FALSE) OPERATOR PROPERTY -> compare_mirrored
           | PROPERTY OPERATOR PROPERTY -> compare_properties
           | PROPERTY (CONTAINS | STARTS "WITH"? | ENDS "WITH"?) STRING -> matches
           | PROPERTY "HAS" (STRING | NUMBER | TRUE | FALSE) -> has_one
           | PROPERTY "HAS" (ALL | ANY | ONLY) value ("," value)* -> has_many
           | PROPERTY "LENGTH" OPERATOR? NUMBER -> length
           | PROPERTY "IS" (KNOWN | UNKNOWN) -> presence
           | PROPERTY -> flag
?value: STRING | NUMBER | TRUE | FALSE

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
PRESET.1: /preset:[a-z0-9-]*+/
PROPERTY: /[a-z_][a-z0-9_]*+/
OPERATOR: /[<>!]=|[<>=]/
NUMBER: /[+-]?(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?+/
STRING: /"[^"\\]*+(?:\\["\\][^"\\]*+)*+"/
%ignore /[ \t\r\n]++/
"""

_ENTRIES: dict[Kind, tuple[str, ...]] = {
    Kind.ELEMENTS: SYMBOLS[1:],
    Kind.DOUBTS: tuple(d.value for d in Doubt),
    Kind.FEATURES: ("disorder", "implicit_atoms", "site_attachments", "assemblies"),
}
"""What a list of each kind may hold, where that is a closed list."""
_ESCAPED = re.compile(r"\\(.)")
_ORDERED = {Kind.NUMBER, Kind.INTEGER, Kind.TEXT, Kind.FORMULA, Kind.TIME}
_KEYWORDS = frozenset("AND OR NOT HAS ALL ANY ONLY IS KNOWN UNKNOWN CONTAINS TRUE FALSE".split())
_EXAMPLE = 'For example: k_vrh_gpa > 150 AND elements HAS ALL "Al","N".'


@cache
def _parser(vocabulary: Vocabulary) -> "Lark":
    from lark import Lark

    # Builds the filter while it parses: no tree of lark's in between, and a wrong name or kind ends the parsing.
    return Lark(_GRAMMAR, parser="lalr", lexer="contextual", transformer=_Builder(vocabulary))


def parse_filter(text: str, vocabulary: Vocabulary = CRYSTALS) -> Filter:
    """Reads a filter text.

    Args:
        text: within the bounds of `db.query.filter_bounds.check_bounds`.
        vocabulary: what it may name.

    Returns:
        The tree, with every property known and every value of its property's kind.

    Raises:
        FilterError: the text is too long or deep, is not in the language, names an unknown property, or compares what
            cannot be compared; `position` says where.
    """
    from lark.exceptions import UnexpectedCharacters, UnexpectedToken

    check_bounds(text)
    try:
        return _parser(vocabulary).parse(text)  # type: ignore[return-value]  # lark does not know what our builder returns
    except UnexpectedCharacters as error:
        raise _syntax_error(text, error.pos_in_stream) from None  # type: ignore[arg-type]  # lark declares it None
    except UnexpectedToken as error:
        at_end = error.token.type == "$END"
        raise _syntax_error(text, len(text) if at_end else error.token.start_pos) from None


def _syntax_error(text: str, at: int) -> FilterError:
    if not text[at:].strip():
        return FilterError(f"The filter ends too early. {_EXAMPLE}", len(text))
    word = re.match(r"\w+|\W", text[at:])
    shown = word.group()[:40] if word else text[at]
    # The common slips get the rule that they break; everything else gets an example.
    hint = _EXAMPLE
    if shown.upper() in _KEYWORDS:
        hint = f"Keywords are written in capitals: {shown.upper()}. {hint}" if shown != shown.upper() else hint
    elif shown == '"':
        hint = 'A text starts and ends with a double quote; inside it write \\" for a quote and \\\\ for a backslash.'
    elif shown.lower() in PROPERTIES:
        hint = f"Properties are written in small letters: {shown.lower()}."
    elif re.fullmatch(r"(?:[A-Z][a-z]?\d*)+", shown):
        hint = f'A formula is asked for with formula = "{shown}", an element with elements HAS "{shown}".'
    elif text[at:].startswith("gx-") or text[:at] == "gx":
        hint = f'A crystal is asked for with id = "{text[:40].strip()}".'
    elif shown in "'“”":
        hint = f"Texts stand in straight double quotes. {hint}"
    return FilterError(f"Did not expect {shown!r} at position {at}. {hint}", at)


class _Builder:
    """Turns what matches a rule of the grammar into a `Filter`, checking names and kinds; a method per rule."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def either(self, terms: list[Filter]) -> Or:
        """`a OR b`."""
        return Or(tuple(terms))

    def both(self, terms: list[Filter]) -> And:
        """`a AND b`."""
        return And(tuple(terms))

    def negation(self, terms: list[Filter]) -> Not:
        """`NOT a`."""
        return Not(terms[0])

    def preset(self, tokens: "list[Token]") -> Filter:
        """`preset:piezo`, which stands for its filter."""
        chosen = find_preset(tokens[0].removeprefix("preset:"), tokens[0].start_pos)
        return parse_filter(chosen.filter, self._vocabulary)

    def negated_preset(self, tokens: "list[Token]") -> Not:
        """`NOT preset:piezo`."""
        return Not(self.preset(tokens))

    def compare(self, tokens: "list[Token]") -> Filter:
        """`property < value`."""
        return self._comparison(tokens[0], Operator(tokens[1]), tokens[2])

    def compare_mirrored(self, tokens: "list[Token]") -> Filter:
        """`value < property`, turned around."""
        return self._comparison(tokens[2], Operator(tokens[1]).mirrored, tokens[0])

    def compare_properties(self, tokens: "list[Token]") -> Filter:
        """Two properties, which the language does not compare."""
        word = str(tokens[2])
        # The grammar knows these words in capitals only, and so they are most people's first stumbling block.
        hint = f"write {word.upper()}" if word.lower() in ("true", "false") else "two properties cannot be compared"
        raise _misfit(tokens[2], f"{word} stands where a value must be; {hint}")

    def has_one(self, tokens: "list[Token]") -> Filter:
        """`elements HAS "Al"`."""
        return self._has(tokens[0], Quantifier.ONE, tokens[1:])

    def has_many(self, tokens: "list[Token]") -> Filter:
        """`elements HAS ALL "Al","N"`, likewise ANY and ONLY."""
        return self._has(tokens[0], Quantifier(f"HAS {tokens[1]}"), tokens[2:])

    def presence(self, tokens: "list[Token]") -> Filter:
        """`property IS KNOWN` or `IS UNKNOWN`."""
        name, kind = self._property(tokens[0])
        # Nobody knows the value of another provider's property.
        return (
            Decided(tokens[1] == "UNKNOWN") if kind is None else self._decided(Is(name, Knowledge(f"IS {tokens[1]}")))
        )

    def matches(self, tokens: "list[Token]") -> Filter:
        """`text CONTAINS "a"`, likewise STARTS and ENDS."""
        name, kind = self._property(tokens[0])
        if kind is None:
            return Decided(None)
        if kind not in (Kind.TEXT, Kind.FORMULA, Kind.SOURCE_IDS):
            raise _misfit(tokens[0], f"{name} is a {kind}; {tokens[1]} needs a text")
        match = {"CONTAINS": TextMatch.CONTAINS, "STARTS": TextMatch.STARTS, "ENDS": TextMatch.ENDS}[tokens[1]]
        return self._decided(Matches(name, match, str(_value(tokens[2]))))

    def length(self, tokens: "list[Token]") -> Filter:
        """`elements LENGTH 2`."""
        name, kind = self._property(tokens[0])
        if kind is None:
            return Decided(None)
        operator, n = Operator(tokens[1]) if len(tokens) == 3 else Operator.EQUAL, _value(tokens[-1])
        if name in self._vocabulary.constants and kind in LISTS:
            return Decided(truth(Comparison(name, operator, n), {name: len(self._vocabulary.constants[name])}))
        if kind is not Kind.ELEMENTS:
            raise _misfit(tokens[0], f"LENGTH is known of elements only, not of {tokens[0]}")
        # The length of the list of elements is a column of its own, so it can be compared like any number.
        return Comparison("nelements", operator, n)

    def flag(self, tokens: "list[Token]") -> Filter:
        """A flag that stands alone."""
        name, kind = self._property(tokens[0])
        if kind is None:
            return Decided(None)
        if kind is not Kind.FLAG:
            raise _misfit(tokens[0], f"{name} is a {kind} and cannot stand alone; compare it with a value")
        return Flag(name)

    def _property(self, token: "Token") -> tuple[str, Kind | None]:
        """The property's name and kind; no kind where it belongs to another provider."""
        name = self._vocabulary.resolve(str(token), token.start_pos)
        return name, self._vocabulary.kinds.get(name)

    def _comparison(self, left: "Token", operator: Operator, right: "Token") -> Filter:
        name, kind = self._property(left)
        return Decided(None) if kind is None else self._decided(_compare(left, name, kind, operator, right))

    def _has(self, left: "Token", quantifier: Quantifier, tokens: "Sequence[Token]") -> Filter:
        name, kind = self._property(left)
        return Decided(None) if kind is None else self._decided(_has(left, name, kind, quantifier, tokens))

    def _decided(self, term: Comparison | Matches | Has | Is) -> Filter:
        """The term, or its outcome where it is the same for every entry."""
        constants = self._vocabulary.constants
        return Decided(truth(term, constants)) if term.property in constants else term


def _compare(left: "Token", name: str, kind: Kind, operator: Operator, right: "Token") -> Comparison:
    value = _value(right)
    allowed: type = {Kind.NUMBER: float, Kind.INTEGER: float, Kind.FLAG: bool}.get(kind, str)
    if kind in _ENTRIES:
        raise _misfit(left, f'{left} is a {kind}; write {left} HAS "{_ENTRIES[kind][0]}"')
    # Not isinstance: TRUE would pass as a number.
    if type(value) is not allowed:
        wanted = {float: "a number", bool: "TRUE or FALSE", str: "a text in double quotes"}[allowed]
        raise _misfit(right, f"{name} is a {kind} and is compared with {wanted}, not with {right[:40]}")
    if kind not in _ORDERED and operator not in (Operator.EQUAL, Operator.UNEQUAL):
        raise _misfit(left, f"{name} is a {kind} and has no order; use = or !=")
    if kind is Kind.FORMULA and operator in (Operator.EQUAL, Operator.UNEQUAL):
        value = _as_stored(name, str(value), right)
    if kind is Kind.TIME:
        try:
            value = normalized_time(str(value))
        except ValueError:
            raise _misfit(right, f'{right[:40]} is no time; write one like "2026-01-31T12:00:00Z"') from None
    return Comparison(name, operator, value)


def _as_stored(name: str, text: str, token: "Token") -> str:
    """A formula in the spelling of the database, however it was written."""
    anonymous = name == "formula_anonymous"
    try:
        return anonymous_formula(text) if anonymous else normalized_formula(text)
    except FormulaError as error:
        examples = '"A2B" or "ABC3"' if anonymous else '"SiO2" or "Al2(SO4)3"'
        advice = f'write one like {examples}, without charges, or search in the stored text: {name} CONTAINS "..."'
        raise _misfit(token, f"{text[:40]!r} is no formula, {error}; {advice}") from None


def _has(left: "Token", name: str, kind: Kind, quantifier: Quantifier, tokens: "Sequence[Token]") -> Has:
    if kind not in LISTS:
        raise _misfit(left, f"{name} is a {kind}; HAS needs a list, elements, source_ids or doubts")
    texts = []
    for token in tokens:
        text = _value(token)
        if not isinstance(text, str):
            raise _misfit(token, f"a {kind} holds texts; write {token[:40]} in double quotes")
        # An unknown entry would find nothing for ever: rather say so.
        if kind in _ENTRIES and text not in _ENTRIES[kind]:
            likely = text[:8].capitalize() if kind is Kind.ELEMENTS else text[:32]
            closest = difflib.get_close_matches(likely, _ENTRIES[kind], n=3, cutoff=0.5)
            hint = f"; did you mean {' or '.join(closest)}?" if closest else ""
            raise _misfit(token, f"there is no {kind.removeprefix('list of ').removesuffix('s')} {text[:40]!r}{hint}")
        texts.append(text)
    return Has(name, quantifier, tuple(texts))


def _misfit(token: "Token", sentence: str) -> FilterError:
    return FilterError(f"At position {token.start_pos}: {sentence}.", token.start_pos)


def _value(token: "Token") -> float | str | bool:
    if token.type == "STRING":
        return _ESCAPED.sub(r"\1", token[1:-1])
    if token.type in ("TRUE", "FALSE"):
        return token.type == "TRUE"
    # The grammar bounds no exponent: 1e999 is a number there and infinite here.
    number = float(token)
    if not math.isfinite(number):
        raise _misfit(token, f"{token[:40]} is too large a number")
    return number
