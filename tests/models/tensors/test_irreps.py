"""The change of basis to irreps, held against e3nn's Wigner matrices and spherical harmonics."""

import numpy as np
import pytest
import torch
from e3nn import o3
from numpy.typing import NDArray

from models.quantities import TENSORS, Tensor
from models.tensors.irreps import (
    change_of_basis,
    harmonic_tensors,
    irreps_to_tensor,
    tensor_to_irreps,
    wigner_matrices,
)
from models.tensors.rotate import rotate
from models.tensors.voigt import from_components, stiffness_to_voigt, to_components, voigt_to_stiffness

Floats = NDArray[np.float64]


def _wigner(quantity: Tensor, rotations: Floats) -> Floats:
    # e3nn computes its generators in the default dtype; in float32 the oracle itself would be wrong at 1e-7
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        return np.asarray(o3.Irreps(TENSORS[quantity].irreps).D_from_matrix(torch.as_tensor(rotations)))
    finally:
        torch.set_default_dtype(before)


def _random_tensors(quantity: Tensor, rng: np.random.Generator, n: int) -> Floats:
    return from_components(quantity, rng.normal(size=(n, TENSORS[quantity].n_components)))


@pytest.mark.parametrize("quantity", list(Tensor))
def test_irreps_of_a_rotated_tensor_are_e3nns_wigner_matrix_times_the_irreps(
    quantity: Tensor, rotations: Floats, rng: np.random.Generator
) -> None:
    tensor = _random_tensors(quantity, rng, len(rotations))
    rotated = tensor_to_irreps(quantity, rotate(quantity, tensor, rotations))
    expected = np.einsum("nij,nj->ni", _wigner(quantity, rotations), tensor_to_irreps(quantity, tensor))
    np.testing.assert_allclose(rotated, expected, atol=1e-10)


@pytest.mark.parametrize("quantity", list(Tensor))
def test_a_basis_with_two_rows_exchanged_is_not_equivariant(
    quantity: Tensor, rotations: Floats, rng: np.random.Generator
) -> None:
    """Negative control: order within an irrep matters."""
    tensor = _random_tensors(quantity, rng, len(rotations))
    basis = change_of_basis(quantity).copy()
    basis[[-1, -2]] = basis[[-2, -1]]
    before = to_components(quantity, tensor) @ basis.T
    after = to_components(quantity, rotate(quantity, tensor, rotations)) @ basis.T
    difference = after - np.einsum("nij,nj->ni", _wigner(quantity, rotations), before)
    assert np.abs(difference).max() > 0.1


