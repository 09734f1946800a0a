"""Formulas as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition

from models.crystals.crystal import SYMBOLS
from models.crystals.formula import formula_text, parse_formula

AMOUNTS = st.dictionaries(st.integers(1, 100), st.integers(1, 60), min_size=1, max_size=6)


@given(AMOUNTS, st.randoms(use_true_random=False))
def test_a_formula_is_the_same_in_any_order(amounts: dict[int, int], random: st.DataObject) -> None:
    terms = [f"{SYMBOLS[number]}{amount if amount > 1 else ''}" for number, amount in amounts.items()]
    random.shuffle(terms)  # type: ignore[attr-defined]
    assert parse_formula("".join(terms)) == parse_formula(" ".join(terms)) == dict(sorted(amounts.items()))
    assert parse_formula(formula_text({number: float(n) for number, n in amounts.items()})) == amounts


@pytest.mark.parametrize("text", ["Mg(OH)2", "Al2(SO4)3", "(NH4)2[Fe(CN)6]", "Li10Ge(PS6)2", "Ca.5O", "K4(Fe(CN)6)0.5"])
def test_pymatgen_reads_the_same(text: str) -> None:
    theirs = {SYMBOLS.index(symbol): amount for symbol, amount in Composition(text).get_el_amt_dict().items()}
    assert parse_formula(text) == pytest.approx(theirs)


def test_isotopes_charges_and_hydrates() -> None:
    assert parse_formula("D2 O") == {1: 2.0, 8: 1.0}
    assert parse_formula("Fe2+") == {26: 1.0}
    assert parse_formula("CuSO4*5(H2O)") == {1: 10.0, 8: 9.0, 16: 1.0, 29: 1.0}


@pytest.mark.parametrize("text", ["", "si", "Xx2", "Mg(OH", "O2)", "Si-O", "()", "2", "(2)", "C1e9", "H" * 2000])
def test_what_is_no_formula_is_none(text: str) -> None:
    assert parse_formula(text) is None


@given(st.text(max_size=40))
def test_any_text_is_a_formula_or_none(text: str) -> None:
    amounts = parse_formula(text)
    assert amounts is None or (amounts and all(amount > 0 for amount in amounts.values()))
