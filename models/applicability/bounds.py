"""Tensors that no material has: how large a predicted one is beside the largest that a material can have."""

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import Floats
from models.quantities import TENSORS, Tensor
from models.tensors.voigt import stiffness_voigt_to_mandel

AT_BOUND = 0.9
"""Share of `max_predicted_entry` from which a network is taken to have been bounded: symmetrization takes a little."""


def largest_response(quantity: Tensor, tensors: Floats) -> Floats:
    """Largest eigenvalue of a symmetric tensor (a stiffness in Mandel form), largest component of another, [...].

    Args:
        quantity: which tensor.
        tensors: in its stored shape and unit, [..., *shape]; what is not a number counts as infinite.
    """
    shape = TENSORS[quantity].shape
    flat = np.asarray(tensors, dtype=np.float64).reshape(-1, *shape)
    entries = tuple(range(1, flat.ndim))
    finite = np.isfinite(flat).all(axis=entries)
    largest = np.full(len(flat), np.inf)
    if TENSORS[quantity].floor is None:
        largest[finite] = np.abs(flat[finite]).max(axis=entries, initial=0.0)
    else:
        matrices = stiffness_voigt_to_mandel(flat[finite]) if TENSORS[quantity].rank == 4 else flat[finite]
        largest[finite] = np.linalg.eigvalsh(matrices)[:, -1]
    return largest.reshape(tensors.shape[: tensors.ndim - len(shape)])


def beyond_materials(by_network: dict[Tensor, Floats]) -> NDArray[np.bool_]:
    """Whether some network says of a crystal what no material has, [n_crystals].

    Args:
        by_network: tensors of every network, [n_networks, n_crystals, *shape].
    """
    said = [_is_at_bound(quantity, tensors).any(axis=0) for quantity, tensors in by_network.items()]
    beyond: NDArray[np.bool_] = np.any(said, axis=0)
    return beyond


def _is_at_bound(quantity: Tensor, tensors: Floats) -> NDArray[np.bool_]:
    """Whether tensors [n_networks, n_crystals, *shape] are as large as none can be, [n_networks, n_crystals]."""
    bound = AT_BOUND * TENSORS[quantity].max_predicted_entry
    n_entries = int(np.prod(TENSORS[quantity].shape))
    # an eigenvalue is at most the norm, of which a Mandel entry has no more than twice its Voigt entry's share
    most = 2.0 * np.sqrt(n_entries) * np.abs(tensors).reshape(*tensors.shape[:2], n_entries).max(axis=2)
    at_bound = np.zeros(tensors.shape[:2], dtype=np.bool_)
    large = ~(most < bound)
    at_bound[large] = largest_response(quantity, tensors[large]) >= bound
    return at_bound
