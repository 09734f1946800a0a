"""Random filter trees, with values that random rows hold."""

from hypothesis import strategies as st

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
from db.query.properties import PROPERTIES, Kind
from models.errors import Doubt

SYMBOLS = ("Al", "N", "C", "Co", "O")
TEXTS = ("", "A", "Al", "AlN", "N", "aln", "ü", "O2", 'a"b', "a\\b", "%", "_", "made-1", "made-12")
FORMULAS = {"formula": ("AlN", "AlN2", "Al", "C", "CCoO"), "formula_anonymous": ("A", "AB", "A2B", "ABC")}
"""As they are stored: what else they may be written like is not for the oracle."""
DOUBTS = tuple(doubt.value for doubt in Doubt)
NUMBERS = (0.0, -0.5, 1.0, 2.0, 2.5, 3.0, 50.0, 1e300, -1e-300)


def named(*kinds: Kind) -> st.SearchStrategy[str]:
    """Names of properties of the given kinds."""
    return st.sampled_from([name for name, kind in PROPERTIES.items() if kind in kinds])


def leaves() -> st.SearchStrategy[Filter]:
    """Filters of one term."""
    any_text = st.sampled_from(TEXTS) | st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4
    )
    number = st.sampled_from(NUMBERS) | st.floats(allow_nan=False, allow_infinity=False)
    equal = st.sampled_from([Operator.EQUAL, Operator.UNEQUAL])
    element_sets = st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=3).map(tuple)
    ids = st.lists(any_text, min_size=1, max_size=3).map(tuple)
    doubts = st.lists(st.sampled_from(DOUBTS), min_size=1, max_size=3).map(tuple)
    formulas = st.sampled_from([(name, text) for name, texts in FORMULAS.items() for text in texts])
    unequal = st.sampled_from(sorted(set(Operator) - {Operator.EQUAL, Operator.UNEQUAL}))
    many = st.sampled_from([Quantifier.ALL, Quantifier.ANY, Quantifier.ONLY])
    return st.one_of(
        st.builds(Comparison, named(Kind.NUMBER, Kind.INTEGER), st.sampled_from(Operator), number),
        st.builds(Comparison, named(Kind.TEXT), st.sampled_from(Operator), any_text),
        st.builds(lambda pair, sign: Comparison(pair[0], sign, pair[1]), formulas, equal),
        st.builds(Comparison, named(Kind.FORMULA), unequal, any_text),
        st.builds(Comparison, named(Kind.FLAG), equal, st.booleans()),
        st.builds(Comparison, named(Kind.SOURCE_IDS), equal, any_text),
        st.builds(Matches, named(Kind.TEXT, Kind.FORMULA, Kind.SOURCE_IDS), st.sampled_from(TextMatch), any_text),
        st.builds(Has, st.just("elements"), many, element_sets),
        st.builds(Has, st.just("elements"), st.just(Quantifier.ONE), element_sets.map(lambda symbols: symbols[:1])),
        st.builds(Has, st.just("source_ids"), many, ids),
        st.builds(Has, st.just("doubts"), many, doubts),
        st.builds(Is, st.sampled_from(list(PROPERTIES)), st.sampled_from(Knowledge)),
        st.builds(Flag, named(Kind.FLAG)),
    )


def filters() -> st.SearchStrategy[Filter]:
    """Filters of up to about eight terms."""

    def joined(children: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
        several = st.lists(children, min_size=2, max_size=3).map(tuple)
        return st.builds(Not, children) | st.builds(And, several) | st.builds(Or, several)

    return st.recursive(leaves(), joined, max_leaves=8)
