"""Which crystals to calculate next: promise, uncertainty and diversity as arrays, without database or files.

The score of a crystal is the product of two numbers and is lowered near crystals that are chosen already:

- promise: probability that the truth is among the best, from the prediction and its 90 % interval on the scale of the
  property, taken as a normal distribution. "Among the best" is being above the n-th best prediction.
- uncertainty: 1 plus the crystal's place, from 0 to 1, in the order of interval widths (and of the distance to the
  training data): of two equally promising crystals the one whose label says more comes first.
- diversity: chosen greedily, each choice lowers its neighbours' score by up to half; nothing is compared with
  everything, so a million results need no matrix of their pairs.

`benchmarks/active_learning.py` measures the rule against each of its parts and against random choice.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import rankdata

from gmt_tasks.active_learning.request import Goal
from models.error_scales import Scale
from models.errors import GmtError
from models.uncertainty.scales import to_scale

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SIGMAS_OF_INTERVAL = 1.6449
"""Half a 90 % interval of a normal distribution, in standard deviations."""

CROWDING = 0.5
"""Share of its score that a crystal loses beside a chosen one. Tuned on val: 0.9 finds the best a little later."""

NEIGHBOURHOOD = 0.4
"""Distance, in the space of models/applicability/descriptor.py, at which two crystals are alike: labelled crystals of
val have their nearest neighbour there in the median."""

SMALLEST_SIGMA = 1e-6


@dataclass(frozen=True)
class Outlook:
    """What is expected of crystals, on the scale of a property, its sign such that more is better.

    Attributes:
        expected: predictions, [n_crystals]; NaN where there is none.
        sigma: standard deviation that the 90 % interval stands for, [n_crystals].
        bounded: whether that comes from an interval of the crystal itself, [n_crystals].
    """

    expected: Floats
    sigma: Floats
    bounded: NDArray[np.bool_]


def outlook(scale: Scale, values: Floats, lower: Floats, upper: Floats, goal: Goal) -> Outlook:
    """Predictions and intervals as normal distributions on the property's scale.

    Physics may cut one end of an interval, so the wider side counts. A crystal without an interval gets the median
    width of the others; where none has one, the range of the predictions, so that promise is their order.

    Args:
        scale: of the property.
        values: predictions in its unit, [n_crystals].
        lower: lower ends of the 90 % intervals in its unit, NaN where unknown, [n_crystals].
        upper: their upper ends, likewise.
        goal: what is wanted.
    """
    place = to_scale(scale, values)
    with np.errstate(invalid="ignore"):
        width = np.fmax(to_scale(scale, upper) - place, place - to_scale(scale, lower))
    bounded = np.isfinite(width) & np.isfinite(place)
    # What symmetry fixes has an interval without width, which says nothing of the others.
    wide = bounded & (width > 0)
    predicted = place[np.isfinite(place)]
    spread = float(np.ptp(predicted)) if len(predicted) else 0.0
    typical = np.median(width[wide]) if wide.any() else SIGMAS_OF_INTERVAL * spread
    sigma = np.maximum(np.where(bounded, width, typical) / SIGMAS_OF_INTERVAL, SMALLEST_SIGMA)
    return Outlook(-place if goal is Goal.MIN else place, sigma, bounded)


def promise(expectation: Outlook, n_best: int) -> Floats:
    """Probability of each crystal to be above the n-th best prediction, 0 to 1; NaN without a prediction.

    Raises:
        GmtError: `n_best` is not positive.
    """
    if n_best < 1:
        raise GmtError(f"{n_best} crystals cannot be the best ones. Ask for one or more.")
    ordered = np.sort(expectation.expected[np.isfinite(expectation.expected)])
    if not len(ordered):
        return np.full(len(expectation.expected), np.nan)
    # Probability of improvement over the n-th best: the truth of the others is no better known than theirs.
    threshold = ordered[-min(n_best, len(ordered))]
    return np.asarray(ndtr((expectation.expected - threshold) / expectation.sigma))


def uncertainty(expectation: Outlook, ood_score: Floats | None = None) -> Floats:
    """Place of each crystal in the order of uncertainty, 0 to 1, [n_crystals].

    Args:
        expectation: the intervals; equal widths share a place.
        ood_score: distance to the training data as a share, NaN where unknown; it counts as much as the width.
    """
    width = expectation.sigma
    if len(width):
        # A width that is the same for all ranks nothing, and neither does one that was filled in.
        width = np.where(expectation.bounded, width, np.median(width))
        # Share of the other widths that are smaller, equal ones counting half.
        width = (rankdata(width) - 1) / max(len(width) - 1, 1)
    if ood_score is None:
        return width
    return np.where(np.isfinite(ood_score), 0.5 * (width + np.nan_to_num(ood_score)), width)


def worth(promise_of: Floats, uncertainty_of: Floats) -> Floats:
    """The score before crystals are compared with each other; -inf where there is no prediction, [n_crystals]."""
    return np.where(np.isfinite(promise_of), promise_of * (1.0 + uncertainty_of), -np.inf)


@dataclass(frozen=True)
class Choice:
    """A batch, in the order in which it was chosen.

    Attributes:
        rows: which crystals, [n_chosen].
        crowding: likeness of each to the nearest one chosen before it or known already, 0 to 1, [n_chosen].
    """

    rows: Ints
    crowding: Floats


def choose_batch(score: Floats, points: NDArray[np.floating], n: int, crowding: float = CROWDING) -> Choice:
    """The best n crystals that are not all alike; one pass over the crystals per choice.

    Args:
        score: from `worth`, [n_crystals]; what is not finite is never chosen.
        points: where the crystals lie in the space of distances, [n_crystals, n_features].
        n: number wanted.
        crowding: share of its score that a crystal loses beside a chosen one; 0 takes the highest scores.

    Returns:
        Fewer than n when fewer can be chosen; equal scores in the order of the crystals.
    """
    left = np.isfinite(score)
    likeness = np.zeros(len(score))
    rows, crowded = [], []
    for _ in range(min(n, int(left.sum()))):
        # Greedy: only the distance to the last chosen crystal is new, so no matrix of pairs is ever made.
        row = int(np.argmax(np.where(left, score * (1.0 - crowding * likeness), -np.inf)))
        rows.append(row)
        crowded.append(likeness[row])
        left[row] = False
        squared = ((points - points[row]) ** 2).sum(axis=1)
        likeness = np.maximum(likeness, np.exp(-0.5 * squared / NEIGHBOURHOOD**2))
    return Choice(np.array(rows, dtype=np.int64), np.array(crowded))
