"""The filter language: what it reads, what it refuses, and that printing a tree loses nothing."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.query import filter_bounds, filter_language
from db.query.filter_bounds import MAX_BYTES, MAX_DEPTH, MAX_TERMS
from db.query.filter_language import parse_filter
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
    to_text,
)
from db.query.properties import CRYSTALS, Kind
from models.errors import FilterError
from models.quantities import DERIVED
from tests.db.query.filters import filters

K = Comparison("k_vrh_gpa", Operator.GREATER, 150.0)
TWO = Comparison("nelements", Operator.EQUAL, 2.0)
AMBIGUOUS = Flag("symmetry_ambiguous")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("k_vrh_gpa > 150", K),
        ("k_vrh_gpa>150.", K),
        ("150 < k_vrh_gpa", K),
        ("_gmt_k_vrh_gpa > 1.5e2", K),
        ("\n (\t((k_vrh_gpa > +150)))", K),
        ('elements HAS "Al"', Has("elements", Quantifier.ONE, ("Al",))),
        ('elements HAS ALL "Al","N" AND nelements=2', And((Has("elements", Quantifier.ALL, ("Al", "N")), TWO))),
        ('elements HAS ONLY "Al" , "N"', Has("elements", Quantifier.ONLY, ("Al", "N"))),
        ("elements LENGTH 2", TWO),
        ("elements LENGTH >= 2", Comparison("nelements", Operator.GREATER_EQUAL, 2.0)),
        ("nsites != 4", Comparison("n_atoms", Operator.UNEQUAL, 4.0)),
        ('source_id = "mp-149"', Comparison("source_ids", Operator.EQUAL, "mp-149")),
        ('chemical_formula_reduced = "AlN"', Comparison("formula", Operator.EQUAL, "AlN")),
        ('formula = "(SiO2)2"', Comparison("formula", Operator.EQUAL, "O2Si")),
        ('"Si4+ O2-2" != formula', Comparison("formula", Operator.UNEQUAL, "O2Si")),
        ('formula < "SiO2"', Comparison("formula", Operator.LESS, "SiO2")),
        ('formula CONTAINS "SiO2"', Matches("formula", TextMatch.CONTAINS, "SiO2")),
        ('chemical_formula_anonymous = "AB2"', Comparison("formula_anonymous", Operator.EQUAL, "A2B")),
        ('immutable_id = "gx-1"', Comparison("id", Operator.EQUAL, "gx-1")),
        ('_gmt_doubts HAS "cell_doubt"', Has("doubts", Quantifier.ONE, ("cell_doubt",))),
        ("NOT _gmt_composition_doubt", Not(Flag("composition_doubt"))),
        ('formula STARTS WITH "Al"', Matches("formula", TextMatch.STARTS, "Al")),
        ('formula STARTS "Al"', Matches("formula", TextMatch.STARTS, "Al")),
        (
            r'formula ENDS "a\"b\\c"',
            Matches("formula", TextMatch.ENDS, r"a\"b\\c".replace(r"\"", '"').replace(r"\\", "\\")),
        ),
        ("k_vrh_gpa IS UNKNOWN", Is("k_vrh_gpa", Knowledge.UNKNOWN)),
        ("symmetry_ambiguous", AMBIGUOUS),
        ("symmetry_ambiguous = TRUE", Comparison("symmetry_ambiguous", Operator.EQUAL, True)),
        ("NOT symmetry_ambiguous", Not(AMBIGUOUS)),
    ],
)
def test_texts_mean_what_optimade_says(text: str, tree: Filter) -> None:
    assert parse_filter(text) == tree


def test_not_binds_closer_than_and_which_binds_closer_than_or() -> None:
    wanted = Or((And((Not(AMBIGUOUS), K)), TWO))
    assert parse_filter("NOT symmetry_ambiguous AND k_vrh_gpa > 150 OR nelements = 2") == wanted
    assert parse_filter("NOT symmetry_ambiguous AND (k_vrh_gpa > 150 OR nelements = 2)") != wanted


def test_every_derived_column_can_be_filtered_under_both_spellings() -> None:
    for name in DERIVED:
        assert parse_filter(f"{name} IS KNOWN") == parse_filter(f"_gmt_{name} IS KNOWN") == Is(name, Knowledge.KNOWN)


@given(filters())
def test_a_tree_printed_and_parsed_is_the_same_tree(tree: Filter) -> None:
    assert parse_filter(to_text(tree)) == tree


def test_printing_without_parentheses_would_change_the_tree() -> None:
    tree = And((Or((K, TWO)), AMBIGUOUS))
    assert parse_filter(re.sub("[()]", "", to_text(tree))) != tree


@given(st.text(max_size=200))
def test_any_text_is_a_filter_or_a_filter_error(text: str) -> None:
    try:
        parse_filter(text)
    except FilterError as error:
        assert str(error).endswith((".", "?"))
        assert error.position is not None
        assert 0 <= error.position <= len(text)


@given(
    st.lists(
        st.sampled_from(['"Al"', "(", ")", "AND", "OR", "NOT", "HAS", "k_vrh_gpa", "elements", "<", "5", ",", "ALL"])
    )
)
def test_any_order_of_words_is_a_filter_or_a_filter_error(words: list[str]) -> None:
    try:
        tree = parse_filter(" ".join(words))
    except FilterError as error:
        assert error.position is not None
    else:
        assert parse_filter(to_text(tree)) == tree


@pytest.mark.parametrize(
    ("text", "sentence", "position"),
    [
        ("", "ends too early", 0),
        ("k_vrh_gpa >", "ends too early", 11),
        ("k_vrh > 1", "no property 'k_vrh' at position 0. Did you mean k_vrh_gpa", 0),
        ("nelements=2 AND _other_gap > 1", "no property '_other_gap'", 16),
        ('k_vrh_gpa > "stiff"', "is compared with a number", 12),
        ("formula = 5", "is compared with a text", 10),
        ("piezo_allowed = 1", "TRUE or FALSE", 16),
        ("piezo_allowed > TRUE", "has no order", 0),
        ("k_vrh_gpa", "cannot stand alone", 0),
        ('elements = "Al"', "write elements HAS", 0),
        ('elements HAS "al"', "did you mean Al", 13),
        ("elements HAS 13", "in double quotes", 13),
        ('formula HAS "Al"', "HAS needs a list", 0),
        ('doubts HAS "symmetry"', "there is no doubt 'symmetry'; did you mean symmetry_doubt", 11),
        ('doubts = "cell_doubt"', 'write doubts HAS "composition_doubt"', 0),
        ("doubts LENGTH 2", "LENGTH is known of elements only", 0),
        ('formula = "sio2"', "'sio2' is no formula", 10),
        ('formula != "NH4+"', 'write one like "SiO2" or "Al2(SO4)3", without charges', 11),
        ('chemical_formula_anonymous = "2A"', 'write one like "A2B"', 29),
        ("source_ids LENGTH 2", "LENGTH is known of elements only", 0),
        ('k_vrh_gpa CONTAINS "1"', "needs a text", 0),
        ("k_vrh_gpa > g_vrh_gpa", "two properties cannot be compared", 12),
        ("metal = true", "write TRUE", 8),
        ("LiNbO3", 'formula = "LiNbO3"', 0),
        ("gx-0123456789abcdef0123", 'id = "gx-0123456789abcdef0123"', 2),
        ("k_vrh_gpa > 1e999", "too large", 12),
        ("k_vrh_gpa > 1 and nelements = 2", "capitals: AND", 14),
        ("formula = 'AlN'", "straight double quotes", 10),
        ('formula = "AlN', "starts and ends with a double quote", 10),
        ('formula = "a\0"', "no text can have", 12),
        ("K_VRH_GPA > 1", "small letters: k_vrh_gpa", 0),
        ("1 < k_vrh_gpa < 2", "Did not expect '<'", 14),
    ],
)
def test_a_refusal_says_where_and_what_to_write_instead(text: str, sentence: str, position: int) -> None:
    with pytest.raises(FilterError, match=re.escape(sentence)) as caught:
        parse_filter(text)
    assert caught.value.position == position


def test_bounds_hold_exactly() -> None:
    term, flag = "piezo_allowed", Flag("piezo_allowed")
    assert parse_filter(" AND ".join([term] * MAX_TERMS)) == And((flag,) * MAX_TERMS)
    assert parse_filter("(" * MAX_DEPTH + term + ")" * MAX_DEPTH) == flag
    assert parse_filter(term + " " * (MAX_BYTES - len(term))) == flag
    symbols = ",".join(['"Al"'] * MAX_TERMS)
    assert parse_filter(f"elements HAS ANY {symbols}") == Has("elements", Quantifier.ANY, ("Al",) * MAX_TERMS)
    for text, sentence in (
        (" AND ".join([term] * (MAX_TERMS + 1)), "more than 100 terms"),
        (f'elements HAS ANY {symbols},"Al"', "more than 100 terms"),
        ("(" * (MAX_DEPTH + 1) + term + ")" * (MAX_DEPTH + 1), "more than 32 parentheses"),
        (term + " " * (MAX_BYTES - len(term) + 1), "4097 bytes"),
        ('formula = "' + "é" * 2100 + '"', "bytes"),
    ):
        with pytest.raises(FilterError, match=sentence) as caught:
            parse_filter(text)
        assert caught.value.position is not None


def test_what_stands_inside_a_text_does_not_count_towards_the_bounds() -> None:
    for inside in ("(" * 300, "AND " * 300, "," * 300, r"\\" * 300):
        assert parse_filter(f'point_group = "{inside}"') == Comparison(
            "point_group", Operator.EQUAL, inside.replace(2 * "\\", "\\")
        )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"{'(piezo_allowed) OR ' * 99}(piezo_allowed)", None),
        (f"{'(piezo_allowed) OR ' * 99}((piezo_allowed))", "opens more than 100 parentheses"),
        ("(((((((((((((((piezo_allowed))))))))))))))) OR " * 50, "opens more than 100 parentheses"),
        ("ood OR " * 500 + "ood", "more than 100 terms"),
        ("k_vrh_gpa=1OR" * 250, "more than 100 terms"),
        ('elements HAS ANY "Al"' + ',"Al"' * 500, "more than 100 terms"),
    ],
)
def test_too_much_is_refused_before_the_parser_sees_it(
    text: str, sentence: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filter_language, "_parser", lambda _: pytest.fail("the parser was started"))
    if sentence is None:  # control: what is within the bounds does reach it
        with pytest.raises(pytest.fail.Exception):
            parse_filter(text)
        return
    with pytest.raises(FilterError, match=sentence):
        parse_filter(text)


@pytest.mark.parametrize("unended", ['"' + "\\" * 4001, '"\\' * 1365, '"' + "(" * 4000, '"\\'])
def test_a_text_that_does_not_end_is_looked_through_once(unended: str) -> None:
    """Once from each of its quotes would be a square of 4,096: tens of milliseconds for one hostile filter."""
    looked_at = [match.span() for match in filter_bounds._COUNTED.finditer(f"ood = {unended}")]
    assert looked_at == [(6, 6 + len(unended))]
    with pytest.raises(FilterError) as caught:
        parse_filter(f"ood = {unended}")
    assert caught.value.position == 6


def test_the_first_mistake_is_the_one_that_is_named() -> None:
    for text, position in (("ood ood ?", 4), ("ood ? ood", 4), ("ood AND ?", 8)):
        with pytest.raises(FilterError) as caught:
            parse_filter(text)
        assert caught.value.position == position


@pytest.mark.parametrize(
    "text",
    [
        "(" * 4000,
        '"' * 4001,
        "NOT " * 1000,
        "\\" * 4000,
        '("' * 2000,
        "a" * 4096,
        "5 < " * 1000,
        "9" * 4096,
        "k_vrh_gpa=1 OR" * 290,
    ],
    ids=["open", "quotes", "nots", "backslashes", "mixed", "name", "chain", "digits", "ors"],
)
def test_hostile_texts_end_in_a_filter_error(text: str) -> None:
    with pytest.raises(FilterError):
        parse_filter(text)


def test_text_that_looks_like_sql_is_just_a_text() -> None:
    evil = "x'); DROP TABLE results; --"
    assert parse_filter(f'point_group = "{evil}"') == Comparison("point_group", Operator.EQUAL, evil)
    with pytest.raises(FilterError):
        parse_filter(evil)


def test_the_closed_list_covers_all_kinds() -> None:
    assert set(CRYSTALS.kinds.values()) == set(Kind)
