"""How many labels it takes to find the best crystals of a labelled pool: our rule against its parts and random choice.

The pool is a held-out part of the label files. A simulated user asks for a few jobs, gets the labels of these crystals
and asks again. The model stays the one that was trained without the pool; what is measured is the choice.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.active_learning.acquisition import Outlook, choose_batch, outlook, promise, uncertainty, worth
from gmt_tasks.active_learning.request import Goal
from gmt_tasks.evaluation.label_properties import label_properties
from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.screening.screener import Screener
from gmt_tasks.training.applicability import descriptors_of
from models.applicability.distance import as_points
from models.error_scales import Scale
from models.errors import GmtError
from models.quantities import DERIVED, INTERVALS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PROPERTIES = ("k_vrh_gpa", "g_vrh_gpa", "eps_total_mean", "e_max_c_per_m2", "eps_electronic_mean", "e_norm_c_per_m2")
TOP_SHARE = 0.05
SHARES_FOUND = (0.5, 0.8)
RANDOM_SEEDS = 20

OURS, PREDICTION, UNCERTAINTY, RANDOM = "suggest", "prediction alone", "uncertainty alone", "random"


@dataclass(frozen=True)
class Pool:
    """Labelled crystals with what a model that never saw them predicts.

    Attributes:
        quantity: a derived number.
        split: which part of the label files.
        scale: of the property.
        truth: labels in the property's unit, [n_crystals].
        value: predictions, [n_crystals].
        lower: lower ends of their 90 % intervals, [n_crystals].
        upper: upper ends, [n_crystals].
        ood_score: distance to the training data, [n_crystals].
        points: places of the crystals in the space of distances, [n_crystals, n_features].
        rows: of the crystals in the labels; empty where they have none, [n_crystals].
    """

    quantity: str
    split: str
    scale: Scale
    truth: Floats
    value: Floats
    lower: Floats
    upper: Floats
    ood_score: Floats
    points: NDArray[np.floating]
    rows: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def n_top(self) -> int:
        """How many crystals are to be found."""
        return max(1, round(TOP_SHARE * len(self.truth)))

    @property
    def n_per_round(self) -> int:
        """Jobs asked for at a time; fewer in a small pool."""
        return 10 if len(self.truth) >= 150 else 5

    @property
    def top(self) -> NDArray[np.bool_]:
        """Which crystals are the best by their labels, [n_crystals]."""
        best = np.zeros(len(self.truth), dtype=np.bool_)
        best[np.argsort(-self.truth, kind="stable")[: self.n_top]] = True
        return best


@dataclass(frozen=True)
class SearchCurve:
    """Share of the best crystals found against the number of labels, by one rule.

    Attributes:
        quantity: a derived number.
        split: which part of the label files.
        rule: how crystals were chosen.
        n_pool: crystals in the pool.
        n_top: the best of them.
        found: share of the best found after 1, 2, ... n_pool labels.
        needed: labels until half and 80 % of the best are found; for random choice the expectation.
        low: the 5th percentile over seeds of the share found; of deterministic rules the same as `found`.
        high: the 95th percentile.
    """

    quantity: str
    split: str
    rule: str
    n_pool: int
    n_top: int
    found: list[float]
    needed: dict[float, float]
    low: list[float]
    high: list[float]


def pools(
    labels: LabelledCrystals, screener: Screener, split: Split, names: tuple[str, ...] = PROPERTIES
) -> list[Pool]:
    """One pool per property: the crystals of a split with a label and a prediction with interval."""
    rows = labels.rows(split)
    prediction = screener.predict(labels.crystals.select(rows))
    rows = rows[prediction.rows]
    truth = label_properties(labels, rows)
    points = as_points(descriptors_of(labels.crystals.select(rows)))
    by_property = []
    for name in names:
        scale = DERIVED[name].scale
        value = np.asarray(prediction.derived.columns[name], dtype=np.float64)
        lower, upper = (prediction.intervals[end] for end in INTERVALS[name])
        # A simulated label must exist, and a rule that looks at intervals must have one.
        known = np.isfinite(truth[name]) & np.isfinite(value) & np.isfinite(upper - lower)
        if scale is None or not known.any():
            raise GmtError(f"No labelled crystal of {split.value} has a prediction of {name} with an interval.")
        label, score = truth[name][known], prediction.reliability["ood_score"][known]
        columns = label, value[known], lower[known], upper[known], score
        by_property.append(Pool(name, split.value, scale, *columns, points[known], rows[known]))
    return by_property


def search_curves(pool: Pool) -> list[SearchCurve]:
    """The curves of our rule, of its parts and of random choice on one pool."""
    expectation = outlook(pool.scale, pool.value, pool.lower, pool.upper, Goal.MAX)
    rules: dict[str, Ints] = {
        OURS: suggested_order(pool, expectation),
        PREDICTION: np.argsort(-expectation.expected, kind="stable"),
        UNCERTAINTY: np.argsort(-expectation.sigma, kind="stable"),
    }
    return [*(_curve(pool, rule, [order]) for rule, order in rules.items()), random_curve(pool)]


def suggested_order(pool: Pool, expectation: Outlook) -> Ints:
    """The order in which `suggest` asks for the labels of a pool, round by round, [n_crystals]."""
    score = worth(promise(expectation, 2 * pool.n_per_round), uncertainty(expectation, pool.ood_score))
    order: list[int] = []
    while len(order) < len(score):
        score[order] = -np.inf  # labelled
        order += choose_batch(score, pool.points, pool.n_per_round).rows.tolist()
    return np.array(order, dtype=np.int64)


def random_curve(pool: Pool, seeds: int = RANDOM_SEEDS) -> SearchCurve:
    """Random choice: mean and spread over seeds; the labels needed are the exact expectation."""
    generators = map(np.random.default_rng, range(seeds))
    curve = _curve(pool, RANDOM, [generator.permutation(len(pool.truth)) for generator in generators])
    # Of n crystals in random order the w-th of k special ones stands at w (n + 1) / (k + 1) on average.
    step = (curve.n_pool + 1) / (curve.n_top + 1)
    needed = {share: math.ceil(share * curve.n_top) * step for share in SHARES_FOUND}
    return SearchCurve(**{**vars(curve), "needed": needed})


def _curve(pool: Pool, rule: str, orders: list[Ints]) -> SearchCurve:
    """Mean and spread over several orders in which the labels of a pool are asked for."""
    shares = np.array([np.cumsum(pool.top[order]) for order in orders]) / pool.n_top
    needed = {}
    for share in SHARES_FOUND:
        # A fraction of a crystal counts as a whole one; the small number allows for the rounding of the shares.
        wanted = math.ceil(share * pool.n_top) / pool.n_top - 1e-9
        needed[share] = float(np.mean((shares < wanted).sum(axis=1) + 1))
    low, high = np.quantile(shares, [0.05, 0.95], axis=0)
    facts = pool.quantity, pool.split, rule, len(pool.truth), pool.n_top
    return SearchCurve(*facts, shares.mean(axis=0).tolist(), needed, low.tolist(), high.tolist())


def advantage(curves: list[SearchCurve], rule: str, share: float) -> float:
    """How many times fewer labels than random choice a rule needs.

    Args:
        curves: of one pool.
        rule: one of them.
        share: of the best crystals that is to be found, one of SHARES_FOUND.
    """
    needed = {curve.rule: curve.needed[share] for curve in curves}
    return needed[RANDOM] / needed[rule]
