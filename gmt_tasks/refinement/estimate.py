"""What second opinions will cost, before they are asked for: processor time from symmetry, atoms and density.

A calculation takes some relaxation steps, and for its second derivatives as many strained and displaced cells as the
space group leaves independent; each cell costs as much as it has neighbours within the potential's cutoff.
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from models.crystals.crystal import CrystalBatch
from models.potential.deformations import DeformationSpace
from models.potential.second_derivatives import independent_deformations, opposite_operations
from models.symmetry.operations import SymmetryError
from models.symmetry.standard_cell import StandardCell, standard_cell

CUTOFF_ANGSTROM = 5.0
"""Of the potential's neighbours."""

SECONDS_PER_NEIGHBOR = 9e-5
"""Of one evaluation on one core, calibrated on 40 candidates of 2 to 20 atoms (benchmarks/potential/refine_cost.py)."""

SECONDS_PER_CRYSTAL = 0.1
"""Of the network, symmetry and storage."""

RELAXATION_STEPS = 3.0
STEPS_PER_PARAMETER = 1.2
"""Evaluations of a relaxation: at least so many, and so many for each free parameter of the cell and the atoms."""

UNSTABLE_SHARE, UNSTABLE_STEPS = 0.2, 45.0
"""Crystals that are unstable and are followed without symmetry, and the evaluations that this takes."""

MOST_ESTIMATED = 200
"""Crystals whose cells are looked at: the symmetry of one takes some milliseconds."""

REFERENCE_STEPS = 8.0
"""Evaluations of a relaxation for its energy alone."""


@dataclass(frozen=True)
class Estimate:
    """What a refine run is expected to take.

    Attributes:
        n_crystals: that are chosen.
        n_atoms: of their primitive cells together.
        n_references: competing crystals whose energies are still to be computed.
        cpu_s: processor time in seconds, references included.
        n_workers: processes that share it.
    """

    n_crystals: int
    n_atoms: int
    n_references: int
    cpu_s: float
    n_workers: int

    @property
    def wall_s(self) -> float:
        """Time until the end in seconds, where every worker has a core to itself."""
        return self.cpu_s / max(1, min(self.n_workers, self.n_crystals + self.n_references))


def n_evaluations(cell: StandardCell) -> float:
    """Cells that a second opinion about a crystal is expected to take."""
    space = DeformationSpace(cell)
    directions, _ = independent_deformations(space)
    n_second = 2 * len(directions) - int((opposite_operations(space, directions) >= 0).sum())
    relaxation = RELAXATION_STEPS + STEPS_PER_PARAMETER * len(space.invariants)
    hands = 2 if cell.is_chiral else 1
    return hands * (n_second + relaxation + UNSTABLE_SHARE * UNSTABLE_STEPS)


def n_neighbors(cell: StandardCell) -> float:
    """Neighbours of all atoms of a cell within the cutoff, as if atoms were spread evenly."""
    n_atoms = len(cell.crystal.numbers)
    volume = abs(float(np.linalg.det(cell.crystal.lattice[0])))
    return n_atoms * n_atoms / volume * 4 / 3 * math.pi * CUTOFF_ANGSTROM**3


def standard_cells(crystals: CrystalBatch, symprec: float) -> list[StandardCell]:
    """The standardized primitive cells of those crystals that have a space group within the tolerance in angstrom."""
    cells = []
    for row in range(crystals.n_crystals):
        with suppress(SymmetryError):
            cells.append(standard_cell(crystals, row, symprec))
    return cells


def expected_seconds(crystals: CrystalBatch, symprec: float, max_atoms: int) -> tuple[int, float]:
    """Atoms of the primitive cells of crystals, and processor time in s that second opinions about them take.

    What is refused, without a space group or too large, costs nothing. Of many crystals a sample is looked at.
    """
    every = math.ceil(crystals.n_crystals / MOST_ESTIMATED) or 1
    sample = crystals.select(range(0, crystals.n_crystals, every))
    cells = [cell for cell in standard_cells(sample, symprec) if len(cell.crystal.numbers) <= max_atoms]
    seconds = [SECONDS_PER_CRYSTAL + n_evaluations(cell) * n_neighbors(cell) * SECONDS_PER_NEIGHBOR for cell in cells]
    share = crystals.n_crystals / max(sample.n_crystals, 1)
    return round(share * sum(len(cell.crystal.numbers) for cell in cells)), share * sum(seconds)


def reference_seconds(n_atoms: Sequence[int], neighbors_per_atom: float = 45.0) -> float:
    """Processor time in s for the energies of competing crystals, from the atoms of their cells."""
    return float(REFERENCE_STEPS * sum(n_atoms) * neighbors_per_atom * SECONDS_PER_NEIGHBOR)
