"""Relaxation, second derivatives and stability, asked of a potential in closed form."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from models.crystals.crystal import CrystalBatch, Floats
from models.potential.deformations import DeformationSpace
from models.potential.opinion import gamma_modes, second_opinions
from models.potential.relax import Limits, Relaxed, relaxation_steps
from models.potential.second_derivatives import (
    independent_deformations,
    second_derivative_steps,
)
from models.potential.second_opinion import Relaxation, SecondOpinion
from models.potential.steps import CalculationFailedError, Result, Steps, run_together
from models.quantities import Tensor
from models.reference.crystals import in_cell, random_orthogonal, textbook_crystals, transformed
from models.symmetry.standard_cell import standard_cell
from models.tensors.rotate import rotate
from models.tensors.voigt import strain_to_voigt
from models.testing.pair_potential import PairPotential

BOOKS = textbook_crystals()
POTENTIAL = PairPotential()
TIGHT = Limits(force_ev_per_angstrom=1e-6, stress_gpa=1e-5, n_steps=200)


def crystal(name: str) -> CrystalBatch:
    return BOOKS.crystals.select([next(row for row, known in enumerate(BOOKS.names) if name in known)])


def run(calculation: Callable[[], Steps[Result]]) -> Result:
    results, failures = run_together(POTENTIAL, {0: calculation})
    assert not failures
    return results[0][0]


def relaxed_space(name: str) -> DeformationSpace:
    cell = standard_cell(crystal(name), 0)
    space = DeformationSpace(cell)
    found = run(partial(relaxation_steps, space, space.invariants, TIGHT))
    assert found.how is Relaxation.CONVERGED
    return DeformationSpace(replace(cell, crystal=space.crystals(found.point[None])))


def brute_force(space: DeformationSpace) -> Floats:
    """All second derivatives, every coordinate displaced both ways."""
    step = 1e-4 * np.eye(space.dimension)
    forward, backward = (space.gradients(s, POTENTIAL.evaluate(space.crystals(s))) for s in (step, -step))
    return (forward - backward) / 2e-4


@pytest.mark.parametrize("name", ["quartz", "AlN", "BaTiO3", "rutile", "triclinic GaNO"])
def test_a_few_deformations_give_all_second_derivatives(name: str) -> None:
    """Also away from equilibrium."""
    cell = standard_cell(crystal(name), 0)
    space = DeformationSpace(cell)
    derivatives = run(partial(second_derivative_steps, space))
    expected = brute_force(space)
    np.testing.assert_allclose(derivatives.matrix, expected, atol=3e-3 * np.abs(expected).max())
    assert len(independent_deformations(space)[0]) < space.dimension or name == "triclinic GaNO"


def test_a_cubic_crystal_of_two_atoms_needs_three_deformations() -> None:
    assert len(independent_deformations(relaxed_space("MgO"))[0]) == 3


def test_stiffness_is_the_curvature_of_the_relaxed_energy() -> None:
    """E(η) with atoms relaxed at each strain, against η C η V / 2."""
    space = relaxed_space("quartz")
    derivatives = run(partial(second_derivative_steps, space))
    strain = np.array([[0.6, 0.2, -0.1], [0.2, -0.5, 0.3], [-0.1, 0.3, 0.4]]) * 2e-3
    identity = replace(
        space.cell.operations, rotations=np.eye(3)[None], permutations=np.arange(space.n_atoms)[None], spacegroup=1
    )
    at_rest = replace(space.cell, operations=identity)
    free = DeformationSpace(at_rest)
    atoms_only = np.eye(free.dimension)[:-6] - free.translations[:, :-6].T @ free.translations
    basis = np.linalg.svd(atoms_only)[2][: 3 * space.n_atoms - 3]

    def energy(of: Floats) -> float:
        start = free.join(np.zeros((space.n_atoms, 3)), of)
        found: Relaxed = run(partial(relaxation_steps, free, basis, replace(TIGHT, stress_gpa=np.inf), start=start))
        return found.energy_ev[1]

    curvature = energy(strain) + energy(-strain) - 2 * energy(0 * strain)
    voigt = strain_to_voigt(strain)
    for stiffness, tolerance in zip(derivatives.stiffness_voigt(), (0.01, None), strict=True):
        expected = float(voigt @ stiffness @ voigt) * space.volume / 160.21766208
        # negative control: with clamped ions the energy rises more steeply
        assert (abs(curvature / expected - 1) < 0.01) == (tolerance is not None)


def test_internal_strain_and_force_constants_say_how_atoms_follow_a_strain() -> None:
    space = relaxed_space("AlN")
    derivatives = run(partial(second_derivative_steps, space))
    rows = derivatives.force_constants @ derivatives.response
    np.testing.assert_allclose(rows, derivatives.internal_strain_mandel, atol=1e-6)
    translation = space.translations[:, :-6]
    np.testing.assert_allclose(translation @ derivatives.force_constants, 0, atol=1e-10)
    np.testing.assert_allclose(translation @ derivatives.internal_strain_mandel, 0, atol=1e-10)


def test_modes_leave_out_the_translations_and_see_the_masses() -> None:
    derivatives = run(partial(second_derivative_steps, relaxed_space("MgO")))
    modes = gamma_modes(derivatives)
    assert [(mode.irrep, mode.degeneracy, mode.polar) for mode in modes] == [("T1u", 3, True)]
    spring = derivatives.force_constants[0, 0]
    reduced_mass = 24.305 * 15.999 / (24.305 + 15.999)
    # one spring between two sublattices: ω² = k / µ; THz of 1 eV/Å²/u from CODATA constants
    expected = np.sqrt(spring * 1.602176634e-19 * 1e20 / (reduced_mass * 1.66053906892e-27)) / (2 * np.pi) / 1e12
    assert abs(modes[0].frequency) == pytest.approx(expected, rel=1e-5)


def opinion(crystals: CrystalBatch) -> SecondOpinion:
    opinions, failures = second_opinions(POTENTIAL, crystals)
    assert not failures
    return opinions[0]


SHIFT = np.array([0.11, 0.37, 0.23])

EQUIVALENT = {
    "supercell": lambda c: in_cell(c, np.array([[1, 1, 0], [-1, 1, 0], [0, 0, 1]])),
    "another cell": lambda c: in_cell(c, np.array([[1, 1, 0], [0, 1, 0], [2, 0, 1]])),
    "permuted": lambda c: CrystalBatch(c.lattice, c.frac_coords[::-1], c.numbers[::-1], c.crystal_of_atom),
    "shifted": lambda c: CrystalBatch(c.lattice, c.frac_coords + SHIFT, c.numbers, c.crystal_of_atom),
}


# Which deformations are measured depends on the setting, and so does what finite steps leave of higher derivatives.
@pytest.mark.parametrize(("name", "tolerance"), [("AlN", 1e-3), ("rutile", 2e-3)])
@pytest.mark.parametrize("how", EQUIVALENT)
def test_equivalent_representations_have_one_second_opinion(how: str, name: str, tolerance: float) -> None:
    first, second = opinion(crystal(name)), opinion(EQUIVALENT[how](crystal(name)))
    scale = np.abs(first.stiffness_gpa).max()
    np.testing.assert_allclose(second.stiffness_gpa, first.stiffness_gpa, atol=tolerance * scale)
    assert second.volume_ratio == pytest.approx(first.volume_ratio, rel=1e-4)
    assert second.lowest_mode_thz == pytest.approx(first.lowest_mode_thz, rel=tolerance)


@pytest.mark.parametrize("name", ["quartz", "AlN"])
@pytest.mark.parametrize("handed", [1, -1])
def test_tensors_turn_with_the_crystal(name: str, handed: int) -> None:
    rotation = random_orthogonal(np.random.default_rng(7))
    rotation = rotation * np.sign(np.linalg.det(rotation)) * handed
    first, second = opinion(crystal(name)), opinion(transformed(crystal(name), rotation))
    turned = rotate(Tensor.ELASTIC, first.stiffness_gpa, rotation)
    scale = np.abs(turned).max()
    np.testing.assert_allclose(second.stiffness_gpa, turned, atol=1e-3 * scale)
    np.testing.assert_allclose(second.stress_gpa, rotation @ first.stress_gpa @ rotation.T, atol=1e-6)
    # negative control: in the frame of the other crystal the numbers are others
    assert not np.allclose(second.stiffness_gpa, first.stiffness_gpa, atol=1e-2 * scale)


def test_an_unstable_crystal_gains_energy_when_its_symmetry_is_given_up() -> None:
    found, stable = opinion(crystal("BaTiO3")), opinion(crystal("MgO"))
    assert not found.gamma_stable
    assert found.broken_energy_ev_per_atom < 0
    assert found.broken_spacegroup != found.spacegroup == 99
    assert stable.gamma_stable
    assert stable.broken_spacegroup == stable.spacegroup == 225


def test_crystals_together_have_the_opinions_that_they_have_alone() -> None:
    both = CrystalBatch.join([crystal("AlN"), crystal("quartz")])
    opinions, failures = second_opinions(POTENTIAL, both)
    assert not failures
    for row, name in enumerate(("AlN", "quartz")):
        np.testing.assert_allclose(opinions[row].stiffness_gpa, opinion(crystal(name)).stiffness_gpa, rtol=1e-9)


def test_a_crystal_whose_calculation_fails_is_named_and_the_others_go_on() -> None:
    def failing() -> Steps[float]:
        yield crystal("MgO")
        raise CalculationFailedError("out of bounds")

    def succeeding() -> Steps[float]:
        evaluation = yield crystal("MgO")
        return float(evaluation.energy_ev[0])

    results, failures = run_together(POTENTIAL, {4: failing, 9: succeeding})
    assert failures == {4: "out of bounds"}
    assert results[9][0] == POTENTIAL.evaluate(crystal("MgO")).energy_ev[0]
    assert results[9][1].n_evaluations == 1


def test_a_stiffness_guess_saves_steps_and_changes_nothing() -> None:
    plain = opinion(crystal("quartz"))
    guess = plain.stiffness_gpa + 20 * np.eye(6)
    opinions, _ = second_opinions(POTENTIAL, crystal("quartz"), stiffness_guess_gpa=guess[None])
    assert opinions[0].volume_ratio == pytest.approx(plain.volume_ratio, rel=2e-3)
