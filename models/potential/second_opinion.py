"""What a potential says about one crystal: its relaxed cell, stiffness and modes at Γ."""

from dataclasses import dataclass
from enum import StrEnum

from models.crystals.crystal import CrystalBatch, Floats


class Relaxation(StrEnum):
    """How a relaxation ended."""

    CONVERGED = "converged"
    NOT_CONVERGED = "not_converged"  # the step limit was reached; what follows is computed where it stopped
    COLLAPSED = "collapsed"  # atoms ran into each other, or the volume left the bounds: no further result


@dataclass(frozen=True)
class ModeGroup:
    """Modes at Γ of one frequency that the point group takes into each other.

    Attributes:
        frequency_thz: negative for imaginary ones.
        degeneracy: 1, 2 or 3.
        irrep: Mulliken symbol in the crystal's point group, e.g. "T1u"; "" where it could not be assigned.
        polar: whether the modes carry a dipole by symmetry (infrared active): an unstable one is ferroelectric.
    """

    frequency_thz: float
    degeneracy: int
    irrep: str
    polar: bool


@dataclass(frozen=True)
class SecondOpinion:
    """What the potential says about one crystal. Tensors are in the Cartesian frame of the crystal as it was given.

    Attributes:
        relaxed: primitive cell (batch of one) after the relaxation that keeps the space group, turned so that no
            rotation lies between the given and the relaxed crystal.
        relaxation: how it ended.
        spacegroup: that was kept, 1 to 230.
        energy_ev_per_atom: of the relaxed cell.
        relaxation_energy_ev_per_atom: relaxed minus given, never positive beyond noise.
        volume_ratio: relaxed over given volume.
        strain: symmetric small strain from the given to the relaxed cell, Voigt with factors of 2 on shears, [6].
        displacement_angstrom: largest displacement of an atom beside that strain.
        stress_gpa: of the crystal as given, ASE's sign (negative under pressure), shape [3, 3].
        max_force_ev_per_angstrom: largest force on an atom of the crystal as given.
        stiffness_gpa: with relaxed ions, C_IJ [6, 6]; NaN after COLLAPSED.
        stiffness_clamped_gpa: with ions that follow the strain, [6, 6].
        force_constants: d²E/du du at the relaxed cell in eV/Å², acoustic sum rule kept, [3 n, 3 n] in the order of
            `relaxed`'s atoms.
        internal_strain: minus d²E/du dη in eV/Å, columns Voigt with engineering shears, [3 n, 6].
        modes: at Γ, by frequency; the three acoustic ones are left out.
        lowest_mode_thz: of these, negative when imaginary; +inf for one atom.
        gamma_stable: no mode at Γ and no homogeneous strain lowers the energy.
        broken_spacegroup: of the crystal relaxed without symmetry along its softest mode; `spacegroup` where Γ is
            stable, 0 where that relaxation found no end.
        broken_energy_ev_per_atom: what it gains by that, 0 where Γ is stable, else negative.
        n_evaluations: cells whose energies were computed.
        seconds: processor time spent.
    """

    relaxed: CrystalBatch
    relaxation: Relaxation
    spacegroup: int
    energy_ev_per_atom: float
    relaxation_energy_ev_per_atom: float
    volume_ratio: float
    strain: Floats
    displacement_angstrom: float
    stress_gpa: Floats
    max_force_ev_per_angstrom: float
    stiffness_gpa: Floats
    stiffness_clamped_gpa: Floats
    force_constants: Floats
    internal_strain: Floats
    modes: tuple[ModeGroup, ...]
    lowest_mode_thz: float
    gamma_stable: bool
    broken_spacegroup: int
    broken_energy_ev_per_atom: float
    n_evaluations: int
    seconds: float
