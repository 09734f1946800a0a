"""What a generator must beat: likelihoods of slots by counting, with the same choices and the same densities.

- unigram: how often a kind of slot holds a value in training.
- bigram: how often it does in this space group after what the slot before holds, backed off to this space group alone
  and to the unigram where such slots are few.

Both know which choices a slot has, as the network does, so that what is compared is what was learned.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.crystals.crystal import Floats, Ints, rows_between
from models.wyckoff.network import n_choices
from models.wyckoff.sequences import Sequences
from models.wyckoff.slots import N_BINS, SlotKind, density, nodes_around

_SMOOTHING = 0.5
"""Added to every count of the unigram."""

_BACK_OFF = 20.0
"""Slots that a rarer context must have to count as much as the next more frequent one."""

_COARSE = 24
"""Parts that a continuous value is sorted into as a context."""


@dataclass(frozen=True)
class CountedBaseline:
    """Counts of a training, by kind and context.

    Attributes:
        n_contexts: 1 for the unigram, 3 for the bigram in space groups.
        counts: by kind and context, the most frequent context first; each [n_choices].
    """

    n_contexts: int
    counts: dict[tuple[int, ...], Floats]

    @staticmethod
    def of(data: Sequences, rows: Ints, n_contexts: int) -> "CountedBaseline":
        """Counts the slots of crystals.

        Args:
            data: sequences.
            rows: which crystals.
            n_contexts: see above.
        """
        slots, _ = rows_between(data.first_slot, rows)
        counts: dict[tuple[int, ...], Floats] = {}
        for slot, contexts in zip(slots.tolist(), _contexts(data, slots), strict=True):
            for context in contexts[:n_contexts]:
                held = counts.setdefault(context, np.zeros(n_choices(SlotKind(context[0]))))
                for value, share in held_values(data, slot):
                    held[value] += share
        return CountedBaseline(n_contexts, counts)

    def mean_by_kind(self, data: Sequences, rows: Ints) -> dict[str, float]:
        """Mean negative log-likelihood by kind of slot, nats per crystal, as `loop.mean_by_kind` gives it."""
        slots, _ = rows_between(data.first_slot, rows)
        sums = np.zeros(len(SlotKind))
        for slot, contexts in zip(slots.tolist(), _contexts(data, slots), strict=True):
            weights = self._weights(contexts[: self.n_contexts])
            if data.choice_row[slot] >= 0:
                weights = np.where(data.choices[data.choice_row[slot], : len(weights)], weights, 0.0)
                likelihood = weights[data.category[slot]] / weights.sum()
            else:
                likelihood = density(SlotKind(data.kind[slot]), weights, float(data.place[slot]))
            sums[data.kind[slot]] -= np.log(likelihood)
        return {kind.name.lower(): float(sums[kind] / len(rows)) for kind in SlotKind}

    def _weights(self, contexts: Sequence[tuple[int, ...]]) -> Floats:
        """Probabilities of what a slot may hold, from the most frequent context to the rarest."""
        n = n_choices(SlotKind(contexts[0][0]))
        smoothed = self.counts.get(contexts[0], np.zeros(n)) + _SMOOTHING
        weights: Floats = smoothed / smoothed.sum()
        for context in contexts[1:]:
            held = self.counts.get(context)
            if held is not None:
                weights = (held + _BACK_OFF * weights) / (held.sum() + _BACK_OFF)
        return weights


def _contexts(data: Sequences, slots: Ints) -> list[tuple[tuple[int, ...], ...]]:
    """Contexts of slots, the most frequent first: kind; kind and group; kind, group and what the slot before holds."""
    kind, group = data.kind[slots], data.space_group[slots]
    before = np.where(kind == SlotKind.SPACE_GROUP, 0, slots - 1)
    held = data.read_category[before] + (data.place[before] * _COARSE / N_BINS).astype(np.int64)
    columns = zip(kind.tolist(), group.tolist(), data.kind[before].tolist(), held.tolist(), strict=True)
    return [((k,), (k, g), (k, g, before_kind, value)) for k, g, before_kind, value in columns]


def held_values(data: Sequences, slot: int) -> list[tuple[int, float]]:
    """What a slot holds: a category, or the two nodes that its place lies between with their shares."""
    if data.choice_row[slot] >= 0:
        return [(int(data.category[slot]), 1.0)]
    kind, place = SlotKind(data.kind[slot]), float(data.place[slot])
    left, right, share = nodes_around(kind, place)
    return [(left, 1 - share), (right, share)]
