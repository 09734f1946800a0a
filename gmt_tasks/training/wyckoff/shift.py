"""A generator shifted towards crystals that were good, as far as a bound on its distance from where it came allows.

The loss is the negative log-likelihood of the good crystals. After each pass over them the distance is measured: the
Kullback-Leibler divergence of the shifted network from the reference, slot by slot, over crystals that were written
before. The last network within the bound is kept. What a network knows of chemistry so outlives a few dozen examples.

Source: reward-weighted regression, J. Peters, S. Schaal, ICML (2007); the bound is that of relative entropy policy
search, J. Peters, K. Mulling, Y. Altun, AAAI (2010).
"""

from dataclasses import dataclass

import numpy as np
import torch

from models.crystals.crystal import Floats, Ints
from models.wyckoff.generator import without_gradients
from models.wyckoff.network import WyckoffNetwork, n_choices
from models.wyckoff.occupation import WyckoffCrystals
from models.wyckoff.sequences import (
    SequenceBatch,
    Sequences,
    batches,
    log_probabilities,
    sequence_batch,
    sequences_of,
)
from models.wyckoff.slots import SlotKind

_BATCH_SLOTS = 1500


@dataclass(frozen=True)
class ShiftOptions:
    """How far and how fast a generator is shifted.

    Attributes:
        bound: divergence from the reference at most, nats per crystal.
        passes: over the good crystals at most.
        learning_rate: of AdamW.
        seed: of the order.
    """

    bound: float = 6.0
    passes: int = 12
    learning_rate: float = 2e-4
    seed: int = 0


@dataclass(frozen=True)
class Shifted:
    """A shifted generator.

    Attributes:
        network: in inference mode.
        divergence: from the reference, nats per crystal.
        n_passes: over the good crystals that it took.
    """

    network: WyckoffNetwork
    divergence: float
    n_passes: int


def shift(
    start: WyckoffNetwork,
    reference: WyckoffNetwork,
    good: WyckoffCrystals,
    weights: Floats,
    written: WyckoffCrystals,
    options: ShiftOptions,
) -> Shifted:
    """Shifts a generator towards good crystals.

    Args:
        start: where the shift begins: the generator of the last round.
        reference: from which the divergence counts.
        good: crystals to move to.
        weights: of each, positive, [n_good].
        written: crystals of earlier rounds, at which the divergence is measured.
        options: how far and how fast.
    """
    network = without_gradients(start).requires_grad_()
    data, anchors = sequences_of(good), sequences_of(written)
    share = torch.as_tensor(weights / weights.mean(), dtype=torch.float32)
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.learning_rate, weight_decay=0.0)
    rng = np.random.default_rng(options.seed)
    kept = Shifted(without_gradients(start), mean_divergence(reference, start, anchors), 0)
    # dropout draws from torch's own random numbers: seeded, and put back for whoever else draws from them
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        for n_passes in range(1, options.passes + 1):
            network.train()
            for rows in batches(data.lengths, np.arange(good.n_crystals), _BATCH_SLOTS, rng):
                batch = sequence_batch(data, rows)
                of_slots = share[torch.as_tensor(rows)][batch.crystal]
                loss = -(log_probabilities(network, data, batch) * of_slots).sum() / len(batch.slots)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
            network.eval()
            divergence = mean_divergence(reference, network, anchors)
            if divergence > options.bound:
                break
            kept = Shifted(without_gradients(network), divergence, n_passes)
    return kept


@torch.inference_mode()
def mean_divergence(reference: WyckoffNetwork, network: WyckoffNetwork, anchors: Sequences) -> float:
    """Kullback-Leibler divergence of a network from a reference along written crystals, nats per crystal."""
    n_crystals = len(anchors.lengths)
    total = 0.0
    for rows in batches(anchors.lengths, np.arange(n_crystals), 4 * _BATCH_SLOTS, np.random.default_rng(0)):
        total += _divergence(reference, network, anchors, rows)
    return total / max(n_crystals, 1)


def _divergence(reference: WyckoffNetwork, network: WyckoffNetwork, anchors: Sequences, rows: Ints) -> float:
    batch = sequence_batch(anchors, rows)
    kinds = anchors.kind[batch.slots]
    of_both = [_features(one, batch) for one in (reference, network)]
    total = 0.0
    for kind in SlotKind:
        where = np.flatnonzero(kinds == kind)
        if not len(where):
            continue
        index = torch.as_tensor(where)
        logits = [one.logits(f[index], kind) for one, f in zip((reference, network), of_both, strict=True)]
        if kind <= SlotKind.SPECIES:
            choices = torch.as_tensor(anchors.choices[anchors.choice_row[batch.slots[where]], : n_choices(kind)])
            logits = [values.masked_fill(~choices, -1e9) for values in logits]
        old, new = (torch.log_softmax(values, dim=-1) for values in logits)
        total += float((old.exp() * (old - new)).sum())
    return total


def _features(network: WyckoffNetwork, batch: SequenceBatch) -> torch.Tensor:
    return torch.as_tensor(network(batch.inputs).flatten(0, 1)[batch.places])
