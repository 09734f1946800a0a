"""Formulas as people write them: any spelling of a composition is one formula, what is none is refused."""

from math import gcd

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition

from models.crystals.crystal import SYMBOLS, reduced_formula
from models.crystals.formula import FormulaError, anonymous_formula, formula_text, normalized_formula, parse_formula

Amounts = dict[str, int]

amounts_of_elements = st.dictionaries(st.sampled_from(SYMBOLS[1:]), st.integers(1, 12), min_size=1, max_size=5)


def stored(amounts: Amounts) -> str:
    """The formula as a crystal of these atoms has it."""
    numbers = [SYMBOLS.index(symbol) for symbol, n in amounts.items() for _ in range(n)]
    return reduced_formula(np.array(numbers))


@given(amounts_of_elements, st.randoms(use_true_random=False), st.integers(1, 7), st.sampled_from(["", " ", "  "]))
def test_order_blanks_multiples_and_parentheses_change_nothing(
    amounts: Amounts, random: st.DataObject, factor: int, blank: str
) -> None:
    words = [f"{symbol}{n if n > 1 else ''}" for symbol, n in amounts.items()]
    random.shuffle(words)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    written = blank.join(words)
    multiple = blank.join(f"{symbol}{n * factor}" for symbol, n in amounts.items())
    for text in (written, multiple, f"({written}){factor}", f" [({written})2]{factor} "):
        assert normalized_formula(text) == stored(amounts)
    changed = amounts | {"Og": amounts.get("Og", 0) + 1}  # control: another composition is another formula
    if set(amounts) != {"Og"}:
        assert normalized_formula("".join(f"{symbol}{n}" for symbol, n in changed.items())) != stored(amounts)


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(lambda group, n: f"({group}){n}", inner, st.integers(2, 4)) | st.builds(str.__add__, inner, inner)


@given(st.recursive(st.sampled_from(["Si", "O2", "Al2", "C", "Co", "N3"]), nested, max_leaves=6))
def test_parentheses_mean_what_pymatgen_says(text: str) -> None:
    amounts = Composition(text).get_el_amt_dict()
    assert normalized_formula(text) == stored({symbol: int(n) for symbol, n in amounts.items()})


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("Si4+ O2-2", "O2Si"),
        ("Si4+O2-2", "O2Si"),
        ("Ca2+ O2-", "CaO"),
        ("Na+Cl-", "ClNa"),
        ("Fe2+ Fe3+2 O2-4", "Fe3O4"),
        ("PO4 3-", "O4P"),
        ("SO4^2-", "O4S"),
        ("SiO₂", "O2Si"),
        ("D2O", "H2O"),
        ("HDO", "H2O"),
        ("CO", "CO"),
        ("Co", "Co"),
    ],
)
def test_charges_subscripts_and_isotopes_are_read(text: str, formula: str) -> None:
    assert normalized_formula(text) == formula


@pytest.mark.parametrize(
    "text",
    ["", " ", "sio2", "Q", "A2B", "Si-O", "NH4+", "SiO2-", "Li0.5CoO2", "Si0", "SiO2)", "(SiO2", "()", "2SiO2",
     "Si 2 4", "Si1000001", "(((Si)999)999)999", "O2Si; DROP TABLE results", "O" * 3 + "é", "CaSO4.2H2O"],
)  # fmt: skip
def test_what_is_no_formula_or_two_is_refused(text: str) -> None:
    with pytest.raises(FormulaError):
        normalized_formula(text)


@given(st.text(max_size=60) | st.text("()[]SiO2+-^ 90", max_size=200))
def test_any_text_is_a_formula_or_a_formula_error(text: str) -> None:
    try:
        formula = normalized_formula(text)
    except FormulaError:
        return
    assert normalized_formula(formula) == formula


@pytest.mark.parametrize(
    "text", ["Mg(OH)2", "(NH4)2[Fe(CN)6]", "Li10 Ge (P S6)2", "Ca.5O", "K4{Fe(CN)6}0.5", "Al1.33 O2"]
)
def test_pymatgen_reads_the_same_amounts(text: str) -> None:
    theirs = {SYMBOLS.index(symbol): n for symbol, n in Composition(text).get_el_amt_dict().items()}
    assert parse_formula(text) == pytest.approx(theirs)


@given(st.dictionaries(st.integers(1, 100), st.integers(1, 60), min_size=1, max_size=6))
def test_a_formula_that_a_message_writes_is_read_back(amounts: dict[int, int]) -> None:
    assert parse_formula(formula_text({number: float(n) for number, n in amounts.items()})) == amounts
    assert parse_formula("no formula") is None


def test_hostile_parentheses_end_at_the_bound() -> None:
    with pytest.raises(FormulaError, match="more than 1,000,000"):
        normalized_formula("(" * 300 + "Si" + ")9" * 300)


@given(amounts_of_elements)
def test_an_anonymous_formula_keeps_the_counts_alone(amounts: Amounts) -> None:
    divisor = gcd(*amounts.values())
    counts = sorted((n // divisor for n in amounts.values()), reverse=True)
    expected = "".join(f"{letter}{n if n > 1 else ''}" for letter, n in zip("ABCDE", counts, strict=False))
    assert anonymous_formula(stored(amounts)) == anonymous_formula(expected) == expected


def test_anonymous_formulas_of_many_elements_go_on_with_two_letters() -> None:
    formula = "".join(f"{symbol}{n}" for n, symbol in enumerate(SYMBOLS[1:55], 2))
    assert anonymous_formula(formula).startswith("A55B54C53")
    assert anonymous_formula(formula).endswith("Za4Ab3Bb2")


@pytest.mark.parametrize("text", ["", "2A", "AA", "A2b-", "a", "A1000000000"])
def test_what_is_no_anonymous_formula_is_refused(text: str) -> None:
    with pytest.raises(FormulaError):
        anonymous_formula(text)
