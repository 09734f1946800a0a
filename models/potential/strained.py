"""Stiffness of a crystal that is held at a strain: atoms relaxed, the cell not.

Under stress there are several stiffnesses. Here it is the one that measurements and DFT programs take, the change of
the Cauchy stress with strain; at zero stress all are the same.
"""

from dataclasses import dataclass, replace

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats
from models.potential.deformations import DeformationSpace
from models.potential.interface import EV_PER_A3_IN_GPA
from models.potential.relax import Limits, relaxation_steps
from models.potential.second_derivatives import second_derivative_steps
from models.potential.second_opinion import Relaxation
from models.potential.steps import CalculationFailedError, Steps, require_finite
from models.symmetry.standard_cell import standard_cell
from models.tensors.voigt import mandel_to_stiffness_voigt, mandel_to_symmetric, symmetric_to_mandel

_FIXED_CELL = Limits(stress_gpa=np.inf)
_TIGHT_ANGSTROM = 1e-3


@dataclass(frozen=True)
class HeldCrystal:
    """A crystal whose atoms are relaxed in a cell that is held.

    Attributes:
        crystal: primitive cell, batch of one, in the frame of the crystal as given.
        energy_ev_per_atom: of it.
        stress_gpa: that the cell is held against, negative under pressure, shape [3, 3].
        stiffness_gpa: derivative of the Cauchy stress by strain, symmetric part, C_IJ [6, 6].
    """

    crystal: CrystalBatch
    energy_ev_per_atom: float
    stress_gpa: Floats
    stiffness_gpa: Floats


def held_crystal_steps(crystal: CrystalBatch) -> Steps[HeldCrystal]:
    """Relaxes the atoms of one crystal (batch of one) in its cell and differentiates twice there.

    Raises:
        CalculationFailedError: the atoms find no minimum.
        SymmetryError: no space group is found.
    """
    cell = standard_cell(crystal, 0, _TIGHT_ANGSTROM)
    space = DeformationSpace(cell)
    relaxed = yield from relaxation_steps(space, atoms_only(space), _FIXED_CELL)
    if relaxed.how is Relaxation.COLLAPSED:
        raise CalculationFailedError("atoms ran into each other while they were relaxed in a held cell")
    held = DeformationSpace(replace(cell, crystal=space.crystals(space.symmetrize(relaxed.point[None]))))
    evaluation = require_finite((yield held.cell.crystal))
    derivatives = yield from second_derivative_steps(held)
    stress = mandel_to_symmetric(held.symmetrize(held.gradients(np.zeros((1, held.dimension)), evaluation))[0, -6:])
    stress = stress * held.length / held.volume * EV_PER_A3_IN_GPA
    stiffness = stress_strain_stiffness(derivatives.stiffness_mandel, stress)
    return HeldCrystal(
        held.cell.crystal, float(evaluation.energy_ev[0]) / held.n_atoms, stress, mandel_to_stiffness_voigt(stiffness)
    )


def atoms_only(space: DeformationSpace) -> Floats:
    """Orthonormal basis of the displacements that keep the space group, the cell held, shape [n_free, 3 n + 6]."""
    atoms = space.invariants.copy()
    atoms[:, -6:] = 0
    # invariants couple no atoms and strain: what is left of a strain is zero
    _, values, rows = np.linalg.svd(atoms, full_matrices=False)
    basis: Floats = rows[values > 0.5]
    return basis


def stress_strain_stiffness(curvature_mandel: Floats, stress_gpa: Floats) -> Floats:
    """Derivative of the Cauchy stress by strain from that of the energy by stretch, under stress.

    Args:
        curvature_mandel: d²E/dη dη / V at the stretch 1 + η, GPa, Mandel, shape [6, 6].
        stress_gpa: Cauchy stress there, shape [3, 3].

    Returns:
        B = ∂σ/∂ε, its symmetric part, GPa, Mandel, shape [6, 6].

    Source: D. C. Wallace, Thermodynamics of Crystals (1972), eqs. 2.56 and 7.28; for a pressure p,
        B11 = C11 - p, B12 = C12 + p, B44 = C44 - p with C the second derivative by Lagrangian strain.
    """
    delta, sigma = symmetric_to_mandel(np.eye(3)), symmetric_to_mandel(stress_gpa)
    # the operator ½ (σ η + η σ) on Mandel vectors; second-order part of Lagrangian strain is η²/2
    basis = mandel_to_symmetric(np.eye(6))
    product = symmetric_to_mandel(0.5 * (stress_gpa @ basis + basis @ stress_gpa)).T
    lagrangian = curvature_mandel - product
    stiffness: Floats = lagrangian + 2 * product - 0.5 * (np.outer(sigma, delta) + np.outer(delta, sigma))
    return stiffness
