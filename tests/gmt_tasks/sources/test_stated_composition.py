"""What records say of their composition: formulas of any order, contradictions refused, counts doubted."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmt_tasks.sources.json_records import parse_record
from gmt_tasks.sources.parsed import RefusedInputError
from gmt_tasks.sources.stated_composition import composition_notes, is_same_composition
from models.crystals.formula import parse_formula
from models.errors import Doubt, Reason
from tests.gmt_tasks.sources.dumps import entry, optimade, pymatgen, sample

QUARTZ = np.array([14, 14, 14, 8, 8, 8, 8, 8, 8])


@pytest.mark.parametrize(
    "formula",
    ["SiO2", "O2Si", "O2 Si1", "Si3 O6", "Si(O)2", "(SiO2)3", "SiOO", "[Si]O2", "Si0.33O0.67", "SiO₂", " SiO2 "],
)
def test_the_formula_of_quartz_in_any_form_agrees(formula: str) -> None:
    amounts = parse_formula(formula)
    assert amounts is not None and is_same_composition(amounts, QUARTZ)


@pytest.mark.parametrize("text", ["", "AB2", "A2BC3", "quartz", "Si O2+", "CaSO4·2H2O", "2H2O", "X", "Si-O", "Si1.2.3"])
def test_what_is_no_formula_states_nothing(text: str) -> None:
    assert composition_notes({"formula": text}, QUARTZ) == ()


_AMOUNTS = st.dictionaries(st.integers(1, 94), st.integers(1, 30), min_size=1, max_size=5)


@given(_AMOUNTS, st.integers(1, 3))
def test_ratios_are_compared_exactly(amounts: dict[int, int], factor: int) -> None:
    numbers = np.repeat(list(amounts), [factor * n for n in amounts.values()])
    assert is_same_composition({z: float(n) for z, n in amounts.items()}, numbers)
    if len(amounts) > 1:
        first = next(iter(amounts))
        assert not is_same_composition({**amounts, first: amounts[first] + 1}, numbers)
        assert not is_same_composition({z: n for z, n in amounts.items() if z != first}, numbers)
    assert not is_same_composition({**amounts, 95: 1}, numbers)


@pytest.mark.parametrize(
    "statement",
    [
        {"formula": "SiO"},
        {"formula_pretty": "GeO2"},
        {"chemical_formula_reduced": "O3Si2"},
        {"composition": {"Si4+": 1.0, "O2-": 1.0}},
        {"elements": ["Si"]},
        {"elements": ["Si", "O", "H"]},
    ],
)
def test_other_elements_or_ratios_are_a_contradiction(statement: dict[str, Any]) -> None:
    with pytest.raises(RefusedInputError) as refused:
        composition_notes(statement, QUARTZ)
    assert refused.value.reason is Reason.COMPOSITION_MISMATCH and "O2Si" in refused.value.detail


@pytest.mark.parametrize(
    "statement",
    [{"composition": {"Si4+": 3.0, "O2-": 6.0}, "nsites": 9}, {"elements": ["O", "Si"]}, {"formula": "quartz"},
     {"formula": None}, {"composition": {"Si": "x"}}, {"nsites": None}, {"elements": "SiO"}, {"nsites": "9"}, {}],
)  # fmt: skip
def test_what_agrees_or_states_nothing_is_no_doubt(statement: dict[str, Any]) -> None:
    assert composition_notes(statement, QUARTZ) == ()


def test_another_number_of_sites_is_a_doubt() -> None:
    (note,) = composition_notes({"nsites": 18, "formula": "SiO2"}, QUARTZ)
    assert note.startswith(f"{Doubt.COMPOSITION}: nsites says 18, 9 atoms")


def test_statements_count_wherever_they_stand_beside_the_crystal() -> None:
    crystal = sample(5, 4)
    for record in (
        {"structure": pymatgen(crystal), "formula": "Og2"},
        {**entry(crystal), "composition": {"Og": 1.0}},
        {**entry(crystal), "data": {"formula": "Og"}},
        {"id": 1, "attributes": {**optimade(crystal), "chemical_formula_reduced": "Og"}},
    ):
        with pytest.raises(RefusedInputError) as refused:
            parse_record(json.loads(json.dumps(record)))
        assert refused.value.reason is Reason.COMPOSITION_MISMATCH
    assert parse_record({"structure": pymatgen(crystal), "data": {"nsites": 5}}).notes[0].startswith(Doubt.COMPOSITION)
