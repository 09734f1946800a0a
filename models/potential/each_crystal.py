"""One calculation for each crystal of a batch, started from its idealised primitive cell."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from models.crystals.crystal import CrystalBatch
from models.potential.interface import Potential
from models.potential.mirrored import Mirrored
from models.potential.steps import Cost, Steps, run_together
from models.symmetry.operations import SymmetryError
from models.symmetry.standard_cell import StandardCell, standard_cell

Result = TypeVar("Result")


def calculate_each(
    potential: Potential, crystals: CrystalBatch, symprec: float, start: Callable[[int, StandardCell], Steps[Result]]
) -> tuple[dict[int, tuple[Result, Cost]], dict[int, str]]:
    """Runs a calculation for every crystal, all side by side; one that fails does not stop the others.

    Args:
        potential: that is asked; of chiral crystals the mirror image is asked too, and the mean is taken.
        crystals: validated crystals of elements that the potential knows.
        symprec: distance tolerance of the symmetry that is kept, in angstrom.
        start: makes the calculation of a row from its cell.

    Returns:
        Result and cost by row, and for the other rows why there is none.
    """
    cells: dict[int, StandardCell] = {}
    failures: dict[int, str] = {}
    for row in range(crystals.n_crystals):
        try:
            cells[row] = standard_cell(crystals, row, symprec)
        except SymmetryError as error:
            failures[row] = str(error)
    results: dict[int, tuple[Result, Cost]] = {}
    for hand in (False, True):
        calculations = {row: partial(start, row, cell) for row, cell in cells.items() if cell.is_chiral == hand}
        finished, failed = run_together(Mirrored(potential) if hand else potential, calculations)
        results |= finished
        failures |= failed
    return results, failures
