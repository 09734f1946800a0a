"""Whether the charges of a compound can sum to zero: oxidation states in the order of electronegativities.

The idea is that of SMACT (D. W. Davies et al., J. Open Source Softw. 4, 1361 (2019)): a compound is plausible if each
of its elements has a known oxidation state such that the sum is zero and no anion is less electronegative than a
cation. Compounds of metals alone are bound otherwise and are exempt; so are those of transition metals, lanthanides or
actinides with metalloids, carbon and phosphorus, as borides, carbides and silicides, where no charges balance.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.crystals.chemical_classes import IS_METAL
from models.crystals.crystal import MAX_ATOMIC_NUMBER, SYMBOLS, CrystalBatch, Floats, Ints
from models.plausibility.charge_loops import balance_charges
from models.plausibility.compositions import Compositions

SOFT = "B C Si P Ge As Sb Te".split()
"""Nonmetals whose compounds with transition metals, lanthanides and actinides often are metals."""

_TABLE = Path(__file__).with_name("oxidation_states.csv")
_NUMBERS = np.arange(MAX_ATOMIC_NUMBER + 1)
_IS_SOFT = IS_METAL | np.isin(_NUMBERS, [SYMBOLS.index(symbol) for symbol in SOFT])
# groups 3 to 11: d electrons at least in part, and all f elements
_HAS_D_OR_F = np.isin(_NUMBERS, [*range(21, 30), *range(39, 48), *range(57, 80), *range(89, 112)])
_OXYGEN = 8
_IN_PEROXIDES = np.isin(_NUMBERS, [1, 3, 4, _OXYGEN, 11, 12, 19, 20, 30, 37, 38, 48, 55, 56, 80])
_ONE_STATE_EACH = 2


class ChargeAnswer(StrEnum):
    """What is found about the charges of a compound, the strongest answer that holds."""

    ELEMENT = "element"  # exempt: one element alone
    INTERMETALLIC = "intermetallic"  # exempt: metals alone
    BALANCED = "balanced"  # one state for each element
    MIXED_VALENCE = "mixed_valence"  # one metal is between two of its states, as iron in Fe3O4
    PEROXIDE = "peroxide"  # balanced with oxygen at -1, beside metals of groups 1, 2 and 12 and hydrogen alone
    METALLIC = "metallic"  # exempt: a transition metal, lanthanide or actinide with `SOFT` elements and metals
    UNBALANCED = "unbalanced"


@dataclass(frozen=True)
class ChargeBalance:
    """Oxidation states of compounds.

    Attributes:
        answers: a `ChargeAnswer` of each compound, shape [n_crystals].
        compositions: their elements.
        states: oxidation state of each entry of the compositions, a mean for an element of mixed valence, NaN where
            there is none, shape [n_entries].
    """

    answers: NDArray[np.str_]
    compositions: Compositions
    states: Floats

    @property
    def passed(self) -> NDArray[np.bool_]:
        """Whether charges are balanced, in the weaker sense too, or need not be, shape [n_crystals]."""
        return np.asarray(self.answers != ChargeAnswer.UNBALANCED.value)

    def sentence(self, crystal: int) -> str:
        """The states of one compound, or which ones were tried in vain."""
        entries = slice(self.compositions.first[crystal], self.compositions.first[crystal + 1])
        numbers, states = self.compositions.numbers[entries].tolist(), self.states[entries].tolist()
        formula = self.compositions.formula(crystal)
        if np.isfinite(states).all():
            return f"{formula}: " + " ".join(f"{SYMBOLS[z]}{q:+.3g}" for z, q in zip(numbers, states, strict=True))
        start, allowed, electronegativity = oxidation_table()
        parts = []
        for z in numbers:
            known = "/".join(f"{state:+d}" for state in allowed[start[z] : start[z + 1]].tolist())
            parts.append(f"{SYMBOLS[z]} {known or 'none'} ({electronegativity[z]:.2f})")
        return f"{formula} with states (electronegativity) {', '.join(parts)}"


@cache
def oxidation_table() -> tuple[Ints, Ints, Floats]:
    """Where each element's states start, [120]; the states; Pauling electronegativities, NaN where unknown, [119]."""
    starts, states, electronegativity = [0, 0], list[int](), np.full(MAX_ATOMIC_NUMBER + 1, np.nan)
    for number, line in enumerate(_TABLE.read_text(encoding="utf-8").splitlines()[1:], start=1):
        _, value, known = line.split(",")
        electronegativity[number] = float(value or "nan")
        states += map(int, known.split())
        starts.append(len(states))
    return np.array(starts, np.int64), np.array(states, np.int64), electronegativity


def charge_balance(crystals: CrystalBatch | Compositions) -> ChargeBalance:
    """Whether oxidation states with zero sum exist for the elements of each crystal.

    Args:
        crystals: crystals, or compositions.
    """
    compositions = Compositions.of_crystals(crystals) if isinstance(crystals, CrystalBatch) else crystals
    numbers, first = compositions.numbers, compositions.first
    states, with_peroxide = np.full((2, len(numbers)), np.nan)
    table = *oxidation_table(), IS_METAL
    how = balance_charges(numbers, compositions.amounts, first, table, states)
    names = np.array([ChargeAnswer.UNBALANCED, ChargeAnswer.MIXED_VALENCE, ChargeAnswer.BALANCED])
    answers = names[how].astype("U16")
    as_peroxide = balance_charges(numbers, compositions.amounts, first, (*_with_peroxide(), IS_METAL), with_peroxide)
    is_peroxide = compositions.all_of(_IN_PEROXIDES[numbers]) & (as_peroxide == _ONE_STATE_EACH) & (how == 0)
    answers[is_peroxide] = ChargeAnswer.PEROXIDE.value
    states = np.where(is_peroxide[compositions.owner], with_peroxide, states)
    is_metallic = compositions.all_of(_IS_SOFT[numbers]) & ~compositions.all_of(~_HAS_D_OR_F[numbers])
    answers[is_metallic & (how == 0)] = ChargeAnswer.METALLIC.value
    answers[compositions.all_of(IS_METAL[numbers])] = ChargeAnswer.INTERMETALLIC.value
    answers[np.diff(first) == 1] = ChargeAnswer.ELEMENT.value
    return ChargeBalance(answers, compositions, states)


@cache
def _with_peroxide() -> tuple[Ints, Ints, Floats]:
    """The same table with oxygen at -1 only."""
    start, states, electronegativity = oxidation_table()
    changed = states.copy()
    changed[start[_OXYGEN] : start[_OXYGEN + 1]] = -1
    return start, changed, electronegativity
