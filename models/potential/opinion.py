"""The second opinion about crystals: relax, differentiate twice, look whether the symmetry wants to break."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats
from models.crystals.masses import ATOMIC_MASSES
from models.potential.deformations import DeformationSpace
from models.potential.each_crystal import calculate_each
from models.potential.interface import Potential
from models.potential.relax import Limits, Relaxed, relaxation_steps
from models.potential.second_derivatives import SecondDerivatives, second_derivative_steps
from models.potential.second_opinion import ModeGroup, Relaxation, SecondOpinion
from models.potential.steps import CalculationFailedError, Steps
from models.symmetry.mode_irreps import IrrepModes, mode_irreps
from models.symmetry.operations import SymmetryError
from models.symmetry.standard_cell import StandardCell, standard_cell
from models.tensors.voigt import stiffness_voigt_to_mandel, strain_to_voigt

THZ = 15.633302
"""Frequency in THz of a mode of 1 eV/Å² and 1 u."""

UNSTABLE_THZ = -0.3
"""Modes below this are unstable; between it and 0 the potential and single precision decide nothing."""

_UNSTABLE_GPA = -0.5  # lowest eigenvalue of the stiffness, likewise
_PUSH_ANGSTROM, _PUSH_STRAIN = 0.2, 0.02  # how far a crystal is pushed along its softest deformation
_WITH_SYMMETRY = Limits()
_WITHOUT_SYMMETRY = Limits(n_steps=150)  # valleys between equivalent minima are flat
_SYMPRECS_ANGSTROM = 0.01, 0.1  # least and largest tolerance for what is left of the symmetry
_MIN_STIFFNESS_GPA = 10.0


def second_opinions(
    potential: Potential,
    crystals: CrystalBatch,
    *,
    symprec: float = 1e-2,
    stiffness_guess_gpa: Floats | None = None,
) -> tuple[dict[int, SecondOpinion], dict[int, str]]:
    """Relaxed cells, stiffness and modes at Γ of crystals.

    Args:
        potential: that is asked; of chiral crystals the mirror image is asked too, and the mean is taken.
        crystals: validated crystals of elements that the potential knows.
        symprec: distance tolerance of the symmetry that is kept, in angstrom.
        stiffness_guess_gpa: C_IJ that the relaxations start from, for instance a network's: it saves steps and changes
            no result beyond the limits of the relaxation, shape [n_crystals, 6, 6].

    Returns:
        Second opinions by row, and for the other rows why there is none.
    """

    def start(row: int, cell: StandardCell) -> Steps[SecondOpinion]:
        guess = None
        if stiffness_guess_gpa is not None and np.isfinite(stiffness_guess_gpa[row]).all():
            values, vectors = np.linalg.eigh(stiffness_voigt_to_mandel(stiffness_guess_gpa[row]))
            # a guess that is soft or indefinite along some strain would send the first step far away
            guess = (vectors * np.maximum(values, _MIN_STIFFNESS_GPA)) @ vectors.T
        return opinion_steps(cell, guess)

    results, failures = calculate_each(potential, crystals, symprec, start)
    opinions = {
        row: replace(opinion, n_evaluations=cost.n_evaluations, seconds=cost.seconds)
        for row, (opinion, cost) in results.items()
    }
    return opinions, failures


def opinion_steps(cell: StandardCell, stiffness_guess_mandel_gpa: Floats | None = None) -> Steps[SecondOpinion]:
    """The calculation for one crystal, starting from its idealised primitive cell."""
    space = DeformationSpace(cell)
    relaxed = yield from relaxation_steps(
        space, space.invariants, _WITH_SYMMETRY, stiffness_guess_mandel_gpa=stiffness_guess_mandel_gpa
    )
    if relaxed.how is Relaxation.COLLAPSED:
        return _relaxed_only(space, relaxed)
    crystal = space.crystals(space.symmetrize(relaxed.point[None]))
    derivatives = yield from second_derivative_steps(DeformationSpace(replace(cell, crystal=crystal)))
    modes = gamma_modes(derivatives)
    stable = is_stable(derivatives, modes)
    broken = _Broken(cell.spacegroup, 0.0)
    if not stable:
        broken = yield from _breaking_steps(derivatives, relaxed.energy_ev[1])
    stiffness, clamped = derivatives.stiffness_voigt()
    return replace(
        _relaxed_only(space, relaxed),
        stiffness_gpa=stiffness,
        stiffness_clamped_gpa=clamped,
        force_constants=derivatives.force_constants,
        internal_strain=derivatives.internal_strain,
        modes=tuple(ModeGroup(mode.frequency, mode.degeneracy, mode.irrep, mode.polar) for mode in modes),
        lowest_mode_thz=min((mode.frequency for mode in modes), default=np.inf),
        gamma_stable=stable,
        broken_spacegroup=broken.spacegroup,
        broken_energy_ev_per_atom=broken.energy_ev_per_atom,
    )


class _Broken(NamedTuple):
    """Where a crystal goes without its symmetry: space group, 0 if unknown, and energy gained in eV per atom."""

    spacegroup: int
    energy_ev_per_atom: float


def gamma_modes(derivatives: SecondDerivatives) -> tuple[IrrepModes, ...]:
    """The optic modes at Γ by irrep, ascending frequencies in THz, negative for imaginary ones.

    Transverse ones: the field of longitudinal modes is not in a potential of finite range.
    """
    cell = derivatives.space.cell
    masses = ATOMIC_MASSES[cell.crystal.numbers]
    root = np.repeat(np.sqrt(masses), 3)
    values, vectors = np.linalg.eigh(derivatives.force_constants / np.outer(root, root))
    frequencies = THZ * np.sign(values) * np.sqrt(np.abs(values))
    return mode_irreps(vectors, frequencies, masses, cell.operations)


def is_stable(derivatives: SecondDerivatives, modes: tuple[IrrepModes, ...]) -> bool:
    """Whether no mode at Γ and no homogeneous strain lowers the energy, beyond what the potential can tell."""
    lowest = min((mode.frequency for mode in modes), default=np.inf)
    softest = np.linalg.eigvalsh(derivatives.stiffness_mandel)[0]
    return bool(lowest > UNSTABLE_THZ and softest > _UNSTABLE_GPA)


def _breaking_steps(derivatives: SecondDerivatives, energy_ev: float) -> Steps[_Broken]:
    """Pushes an unstable crystal along its softest deformation and relaxes it without symmetry."""
    space = derivatives.space
    direction = derivatives.softest()[1]
    farthest, largest = space.reach(direction)
    push = direction / max(farthest / _PUSH_ANGSTROM, largest / _PUSH_STRAIN)
    internal = np.linalg.svd(space.translations)[2][3:]
    try:
        relaxed = yield from relaxation_steps(space, internal, _WITHOUT_SYMMETRY, start=push)
    except CalculationFailedError:
        return _Broken(0, 0.0)
    if relaxed.how is Relaxation.COLLAPSED:
        return _Broken(0, 0.0)
    # coarse enough for what is left of a flat valley, finer than the distortion itself
    symprec = float(np.clip(space.reach(relaxed.point)[0] / 2, *_SYMPRECS_ANGSTROM))
    try:
        spacegroup = standard_cell(space.crystals(relaxed.point[None]), 0, symprec).spacegroup
    except SymmetryError:
        spacegroup = 0
    gain = min(0.0, (relaxed.energy_ev[1] - energy_ev) / space.n_atoms)
    return _Broken(spacegroup, gain)


def _relaxed_only(space: DeformationSpace, relaxed: Relaxed) -> SecondOpinion:
    """What a relaxation alone says about a crystal: everything that needs second derivatives is unknown."""
    n_atoms = space.n_atoms
    strain = space.strains(relaxed.point)
    displacements = space.displacements(relaxed.point)
    return SecondOpinion(
        relaxed=space.crystals(space.symmetrize(relaxed.point[None])),
        relaxation=relaxed.how,
        spacegroup=space.cell.spacegroup,
        energy_ev_per_atom=relaxed.energy_ev[1] / n_atoms,
        relaxation_energy_ev_per_atom=(relaxed.energy_ev[1] - relaxed.energy_ev[0]) / n_atoms,
        volume_ratio=float(np.linalg.det(np.eye(3) + strain)),
        strain=strain_to_voigt(strain),
        displacement_angstrom=float(np.linalg.norm(displacements - displacements.mean(axis=0), axis=1).max()),
        stress_gpa=relaxed.start_stress_gpa,
        max_force_ev_per_angstrom=relaxed.start_force_ev_per_angstrom,
        stiffness_gpa=np.full((6, 6), np.nan),
        stiffness_clamped_gpa=np.full((6, 6), np.nan),
        force_constants=np.full((3 * n_atoms, 3 * n_atoms), np.nan),
        internal_strain=np.full((3 * n_atoms, 6), np.nan),
        modes=(),
        lowest_mode_thz=np.nan,
        gamma_stable=False,
        broken_spacegroup=0,
        broken_energy_ev_per_atom=0.0,
        n_evaluations=0,
        seconds=0.0,
    )
