"""Energies of crystals where a potential relaxes them, without anything else: what a convex hull is made of."""

from models.crystals.crystal import CrystalBatch
from models.potential.deformations import DeformationSpace
from models.potential.each_crystal import calculate_each
from models.potential.interface import Potential
from models.potential.relax import Limits, relaxation_steps
from models.potential.second_opinion import Relaxation
from models.potential.steps import CalculationFailedError, Steps
from models.symmetry.standard_cell import StandardCell

_LIMITS = Limits(force_ev_per_angstrom=0.02, stress_gpa=0.2)
"""Looser than for derivatives: an energy errs by the square of what is left of the forces."""


def relaxed_energies(
    potential: Potential, crystals: CrystalBatch, *, symprec: float = 1e-2
) -> tuple[dict[int, float], dict[int, str]]:
    """Energies of crystals after a relaxation that keeps their space groups.

    Args:
        potential: that is asked; of chiral crystals the mirror image is asked too, as second opinions do.
        crystals: validated crystals of elements that the potential knows.
        symprec: distance tolerance of the symmetry that is kept, in angstrom.

    Returns:
        Energy in eV per atom by row, and for the other rows why there is none.
    """
    results, failures = calculate_each(potential, crystals, symprec, lambda _, cell: energy_steps(cell))
    return {row: energy for row, (energy, _) in results.items()}, failures


def energy_steps(cell: StandardCell) -> Steps[float]:
    """The calculation for one crystal: its energy in eV per atom after the relaxation."""
    space = DeformationSpace(cell)
    relaxed = yield from relaxation_steps(space, space.invariants, _LIMITS)
    if relaxed.how is Relaxation.COLLAPSED:
        raise CalculationFailedError("the relaxation collapsed")
    return relaxed.energy_ev[1] / space.n_atoms
