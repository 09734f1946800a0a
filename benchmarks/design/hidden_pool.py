"""What a closed loop gains on crystals whose labels are held back: against random choice and substitution alone.

    python -m benchmarks.design.hidden_pool --data ../shared/data --split val --out runs/hidden-pool.json

The pool is a held-out part of the label files; a hit is one of its best 5 % by label. Every method reveals the same
number of labels in the same number of rounds:

- random: any crystals of the pool;
- substitution: crystals of the pool that are the most probable ionic substitutions of the best 5 % of the training
  labels, in their structure type (same space group and kinds of occupied positions); the rest in random order;
- generator: the generator restricted to the pool: crystals drawn as probably as it writes them, nothing else;
- loop: in each round the generator proposes a part of the pool, the tensor model (which never saw it) ranks it as
  `suggest` does, the best are revealed, and the generator is shifted to the best labels revealed so far.

The generator proposes by log-probability per slot, so that small crystals are not preferred for having fewer slots.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.search_curves import PROPERTIES, TOP_SHARE, Pool, pools
from gmt_tasks.active_learning.acquisition import choose_batch, outlook, promise, uncertainty, worth
from gmt_tasks.active_learning.request import Goal
from gmt_tasks.evaluation.label_properties import label_properties
from gmt_tasks.labels.files import LabelledCrystals, Split, read_labels
from gmt_tasks.process import compute_in_one_thread
from gmt_tasks.screening.screener import Screener
from gmt_tasks.sources.generated.ions import Ion, oxidation_states, replacements
from gmt_tasks.training.wyckoff.shift import ShiftOptions, shift
from models.crystals.crystal import SYMBOLS, Floats, Ints
from models.wyckoff.generator import load_generator
from models.wyckoff.network import WyckoffNetwork
from models.wyckoff.occupation import Orbits, WyckoffCrystals, occupied_positions
from models.wyckoff.sequences import Sequences, batches, log_probabilities, sequence_batch, sequences_of

BUDGET_SHARE, ROUNDS, SEEDS = 0.1, 5, 5
PROPOSED_SHARE = 0.5
"""Of the crystals that are left, that the generator proposes in a round."""

SHARPNESS = 4.0
"""Nats per slot are multiplied by it before crystals are drawn."""

LEARNED_SHARE = 0.5
"""Of the labels revealed so far, the best ones, that the generator is shifted to."""

UNLIKELY = -40.0


@dataclass(frozen=True)
class HiddenPool:
    """A pool with what the methods may look at.

    Attributes:
        pool: labels (held back) and predictions.
        crystals: by their occupied positions.
        sequences: of these.
        substitution: how probable each is as a substitution of a good training crystal, logarithms, [n_crystals].
    """

    pool: Pool
    crystals: WyckoffCrystals
    sequences: Sequences
    substitution: Floats

    @property
    def n(self) -> int:
        """Crystals."""
        return len(self.pool.truth)

    @property
    def per_round(self) -> int:
        """Labels revealed in a round."""
        return max(1, round(BUDGET_SHARE * self.n / ROUNDS))


def likelihoods(network: WyckoffNetwork, data: Sequences) -> Floats:
    """Log-probability per slot of crystals, [n_crystals]."""
    sums = np.zeros(len(data.lengths))
    with torch.inference_mode():
        for rows in batches(data.lengths, np.arange(len(sums)), 6000, np.random.default_rng(0)):
            batch = sequence_batch(data, rows)
            values = log_probabilities(network, data, batch).numpy()
            sums[rows] = np.bincount(batch.crystal.numpy(), weights=values, minlength=len(rows))
    return sums / data.lengths


def drawn(scores: Floats, left: Ints, n: int, rng: np.random.Generator) -> Ints:
    """Rows drawn without putting back, with probabilities as exp(scores)."""
    keys = scores[left] + rng.gumbel(size=len(left))
    return left[np.argsort(-keys)[:n]]


def by_random(hidden: HiddenPool, rng: np.random.Generator) -> Ints:
    """Any crystals."""
    return rng.permutation(hidden.n)[: ROUNDS * hidden.per_round]


def by_substitution(hidden: HiddenPool, rng: np.random.Generator) -> Ints:
    """The most probable substitutions; what is none comes behind in random order."""
    keys = hidden.substitution + 1e-6 * rng.random(hidden.n)
    return np.argsort(-keys)[: ROUNDS * hidden.per_round]


def by_generator(hidden: HiddenPool, rng: np.random.Generator) -> Ints:
    """What the generator would write, without looking at predictions or labels."""
    scores = SHARPNESS * likelihoods(load_generator().network, hidden.sequences)
    return drawn(scores, np.arange(hidden.n), ROUNDS * hidden.per_round, rng)


def by_loop(hidden: HiddenPool, rng: np.random.Generator, *, shifts: bool = True) -> Ints:
    """Rounds of proposals, ranking, labels, and a shift."""
    pool, reference = hidden.pool, load_generator().network
    network = reference
    expected = outlook(pool.scale, pool.value, pool.lower, pool.upper, Goal.MAX)
    score = worth(promise(expected, 2 * hidden.per_round), uncertainty(expected, pool.ood_score))
    revealed: list[int] = []
    for number in range(ROUNDS):
        left = np.setdiff1d(np.arange(hidden.n), revealed)
        scores = SHARPNESS * likelihoods(network, hidden.sequences)
        proposed = drawn(scores, left, max(hidden.per_round, round(PROPOSED_SHARE * len(left))), rng)
        chosen = choose_batch(score[proposed], pool.points[proposed], hidden.per_round).rows
        revealed += proposed[chosen].tolist()
        if shifts and number + 1 < ROUNDS:
            best = np.array(revealed)[np.argsort(-pool.truth[revealed])[: max(2, round(LEARNED_SHARE * len(revealed)))]]
            anchors = hidden.crystals.select(rng.permutation(hidden.n)[:100])
            options = ShiftOptions(seed=number, passes=12)
            good = hidden.crystals.select(best)
            network = shift(reference, good, np.ones(len(best)), anchors, options).network
    return np.array(revealed)


def by_loop_without_shift(hidden: HiddenPool, rng: np.random.Generator) -> Ints:
    """The same with the generator as it came: what ranking alone gives."""
    return by_loop(hidden, rng, shifts=False)


METHODS: dict[str, Callable[[HiddenPool, np.random.Generator], Ints]] = {
    "random": by_random,
    "substitution": by_substitution,
    "generator": by_generator,
    "loop without shift": by_loop_without_shift,
    "loop": by_loop,
}


def substitution_scores(crystals: WyckoffCrystals, seeds: WyckoffCrystals) -> Floats:
    """How probable crystals are as substitutions of seeds in their structure type, logarithms, [n_crystals]."""
    by_type: dict[tuple[int, ...], list[Orbits]] = {}
    for number, orbits in zip(seeds.space_group.tolist(), seeds.orbits(), strict=True):
        by_type.setdefault((number, *orbits.position.tolist()), []).append(orbits)
    scores = []
    for number, orbits in zip(crystals.space_group.tolist(), crystals.orbits(), strict=True):
        hosts = by_type.get((number, *orbits.position.tolist()), [])
        scores.append(max((_probability(host.numbers, orbits.numbers) for host in hosts), default=UNLIKELY))
    return np.array(scores)


def _probability(old: Ints, new: Ints) -> float:
    """Log-probability that the elements of a host are replaced by others, orbit by orbit; UNLIKELY for no mapping."""
    pairs = set(zip(old.tolist(), new.tolist(), strict=True))
    if len(pairs) != len(set(old.tolist())) or len(pairs) != len(set(new.tolist())):
        return UNLIKELY
    states = oxidation_states(old) or {}
    total = 0.0
    for one, other in pairs:
        ion = Ion(SYMBOLS[one], states.get(SYMBOLS[one], 0))
        shares = [
            float(np.exp(each.log_probability)) for each in replacements(ion) if each.ion.symbol == SYMBOLS[other]
        ]
        total += float(np.log(max(sum(shares), 1e-8)))
    return total


def hidden_pools(
    labels: LabelledCrystals, screener: Screener, split: Split, names: tuple[str, ...]
) -> list[HiddenPool]:
    """The pools of a split, without crystals that have no form of occupied positions."""
    hidden = []
    train = labels.rows(Split.TRAIN)
    of_train = label_properties(labels, train)
    for pool in pools(labels, screener, split, names):
        crystals, rows = occupied_positions(labels.crystals.select(pool.rows))
        kept = {name: value[rows] if isinstance(value, np.ndarray) else value for name, value in vars(pool).items()}
        known = np.flatnonzero(np.isfinite(of_train[pool.quantity]))
        best = known[np.argsort(-of_train[pool.quantity][known])[: max(1, round(TOP_SHARE * len(known)))]]
        seeds, _ = occupied_positions(labels.crystals.select(train[best]))
        hidden.append(HiddenPool(Pool(**kept), crystals, sequences_of(crystals), substitution_scores(crystals, seeds)))
    return hidden


def measure(hidden: HiddenPool) -> dict[str, Any]:
    """Hits of every method over the seeds."""
    top = hidden.pool.top
    figures: dict[str, Any] = {
        "property": hidden.pool.quantity,
        "n": hidden.n,
        "hits_there": int(top.sum()),
        "labels": ROUNDS * hidden.per_round,
        "with_a_parent": int((hidden.substitution > UNLIKELY).sum()),
        "expected_at_random": float(ROUNDS * hidden.per_round * top.mean()),
    }
    for name, method in METHODS.items():
        hits = [int(top[method(hidden, np.random.default_rng([seed, 7]))].sum()) for seed in range(SEEDS)]
        figures[name] = hits
    return figures


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--split", choices=[Split.VAL.value, Split.TEST.value], default=Split.VAL.value)
    parser.add_argument("--properties", default=",".join(PROPERTIES))
    parser.add_argument("--out", type=Path, default=Path("runs/hidden-pool.json"))
    options = parser.parse_args()
    compute_in_one_thread()
    labels, screener = read_labels(options.data), Screener.load("gmtnet")
    found = []
    for hidden in hidden_pools(labels, screener, Split(options.split), tuple(options.properties.split(","))):
        found.append(measure(hidden))
        print(json.dumps(found[-1]), flush=True)  # noqa: T201  a benchmark prints
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"split": options.split, "pools": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