def test_even_parity_for_the_second_degree_part_of_piezo_would_break_under_reflection(
    rotations: Floats, rng: np.random.Generator
) -> None:
    """Negative control: 2o, not 2e, and only improper operations can tell."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    wrong = np.asarray(o3.Irreps("2x1o+1x2e+1x3o").D_from_matrix(torch.as_tensor(rotations)))
    torch.set_default_dtype(before)
    tensor = _random_tensors(Tensor.PIEZOELECTRIC, rng, len(rotations))
    rotated = tensor_to_irreps(Tensor.PIEZOELECTRIC, rotate(Tensor.PIEZOELECTRIC, tensor, rotations))
    error = np.abs(rotated - np.einsum("nij,nj->ni", wrong, tensor_to_irreps(Tensor.PIEZOELECTRIC, tensor))).max(axis=1)
    proper = np.linalg.det(rotations) > 0
    assert (error[proper] < 1e-10).all()
    assert (error[~proper] > 1e-3).all()


@pytest.mark.parametrize("quantity", list(Tensor))
def test_the_change_of_basis_is_square_orthogonal_and_read_only(quantity: Tensor) -> None:
    basis = change_of_basis(quantity)
    n = TENSORS[quantity].n_components
    assert basis.shape == (n, n) == (o3.Irreps(TENSORS[quantity].irreps).dim,) * 2
    np.testing.assert_allclose(basis @ basis.T, np.eye(n), atol=1e-14)
    with pytest.raises(ValueError, match="read-only"):
        basis[0, 0] = 2.0


@pytest.mark.parametrize("degree", range(5))
def test_harmonic_tensors_are_e3nns_spherical_harmonics(degree: int, rng: np.random.Generator) -> None:
    points = rng.normal(size=(10, 3))
    letters = "ijkl"[:degree]
    operands = ",".join(f"n{letter}" for letter in letters)
    ours = (
        np.ones((10, 1))
        if degree == 0
        else np.einsum(f"m{letters},{operands}->nm", harmonic_tensors(degree), *[points] * degree)
    )
    theirs = np.asarray(o3.spherical_harmonics(degree, torch.as_tensor(points), normalize=False))
    ratio = np.linalg.norm(theirs) / np.linalg.norm(ours)
    np.testing.assert_allclose(ours * ratio, theirs, atol=1e-10)


@pytest.mark.parametrize("degree", range(2, 5))
def test_harmonic_tensors_are_traceless_and_symmetric(degree: int) -> None:
    tensors = harmonic_tensors(degree)
    np.testing.assert_allclose(np.trace(tensors, axis1=1, axis2=2), 0, atol=1e-14)
    np.testing.assert_allclose(tensors, np.swapaxes(tensors, 1, -1), atol=1e-14)


def test_first_elastic_scalar_is_three_k_voigt_and_the_second_two_root_five_g_voigt(rng: np.random.Generator) -> None:
    c = _random_tensors(Tensor.ELASTIC, rng, 20)
    irreps = tensor_to_irreps(Tensor.ELASTIC, c)
    full = voigt_to_stiffness(c)
    nine_k, contracted = np.einsum("niijj->n", full), np.einsum("nijij->n", full)
    g_voigt = (3 * contracted - nine_k) / 30
    np.testing.assert_allclose(irreps[:, 0], nine_k / 3, atol=1e-13)
    np.testing.assert_allclose(irreps[:, 1], 2 * np.sqrt(5) * g_voigt, atol=1e-13)


def test_first_piezo_vector_is_the_hydrostatic_response(rng: np.random.Generator) -> None:
    e = _random_tensors(Tensor.PIEZOELECTRIC, rng, 20)
    irreps = tensor_to_irreps(Tensor.PIEZOELECTRIC, e)
    np.testing.assert_allclose(irreps[:, :3], np.einsum("nijj->ni", e) / np.sqrt(3), atol=1e-14)


def test_an_isotropic_stiffness_has_scalars_only() -> None:
    delta = np.eye(3)
    lame = np.einsum("ij,kl->ijkl", delta, delta)
    shear = np.einsum("ik,jl->ijkl", delta, delta) + np.einsum("il,jk->ijkl", delta, delta)
    irreps = tensor_to_irreps(Tensor.ELASTIC, stiffness_to_voigt(60.0 * lame + 40.0 * shear))
    np.testing.assert_allclose(irreps[2:], 0, atol=1e-12)
    assert (np.abs(irreps[:2]) > 1).all()


@pytest.mark.parametrize("quantity", list(Tensor))
def test_tensor_to_irreps_and_back_keeps_tensor_and_norm(quantity: Tensor, rng: np.random.Generator) -> None:
    tensor = _random_tensors(quantity, rng, 7)
    irreps = tensor_to_irreps(quantity, tensor)
    np.testing.assert_allclose(irreps_to_tensor(quantity, irreps), tensor, atol=1e-13)
    norms = np.linalg.norm(to_components(quantity, tensor), axis=1)
    np.testing.assert_allclose(np.linalg.norm(irreps, axis=1), norms, rtol=1e-13)


@pytest.mark.parametrize("degree", range(1, 5))
@pytest.mark.parametrize("natural", [True, False], ids=["natural parity", "other parity"])
def test_wigner_matrices_are_e3nns(degree: int, natural: bool, rotations: Floats) -> None:
    """Proper and improper operations; the irrep of the other parity rotates with det R besides."""
    parity = "eo"[degree % 2] if natural else "oe"[degree % 2]
    signs = np.ones(len(rotations)) if natural else np.linalg.det(rotations)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    expected = np.asarray(o3.Irreps(f"{degree}{parity}").D_from_matrix(torch.as_tensor(rotations)))
    torch.set_default_dtype(before)
    found = wigner_matrices(degree, rotations)
    np.testing.assert_allclose(found * signs[:, None, None], expected, atol=1e-10)
    improper = signs < 0
    if not natural:  # negative control: without the sign the improper half is wrong
        assert improper.sum() == len(rotations) / 2
        assert (np.abs(found - expected)[improper].max(axis=(1, 2)) > 0.1).all()


@pytest.mark.parametrize("degree", range(1, 5))
def test_wigner_matrices_are_orthogonal_and_multiply_as_the_operations_do(degree: int, rotations: Floats) -> None:
    first, second = rotations, rotations[::-1]
    products = wigner_matrices(degree, first) @ wigner_matrices(degree, second)
    np.testing.assert_allclose(wigner_matrices(degree, first @ second), products, atol=1e-12)
    assert np.abs(wigner_matrices(degree, second @ first) - products).max() > 0.1  # negative control: order matters
    inverse = wigner_matrices(degree, np.swapaxes(rotations, 1, 2))
    np.testing.assert_allclose(inverse, np.swapaxes(wigner_matrices(degree, rotations), 1, 2), atol=1e-12)
    np.testing.assert_allclose(inverse @ wigner_matrices(degree, rotations) - np.eye(2 * degree + 1), 0, atol=1e-12)


@pytest.mark.parametrize("degree", range(1, 5))
def test_wigner_matrices_turn_the_harmonics_of_a_direction(
    degree: int, rotations: Floats, rng: np.random.Generator
) -> None:
    """Y(R x) = D Y(x), with e3nn's harmonics."""
    points = rng.normal(size=(len(rotations), 3))
    rotated = np.einsum("nij,nj->ni", rotations, points)
    before, after = (
        np.asarray(o3.spherical_harmonics(degree, torch.as_tensor(x), normalize=True)) for x in (points, rotated)
    )
    np.testing.assert_allclose(np.einsum("nij,nj->ni", wigner_matrices(degree, rotations), before), after, atol=1e-10)


@pytest.mark.parametrize("degree", range(1, 5))
def test_inversion_changes_the_sign_of_odd_degrees_only(degree: int) -> None:
    matrices = wigner_matrices(degree, np.stack([np.eye(3), -np.eye(3)]))
    np.testing.assert_allclose(matrices[0], np.eye(2 * degree + 1), atol=1e-14)
    np.testing.assert_allclose(matrices[1], (-1) ** degree * np.eye(2 * degree + 1), atol=1e-14)
