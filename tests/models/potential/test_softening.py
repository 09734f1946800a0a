"""Correction of systematically soft potentials."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.potential.softening import carried, softening, stiffened
from models.quantities import Tensor
from models.reference.crystals import random_orthogonal
from models.tensors.rotate import rotate

FACTORS = st.floats(0.3, 3.0)


def random_stiffness(seed: int) -> np.ndarray:
    root = np.random.default_rng(seed).normal(size=(1, 6, 6))
    return 20 * (root @ np.swapaxes(root, 1, 2) + 2 * np.eye(6))


@given(seed=st.integers(0, 99), v=FACTORS, d=FACTORS)
def test_scaling_commutes_with_rotations_and_is_undone_by_its_inverse(seed: int, v: float, d: float) -> None:
    stiffness, rotation = random_stiffness(seed), random_orthogonal(np.random.default_rng(seed))
    factors = np.array([v]), np.array([d])
    turned_last = rotate(Tensor.ELASTIC, stiffened(stiffness, *factors), rotation)
    np.testing.assert_allclose(turned_last, stiffened(rotate(Tensor.ELASTIC, stiffness, rotation), *factors), atol=1e-8)
    back = stiffened(stiffened(stiffness, *factors), *(1 / factor for factor in factors))
    np.testing.assert_allclose(back, stiffness, rtol=1e-9, atol=1e-8)


@given(k=st.floats(10, 300), g=st.floats(5, 200), v=FACTORS, d=FACTORS)
def test_of_an_isotropic_crystal_bulk_and_shear_modulus_are_scaled_and_found_again(
    k: float, g: float, v: float, d: float
) -> None:
    isotropic = np.zeros((1, 6, 6))
    isotropic[0, :3, :3] = k - 2 * g / 3
    isotropic[0] += np.diag([2 * g] * 3 + [g] * 3)
    scaled = stiffened(isotropic, np.array([v]), np.array([d]))
    np.testing.assert_allclose(scaled[0, :3, :3].sum() / 9, k * v)
    np.testing.assert_allclose(scaled[0, 3, 3], g * d)
    volumetric, deviatoric = softening(isotropic, scaled)
    np.testing.assert_allclose([volumetric[0], deviatoric[0]], np.log([v, d]), atol=1e-9)


@given(seed=st.integers(0, 99), factor=st.floats(0.2, 5.0))
def test_a_carried_label_turns_with_the_crystal_and_forgets_by_how_much_the_potential_is_off(
    seed: int, factor: float
) -> None:
    label, before, after = (random_stiffness(3 * seed + k) for k in range(3))
    rotation = random_orthogonal(np.random.default_rng(seed))
    moved = carried(label, before, after)
    turned = carried(*(rotate(Tensor.ELASTIC, values, rotation) for values in (label, before, after)))
    np.testing.assert_allclose(turned, rotate(Tensor.ELASTIC, moved, rotation), rtol=1e-7, atol=1e-6)
    np.testing.assert_allclose(carried(label, factor * before, factor * after), moved, rtol=1e-8)
    np.testing.assert_allclose(carried(label, before, before), label, rtol=1e-8)
    np.testing.assert_allclose(carried(before, before, after), after, rtol=1e-8, atol=1e-8)
    assert np.linalg.eigvalsh(moved)[0, 0] > 0
