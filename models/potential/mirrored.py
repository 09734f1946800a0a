"""Both hands of a crystal: the mean over a crystal and its mirror image makes a potential blind to reflections too."""

from dataclasses import dataclass

import numpy as np

from models.crystals.crystal import CrystalBatch
from models.potential.interface import Evaluation, Potential

_MIRROR = np.diag([1.0, 1.0, -1.0])


@dataclass(frozen=True)
class Mirrored:
    """A potential that takes mirror images for the same crystals, as physics does.

    A network that is equivariant under rotations alone gives the two hands of a chiral crystal slightly different
    energies, and a crystal with mirror planes forces that break them. The mean has the full symmetry.

    Attributes:
        potential: that is asked about both hands, at twice its cost.
    """

    potential: Potential

    @property
    def name(self) -> str:
        """As of the potential."""
        return self.potential.name

    @property
    def version(self) -> str:
        """Of the potential, marked."""
        return f"{self.potential.version}+mirrored"

    @property
    def sha256(self) -> str:
        """As of the potential."""
        return self.potential.sha256

    @property
    def elements(self) -> frozenset[int]:
        """As of the potential."""
        return self.potential.elements

    def evaluate(self, crystals: CrystalBatch) -> Evaluation:
        """The mean over the crystals and their mirror images, the latter reflected back."""
        image = CrystalBatch(
            crystals.lattice @ _MIRROR, crystals.frac_coords, crystals.numbers, crystals.crystal_of_atom
        )
        both = self.potential.evaluate(CrystalBatch.join([crystals, image]))
        n_crystals, n_atoms = crystals.n_crystals, len(crystals.numbers)
        energy, forces, stress = both.energy_ev, both.forces_ev_per_angstrom, both.stress_gpa
        return Evaluation(
            (energy[:n_crystals] + energy[n_crystals:]) / 2,
            (forces[:n_atoms] + forces[n_atoms:] @ _MIRROR) / 2,
            (stress[:n_crystals] + _MIRROR @ stress[n_crystals:] @ _MIRROR) / 2,
        )
