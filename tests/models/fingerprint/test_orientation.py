"""The matrix between two representations of a crystal rotates every stored tensor of the one into that of the other."""

import numpy as np

from models.fingerprint.orientation import find_rotation
from models.quantities import Tensor
from models.reference.crystals import crystals_of_all_classes, in_cell, random_orthogonal, transformed
from models.symmetry.search import find_symmetry
from models.tensors.rotate import rotate

CLASSIFIED = crystals_of_all_classes(seed=12).crystals
SHAPES = {Tensor.DIELECTRIC_TOTAL: (3, 3), Tensor.PIEZOELECTRIC: (3, 3, 3), Tensor.ELASTIC: (6, 6)}


def test_tensors_of_a_rotated_representation_are_those_of_the_stored_one_rotated_by_the_matrix() -> None:
    rng = np.random.default_rng(0)
    skewed = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 1]])
    for k in range(1, CLASSIFIED.n_crystals, 2):
        stored, rotation = CLASSIFIED.select([k]), random_orthogonal(rng)
        found = find_rotation(stored, in_cell(transformed(stored, rotation), skewed))
        assert found is not None
        assert np.allclose(found @ found.T, np.eye(3))
        symmetry = find_symmetry(stored)
        for tensor, shape in SHAPES.items():
            raw = rng.normal(size=shape)
            raw = raw + (raw.T if len(shape) == 2 else np.swapaxes(raw, 1, 2))
            own = symmetry.project(tensor, raw[None])
            assert np.allclose(rotate(tensor, own, found[None]), rotate(tensor, own, rotation[None]), atol=1e-6)


def test_the_same_frame_in_another_cell_gives_the_identity_exactly() -> None:
    for k in range(0, CLASSIFIED.n_crystals, 5):
        stored = CLASSIFIED.select([k])
        found = find_rotation(stored, in_cell(stored, np.array([[2, 1, 0], [0, 1, 0], [0, 0, 1]])))
        assert found is not None and np.array_equal(found, np.eye(3))


def test_another_crystal_cannot_be_turned_into_this_one() -> None:
    assert find_rotation(CLASSIFIED.select([3]), CLASSIFIED.select([7])) is None
