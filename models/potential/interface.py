"""The interface of an interatomic potential. Another potential is one class that passes models/testing/potential.py."""

from dataclasses import dataclass
from typing import Protocol

from models.crystals.crystal import CrystalBatch, Floats
from models.errors import GmtError

EV_PER_A3_IN_GPA = 160.21766208
"""1 eV/Å³ in GPa (CODATA 2018)."""


class PotentialError(GmtError):
    """A potential cannot be loaded or evaluated; the message says what to do."""


@dataclass(frozen=True)
class Evaluation:
    """Energies of the crystals of a batch and their first derivatives, in the Cartesian frame of the lattice rows.

    Attributes:
        energy_ev: per cell, shape [n_crystals].
        forces_ev_per_angstrom: minus the derivative by each atom's position, shape [n_atoms, 3].
        stress_gpa: derivative of the energy by strain over the volume, negative under pressure, [n_crystals, 3, 3].
    """

    energy_ev: Floats
    forces_ev_per_angstrom: Floats
    stress_gpa: Floats

    def part(self, crystals: slice, atoms: slice) -> "Evaluation":
        """The evaluation of some of the crystals, whose atoms are these."""
        return Evaluation(self.energy_ev[crystals], self.forces_ev_per_angstrom[atoms], self.stress_gpa[crystals])


class Potential(Protocol):
    """Crystals in, energies, forces and stresses out."""

    @property
    def name(self) -> str:
        """As results are stored under, e.g. "sevennet-l3i5"."""

    @property
    def version(self) -> str:
        """Of the weights and of what is computed with them."""

    @property
    def sha256(self) -> str:
        """Of the weights."""

    @property
    def elements(self) -> frozenset[int]:
        """Atomic numbers that it knows; crystals with others are refused before `evaluate`."""

    def evaluate(self, crystals: CrystalBatch) -> Evaluation:
        """Energies, forces and stresses of all crystals at once.

        The result of a crystal must not depend on the other crystals of the batch beyond rounding, and turns with the
        crystal under rotations. Under reflections it may not: `models.potential.mirrored` averages over both hands.
        """
