"""The mean of an ensemble and its spread: order does not matter, one network has none, open signs do not cancel."""

import numpy as np
import pytest

from models.quantities import TENSORS, Tensor
from models.tensors.voigt import from_components, to_components
from models.uncertainty.ensemble import (
    MAX_NORM_CORRECTION,
    common_signs,
    norm_correction,
    scaled,
    spread_of_numbers,
    spread_of_tensors,
    with_signs,
)

RNG = np.random.default_rng(0)


def made(quantity: Tensor, n_networks: int = 4, n_crystals: int = 6) -> np.ndarray:
    return from_components(quantity, RNG.normal(size=(n_networks, n_crystals, TENSORS[quantity].n_components)))


@pytest.mark.parametrize("quantity", list(Tensor))
def test_a_single_network_has_no_spread(quantity: Tensor) -> None:
    tensors = made(quantity, 1)
    assert not spread_of_tensors(quantity, tensors, tensors[0]).any()
    assert not spread_of_numbers(np.ones((1, 5)), np.ones(5)).any()


@pytest.mark.parametrize("quantity", list(Tensor))
def test_the_spread_is_the_distance_in_cartesian_space(quantity: Tensor) -> None:
    tensors = made(quantity)
    mean = tensors.mean(axis=0)
    off = to_components(quantity, tensors) - to_components(quantity, mean)
    assert np.allclose(spread_of_tensors(quantity, tensors, mean) ** 2, off.var(axis=0).sum(axis=1))
    backwards = spread_of_tensors(quantity, tensors[::-1], mean)
    assert np.allclose(backwards, spread_of_tensors(quantity, tensors, mean), rtol=1e-12)


def test_networks_of_opposite_signs_do_not_cancel() -> None:
    one = made(Tensor.PIEZOELECTRIC, 1, 3)[0]
    by_network = np.stack([one, -one, 1.1 * one, -0.9 * one, one])
    signs = common_signs(Tensor.PIEZOELECTRIC, by_network)
    assert np.array_equal(signs, np.array([[1.0], [-1.0], [1.0], [-1.0], [1.0]]) * np.ones(3))
    assert np.allclose(with_signs(by_network, signs).mean(axis=0), one)
    # negative control: averaged as they come, they cancel
    assert np.allclose(by_network.mean(axis=0), (1 - 1 + 1.1 - 0.9 + 1) / 5 * one)


def test_the_majority_keeps_its_sign_in_any_order_of_the_networks() -> None:
    one = made(Tensor.PIEZOELECTRIC, 1, 40)[0]
    by_network = np.stack([one, one, -one]) + 0.3 * made(Tensor.PIEZOELECTRIC, 3, 40)
    mean = with_signs(by_network, common_signs(Tensor.PIEZOELECTRIC, by_network)).mean(axis=0)
    assert (np.einsum("nijk,nijk->n", mean, one) > 0).all()
    reordered = by_network[[2, 0, 1]]
    again = with_signs(reordered, common_signs(Tensor.PIEZOELECTRIC, reordered)).mean(axis=0)
    assert np.allclose(again, mean, rtol=1e-12)


@pytest.mark.parametrize("quantity", [q for q in Tensor if q is not Tensor.PIEZOELECTRIC])
def test_even_tensors_have_no_sign_to_vote_on(quantity: Tensor) -> None:
    assert (common_signs(quantity, made(quantity)) == 1).all()


def test_a_network_without_a_number_counts_as_the_farthest() -> None:
    by_network = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])
    spread = spread_of_numbers(by_network, np.array([1.0, 2.0]))
    assert spread[0] == pytest.approx(np.sqrt((0 + 4 + 4) / 3))
    assert np.isnan(spread[1])
    assert np.isnan(spread_of_numbers(np.ones((2, 1)), np.array([np.nan]))).all()


def size_of(tensors: np.ndarray) -> np.ndarray:
    return np.linalg.norm(to_components(Tensor.PIEZOELECTRIC, tensors), axis=-1)


def test_the_corrected_mean_is_as_large_as_the_networks_tensors_and_keeps_their_mean_direction() -> None:
    by_network = made(Tensor.PIEZOELECTRIC)
    mean = by_network.mean(axis=0)
    assert (size_of(mean) < 0.9 * size_of(by_network).mean(axis=0)).all()  # directions differ: they shrink each other
    corrected = scaled(mean, norm_correction(Tensor.PIEZOELECTRIC, by_network))
    assert np.allclose(size_of(corrected), size_of(by_network).mean(axis=0))
    assert np.allclose(np.einsum("nijk,nijk->n", corrected, mean), size_of(corrected) * size_of(mean))


def test_networks_that_cancel_are_not_scaled_beyond_the_maximum() -> None:
    one = made(Tensor.PIEZOELECTRIC, 1)[0]
    by_network = np.stack([one, -0.999 * one])
    assert np.array_equal(norm_correction(Tensor.PIEZOELECTRIC, by_network), np.full(6, MAX_NORM_CORRECTION))
    assert np.array_equal(norm_correction(Tensor.PIEZOELECTRIC, 0.0 * by_network), np.ones(6))  # forbidden by symmetry


@pytest.mark.parametrize("quantity", list(Tensor))
def test_networks_that_agree_and_even_tensors_are_not_corrected(quantity: Tensor) -> None:
    one = made(quantity, 1)
    assert np.allclose(norm_correction(quantity, np.concatenate([one, one])), 1.0)
    if quantity is not Tensor.PIEZOELECTRIC:
        assert np.array_equal(norm_correction(quantity, made(quantity)), np.ones(6))
