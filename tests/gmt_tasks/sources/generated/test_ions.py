"""Probabilities of ionic substitutions are pymatgen's, and oxidation states balance."""

import math

import numpy as np
import pytest
from pymatgen.core import Composition, Species
from pymatgen.core.structure_prediction.substitution_probability import SubstitutionProbability

from gmt_tasks.sources.generated.ions import NEVER_PLACED, Ion, oxidation_states, replacements
from gmt_tasks.sources.generated.reference_crystals import reference_crystals
from models.crystals.crystal import SYMBOLS


@pytest.fixture(scope="module")
def published() -> SubstitutionProbability:
    return SubstitutionProbability()


@pytest.mark.parametrize("ion", [Ion("Ti", 4), Ion("Ba", 2), Ion("O", -2), Ion("Fe", 3)])
def test_conditional_probabilities_are_those_of_pymatgen(published: SubstitutionProbability, ion: Ion) -> None:
    fixed = Species(ion.symbol, ion.charge)
    options = replacements(ion)
    for option in options:
        placed = Species(option.ion.symbol, option.ion.charge)
        assert math.exp(option.log_probability) == pytest.approx(published.cond_prob(placed, fixed), rel=1e-6)
    expected = {str(species) for species in published.species if species.symbol not in NEVER_PLACED}
    assert {str(Species(*option.ion)) for option in options} == expected


def test_the_most_probable_comes_first_and_an_ion_stays_itself_most_probably() -> None:
    logs = [option.log_probability for option in replacements(Ion("Ba", 2))]
    assert logs == sorted(logs, reverse=True)
    assert replacements(Ion("Ba", 2))[0].ion == Ion("Ba", 2)


def test_an_ion_that_the_table_does_not_know_keeps_its_charge() -> None:
    arsenide = replacements(Ion("As", -3))
    assert {option.ion.charge for option in arsenide} == {-3}
    assert {"P", "Sb", "N"} <= {option.ion.symbol for option in arsenide}
    assert "O" not in {option.ion.symbol for option in arsenide}


def test_an_element_without_oxidation_state_is_replaced_by_elements() -> None:
    options = replacements(Ion("Al", None))
    assert {option.ion.charge for option in options} == {None}
    assert sum(math.exp(option.log_probability) for option in options) == pytest.approx(1, abs=0.02)


def numbers_of(formula: str) -> np.ndarray:
    amounts = Composition(formula).get_el_amt_dict().items()
    return np.repeat([SYMBOLS.index(symbol) for symbol, _ in amounts], [int(n) for _, n in amounts])


@pytest.mark.parametrize(
    ("formula", "states"),
    [
        ("BaTiO3", {"Ba": 2, "Ti": 4, "O": -2}),
        ("GaAs", {"Ga": 3, "As": -3}),
        ("CaCO3", {"Ca": 2, "C": 4, "O": -2}),
        ("LiNbO3", {"Li": 1, "Nb": 5, "O": -2}),
        ("ZnGeP2", {"Zn": 2, "Ge": 4, "P": -3}),
        ("SiC", {"Si": 4, "C": -4}),
        ("NaH", {"Na": 1, "H": -1}),
    ],
)
def test_textbook_compounds_have_their_oxidation_states(formula: str, states: dict[str, int]) -> None:
    assert oxidation_states(numbers_of(formula)) == states


@pytest.mark.parametrize("formula", ["Si", "NiAl", "Fe3O4"])
def test_elements_alloys_and_mixed_valence_have_none(formula: str) -> None:
    assert oxidation_states(numbers_of(formula)) is None


def test_the_states_of_every_reference_crystal_balance() -> None:
    for crystal in reference_crystals().values():
        states = oxidation_states(crystal.numbers)
        assert states is None or sum(states[SYMBOLS[number]] for number in crystal.numbers) == 0
