"""Rotations of tensors, held against the index formulas on full Cartesian tensors."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.errors import GmtError
from models.quantities import TENSORS, Tensor
from models.tensors.rotate import component_rotation, mandel_rotation, nearest_rotation, rotate
from models.tensors.voigt import (
    from_components,
    piezo_to_voigt,
    stiffness_to_voigt,
    symmetric_to_mandel,
    to_components,
    voigt_to_stiffness,
)

Floats = NDArray[np.float64]


def _random_tensors(quantity: Tensor, rng: np.random.Generator, n: int) -> Floats:
    return from_components(quantity, rng.normal(size=(n, TENSORS[quantity].n_components)))


def test_rotation_commutes_with_the_voigt_conversion(
    rotations: Floats, stiffness: Floats, piezo: Floats, dielectric: Floats
) -> None:
    r = rotations
    c = np.einsum("nia,njb,nkc,nld,nabcd->nijkl", r, r, r, r, stiffness, optimize=True)
    e = np.einsum("nia,njb,nkc,nabc->nijk", r, r, r, piezo, optimize=True)
    eps = np.einsum("nia,njb,nab->nij", r, r, dielectric)
    np.testing.assert_allclose(
        rotate(Tensor.ELASTIC, stiffness_to_voigt(stiffness), r), stiffness_to_voigt(c), atol=1e-12
    )
    np.testing.assert_allclose(rotate(Tensor.PIEZOELECTRIC, piezo, r), e, atol=1e-12)
    np.testing.assert_allclose(rotate(Tensor.DIELECTRIC_TOTAL, dielectric, r), eps, atol=1e-12)


def test_the_transposed_rotation_is_another_one(rotations: Floats, piezo: Floats) -> None:
    """Negative control: the test above can tell R from its inverse."""
    e = np.einsum("nai,nbj,nck,nabc->nijk", rotations, rotations, rotations, piezo, optimize=True)
    assert (np.abs(rotate(Tensor.PIEZOELECTRIC, piezo, rotations) - e).max(axis=(1, 2, 3)) > 1e-3).all()


@pytest.mark.parametrize("quantity", list(Tensor))
def test_two_rotations_in_turn_are_their_product(quantity: Tensor, rotations: Floats, rng: np.random.Generator) -> None:
    first, second = rotations[:20], rotations[20:]
    tensor = _random_tensors(quantity, rng, 20)
    in_turn = rotate(quantity, rotate(quantity, tensor, first), second)
    np.testing.assert_allclose(in_turn, rotate(quantity, tensor, second @ first), atol=1e-12)
    assert np.abs(in_turn - rotate(quantity, tensor, first @ second)).max() > 0.1  # control: order matters


@pytest.mark.parametrize("quantity", list(Tensor))
def test_inversion_flips_e_and_nothing_else(quantity: Tensor, rng: np.random.Generator) -> None:
    tensor = _random_tensors(quantity, rng, 5)
    sign = -1.0 if quantity is Tensor.PIEZOELECTRIC else 1.0
    np.testing.assert_allclose(rotate(quantity, tensor, -np.eye(3)), sign * tensor, rtol=1e-14)


def test_mandel_rotation_is_orthogonal_and_turns_mandel_vectors(rotations: Floats, dielectric: Floats) -> None:
    m = mandel_rotation(rotations)
    np.testing.assert_allclose(m @ np.swapaxes(m, 1, 2), np.broadcast_to(np.eye(6), m.shape), atol=1e-13)
    rotated = rotations @ dielectric @ np.swapaxes(rotations, 1, 2)
    got = np.einsum("nij,nj->ni", m, symmetric_to_mandel(dielectric))
    np.testing.assert_allclose(got, symmetric_to_mandel(rotated), atol=1e-12)


@pytest.mark.parametrize("quantity", list(Tensor))
def test_component_rotation_is_an_orthogonal_representation(
    quantity: Tensor, rotations: Floats, rng: np.random.Generator
) -> None:
    tensor = _random_tensors(quantity, rng, len(rotations))
    matrices = component_rotation(quantity, rotations)
    got = np.einsum("nij,nj->ni", matrices, to_components(quantity, tensor))
    np.testing.assert_allclose(got, to_components(quantity, rotate(quantity, tensor, rotations)), atol=1e-12)
    identity = np.broadcast_to(np.eye(matrices.shape[-1]), matrices.shape)
    np.testing.assert_allclose(matrices @ np.swapaxes(matrices, 1, 2), identity, atol=1e-12)
    product = component_rotation(quantity, rotations[0] @ rotations[1])
    np.testing.assert_allclose(matrices[0] @ matrices[1], product, atol=1e-12)


def test_one_rotation_is_applied_to_every_tensor_of_a_batch(rotations: Floats, rng: np.random.Generator) -> None:
    c = _random_tensors(Tensor.ELASTIC, rng, 4)
    one = rotate(Tensor.ELASTIC, c, rotations[0])
    np.testing.assert_allclose(one[3], rotate(Tensor.ELASTIC, c[3], rotations[0]), rtol=1e-14)


def test_rotated_stiffness_agrees_with_pymatgen(rotations: Floats, stiffness: Floats, piezo: Floats) -> None:
    from pymatgen.analysis.elasticity.elastic import ElasticTensor
    from pymatgen.core.tensors import Tensor as MatTensor

    for r, c, e in zip(rotations[:10], stiffness, piezo, strict=False):
        mine = rotate(Tensor.ELASTIC, stiffness_to_voigt(c), r)
        np.testing.assert_allclose(voigt_to_stiffness(mine), ElasticTensor(c).rotate(r, tol=1e-8), atol=1e-11)
        theirs = np.asarray(MatTensor(e).rotate(r, tol=1e-8))
        np.testing.assert_allclose(
            piezo_to_voigt(rotate(Tensor.PIEZOELECTRIC, e, r)), piezo_to_voigt(theirs), atol=1e-12
        )


def test_nearest_rotation_repairs_a_noisy_operation(rotations: Floats, rng: np.random.Generator) -> None:
    noisy = rotations + 3e-3 * rng.normal(size=rotations.shape)
    repaired = nearest_rotation(noisy)
    identity = np.broadcast_to(np.eye(3), noisy.shape)
    np.testing.assert_allclose(repaired @ np.swapaxes(repaired, 1, 2), identity, atol=1e-14)
    np.testing.assert_allclose(np.linalg.det(repaired), np.linalg.det(rotations), atol=1e-12)
    assert np.abs(noisy @ np.swapaxes(noisy, 1, 2) - identity).max() > 1e-3  # control: it was not orthogonal before


def test_nearest_rotation_is_nearer_than_its_neighbours(rotations: Floats, rng: np.random.Generator) -> None:
    noisy = rotations + 0.05 * rng.normal(size=rotations.shape)
    best = np.linalg.norm(noisy - nearest_rotation(noisy), axis=(1, 2))
    for _ in range(20):
        other = nearest_rotation(nearest_rotation(noisy) @ (np.eye(3) + 0.01 * rng.normal(size=(3, 3))))
        assert (np.linalg.norm(noisy - other, axis=(1, 2)) > best).all()


def test_nearest_rotation_leaves_rotations_alone(rotations: Floats) -> None:
    np.testing.assert_allclose(nearest_rotation(rotations), rotations, atol=1e-14)


@pytest.mark.parametrize("matrix", [np.zeros((3, 3)), np.diag([1.0, 1.0, 0.0]), np.full((3, 3), np.nan)])
def test_a_matrix_without_nearest_rotation_is_refused(matrix: Floats) -> None:
    with pytest.raises(GmtError, match="no nearest rotation"):
        nearest_rotation(np.stack([np.eye(3), matrix]))
