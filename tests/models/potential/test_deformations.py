"""Deformations of a crystal: one space of displacements and strain on which the space group acts."""

import numpy as np
import pytest

from models.crystals.crystal import CrystalBatch, Floats
from models.potential.deformations import DeformationSpace
from models.reference.crystals import textbook_crystals
from models.symmetry.standard_cell import standard_cell
from models.testing.pair_potential import PairPotential

BOOKS = textbook_crystals()
POTENTIAL = PairPotential()
NAMES = ["quartz", "triclinic GaNO", "BaTiO3", "AlN"]


def space_of(name: str) -> DeformationSpace:
    rows = [row for row, known in enumerate(BOOKS.names) if name in known]
    cell = standard_cell(BOOKS.crystals, rows[0])
    return DeformationSpace(cell)


def energies(crystals: CrystalBatch) -> Floats:
    return POTENTIAL.evaluate(crystals).energy_ev


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_the_slopes_of_the_energy_also_far_from_the_origin(name: str) -> None:
    space = space_of(name)
    point = np.random.default_rng(3).normal(size=(1, space.dimension)) * 0.05
    gradient = space.gradients(point, POTENTIAL.evaluate(space.crystals(point)))[0]
    step = 1e-4 * np.eye(space.dimension)
    slope = (energies(space.crystals(point + step)) - energies(space.crystals(point - step))) / 2e-4
    np.testing.assert_allclose(gradient, slope, atol=2e-6)


@pytest.mark.parametrize("name", NAMES)
def test_images_of_a_deformation_have_its_energy_and_others_have_not(name: str) -> None:
    space = space_of(name)
    point = np.random.default_rng(4).normal(size=(1, space.dimension)) * 0.05
    images = space.images(point)[:, 0]
    expected = np.full(len(images), energies(space.crystals(point))[0])
    np.testing.assert_allclose(energies(space.crystals(images)), expected, rtol=1e-9)
    # negative control: a rotation that is no operation of the crystal
    other = point.copy()
    other[:, :-6] = -other[:, :-6]
    assert not np.allclose(energies(space.crystals(other)), expected[0], rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_images_keep_lengths_and_the_mean_over_them_is_a_projection(name: str) -> None:
    space = space_of(name)
    points = np.random.default_rng(5).normal(size=(3, space.dimension))
    lengths = np.linalg.norm(space.images(points), axis=-1)
    np.testing.assert_allclose(lengths, np.broadcast_to(np.linalg.norm(points, axis=-1), lengths.shape))
    mean = space.symmetrize(points)
    np.testing.assert_allclose(space.symmetrize(mean), mean, atol=1e-12)


@pytest.mark.parametrize(("name", "n_free"), [("quartz", 6), ("triclinic GaNO", 12), ("AlN", 3)])
def test_as_many_deformations_keep_the_space_group_as_its_tables_say(name: str, n_free: int) -> None:
    """Quartz: a, c, u of Si, x, y, z of O. Wurtzite: a, c, u. Three atoms without symmetry: 6 + 9 - 3."""
    invariants = space_of(name).invariants
    assert len(invariants) == n_free
    np.testing.assert_allclose(invariants @ invariants.T, np.eye(n_free), atol=1e-12)
