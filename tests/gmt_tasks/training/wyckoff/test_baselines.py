"""Likelihoods by counting: distributions that sum to one, and patterns that a bigram can learn and a unigram cannot."""

import numpy as np
import pytest

from gmt_tasks.training.wyckoff.baselines import CountedBaseline
from models.wyckoff.network import n_choices
from models.wyckoff.occupation import WyckoffCrystals
from models.wyckoff.sequences import Sequences, sequences_of
from models.wyckoff.slots import N_BINS, SlotKind, is_periodic
from tests.models.wyckoff.drafts import known_crystals

KNOWN = sequences_of(known_crystals())
N = len(KNOWN.lengths)


def test_a_pattern_of_neighbouring_slots_is_learned_by_the_bigram_and_not_by_the_unigram() -> None:
    """Of two atoms the second has the element that belongs to the position: the slot before says which."""
    n = 300
    rng = np.random.default_rng(4)
    swapped = rng.random(n) < 0.5
    pairs = np.where(swapped[:, None], [1, 2], [0, 3])  # letters of group 47, fixed positions
    elements = np.where(swapped[:, None], [26, 79], [79, 26])
    crystals = WyckoffCrystals(
        np.full(n, 47),
        np.tile([4.0, 5.0, 6.0, 90.0, 90.0, 90.0], (n, 1)),
        pairs.reshape(-1),
        elements.reshape(-1),
        np.zeros((2 * n, 3)),
        np.repeat(np.arange(n), 2),
    )
    data = sequences_of(crystals)
    train, val = np.arange(200), np.arange(200, n)
    unigram, bigram = (CountedBaseline.of(data, train, k).mean_by_kind(data, val) for k in (1, 3))
    assert unigram["species"] == pytest.approx(2 * np.log(2), abs=0.05)
    assert bigram["species"] < 0.3
    assert bigram["position"] < unigram["position"]


@pytest.mark.parametrize("n_contexts", [1, 3])
def test_probabilities_of_what_a_slot_may_hold_sum_to_one(n_contexts: int) -> None:
    """Asked of a crystal whose slots hold every value that they may in its place."""
    baseline = CountedBaseline.of(KNOWN, np.arange(N), n_contexts)
    for slot in np.flatnonzero(KNOWN.choice_row[: KNOWN.first_slot[5]] >= 0).tolist():
        choices = np.flatnonzero(KNOWN.choices[KNOWN.choice_row[slot]])
        total = sum(np.exp(-likelihood(baseline, slot, value)) for value in choices.tolist())
        assert total == pytest.approx(1.0)


@pytest.mark.parametrize("kind", [SlotKind.VOLUME, SlotKind.C_OVER_A, SlotKind.BETA, SlotKind.X, SlotKind.Z])
def test_densities_integrate_to_one(kind: SlotKind) -> None:
    baseline = CountedBaseline.of(KNOWN, np.arange(N), 3)
    slot = int(np.flatnonzero(KNOWN.kind == kind)[0])
    last = n_choices(kind) if is_periodic(kind) else N_BINS - 1
    middles = np.arange(last) + 0.5  # exact for straight lines
    total = sum(np.exp(-likelihood(baseline, slot, place)) for place in middles.tolist())
    assert total == pytest.approx(1.0, abs=1e-6)


def likelihood(baseline: CountedBaseline, slot: int, value: float) -> float:
    """Negative log-likelihood of one slot of the known crystals, if it held this value."""
    one = slice(max(slot - 1, 0), slot + 1)
    is_category = KNOWN.choice_row[slot] >= 0
    category, place = KNOWN.category[one].copy(), KNOWN.place[one].copy()
    category[-1], place[-1] = (int(value), 0.0) if is_category else (0, value)
    rows = np.where(KNOWN.choice_row[one] >= 0, KNOWN.choice_row[one], -1)
    columns = (KNOWN.kind[one], KNOWN.position[one], KNOWN.species[one], KNOWN.orbit[one], KNOWN.space_group[one])
    first = np.array([0, len(category) - 1, len(category)])
    data = Sequences(*columns, category, place, KNOWN.read_category[one], first, rows, KNOWN.choices)
    return sum(baseline.mean_by_kind(data, np.array([1])).values())


def test_the_bigram_of_its_own_training_is_likelier_than_the_unigram() -> None:
    unigram, bigram = (CountedBaseline.of(KNOWN, np.arange(N), n).mean_by_kind(KNOWN, np.arange(N)) for n in (1, 3))
    assert sum(bigram.values()) < sum(unigram.values())
