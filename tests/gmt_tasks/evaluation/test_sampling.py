"""A sample of sources: fair, reproducible, in order, and never more than asked for."""

import numpy as np

from gmt_tasks.evaluation.sampling import sample_crystals
from tests.gmt_tasks.runs.test_drive import ListSource

N = 40  # crystals of the source, in blocks of five; their names are i0, i1, ...
EVERY = [f"i{k}" for k in range(N)]


def draw(n: int, seed: int = 0) -> list[str]:
    names, crystals = sample_crystals([ListSource(list(range(3, 3 + N)))], n, seed=seed, max_atoms=100)
    assert len(names) == crystals.n_crystals
    return names


def test_a_sample_has_as_many_crystals_as_asked_for_each_once_and_in_order() -> None:
    names = draw(20)
    assert len(names) == 20
    assert names == [name for name in EVERY if name in names]


def test_fewer_crystals_than_asked_for_are_all_taken_from_all_sources() -> None:
    assert draw(1000) == EVERY
    names, crystals = sample_crystals([ListSource([3, 4]), ListSource([5, 6, 7])], 9, seed=0, max_atoms=100)
    assert names == ["i0", "i1", "i0", "i1", "i2"]
    assert crystals.numbers.tolist() == [3, 4, 5, 6, 7]


def test_names_stay_with_their_crystals() -> None:
    source = ListSource(list(range(3, 9)))
    names, crystals = sample_crystals([source], 3, seed=5, max_atoms=100)
    assert [int(name[1:]) + 3 for name in names] == crystals.numbers.tolist()


def test_the_same_seed_draws_the_same_and_another_draws_others() -> None:
    assert draw(10, 1) == draw(10, 1)
    assert draw(10, 1) != draw(10, 2)


def test_every_crystal_has_the_same_chance_whichever_block_it_comes_in() -> None:
    drawn = [name for seed in range(80) for name in draw(10, seed)]
    counts = np.array([drawn.count(name) for name in EVERY])
    assert counts.sum() == 800
    assert np.abs(counts - 20).max() < 5 * np.sqrt(20 * 0.75)
