"""A pair potential in closed form: crystals whose second derivatives are known without a network.

Unlike atoms attract each other by a Morse potential, like atoms repel each other; both end smoothly at the cutoff. It
is no model of any material. Tests use it where only the arithmetic around a potential is asked about: its forces are
exact derivatives in float64, so that differences of them are limited by their own step alone.
"""

from dataclasses import dataclass

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats
from models.crystals.neighbors import find_neighbors
from models.potential.interface import EV_PER_A3_IN_GPA, Evaluation


@dataclass(frozen=True)
class PairPotential:
    """Morse attraction between unlike atoms, exponential repulsion between like ones.

    Attributes:
        depth_ev, width_per_angstrom, distance_angstrom: of the Morse potential.
        repulsion_ev: energy of two like atoms at `distance_angstrom`.
        cutoff_angstrom: pairs farther apart do not see each other.
        name, version, sha256, elements: as of any potential.
    """

    depth_ev: float = 1.5
    width_per_angstrom: float = 1.6
    distance_angstrom: float = 1.8
    repulsion_ev: float = 2.0
    cutoff_angstrom: float = 5.0
    name: str = "pair-potential"
    version: str = "1"
    sha256: str = "0" * 64
    elements: frozenset[int] = frozenset(range(1, 90))

    def evaluate(self, crystals: CrystalBatch) -> Evaluation:
        """Energies, forces and stresses of all crystals at once."""
        radius = np.full(crystals.n_crystals, self.cutoff_angstrom)
        pairs = find_neighbors(crystals.lattice, crystals.frac_coords, crystals.crystal_of_atom, radius)
        owner = crystals.crystal_of_atom[pairs.center]
        unlike = crystals.numbers[pairs.center] != crystals.numbers[pairs.neighbor]
        energy, slope = self._pair(pairs.distance, unlike)
        # every pair stands twice, once from each of its atoms
        gradient = slope[:, None] * pairs.vector / pairs.distance[:, None]
        n_atoms, n_crystals = len(crystals.numbers), crystals.n_crystals
        forces = np.stack([np.bincount(pairs.center, gradient[:, k], n_atoms) for k in range(3)], axis=1)
        virial = 0.5 * (gradient[:, :, None] * pairs.vector[:, None, :]).reshape(-1, 9)
        summed = np.stack([np.bincount(owner, virial[:, k], n_crystals) for k in range(9)], axis=1)
        volume = np.abs(np.linalg.det(crystals.lattice))
        stress = summed.reshape(-1, 3, 3) / volume[:, None, None] * EV_PER_A3_IN_GPA
        per_cell = np.bincount(owner, 0.5 * energy, n_crystals).astype(np.float64)
        return Evaluation(per_cell, forces.astype(np.float64), stress.astype(np.float64))

    def _pair(self, distance: Floats, unlike: np.ndarray) -> tuple[Floats, Floats]:
        """Energy in eV of pairs at a distance and its derivative by the distance in eV/Å, [n_pairs] each."""
        decay = np.exp(-self.width_per_angstrom * (distance - self.distance_angstrom))
        morse = self.depth_ev * (decay**2 - 2 * decay)
        morse_slope = -2 * self.width_per_angstrom * self.depth_ev * (decay**2 - decay)
        repulsion = self.repulsion_ev * decay
        energy = np.where(unlike, morse, repulsion)
        slope = np.where(unlike, morse_slope, -self.width_per_angstrom * repulsion)
        # (1 - (r / r_c)²)³ and its derivative: two derivatives vanish at the cutoff
        inside = 1 - (distance / self.cutoff_angstrom) ** 2
        envelope, envelope_slope = inside**3, -6 * distance / self.cutoff_angstrom**2 * inside**2
        return energy * envelope, slope * envelope + energy * envelope_slope
