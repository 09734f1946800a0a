"""What no material has: the size of a tensor does not turn with it, and one network of several is enough."""

import numpy as np
import pytest

from models.applicability.bounds import AT_BOUND, beyond_materials, largest_response
from models.quantities import TENSORS, Tensor
from models.reference.crystals import random_orthogonal
from models.tensors.rotate import rotate
from models.testing.contract import ToyTensorModel, textbook_crystals

PREDICTED = ToyTensorModel().predict(textbook_crystals().crystals)


@pytest.mark.parametrize("quantity", [q for q, row in TENSORS.items() if row.floor is not None])
def test_the_size_of_a_positive_tensor_does_not_turn_with_it(quantity: Tensor) -> None:
    tensors = PREDICTED[quantity].reshape(-1, *TENSORS[quantity].shape)
    turned = rotate(quantity, tensors, random_orthogonal(np.random.default_rng(0)))
    np.testing.assert_allclose(largest_response(quantity, turned), largest_response(quantity, tensors), rtol=1e-9)


@pytest.mark.parametrize("quantity", list(Tensor))
@pytest.mark.parametrize("wild", [1.0, np.nan, np.inf])
def test_one_network_that_goes_beyond_all_materials_is_enough(quantity: Tensor, wild: float) -> None:
    by_network = {q: np.stack([np.ones((4, *row.shape))] * 3) for q, row in TENSORS.items()}
    assert not beyond_materials(by_network).any()
    # the largest stiffness there is, that of diamond, is none of them
    by_network[Tensor.ELASTIC][0, 0] = np.diag([1080.0] * 3 + [578.0] * 3) + 124.0 * np.kron(
        [[1, 0], [0, 0]], 1 - np.eye(3)
    )
    assert not beyond_materials(by_network).any()
    by_network[quantity][2, 1] *= wild * AT_BOUND * TENSORS[quantity].max_predicted_entry
    assert beyond_materials(by_network).tolist() == [False, True, False, False]


def test_no_crystals_are_no_trouble() -> None:
    assert beyond_materials({q: np.zeros((2, 0, *row.shape)) for q, row in TENSORS.items()}).shape == (0,)
