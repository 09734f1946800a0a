"""Volumes beside what crystals of the same elements usually have: absurd ones are neither dense nor porous, but wrong.

Each element brings a volume of its own, fitted on crystals of the Materials Project, WBM and AFLOW (the table beside
this file; `python -m benchmarks.plausibility.element_volumes` makes it). That is crude, 6 % in the median, and enough:
99.9 % of the crystals of the Materials Project lie between 0.69 and 3.9 times the sum.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import MAX_ATOMIC_NUMBER, CrystalBatch, Floats

_TABLE = Path(__file__).with_name("element_volumes.csv")

LEAST_RATIO, MOST_RATIO = 0.5, 4.0
"""Volumes outside of these multiples of the expected one are refused; among real crystals a few molecules are above."""


@dataclass(frozen=True)
class Volumes:
    """Volumes of crystals beside the expected ones.

    Attributes:
        per_atom_a3: in cubic angstrom, shape [n_crystals].
        expected_a3: the mean over the atoms of what their elements bring, shape [n_crystals].
    """

    per_atom_a3: Floats
    expected_a3: Floats

    @property
    def ratio(self) -> Floats:
        """Volume over the expected one, shape [n_crystals]."""
        return np.asarray(self.per_atom_a3 / self.expected_a3, dtype=np.float64)

    def within(self, least: float = LEAST_RATIO, most: float = MOST_RATIO) -> NDArray[np.bool_]:
        """Whether the ratio lies between two bounds, shape [n_crystals]."""
        return np.asarray((self.ratio >= least) & (self.ratio <= most))

    def sentence(self, crystal: int) -> str:
        """Both volumes of one crystal."""
        return (
            f"{self.per_atom_a3[crystal]:.1f} angstrom^3 per atom, {self.ratio[crystal]:.2f} of the "
            f"{self.expected_a3[crystal]:.1f} that crystals of these elements have on average"
        )


def volumes_of(batch: CrystalBatch) -> Volumes:
    """Volumes per atom of crystals that have atoms, and what their elements let one expect."""
    per_atom = np.abs(np.linalg.det(batch.lattice)) / batch.atoms_per_crystal
    total = np.bincount(batch.crystal_of_atom, element_volumes()[batch.numbers], minlength=batch.n_crystals)
    return Volumes(per_atom, total / batch.atoms_per_crystal)


@cache
def element_volumes() -> Floats:
    """Volume that an atom of each element brings, in cubic angstrom, by atomic number, shape [119]."""
    table = np.loadtxt(_TABLE, delimiter=",", skiprows=1, usecols=1)
    volumes = np.full(MAX_ATOMIC_NUMBER + 1, table.max())
    volumes[1 : len(table) + 1] = table
    volumes.flags.writeable = False
    return volumes
