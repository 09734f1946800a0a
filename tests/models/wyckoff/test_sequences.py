"""Crystals as filled slots: every one among its choices, and the likelihood that the sampler drew with."""

import numpy as np
import pytest
import torch

from models.wyckoff.draft import crystals_of
from models.wyckoff.sampler import Wanted, write
from models.wyckoff.sequences import batches, log_probabilities, sequence_batch, sequences_of
from models.wyckoff.slots import CLOSED, N_BINS, SlotKind
from tests.models.wyckoff.drafts import filled_draft, known_crystals, short_network, tiny_network

KNOWN = sequences_of(known_crystals())


def test_what_known_crystals_hold_is_among_the_choices_of_every_slot() -> None:
    categorical = KNOWN.choice_row >= 0
    assert np.array_equal(categorical, KNOWN.kind <= SlotKind.SPECIES)
    held = KNOWN.choices[KNOWN.choice_row[categorical], KNOWN.category[categorical]]
    assert held.all()
    # negative control: the masks are not all true
    assert 0 < KNOWN.choices.mean() < 0.5
    assert ((KNOWN.place >= 0) & (KNOWN.place <= N_BINS)).all()


def test_a_crystal_has_a_slot_for_group_elements_orbits_cell_and_free_parameters() -> None:
    crystals = known_crystals()
    for row, orbits in enumerate(crystals.orbits()):
        kinds = KNOWN.kind[KNOWN.first_slot[row] : KNOWN.first_slot[row + 1]]
        assert kinds[0] == SlotKind.SPACE_GROUP
        assert (kinds == SlotKind.ELEMENT).sum() == len(set(orbits.numbers.tolist())) + 1
        assert (kinds == SlotKind.POSITION).sum() == len(orbits.position) + 1
        assert (kinds == SlotKind.SPECIES).sum() == len(orbits.position)
        assert (kinds == SlotKind.VOLUME).sum() == 1


def test_random_drafts_are_written_anew_as_they_were() -> None:
    rng = np.random.default_rng(3)
    drafts = [draft for draft in (filled_draft(rng) for _ in range(60)) if draft is not None]
    data = sequences_of(crystals_of(drafts))
    assert data.choices[np.arange(len(data.choices)), data.category[data.choice_row >= 0]].all()
    for row, draft in enumerate(drafts):
        slots = slice(int(data.first_slot[row]), int(data.first_slot[row + 1]))
        kind, category = data.kind[slots], data.category[slots]
        assert category[kind == SlotKind.SPECIES].tolist() == draft.species
        assert category[kind == SlotKind.ELEMENT].tolist() == [*draft.elements, CLOSED]
        assert (category[kind == SlotKind.POSITION] - 1).tolist() == [*draft.positions, -1]


def test_the_log_probability_of_a_sample_is_the_likelihood_of_the_crystal_written_anew() -> None:
    """Category by category and density by density; with a network that did not draw them it is another."""
    network = short_network()
    wanted = Wanted(most_sites=10_000, keep_apart=False)
    written = write(network, wanted, [[] for _ in range(64)], np.random.default_rng(5))
    assert len(written.drafts) > 40
    data = sequences_of(crystals_of(written.drafts))
    rows = np.arange(len(written.drafts))
    batch = sequence_batch(data, rows)
    of_both = [
        torch.zeros(len(rows)).index_add(0, batch.crystal, log_probabilities(one, data, batch)).numpy()
        for one in (network, tiny_network(1))
    ]
    assert np.allclose(of_both[0], written.log_probability, atol=1e-4)
    assert not np.allclose(of_both[1], written.log_probability, atol=1.0)
    assert set(data.kind.tolist()) == set(SlotKind)


@pytest.mark.parametrize("most_slots", [40, 300])
def test_batches_hold_every_crystal_once_and_no_more_slots_than_allowed(most_slots: int) -> None:
    rows = np.flatnonzero(KNOWN.lengths <= 40)
    parts = list(batches(KNOWN.lengths, rows, most_slots, np.random.default_rng(0)))
    assert sorted(np.concatenate(parts).tolist()) == rows.tolist()
    assert all(len(part) * KNOWN.lengths[part].max() <= most_slots for part in parts)
    again = list(batches(KNOWN.lengths, rows, most_slots, np.random.default_rng(0)))
    other = list(batches(KNOWN.lengths, rows, most_slots, np.random.default_rng(1)))
    assert [part.tolist() for part in parts] == [part.tolist() for part in again]
    assert [part.tolist() for part in parts] != [part.tolist() for part in other]
