"""Energies of crystals where a potential relaxes them, without anything else: what a convex hull is made of."""

from functools import partial

from models.crystals.crystal import CrystalBatch
from models.potential.deformations import DeformationSpace
from models.potential.interface import Potential
from models.potential.mirrored import Mirrored
from models.potential.relax import Limits, relaxation_steps
from models.potential.second_opinion import Relaxation
from models.potential.steps import CalculationFailedError, Steps, run_together
from models.symmetry.operations import SymmetryError
from models.symmetry.standard_cell import StandardCell, standard_cell

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
    energies: dict[int, float] = {}
    failures: dict[int, str] = {}
    cells: dict[int, StandardCell] = {}
    for row in range(crystals.n_crystals):
        try:
            cells[row] = standard_cell(crystals, row, symprec)
        except SymmetryError as error:
            failures[row] = str(error)
    for hand in (False, True):
        calculations = {row: partial(_energy_steps, cell) for row, cell in cells.items() if cell.is_chiral == hand}
        finished, failed = run_together(Mirrored(potential) if hand else potential, calculations)
        failures |= failed
        energies |= {row: energy for row, (energy, _) in finished.items()}
    return energies, failures


def _energy_steps(cell: StandardCell) -> Steps[float]:
    space = DeformationSpace(cell)
    relaxed = yield from relaxation_steps(space, space.invariants, _LIMITS)
    if relaxed.how is Relaxation.COLLAPSED:
        raise CalculationFailedError("the relaxation collapsed")
    return relaxed.energy_ev[1] / space.n_atoms
