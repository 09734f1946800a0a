"""Every potential obeys the same laws, and one that breaks a law is found out."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from models.crystals.crystal import CrystalBatch
from models.potential.interface import Evaluation, Potential
from models.potential.mirrored import Mirrored
from models.reference.crystals import textbook_crystals, transformed
from models.testing.pair_potential import PairPotential
from models.testing.potential import PotentialContract, PotentialContractError

MIRROR = np.diag([1.0, 1.0, -1.0])
Law = Callable[[PotentialContract], None]


class TestPairPotential(PotentialContract):
    def make_potential(self) -> Potential:
        return PairPotential()


class TestMirroredPairPotential(PotentialContract):
    def make_potential(self) -> Potential:
        return Mirrored(PairPotential())


@dataclass(frozen=True)
class Distorted(PairPotential):
    """A pair potential whose results are changed by a wrong last step."""

    change: Callable[[CrystalBatch, Evaluation], Evaluation] = lambda crystals, found: found

    def evaluate(self, crystals: CrystalBatch) -> Evaluation:
        return self.change(crystals, super().evaluate(crystals))


def in_a_field(crystals: CrystalBatch, found: Evaluation) -> Evaluation:
    """All atoms are pulled along z."""
    return replace(found, forces_ev_per_angstrom=found.forces_ev_per_angstrom + np.array([0.0, 0.0, 0.5]))


def of_the_other_sign(crystals: CrystalBatch, found: Evaluation) -> Evaluation:
    return replace(found, stress_gpa=-found.stress_gpa)


def by_the_first_crystal(crystals: CrystalBatch, found: Evaluation) -> Evaluation:
    return replace(found, energy_ev=found.energy_ev + 1e-3 * found.energy_ev[:1])


def per_atom(crystals: CrystalBatch, found: Evaluation) -> Evaluation:
    return replace(found, energy_ev=found.energy_ev / crystals.atoms_per_crystal)


def by_position(crystals: CrystalBatch, found: Evaluation) -> Evaluation:
    outside = (crystals.frac_coords < 0).any(axis=1)
    return replace(found, energy_ev=found.energy_ev + np.bincount(crystals.crystal_of_atom, outside))


BROKEN: dict[str, tuple[Callable[[CrystalBatch, Evaluation], Evaluation], list[Law]]] = {
    "a field": (
        in_a_field,
        [
            PotentialContract.test_rotating_the_crystal_rotates_forces_and_stress,
            PotentialContract.test_reflecting_the_crystal_reflects_forces_and_stress,
            PotentialContract.test_forces_are_minus_the_derivative_of_the_energy,
            PotentialContract.test_forces_sum_to_zero_and_the_stress_is_symmetric,
            PotentialContract.test_an_atom_far_from_all_others_feels_nothing,
        ],
    ),
    "the sign of the stress": (
        of_the_other_sign,
        [PotentialContract.test_the_stress_is_the_derivative_of_the_energy_by_strain],
    ),
    "another crystal's energy": (
        by_the_first_crystal,
        [PotentialContract.test_the_other_crystals_of_a_batch_do_not_matter],
    ),
    "energy per atom": (per_atom, [PotentialContract.test_the_energy_of_a_supercell_goes_with_its_size]),
    "unwrapped positions": (
        by_position,
        [
            PotentialContract.test_the_choice_of_origin_does_not_matter,
            PotentialContract.test_another_cell_of_the_same_lattice_has_the_same_energy,
        ],
    ),
}


@pytest.mark.parametrize("mistake", BROKEN)
def test_a_broken_potential_is_found_out(mistake: str) -> None:
    change, laws = BROKEN[mistake]

    class Contract(PotentialContract):
        def make_potential(self) -> Potential:
            return Distorted(change=change)

    for law in laws:
        with pytest.raises(PotentialContractError):
            law(Contract())


def test_the_mean_over_both_hands_cancels_what_reflections_change() -> None:
    crystals = textbook_crystals().crystals
    pulled, mean, plain = (
        potential.evaluate(crystals)
        for potential in (Distorted(change=in_a_field), Mirrored(Distorted(change=in_a_field)), PairPotential())
    )
    assert np.abs(pulled.forces_ev_per_angstrom - plain.forces_ev_per_angstrom).max() == pytest.approx(0.5)
    assert mean.forces_ev_per_angstrom == pytest.approx(plain.forces_ev_per_angstrom, abs=1e-12)
    assert mean.stress_gpa == pytest.approx(plain.stress_gpa, abs=1e-10)
    reflected = Mirrored(Distorted(change=in_a_field)).evaluate(transformed(crystals, MIRROR))
    assert reflected.forces_ev_per_angstrom == pytest.approx(mean.forces_ev_per_angstrom @ MIRROR, abs=1e-12)
    assert reflected.stress_gpa == pytest.approx(MIRROR @ mean.stress_gpa @ MIRROR, abs=1e-10)
