"""The plain loop, which shares nothing with the homogenizer, gives the same stiffness."""

import numpy as np
import pytest

from benchmarks.beam_lattice import theory
from benchmarks.beam_lattice.plain import element_stiffness, plain_stiffness
from models.beam_lattice.homogenize import homogenize
from models.beam_lattice.reference_nets import reference_net
from models.derived.extremes.directional import young_modulus_along
from tests.models.beam_lattice.nets import crooked


@pytest.mark.parametrize("seed", range(3))
def test_an_independent_assembly_gives_the_same_stiffness(seed: int) -> None:
    net = crooked(seed)
    expected = plain_stiffness(net)
    assert homogenize(net).stiffness_voigt[0] == pytest.approx(expected, abs=1e-10 * np.abs(expected).max())
    other = homogenize(net.with_radius(1.01 * net.radius)).stiffness_voigt[0]
    assert np.abs(other - expected).max() > 1e-3 * np.abs(expected).max()


def test_a_beam_that_moves_as_a_body_stores_nothing() -> None:
    vector = np.array([0.3, -1.0, 0.7])
    spin = np.array([0.2, 0.5, -0.4])
    moved = np.concatenate([[1.0, 2.0, 3.0], spin, np.array([1.0, 2.0, 3.0]) + np.cross(spin, vector), spin])
    element = element_stiffness(vector, 0.1, 0.3)
    assert np.abs(element @ moved).max() < 1e-15
    assert np.linalg.matrix_rank(element, tol=1e-9) == 6


@pytest.mark.parametrize("name", ["octet", "simple-cubic", "diamond"])
def test_young_moduli_of_theory_are_those_of_the_homogenized_net(name: str) -> None:
    net = reference_net(name, 1e-3)
    expected = theory.cubic_stiffness(name, net.length[0], net.radius[0], 1e-3)
    directions = np.random.default_rng(0).normal(size=(20, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    found = young_modulus_along(homogenize(net).stiffness_voigt, directions)[0]
    assert found == pytest.approx(theory.cubic_young(expected, directions), rel=2e-3)
