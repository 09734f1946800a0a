"""Constants of the heads: labels seen through them have unit spread, and they commute with rotations."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.gmtnet.invariants import mandel_rows
from models.gmtnet.label_scales import HeadScales, direction_scales, linear_scales, positive_scales
from models.quantities import TENSORS, Tensor
from models.reference.crystals import random_orthogonal
from models.tensors.irreps import change_of_basis
from models.tensors.rotate import component_rotation

Floats = NDArray[np.float64]
N = 3000
POSITIVE = (Tensor.DIELECTRIC_ELECTRONIC, Tensor.DIELECTRIC_TOTAL, Tensor.ELASTIC)


def spread_labels(quantity: Tensor) -> Floats:
    """Labels of all sizes and directions."""
    rng = np.random.default_rng(2)
    return np.exp(rng.normal(size=(N, 1))) * rng.normal(size=(N, TENSORS[quantity].n_components))


def exponentials(quantity: Tensor, logarithms: Floats) -> Floats:
    """Components of the matrix exponentials of symmetric matrices given by components."""
    rows = mandel_rows(quantity)
    size = round(rows.shape[1] ** 0.5)
    values, vectors = np.linalg.eigh((logarithms @ rows).reshape(-1, size, size))
    matrices = np.einsum("nab,nb,ncb->nac", vectors, np.exp(values), vectors)
    return np.asarray(matrices.reshape(len(matrices), -1) @ rows.T)


def seen_through(quantity: Tensor, scales: HeadScales, components: Floats) -> Floats:
    """What weights would have to say for a head to give these components."""
    return (components @ change_of_basis(quantity).T - scales.mean) / scales.scale


def commutes_with_rotation(quantity: Tensor, scales: HeadScales) -> bool:
    basis = change_of_basis(quantity)
    rotation = basis @ component_rotation(quantity, random_orthogonal(np.random.default_rng(3))) @ basis.T
    same_scale = np.allclose(rotation * scales.scale, scales.scale[:, None] * rotation, atol=1e-9 * scales.scale.max())
    return same_scale and np.allclose(rotation @ scales.mean, scales.mean, atol=1e-9)


@pytest.mark.parametrize("quantity", list(Tensor))
def test_labels_have_unit_spread_in_a_linear_head(quantity: Tensor) -> None:
    labels = spread_labels(quantity)
    scales = linear_scales(quantity, labels)
    assert np.allclose((seen_through(quantity, scales, labels) ** 2).mean(), 1.0, atol=1e-3)
    assert commutes_with_rotation(quantity, scales)
    assert (scales.log_norm, scales.spread) == (0.0, 1.0)


@pytest.mark.parametrize("quantity", list(Tensor))
def test_scales_that_differ_within_an_irrep_would_not_commute(quantity: Tensor) -> None:
    """Negative control of the above, for scales and for means."""
    scales = linear_scales(quantity, spread_labels(quantity))
    uneven, shifted = scales.scale.copy(), scales.mean.copy()
    uneven[-1] *= 1.5
    shifted[-1] += 1.0
    assert not commutes_with_rotation(quantity, HeadScales(scales.mean, uneven))
    assert not commutes_with_rotation(quantity, HeadScales(shifted, scales.scale))


def test_the_mean_of_a_scalar_is_that_of_the_labels() -> None:
    """3 K_V of a stiffness is its first irrep: change_of_basis."""
    labels = spread_labels(Tensor.ELASTIC) + change_of_basis(Tensor.ELASTIC)[0] * 300.0
    scales = linear_scales(Tensor.ELASTIC, labels)
    assert scales.mean[0] == pytest.approx(300.0, abs=1.0)
    assert np.all(scales.mean[2:] == 0.0)


def test_directions_are_scaled_apart_from_norms() -> None:
    labels = spread_labels(Tensor.PIEZOELECTRIC)
    norms = np.linalg.norm(labels, axis=1)
    scales = direction_scales(Tensor.PIEZOELECTRIC, labels)
    used = norms > 1e-2 * np.median(norms)
    assert scales.log_norm == pytest.approx(np.log(norms[used]).mean())
    assert scales.spread == pytest.approx(np.log(norms[used]).std())
    directions = labels / norms[:, None]
    assert np.allclose((seen_through(Tensor.PIEZOELECTRIC, scales, directions) ** 2).mean(), 1.0, atol=0.01)
    assert commutes_with_rotation(Tensor.PIEZOELECTRIC, scales)
    longer = direction_scales(Tensor.PIEZOELECTRIC, 7.0 * labels)
    assert longer.log_norm == pytest.approx(scales.log_norm + np.log(7.0))
    assert np.allclose(longer.scale, scales.scale)


def test_labels_that_vanish_have_no_direction() -> None:
    labels = spread_labels(Tensor.PIEZOELECTRIC)
    with_zeros = np.concatenate([labels, np.zeros((50, 18)), 1e-9 * labels[:50]])
    before, after = direction_scales(Tensor.PIEZOELECTRIC, labels), direction_scales(Tensor.PIEZOELECTRIC, with_zeros)
    assert after.log_norm == pytest.approx(before.log_norm, abs=0.01)
    assert np.allclose(after.scale, before.scale, rtol=1e-2)
    mostly_zero = np.concatenate([labels, 1e-33 * labels, 1e-33 * labels])
    assert direction_scales(Tensor.PIEZOELECTRIC, mostly_zero).log_norm == pytest.approx(before.log_norm, abs=0.05)
    # negative control: they would count if they were taken for directions
    assert np.log(np.linalg.norm(with_zeros, axis=1)[-50:]).mean() < -15.0


@pytest.mark.parametrize("quantity", POSITIVE)
def test_logarithms_have_unit_spread_in_a_positive_head(quantity: Tensor) -> None:
    logarithms = 0.3 * np.random.default_rng(4).normal(size=(N, TENSORS[quantity].n_components))
    logarithms += 2.0 * change_of_basis(quantity)[0]
    scales = positive_scales(quantity, exponentials(quantity, logarithms))
    assert np.allclose((seen_through(quantity, scales, logarithms) ** 2).mean(), 1.0, atol=0.01)
    assert scales.mean[0] == pytest.approx(2.0, abs=0.03)
    assert np.allclose(scales.scale, 0.3, rtol=0.05)
    assert commutes_with_rotation(quantity, scales)


@pytest.mark.parametrize("quantity", POSITIVE)
def test_labels_below_their_floor_have_no_logarithm_and_are_left_out(quantity: Tensor) -> None:
    logarithms = 0.3 * np.random.default_rng(4).normal(size=(200, TENSORS[quantity].n_components))
    positive = exponentials(quantity, logarithms)
    clean, mixed = (positive_scales(quantity, x) for x in (positive, np.concatenate([positive, -positive])))
    assert np.allclose(mixed.mean, clean.mean)
    assert np.allclose(mixed.scale, clean.scale)
    assert np.isfinite(mixed.scale).all()
