"""Whether a crystal that was made in a space group has that one: intended against found."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import CrystalBatch, Ints
from models.symmetry.search import find_symmetries

_TABLE = Path(__file__).with_name("maximal_subgroups.csv")

_N_TYPES = 230

TIGHT_ANGSTROM, LOOSE_ANGSTROM = 1e-2, 1e-1


class SymmetryAnswer(StrEnum):
    """How the space group found relates to the one intended."""

    NOT_INTENDED = "not_intended"  # nobody said which one it should be
    SAME = "same"
    NEARLY = "nearly"  # the same at the loose tolerance only
    SUPERGROUP = "supergroup"  # more symmetric: it may be, and the crystal is another one than was meant
    DIFFERENT = "different"


@dataclass(frozen=True)
class SymmetryRoundTrip:
    """Space groups of crystals beside the intended ones.

    Attributes:
        answers: a `SymmetryAnswer` of each crystal, shape [n_crystals].
        intended: space-group number, 0 where none was, shape [n_crystals].
        tight, loose: number found at 0.01 and 0.1 angstrom, 0 where none was, shape [n_crystals].
    """

    answers: NDArray[np.str_]
    intended: Ints
    tight: Ints
    loose: Ints

    def sentence(self, crystal: int) -> str:
        """The three numbers of one crystal."""
        found = f"{self.tight[crystal]} at {TIGHT_ANGSTROM:g} angstrom, {self.loose[crystal]} at {LOOSE_ANGSTROM:g}"
        return f"space group {self.intended[crystal]} was intended, {found} angstrom"


def symmetry_round_trip(batch: CrystalBatch, intended: Ints) -> SymmetryRoundTrip:
    """Compares the space groups that crystals were made in with those that are found in them.

    Args:
        batch: validated crystals.
        intended: space-group numbers, 0 where none was intended, shape [n_crystals]; those crystals are not searched.
    """
    rows = np.flatnonzero(intended)
    tight, loose = np.zeros(len(intended), np.int64), np.zeros(len(intended), np.int64)
    if len(rows):
        at_tight, at_loose = find_symmetries(batch.select(rows), (TIGHT_ANGSTROM, LOOSE_ANGSTROM))
        tight[rows], loose[rows] = at_tight.number, at_loose.number
    answers = np.full(len(intended), SymmetryAnswer.DIFFERENT.value, dtype="U12")
    # the first that holds is written last
    answers[is_supergroup(tight, intended)] = SymmetryAnswer.SUPERGROUP.value
    answers[loose == intended] = SymmetryAnswer.NEARLY.value
    answers[tight == intended] = SymmetryAnswer.SAME.value
    answers[intended == 0] = SymmetryAnswer.NOT_INTENDED.value
    return SymmetryRoundTrip(answers, intended, tight, loose)


def is_supergroup(groups: Ints, subgroups: Ints) -> NDArray[np.bool_]:
    """Whether groups of one type can be supergroups of groups of another type.

    Klassengleiche supergroups count, which have more translations; a type is no supergroup of itself here.

    Args:
        groups: numbers 0 to 230, 0 is no supergroup, shape [n].
        subgroups: likewise, shape [n].
    """
    return np.asarray(_supergroups()[groups, subgroups])


@cache
def _supergroups() -> NDArray[np.bool_]:
    """Entry [i, j]: type i has subgroups of type j; shape [231, 231]."""
    reached = np.zeros((_N_TYPES + 1, _N_TYPES + 1), dtype=bool)
    for line in _TABLE.read_text(encoding="utf-8").splitlines()[1:]:
        number, maximal = line.split(",")
        reached[int(number), list(map(int, maximal.split()))] = True
    for _ in range(8):  # chains of up to 2^8 steps
        steps = reached.astype(np.float32)
        reached |= steps @ steps > 0
    np.fill_diagonal(reached, val=False)
    return reached
