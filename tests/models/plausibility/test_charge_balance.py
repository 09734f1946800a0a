"""Charges: known compounds, laws of the search, and an exhaustive search written plainly."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.crystals.chemical_classes import IS_METAL
from models.crystals.crystal import SYMBOLS, CrystalBatch
from models.crystals.formula import FormulaError
from models.plausibility.charge_balance import ChargeAnswer, charge_balance, oxidation_table
from models.plausibility.compositions import Compositions

ANSWERS = {
    "NaCl": ChargeAnswer.BALANCED,
    "BaTiO3": ChargeAnswer.BALANCED,
    "GaN": ChargeAnswer.BALANCED,
    "LiNbO3": ChargeAnswer.BALANCED,
    "NH4Cl": ChargeAnswer.BALANCED,
    "Na2O2": ChargeAnswer.PEROXIDE,
    "H2O2": ChargeAnswer.PEROXIDE,
    "AlO3": ChargeAnswer.UNBALANCED,  # Al3+ with O- is no known oxide
    "FeS2": ChargeAnswer.BALANCED,  # a disulfide
    "UO2F2": ChargeAnswer.BALANCED,
    "HfN": ChargeAnswer.UNBALANCED,  # a metal that no charges explain: nitrides are not exempt
    "Fe3O4": ChargeAnswer.MIXED_VALENCE,
    "LiMn2O4": ChargeAnswer.MIXED_VALENCE,
    "BaBiO3": ChargeAnswer.MIXED_VALENCE,  # half Bi3+, half Bi5+
    "CsAu": ChargeAnswer.INTERMETALLIC,  # ionic, and exempt all the same
    "Ni3Al": ChargeAnswer.INTERMETALLIC,
    "Fe3C": ChargeAnswer.METALLIC,
    "Ti2AlC": ChargeAnswer.METALLIC,
    "H2": ChargeAnswer.ELEMENT,
    "Si": ChargeAnswer.ELEMENT,
    "NaCl2": ChargeAnswer.UNBALANCED,
    "Na2Cl": ChargeAnswer.UNBALANCED,
    "BaTiO4": ChargeAnswer.UNBALANCED,
    "Ga2As": ChargeAnswer.UNBALANCED,  # no transition metal: a semiconductor's elements in a wrong ratio
    "NeO": ChargeAnswer.UNBALANCED,
    "HeLi": ChargeAnswer.UNBALANCED,
}


@pytest.mark.parametrize(("formula", "answer"), ANSWERS.items())
def test_known_compounds_get_their_answer(formula: str, answer: ChargeAnswer) -> None:
    (found,) = charge_balance(Compositions.of_formulas([formula])).answers
    assert found == answer


def test_states_are_those_of_chemistry() -> None:
    balance = charge_balance(Compositions.of_formulas(["BaTiO3", "Fe3O4", "NaCl2"]))
    assert balance.sentence(0) == "BaO3Ti: O-2 Ti+4 Ba+2"
    assert balance.sentence(1) == "Fe3O4: O-2 Fe+2.67"
    assert "Na +1 (0.93)" in balance.sentence(2) and "Cl -1/+1" in balance.sentence(2)
    assert balance.passed.tolist() == [True, True, False]


def known_elements() -> list[int]:
    """Atomic numbers that have states and an electronegativity."""
    start, _, electronegativity = oxidation_table()
    return np.flatnonzero((np.diff(start) > 0) & np.isfinite(electronegativity)).tolist()


FORMULAS = st.dictionaries(st.sampled_from(known_elements()), st.integers(1, 12), min_size=2, max_size=5)


def text_of(amounts: dict[int, int], factor: int = 1) -> str:
    """A formula as one writes it."""
    return "".join(f"{SYMBOLS[z]}{n * factor}" for z, n in amounts.items())


def sums_to_zero(amounts: dict[int, int]) -> bool:
    """The rule, by trying all combinations."""
    start, states, electronegativity = oxidation_table()
    for chosen in product(*(states[start[z] : start[z + 1]].tolist() for z in amounts)):
        if sum(q * n for q, n in zip(chosen, amounts.values(), strict=True)) == 0:
            cations = [electronegativity[z] for z, q in zip(amounts, chosen, strict=True) if q > 0]
            anions = [electronegativity[z] for z, q in zip(amounts, chosen, strict=True) if q < 0]
            if max(cations) < min(anions):
                return True
    return False


@given(FORMULAS)
def test_the_search_finds_what_trying_everything_finds(amounts: dict[int, int]) -> None:
    balance = charge_balance(Compositions.of_formulas([text_of(amounts)]))
    if not IS_METAL[list(amounts)].all():
        assert (balance.answers[0] == ChargeAnswer.BALANCED) == sums_to_zero(amounts)


@given(st.lists(FORMULAS, min_size=1, max_size=6), st.integers(2, 4))
def test_neither_the_order_nor_a_multiple_nor_other_compounds_change_an_answer(
    rows: list[dict[int, int]], factor: int
) -> None:
    together = charge_balance(Compositions.of_formulas([text_of(row) for row in rows]))
    backwards = [text_of(dict(reversed(row.items())), factor) for row in reversed(rows)]
    other = charge_balance(Compositions.of_formulas(backwards))
    assert together.answers.tolist() == other.answers.tolist()[::-1]


@given(FORMULAS)
def test_states_that_are_found_sum_to_zero_and_anions_are_more_electronegative(amounts: dict[int, int]) -> None:
    balance = charge_balance(Compositions.of_formulas([text_of(amounts)]))
    entries, electronegativity = balance.compositions, oxidation_table()[2]
    if balance.answers[0] in {ChargeAnswer.BALANCED, ChargeAnswer.MIXED_VALENCE}:
        assert abs((balance.states * entries.amounts).sum()) < 1e-9
        values = electronegativity[entries.numbers]
        assert values[balance.states > 0].max() < values[balance.states < 0].min()
    if balance.answers[0] == ChargeAnswer.UNBALANCED:
        assert np.isnan(balance.states).all()


def test_crystals_and_their_formulas_are_the_same_compositions() -> None:
    numbers = [np.array([11, 17] * 4), np.array([8, 56, 22, 8, 8]), np.array([6])]
    batch = CrystalBatch.from_arrays([np.eye(3)] * 3, [np.zeros((len(z), 3)) for z in numbers], numbers)
    compositions = Compositions.of_crystals(batch)
    assert [compositions.formula(k) for k in range(3)] == batch.formulas() == ["ClNa", "BaO3Ti", "C"]
    written = Compositions.of_formulas(["NaCl", "BaTiO3", "C60"])
    assert written.amounts.tolist() == compositions.amounts.tolist()
    assert charge_balance(batch).answers.tolist() == charge_balance(written).answers.tolist()


def test_nothing_at_all_is_answered_with_nothing() -> None:
    assert charge_balance(Compositions.of_formulas([])).answers.tolist() == []
    assert charge_balance(CrystalBatch.from_arrays([], [], [])).passed.tolist() == []


def test_a_formula_with_parts_of_atoms_is_refused() -> None:
    with pytest.raises(FormulaError, match="no whole numbers"):
        Compositions.of_formulas(["Fe0.5O"])


def lines() -> Iterator[str]:
    """Lines of the table as the program that makes it would write them now."""
    from gmt_tasks.sources.oxidation_table import oxidation_row

    yield "symbol,electronegativity_pauling,oxidation_states"
    yield from (",".join(oxidation_row(number)) for number in range(1, len(SYMBOLS)))


def test_the_table_is_what_the_installed_pymatgen_says() -> None:
    from models.plausibility import charge_balance as module

    assert module._TABLE.read_text(encoding="utf-8").splitlines() == list(lines())
