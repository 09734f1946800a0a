"""The symmetry of crystals as a screening needs it: at the chosen tolerance, and at three to find near-symmetric ones.

Crystals are searched once, and again only where another tolerance could change the answer. Projector, flags and the
dependence on the tolerance share it.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import CrystalBatch
from models.crystals.neighborhood import Neighborhood
from models.symmetry.idealize import IdealizedCrystals, idealize
from models.symmetry.search import SYMPRECS_ANGSTROM, SymmetryBatch, find_symmetries

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class SymmetryAnalysis:
    """Symmetry of crystals at the chosen tolerance, and at three.

    Attributes:
        symmetry: at the chosen tolerance, or at the nearest at which a group was found.
        at: at each tolerance of SYMPRECS_ANGSTROM.
        idealized: the crystals made to obey the chosen symmetry exactly.
    """

    symmetry: SymmetryBatch
    at: tuple[SymmetryBatch, ...]
    idealized: IdealizedCrystals

    @cached_property
    def numbers(self) -> Ints:
        """Space-group number at each tolerance of SYMPRECS_ANGSTROM, 0 where none was found, [n_crystals, 3]."""
        return np.stack([symmetry.number for symmetry in self.at], axis=1)

    @property
    def ambiguous(self) -> NDArray[np.bool_]:
        """The space group changes with the tolerance: the crystal is near-symmetric, [n_crystals]."""
        return np.asarray((self.numbers != self.symmetry.number[:, None]).any(axis=1))

    def select(self, rows: Ints) -> "SymmetryAnalysis":
        """The symmetry of the given crystals, in ascending order of their indices."""
        if len(rows) == len(self.numbers):
            return self
        at = tuple(symmetry.select(rows) for symmetry in self.at)
        return SymmetryAnalysis(self.symmetry.select(rows), at, self.idealized.select(rows))


def analyse_symmetry(crystals: CrystalBatch, symprec: float, neighbors: Neighborhood | None = None) -> SymmetryAnalysis:
    """Symmetry at `symprec` (angstrom) and at the three tolerances that tell near-symmetric crystals.

    Crystals in which nothing is found at `symprec` get the group of a looser, then of a tighter tolerance.

    Args:
        crystals: validated crystals.
        symprec: distance tolerance in angstrom.
        neighbors: of the same crystals, see `canonical_order`; searched for if None.
    """
    tolerances = sorted({symprec, *SYMPRECS_ANGSTROM})
    symmetries = dict(zip(tolerances, find_symmetries(crystals, tolerances, neighbors), strict=True))
    symmetry = symmetries[symprec]
    for other in (symprec * 3, symprec / 3, symprec / 30):
        failed = symmetry.failed
        if not len(failed):
            break
        around = neighbors and neighbors.select(failed)
        symmetry = symmetry.with_rows(failed, find_symmetries(crystals.select(failed), [other], around)[0])
    at = tuple(symmetries[tolerance] for tolerance in SYMPRECS_ANGSTROM)
    return SymmetryAnalysis(symmetry, at, idealize(crystals, symmetry))
