"""What many crystals are made of, as flat arrays: elements and how many atoms of each, without common divisor."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import SYMBOLS, CrystalBatch, Ints, formula_of_counts
from models.crystals.formula import FormulaError, formula_amounts


@dataclass(frozen=True)
class Compositions:
    """Reduced compositions, one after the other.

    Attributes:
        numbers: atomic numbers, ascending within a composition, shape [n_entries].
        amounts: atoms of each in the reduced formula, shape [n_entries].
        first: entry where each composition starts and, last, the number of entries, shape [n_crystals + 1].
    """

    numbers: Ints
    amounts: Ints
    first: Ints

    @property
    def n_crystals(self) -> int:
        """Number of compositions."""
        return len(self.first) - 1

    @property
    def owner(self) -> Ints:
        """Composition that an entry belongs to, shape [n_entries]."""
        return np.repeat(np.arange(self.n_crystals), np.diff(self.first))

    def formula(self, crystal: int) -> str:
        """Reduced formula, symbols in alphabetical order."""
        entries = slice(self.first[crystal], self.first[crystal + 1])
        return formula_of_counts(self.numbers[entries].tolist(), self.amounts[entries].tolist())

    def all_of(self, is_true: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether something is true of every element of a composition, shape [n_crystals].

        Args:
            is_true: of each entry, shape [n_entries].
        """
        return np.asarray(np.bincount(self.owner[~is_true], minlength=self.n_crystals) == 0)

    @classmethod
    def of_crystals(cls, batch: CrystalBatch) -> "Compositions":
        """Compositions of the crystals of a batch; each has an atom at least."""
        pairs, amounts = np.unique(batch.crystal_of_atom * len(SYMBOLS) + batch.numbers, return_counts=True)
        owner = pairs // len(SYMBOLS)
        return cls._reduced(pairs % len(SYMBOLS), amounts.astype(np.int64), owner, batch.n_crystals)

    @classmethod
    def of_formulas(cls, formulas: Sequence[str]) -> "Compositions":
        """Compositions of formulas, in any way of writing them.

        Raises:
            FormulaError: a text is no formula, or its amounts are no whole numbers.
        """
        amounts = [formula_amounts(formula) for formula in formulas]
        counts = np.array([amount for row in amounts for amount in row.values()], dtype=np.float64)
        if not np.array_equal(counts, np.rint(counts)) or counts.min(initial=1) < 1:
            raise FormulaError("a formula has amounts that are no whole numbers of atoms; multiply it")
        owner = np.repeat(np.arange(len(amounts)), [len(row) for row in amounts])
        numbers = np.array([number for row in amounts for number in row], dtype=np.int64)
        return cls._reduced(numbers, counts.astype(np.int64), owner, len(amounts))

    @classmethod
    def _reduced(cls, numbers: Ints, amounts: Ints, owner: Ints, n_crystals: int) -> "Compositions":
        """Of entries in order of their owners, the common divisor of each owner's amounts taken out."""
        first = np.searchsorted(owner, np.arange(n_crystals + 1))
        divisor = np.gcd.reduceat(amounts, first[:-1]) if len(amounts) else np.ones(n_crystals, np.int64)
        return cls(numbers.astype(np.int64), amounts // divisor[owner], first.astype(np.int64))
