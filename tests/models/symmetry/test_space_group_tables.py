"""Tables of space groups: groups modulo primitive translations, and the words that lead to their operations."""

import numpy as np
import pytest
import spglib

from models.symmetry.operations import SymmetryError, conventional_rotations
from models.symmetry.space_group_tables import MAX_OPS, space_group_table, stacked_tables

ALL = range(1, 531)


def test_every_operation_is_the_product_that_its_word_says() -> None:
    for hall in ALL:
        table = space_group_table(hall)
        assert sorted(table.sequence) == list(range(table.n_ops))
        assert np.array_equal(table.rotations[table.sequence[0]], np.eye(3))
        for op in table.sequence:
            left, right = table.left[op], table.right[op]
            assert np.array_equal(table.rotations[left] @ table.rotations[right], table.rotations[op])
            moved = table.rotations[left] @ table.translations[right] + table.translations[left]
            apart = moved - table.translations[op]
            assert np.abs(apart - np.rint(apart)).max() < 1e-12, hall


def test_few_generators_make_a_group() -> None:
    n_generators = [int((space_group_table(h).left == np.arange(space_group_table(h).n_ops)).sum()) for h in ALL]
    assert max(n_generators) <= 5  # and the identity is one of them


def test_the_operations_are_those_of_the_conventional_cell() -> None:
    for hall in ALL:
        table = space_group_table(hall)
        assert np.array_equal(table.rotations, np.rint(table.rotations))
        assert np.allclose(table.basis @ table.rotations, conventional_rotations(hall) @ table.basis, atol=1e-12)
        database = spglib.get_symmetry_from_database(hall)
        n_centrings = len(database["rotations"]) // table.n_ops
        assert np.isclose(np.linalg.det(table.basis), 1 / n_centrings)


def test_the_mean_of_a_metric_is_the_sum_over_the_operations() -> None:
    metric = np.cov(np.random.default_rng(0).normal(size=(3, 9)))
    for hall in (3, 60, 108, 225, 430, 438, 462, 523):
        rotations = conventional_rotations(hall)
        expected = np.mean(np.swapaxes(rotations, 1, 2) @ metric @ rotations, axis=0)
        assert np.allclose(space_group_table(hall).average @ metric.ravel(), expected.ravel(), atol=1e-12)
        assert not np.allclose(expected, metric, atol=1e-3)


def test_stacked_tables_keep_their_rows() -> None:
    stacked = stacked_tables([0, 1, 225, 523])
    assert stacked.n_ops.tolist() == [0, 1, space_group_table(225).n_ops, 48]
    assert stacked.rotations.shape == (4, MAX_OPS, 3, 3)
    for row, hall in enumerate((0, 1, 225, 523)):
        table = space_group_table(hall)
        assert np.array_equal(stacked.translations[row, : table.n_ops], table.translations)
        assert np.array_equal(stacked.sequence[row, : table.n_ops], table.sequence)
        assert not stacked.rotations[row, table.n_ops :].any()
    assert stacked_tables([]).left.shape == (0, MAX_OPS)


def test_there_are_530_hall_numbers() -> None:
    with pytest.raises(SymmetryError, match="531"):
        space_group_table(531)
