"""The mean of an ensemble and its spread: order does not matter, one member has none, open signs do not cancel."""

import numpy as np
import pytest

from models.quantities import TENSORS, Tensor
from models.tensors.voigt import from_components, to_components
from models.uncertainty.members import common_signs, spread_of_numbers, spread_of_tensors, with_signs

RNG = np.random.default_rng(0)


def made(quantity: Tensor, members: int = 4, crystals: int = 6) -> np.ndarray:
    return from_components(quantity, RNG.normal(size=(members, crystals, TENSORS[quantity].n_components)))


@pytest.mark.parametrize("quantity", list(Tensor))
def test_a_single_member_has_no_spread(quantity: Tensor) -> None:
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


def test_members_of_an_open_sign_do_not_cancel() -> None:
    one = made(Tensor.PIEZOELECTRIC, 1, 3)[0]
    members = np.stack([one, -one, 1.1 * one, -0.9 * one, one])
    sign_free = np.array([True, True, False])
    signs = common_signs(Tensor.PIEZOELECTRIC, members, sign_free)
    mean = with_signs(members, signs).mean(axis=0)
    assert np.allclose(mean[:2], one[:2])
    # negative control: where the class fixes the sign the members do cancel, as they should
    assert np.allclose(mean[2], (1 - 1 + 1.1 - 0.9 + 1) / 5 * one[2])
    assert np.array_equal(signs[:, 2], np.ones(5))


def test_the_majority_keeps_its_sign_in_any_order_of_the_members() -> None:
    one = made(Tensor.PIEZOELECTRIC, 1, 40)[0]
    members = np.stack([one, one, -one]) + 0.3 * made(Tensor.PIEZOELECTRIC, 3, 40)
    free = np.ones(40, dtype=bool)
    mean = with_signs(members, common_signs(Tensor.PIEZOELECTRIC, members, free)).mean(axis=0)
    assert (np.einsum("nijk,nijk->n", mean, one) > 0).all()
    turned = members[[2, 0, 1]]
    again = with_signs(turned, common_signs(Tensor.PIEZOELECTRIC, turned, free)).mean(axis=0)
    assert np.allclose(again, mean, rtol=1e-12)


@pytest.mark.parametrize("quantity", [q for q in Tensor if q is not Tensor.PIEZOELECTRIC])
def test_even_tensors_have_no_open_sign(quantity: Tensor) -> None:
    assert (common_signs(quantity, made(quantity), np.ones(6, dtype=bool)) == 1).all()


def test_a_member_without_a_number_counts_as_the_farthest() -> None:
    members = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])
    spread = spread_of_numbers(members, np.array([1.0, 2.0]))
    assert spread[0] == pytest.approx(np.sqrt((0 + 4 + 4) / 3))
    assert np.isnan(spread[1])
    assert np.isnan(spread_of_numbers(np.ones((2, 1)), np.array([np.nan]))).all()
