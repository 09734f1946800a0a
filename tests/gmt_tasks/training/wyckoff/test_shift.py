"""A generator shifted to good crystals: they become likelier, and it stays within its bound."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from gmt_tasks.training.wyckoff.loop import mean_by_kind
from gmt_tasks.training.wyckoff.shift import Shifted, ShiftOptions, mean_divergence, shift
from models.wyckoff.draft import crystals_of
from models.wyckoff.network import WyckoffNetwork
from models.wyckoff.occupation import WyckoffCrystals
from models.wyckoff.sampler import Wanted, write
from models.wyckoff.sequences import sequences_of
from tests.models.wyckoff.drafts import known_crystals, short_network, tiny_network

START = short_network()
GOOD = known_crystals().select(np.flatnonzero(known_crystals().orbits_per_crystal <= 4)[:12])
DRAWN = write(START, Wanted(keep_apart=False), [[] for _ in range(16)], np.random.default_rng(0))
WRITTEN = crystals_of(DRAWN.drafts)
OPTIONS = ShiftOptions(bound=4.0, passes=10, learning_rate=6e-4)


@cache
def shifted_once() -> Shifted:
    """The usual shift."""
    return shifted()


def shifted(options: ShiftOptions = OPTIONS, weights: np.ndarray | None = None) -> Shifted:
    return shift(START, GOOD, np.ones(GOOD.n_crystals) if weights is None else weights, WRITTEN, options)


def loss(network: WyckoffNetwork, crystals: WyckoffCrystals) -> float:
    return sum(mean_by_kind(network, sequences_of(crystals), np.arange(crystals.n_crystals)).values())


def same_weights(first: WyckoffNetwork, second: WyckoffNetwork) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def test_good_crystals_become_likelier_within_the_bound() -> None:
    result = shifted_once()
    assert 0 < result.n_passes < OPTIONS.passes
    assert 0 < result.divergence <= OPTIONS.bound
    assert loss(result.network, GOOD) < loss(START, GOOD) - 0.5
    assert result.divergence == pytest.approx(mean_divergence(START, result.network, sequences_of(WRITTEN)))


def test_a_wider_bound_allows_more_and_none_allows_nothing() -> None:
    narrow, wide = (shifted(replace(OPTIONS, bound=bound)) for bound in (1.0, 1e9))
    assert 0 < narrow.n_passes < wide.n_passes == OPTIONS.passes
    assert narrow.divergence <= 1.0 < wide.divergence
    assert loss(wide.network, GOOD) < loss(narrow.network, GOOD)
    none = shifted(replace(OPTIONS, bound=0.0))
    assert (none.n_passes, none.divergence) == (0, 0.0)
    assert same_weights(none.network, START)
    assert not same_weights(narrow.network, START)


def test_the_network_that_is_shifted_stays_as_it_was_and_the_result_is_not_trained() -> None:
    before = {name: weights.clone() for name, weights in START.state_dict().items()}
    result = shifted()
    assert all(torch.equal(before[name], weights) for name, weights in START.state_dict().items())
    assert not result.network.training
    assert not any(weights.requires_grad for weights in result.network.parameters())


def test_the_same_seed_gives_the_same_network_and_another_one_another() -> None:
    options = replace(OPTIONS, passes=2, bound=1e9)
    first, again, other = shifted(options), shifted(options), shifted(replace(options, seed=1))
    assert same_weights(first.network, again.network)
    assert not same_weights(first.network, other.network)


def test_dropout_is_seeded_too_whatever_else_draws_random_numbers() -> None:
    forgetful = WyckoffNetwork(replace(START.config, dropout=0.3))
    forgetful.load_state_dict(START.state_dict())
    options, weights = replace(OPTIONS, passes=2, bound=1e9), np.ones(GOOD.n_crystals)
    first = shift(forgetful, GOOD, weights, WRITTEN, options)
    torch.rand(7)  # others draw in between
    again = shift(forgetful, GOOD, weights, WRITTEN, options)
    assert same_weights(first.network, again.network)
    assert not same_weights(first.network, shifted(options).network), "the control: without dropout"


def test_crystals_of_more_weight_become_likelier_and_only_ratios_of_weights_count() -> None:
    options = replace(OPTIONS, passes=4, bound=1e9)
    heavy = np.where(np.arange(GOOD.n_crystals) == 3, 50.0, 1.0)
    one = GOOD.select([3])
    even, uneven, scaled = (shifted(options, weights).network for weights in (None, heavy, 7 * heavy))
    assert loss(uneven, one) < loss(even, one)
    assert loss(scaled, one) == pytest.approx(loss(uneven, one), rel=1e-3)


def test_a_divergence_is_zero_of_the_same_network_and_positive_of_others() -> None:
    anchors = sequences_of(WRITTEN)
    assert mean_divergence(START, START, anchors) == pytest.approx(0.0, abs=1e-4)
    assert mean_divergence(START, tiny_network(1), anchors) > 1.0


def test_a_divergence_is_the_mean_difference_of_log_likelihoods_of_many_samples() -> None:
    """Of the categories and the nodes: by another way, from samples alone, within their scatter."""
    near = shifted(replace(OPTIONS, passes=3, bound=1e9)).network
    wanted = Wanted(keep_apart=False, most_sites=10_000)
    many = crystals_of(write(START, wanted, [[] for _ in range(160)], np.random.default_rng(3)).drafts)
    data = sequences_of(many)
    rows = np.arange(many.n_crystals)
    by_samples = sum(mean_by_kind(near, data, rows).values()) - sum(mean_by_kind(START, data, rows).values())
    assert mean_divergence(START, near, data) == pytest.approx(by_samples, rel=0.25)
