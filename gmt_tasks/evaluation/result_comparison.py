"""What moved in a ranking when another model computed the same crystals.

Ranks are counted over the crystals that have a number of both models. A change is given in the number's unit and in
units of the old 90 % interval: below 1 the new value lies inside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from models.errors import ModelError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RankedNumbers:
    """One number of crystals as one model gives it.

    Attributes:
        ids: content ids, each once.
        formulas: of the crystals.
        values: [n_crystals], NaN where unknown.
        lower, upper: ends of the 90 % interval, NaN without one, each [n_crystals].
    """

    ids: Sequence[str]
    formulas: Sequence[str]
    values: Floats
    lower: Floats
    upper: Floats


@dataclass(frozen=True)
class Move:
    """One crystal in the top of either model.

    Attributes:
        id, formula: of the crystal.
        old_rank, new_rank: from 1.
        old, new: values in the number's unit.
        change: new - old.
        intervals: the change in units of the old interval's half on that side; NaN without an interval.
    """

    id: str
    formula: str
    old_rank: int
    new_rank: int
    old: float
    new: float
    change: float
    intervals: float


@dataclass(frozen=True)
class RankingComparison:
    """What moved.

    Attributes:
        n_shared: crystals with a number of both models.
        n_only_old, n_only_new: with a number of one of them.
        top: how many of the best were looked at.
        spearman: rank correlation over all shared crystals; NaN for fewer than two.
        spearman_top: over the crystals in the top of either model.
        within_interval: percentage of shared crystals whose new value lies in the old interval, of those that have one.
        entered, left, stayed: crystals of the top of either model, by new rank (left: by old rank).
    """

    n_shared: int
    n_only_old: int
    n_only_new: int
    top: int
    spearman: float
    spearman_top: float
    within_interval: float
    entered: list[Move]
    left: list[Move]
    stayed: list[Move]


def compare_rankings(old: RankedNumbers, new: RankedNumbers, *, top: int, descending: bool) -> RankingComparison:
    """Compares the rankings of two models.

    Args:
        old: a number of one model.
        new: the same number of another model.
        top: how many of the best to look at.
        descending: whether large numbers are the best.

    Raises:
        ModelError: no crystal has a number of both models.
    """
    place = {crystal: k for k, crystal in enumerate(new.ids) if np.isfinite(new.values[k])}
    known = [k for k, crystal in enumerate(old.ids) if np.isfinite(old.values[k])]
    shared = [k for k in known if old.ids[k] in place]
    if not shared:
        raise ModelError(
            f"No crystal has a number of both models: {len(known)} have one of the old, {len(place)} of the new. "
            "Screen the same sources with both."
        )
    first = np.array(shared)
    second = np.array([place[old.ids[k]] for k in shared])
    before, after = old.values[first], new.values[second]
    # Places from 1, the best first; equal values in the order in which they stand.
    ranks = tuple(
        np.asarray(rankdata(-values if descending else values, method="ordinal"), dtype=np.int64)
        for values in (before, after)
    )
    moves = _moves(old, first, before, after, ranks)
    # Only the top of a ranking is looked at more closely; moves below it matter to nobody.
    either = np.flatnonzero((ranks[0] <= top) | (ranks[1] <= top))
    bounded = np.isfinite(old.upper[first] - old.lower[first])
    inside = (old.lower[first] <= after) & (after <= old.upper[first])
    return RankingComparison(
        len(shared),
        len(known) - len(shared),
        len(place) - len(shared),
        top,
        _correlation(before, after),
        _correlation(before[either], after[either]),
        100.0 * float(inside[bounded].mean()) if bounded.any() else float("nan"),
        sorted((m for m in moves if m.new_rank <= top < m.old_rank), key=lambda m: m.new_rank),
        sorted((m for m in moves if m.old_rank <= top < m.new_rank), key=lambda m: m.old_rank),
        sorted((m for m in moves if max(m.old_rank, m.new_rank) <= top), key=lambda m: m.new_rank),
    )


def _moves(
    old: RankedNumbers, rows: NDArray[np.int64], before: Floats, after: Floats, ranks: tuple[NDArray[np.int64], ...]
) -> list[Move]:
    """Every shared crystal, [n]; `rows` are their places in `old`."""
    change = after - before
    # Intervals are not symmetric: the half on the side of the change counts.
    reach = np.where(change >= 0, old.upper[rows] - before, before - old.lower[rows])
    usable = np.isfinite(reach) & (reach > 0)
    units = np.where(usable, np.abs(change) / np.where(usable, reach, 1.0), np.nan)
    columns = (ranks[0], ranks[1], before, after, change, units)
    numbers = zip(*(column.tolist() for column in columns), strict=True)
    return [Move(old.ids[k], old.formulas[k], *row) for k, row in zip(rows.tolist(), numbers, strict=True)]


def _correlation(before: Floats, after: Floats) -> float:
    """Rank correlation; NaN where one of them is constant, which ranks nothing."""
    varies = len(before) > 1 and np.ptp(before) > 0 and np.ptp(after) > 0
    return float(spearmanr(before, after).statistic) if varies else float("nan")
