"""The network: read slot by slot or at once, from the left only, with densities that are densities."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from models.crystals.crystal import Ints
from models.wyckoff.network import (
    KeysAndValues,
    SlotInputs,
    categorical_log_probability,
    linear_log_density,
    n_choices,
)
from models.wyckoff.sequences import log_probabilities, sequence_batch, sequences_of
from models.wyckoff.slots import N_BINS, SlotKind, is_periodic
from tests.models.wyckoff.drafts import TINY, known_crystals, tiny_network

DATA = sequences_of(known_crystals().select(range(20)))
CONTINUOUS = [kind for kind in SlotKind if kind > SlotKind.SPECIES]


def columns(inputs: SlotInputs, chosen: slice | list[int]) -> SlotInputs:
    return SlotInputs(*(getattr(inputs, field.name)[:, chosen] for field in fields(SlotInputs)))


def changed(inputs: SlotInputs, slot: int, name: str) -> SlotInputs:
    """Another value of one input of one slot."""
    values = {field.name: getattr(inputs, field.name).clone() for field in fields(SlotInputs)}
    other = 0.37 if name == "before_place" else 1
    values[name][:, slot] = torch.where(values[name][:, slot] == other, other + 1, other)
    return SlotInputs(**values)


def of_length(length: int) -> Ints:
    """Crystals with at least this many slots."""
    return np.flatnonzero(DATA.lengths >= length)


def test_reading_slot_by_slot_gives_the_features_of_reading_all_at_once() -> None:
    network, batch = tiny_network(), sequence_batch(DATA, of_length(12))
    whole = network(batch.inputs)
    n = len(whole)
    memory = KeysAndValues(TINY, n, 12)
    for slot in range(12):
        features = network.step(columns(batch.inputs, [slot]), memory, torch.arange(n))
        assert torch.allclose(features, whole[:, slot], atol=1e-5)
    assert memory.length.tolist() == [12] * n


def test_crystals_that_read_at_different_times_do_not_disturb_each_other() -> None:
    """One crystal lags behind by three slots, and one is set back to read two slots again."""
    network, batch = tiny_network(), sequence_batch(DATA, of_length(12)[:3])
    whole, memory = network(batch.inputs), KeysAndValues(TINY, 3, 12)

    def read(crystal: int, slot: int) -> None:
        one = SlotInputs(*(getattr(batch.inputs, f.name)[[crystal]][:, [slot]] for f in fields(SlotInputs)))
        features = network.step(one, memory, torch.tensor([crystal]))
        assert torch.allclose(features[0], whole[crystal, slot], atol=1e-5)

    for slot in range(12):
        read(0, slot)
        read(1, slot)
        if slot == 7:
            memory.length[1] = 6
            read(1, 6)
            read(1, 7)
        if slot >= 3:
            read(2, slot - 3)


@pytest.mark.parametrize("name", [field.name for field in fields(SlotInputs)])
def test_a_later_slot_changes_nothing_before_it_and_something_from_it_on(name: str) -> None:
    network, kept = tiny_network(), columns(sequence_batch(DATA, of_length(12)).inputs, slice(0, 12))
    slot = 9
    if name == "before_place":
        kept.before_kind[:, slot] = SlotKind.VOLUME
    first, second = network(kept), network(changed(kept, slot, name))
    assert torch.equal(first[:, :slot], second[:, :slot])
    assert not torch.allclose(first[:, slot:], second[:, slot:])


def test_padding_changes_no_likelihood() -> None:
    """A crystal alone and beside the longest; its own slots do change it."""
    network = tiny_network()
    longest, shortest = int(DATA.lengths.argmax()), int(DATA.lengths.argmin())
    alone = log_probabilities(network, DATA, sequence_batch(DATA, np.array([shortest])))
    beside = sequence_batch(DATA, np.array([longest, shortest]))
    assert beside.inputs.kind.shape[1] > DATA.lengths[shortest]
    padded = log_probabilities(network, DATA, beside)[beside.crystal == 1]
    assert torch.allclose(alone, padded, atol=1e-5)
    assert not torch.allclose(
        alone, log_probabilities(tiny_network(1), DATA, sequence_batch(DATA, np.array([shortest])))
    )


@pytest.mark.parametrize("kind", CONTINUOUS)
def test_densities_integrate_to_one(kind: SlotKind) -> None:
    logits = torch.randn(1, N_BINS, generator=torch.Generator().manual_seed(kind)) * 3
    n_steps = 200
    last = N_BINS if is_periodic(kind) else N_BINS - 1
    middles = (torch.arange(last * n_steps, dtype=torch.float64) + 0.5) / n_steps
    density = linear_log_density(logits.double().expand(len(middles), -1), middles, kind).exp()
    assert float(density.sum()) / n_steps == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("kind", CONTINUOUS)
def test_densities_are_continuous_across_nodes_and_coordinates_across_the_edge_of_the_cell(kind: SlotKind) -> None:
    # at a node the density jumps by LEAST_SHARE of what its neighbours differ in
    logits = 0.3 * torch.randn(1, N_BINS, generator=torch.Generator().manual_seed(kind)).double()
    step = 1e-7

    def density(place: float) -> float:
        return float(linear_log_density(logits, torch.tensor([place], dtype=torch.float64), kind).exp())

    for node in range(1, N_BINS - 1):
        assert density(node - step) == pytest.approx(density(node + step), rel=2e-3)
    across = density(N_BINS - step) == pytest.approx(density(step), rel=2e-3)
    assert across == is_periodic(kind)


def test_a_density_between_two_nodes_is_a_straight_line() -> None:
    logits = torch.randn(1, N_BINS, generator=torch.Generator().manual_seed(1)).double()
    places = torch.tensor([40.2, 40.5, 40.8], dtype=torch.float64)
    left, middle, right = linear_log_density(logits.expand(3, -1), places, SlotKind.X).exp().tolist()
    assert middle == pytest.approx((left + right) / 2)
    assert left != pytest.approx(right, rel=1e-3)


def test_probabilities_of_what_a_slot_may_hold_sum_to_one_and_others_have_none() -> None:
    logits = torch.randn(1, 28).expand(28, -1)
    choices = torch.arange(28) % 3 == 0
    each = categorical_log_probability(logits, choices.expand(28, -1), torch.arange(28)).exp()
    assert float(each.sum()) == pytest.approx(1.0, abs=1e-6)
    assert not each[~choices].any()


def test_heads_have_as_many_outputs_as_their_kind_has_choices() -> None:
    network = tiny_network()
    for kind in SlotKind:
        assert network.logits(torch.zeros(2, TINY.width), kind).shape == (2, n_choices(kind))
