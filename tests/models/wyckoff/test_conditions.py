"""Space group and elements drawn together: probabilities that are those of the network, and sum to one."""

from itertools import chain, combinations

import numpy as np
import pytest
import torch

from models.errors import ModelError
from models.wyckoff.conditions import MOST_SCORED_ELEMENTS, first_choices, opening_log_probabilities
from models.wyckoff.network import WyckoffNetwork
from models.wyckoff.occupation import WyckoffCrystals
from models.wyckoff.positions import N_SPACE_GROUPS, space_group
from models.wyckoff.sampler import Wanted
from models.wyckoff.sequences import log_probabilities, sequence_batch, sequences_of
from models.wyckoff.slots import CLOSED, SlotKind
from tests.models.wyckoff.drafts import tiny_network

NETWORK = tiny_network(2)


def sets_of(elements: list[int]) -> list[list[int]]:
    return [
        [*chosen, CLOSED]
        for chosen in chain.from_iterable(combinations(elements, size) for size in range(1, len(elements) + 1))
    ]


def crystals_with(number: int, sets: list[list[int]]) -> WyckoffCrystals:
    """Crystals of a group with an atom of each element in general positions."""
    numbers = [z for chosen in sets for z in chosen[:-1]]
    owner = np.repeat(np.arange(len(sets)), [len(chosen) - 1 for chosen in sets])
    general = len(space_group(number).positions) - 1
    cell = np.tile([6.0, 6.0, 6.0, 90.0, 90.0, 90.0], (len(sets), 1))
    return WyckoffCrystals(
        np.full(len(sets), number),
        cell,
        np.full(len(numbers), general),
        np.array(numbers),
        np.random.default_rng(0).random((len(numbers), 3)),
        owner,
    )


@pytest.mark.parametrize("number", [1, 62, 225])
def test_probabilities_of_openings_are_those_of_crystals_that_begin_with_them(number: int) -> None:
    sets = sets_of([3, 8, 22, 56])
    found = opening_log_probabilities(NETWORK, [[number, *chosen] for chosen in sets])
    data = sequences_of(crystals_with(number, sets))
    batch = sequence_batch(data, np.arange(len(sets)))
    is_first = torch.as_tensor(data.kind[batch.slots] <= SlotKind.ELEMENT)
    expected = torch.zeros(len(sets)).index_add(
        0, batch.crystal[is_first], log_probabilities(NETWORK, data, batch)[is_first]
    )
    assert np.allclose(found, expected.numpy(), atol=1e-5)
    assert found.std() > 0.1


def test_padding_of_shorter_sets_changes_no_probability() -> None:
    openings = [[5, 8, CLOSED], [5, 8, 22, 56, 82, 83, CLOSED]]
    together = opening_log_probabilities(NETWORK, openings)
    assert together == pytest.approx(
        [float(opening_log_probabilities(NETWORK, [one])[0]) for one in openings], abs=1e-5
    )


def network_of_three_elements() -> WyckoffNetwork:
    """One for which heavier elements than lithium are impossible."""
    network = tiny_network(3)
    network.heads[SlotKind.ELEMENT].bias[4:] -= 1e6
    return network


def test_probabilities_of_all_groups_and_all_sets_sum_to_one() -> None:
    openings = [[number, *chosen] for number in range(1, N_SPACE_GROUPS + 1) for chosen in sets_of([1, 2, 3])]
    total = np.exp(opening_log_probabilities(network_of_three_elements(), openings)).sum()
    assert total == pytest.approx(1.0, abs=1e-5)
    # where more elements are possible, these sets are not all
    assert np.exp(opening_log_probabilities(NETWORK, openings)).sum() < 0.5


def test_openings_are_drawn_as_often_as_they_are_likely() -> None:
    wanted = Wanted(space_groups=(62, 99, 225), elements=(8, 22))
    drawn = first_choices(NETWORK, wanted, 4000, np.random.default_rng(0))
    openings = [[number, *chosen] for number in (62, 99, 225) for chosen in sets_of([8, 22])]
    weights = np.exp(opening_log_probabilities(NETWORK, openings))
    expected = weights / weights.sum()
    found = np.array([drawn.count(opening) for opening in openings]) / len(drawn)
    assert np.abs(found - expected).max() < 0.03
    assert expected.max() > 3 * expected.min()


def test_required_elements_are_in_every_opening() -> None:
    drawn = first_choices(NETWORK, Wanted(elements=(8, 22, 56), required=(56,)), 50, np.random.default_rng(0))
    assert all(56 in opening[1:] for opening in drawn)
    free = first_choices(NETWORK, Wanted(elements=(8, 22, 56)), 50, np.random.default_rng(0))
    assert not all(56 in opening[1:] for opening in free)


@pytest.mark.parametrize("elements", [(), tuple(range(1, MOST_SCORED_ELEMENTS + 2))])
def test_nothing_is_forced_where_elements_are_many(elements: tuple[int, ...]) -> None:
    assert first_choices(NETWORK, Wanted(elements=elements), 3, np.random.default_rng(0)) == [[], [], []]


@pytest.mark.parametrize("elements", [(8, 22), tuple(range(1, 20))])
def test_a_required_element_that_may_not_be_used_is_an_error(elements: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="not among those that may be used. Allow it, or do not require it."):
        first_choices(NETWORK, Wanted(elements=elements, required=(56,)), 3, np.random.default_rng(0))
