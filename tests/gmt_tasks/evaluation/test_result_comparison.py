"""What moved in a ranking: counted by hand on small lists, and by laws."""

import numpy as np
import pytest

from gmt_tasks.evaluation.result_comparison import RankedNumbers, compare_rankings
from models.errors import ModelError


def numbers(ids: str, values: list[float], half: float = 1.0) -> RankedNumbers:
    array = np.array(values)
    return RankedNumbers(list(ids), [f"F{i}" for i in ids], array, array - half, array + 2 * half)


def test_entered_left_and_moved_are_counted_as_by_hand() -> None:
    old = numbers("abcdef", [60.0, 50.0, 40.0, 30.0, 20.0, 10.0])
    new = numbers("fedcba", [45.0, 20.0, 55.0, 40.0, 50.0, 60.0])  # a 60 d 55 b 50 f 45 c 40 e 20
    found = compare_rankings(old, new, top=3, descending=True)
    assert [(m.id, m.old_rank, m.new_rank, m.change, m.intervals) for m in found.entered] == [("d", 4, 2, 25.0, 12.5)]
    assert [(m.id, m.old_rank, m.new_rank) for m in found.left] == [("c", 3, 5)]
    assert [(m.id, m.old_rank, m.new_rank) for m in found.stayed] == [("a", 1, 1), ("b", 2, 3)]
    assert (found.n_shared, found.n_only_old, found.n_only_new) == (6, 0, 0)
    assert found.spearman == pytest.approx(1 - 6 * (0 + 1 + 4 + 4 + 1 + 4) / (6 * 35))
    assert found.within_interval == pytest.approx(100 * 4 / 6)  # d and f are outside


def test_a_fall_is_measured_by_the_lower_half_of_the_interval() -> None:
    found = compare_rankings(numbers("ab", [5.0, 3.0]), numbers("ab", [2.0, 3.0]), top=2, descending=True)
    assert {m.id: m.intervals for m in found.stayed} == {"a": 3.0, "b": 0.0}


def test_ascending_rankings_start_with_the_smallest() -> None:
    found = compare_rankings(numbers("abc", [1.0, 2.0, 3.0]), numbers("abc", [3.0, 2.0, 1.0]), top=1, descending=False)
    assert ([m.id for m in found.entered], [m.id for m in found.left]) == (["c"], ["a"])
    assert found.spearman == pytest.approx(-1.0)


def test_crystals_of_one_model_only_and_unknown_numbers_are_counted_and_not_ranked() -> None:
    found = compare_rankings(
        numbers("abcx", [4.0, 3.0, np.nan, 9.0]), numbers("abcy", [4.0, 3.0, 7.0, 9.0]), top=5, descending=True
    )
    assert (found.n_shared, found.n_only_old, found.n_only_new) == (2, 1, 2)
    assert [m.new_rank for m in found.stayed] == [1, 2]
    with pytest.raises(ModelError, match="No crystal has a number of both models"):
        compare_rankings(numbers("a", [1.0]), numbers("b", [1.0]), top=1, descending=True)


def test_the_same_results_move_nothing() -> None:
    same = numbers("abcd", [4.0, 3.0, 2.0, 1.0])
    found = compare_rankings(same, same, top=2, descending=True)
    assert (found.entered, found.left, found.spearman, found.within_interval) == ([], [], pytest.approx(1.0), 100.0)
    assert all(m.change == 0.0 for m in found.stayed)


def test_without_intervals_the_units_are_unknown() -> None:
    bare = RankedNumbers(["a", "b"], ["A", "B"], np.array([1.0, 2.0]), np.full(2, np.nan), np.full(2, np.nan))
    found = compare_rankings(bare, bare, top=2, descending=True)
    assert np.isnan(found.within_interval) and np.isnan(found.stayed[0].intervals)
