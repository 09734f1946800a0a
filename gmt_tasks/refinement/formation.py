"""Formation energies and distances to the hull of known crystals, estimated by the potential: what the gates ask for.

As they are, crystals cost one evaluation each; relaxed ones some tens. An unrelaxed energy is an upper bound: whoever
makes cells by a rule of thumb and must not lose those that relax asks for relaxed energies, or a wider limit.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gmt_tasks.gates.gates import EnergyEstimate
from gmt_tasks.refinement.hull import hull_energy
from models.crystals.crystal import CrystalBatch, Floats
from models.plausibility.compositions import Compositions
from models.plausibility.formation_energy import energy_references, known_hull
from models.potential.interface import Potential
from models.potential.relaxed_energies import relaxed_energies

Energies = Callable[[Potential, CrystalBatch], tuple[Floats, Floats]]
"""Gives energies in eV per atom, NaN where there is none, and the largest force in eV per angstrom of each crystal."""


def energies_as_given(potential: Potential, crystals: CrystalBatch) -> tuple[Floats, Floats]:
    """Energies of crystals as they are."""
    evaluation = potential.evaluate(crystals)
    force = np.zeros(crystals.n_crystals)
    np.maximum.at(force, crystals.crystal_of_atom, np.linalg.norm(evaluation.forces_ev_per_angstrom, axis=1))
    return evaluation.energy_ev / crystals.atoms_per_crystal, force


def energies_where_relaxed(potential: Potential, crystals: CrystalBatch) -> tuple[Floats, Floats]:
    """Energies after a relaxation that keeps the space group; what does not relax has none."""
    by_row, _ = relaxed_energies(potential, crystals)
    energy = np.full(crystals.n_crystals, np.nan)
    energy[list(by_row)] = list(by_row.values())
    return energy, np.zeros(crystals.n_crystals)


@dataclass(frozen=True)
class EnergyEstimator:
    """Estimates energies with the potential whose references come with the program; pass it to `Gates(energies=...)`.

    Attributes:
        potential: SevenNet-l3i5.
        energies: of the crystals as given, or relaxed.
    """

    potential: Potential
    energies: Energies = energies_as_given

    def __call__(self, crystals: CrystalBatch) -> EnergyEstimate:
        """Energies of crystals, NaN where an element is unknown to the potential or has no reference."""
        unknown = ~np.isin(crystals.numbers, list(self.potential.elements))
        rows = np.setdiff1d(np.arange(crystals.n_crystals), crystals.crystal_of_atom[unknown])
        formation, above, width = np.full((3, crystals.n_crystals), np.nan)
        if len(rows):
            known, references = crystals.select(rows), energy_references()
            energy, force = self.energies(self.potential, known)
            formation[rows] = references.formation_energies(known, energy)
            above[rows] = above_known_hull(known, formation[rows])
            width[rows] = references.half_widths(force)
        return EnergyEstimate(formation, above, width)


def above_known_hull(crystals: CrystalBatch, formation_ev_per_atom: Floats) -> Floats:
    """Energies above the convex hull of the known crystals that come with the program, in eV per atom, [n_crystals].

    The hull knows a part of all known crystals, so the true distance may be larger. Of the crystal's own formula the
    hull may hold a crystal too.

    Args:
        crystals: the crystals.
        formation_ev_per_atom: their formation energies, NaN where there is none, shape [n_crystals].
    """
    compositions, hull = Compositions.of_crystals(crystals), known_hull()
    lowest: dict[str, float] = {}
    above = np.full(crystals.n_crystals, np.nan)
    for row in np.flatnonzero(np.isfinite(formation_ev_per_atom)).tolist():
        formula, entries = compositions.formula(row), slice(compositions.first[row], compositions.first[row + 1])
        if formula not in lowest:
            amounts = compositions.amounts[entries]
            lowest[formula] = hull_energy(amounts / amounts.sum(), *hull.part(compositions.numbers[entries]))
        above[row] = formation_ev_per_atom[row] - lowest[formula]
    return above
