"""Paired comparison of two models: which of many measures became worse by more than chance and by more than matters.

Both models are measured on the same crystals, so each measure is a column of differences. A measure is worse when its
mean difference, less a margin that nobody would notice, lies above what resampling the crystals explains. With many
measures some would look worse by chance: the largest standardised deviation over all measures in a resample says how
far chance goes (Romano & Wolf, Econometrica 73, 1237 (2005), single step), so that a model as good as the current one
is refused with probability `ALPHA` at most over all measures together. Polymorphs of one formula are drawn together:
their errors are alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError

Floats = NDArray[np.float64]

ALPHA = 0.05
"""Largest chance that a model as good as the current one is refused by any of the measures."""

N_RESAMPLES = 2000

SMALLEST_GROUP = 20
"""Crystals below which a mean says nothing: such a measure is left out."""


class MeasureOutcome(StrEnum):
    """What the difference of one measure says."""

    BETTER = "better"
    SAME = "same"
    WORSE = "worse"


@dataclass(frozen=True)
class Measure:
    """One number per crystal and model, the smaller the better.

    Attributes:
        name: of what is measured, e.g. "C relative error".
        group: of the crystals it is measured on, e.g. "all" or "cubic".
        current, candidate: values, NaN where there is no label, [n_crystals].
        margin: growth of the mean that does not matter, in the unit of the values.
    """

    name: str
    group: str
    current: Floats
    candidate: Floats
    margin: float


@dataclass(frozen=True)
class Comparison:
    """What became of one measure.

    Attributes:
        name, group: of the measure.
        n: crystals with a value of both models.
        current, candidate: means.
        margin: growth of the mean that does not matter.
        error: standard error of the difference of the means.
        p: chance of a deviation as large in any of the measures when nothing is worse, 0 to 1.
        outcome: better and worse are beyond chance and beyond the margin.
    """

    name: str
    group: str
    n: int
    current: float
    candidate: float
    margin: float
    error: float
    p: float
    outcome: MeasureOutcome


def compare(
    measures: Sequence[Measure],
    formulas: Sequence[str],
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> list[Comparison]:
    """Compares two models measure by measure.

    Args:
        measures: all over the same n_crystals; those with fewer than `SMALLEST_GROUP` values are left out.
        formulas: reduced formula of each crystal, [n_crystals].
        n_resamples: of the crystals.
        seed: of the resampling, so that the same figures give the same outcome.

    Returns:
        One comparison per measure that was kept, in their order.

    Raises:
        ModelError: no measure has enough values.
    """
    kept = [m for m in measures if np.isfinite(m.candidate - m.current).sum() >= SMALLEST_GROUP]
    if not kept:
        raise ModelError(
            f"None of {len(measures)} measures has {SMALLEST_GROUP} labelled test crystals, as a comparison needs. "
            "Add labels to the test part."
        )
    change = np.stack([m.candidate - m.current for m in kept], axis=1)
    margins = np.array([m.margin for m in kept])
    mean, resampled = _resampled_means(change, formulas, n_resamples, seed)
    error = resampled.std(axis=0, ddof=1)
    # Two models that agree to the last digit have no spread; a rounding difference must not count as significant.
    floor = np.maximum(error, 1e-12)
    # The largest deviation over all measures per resample keeps false alarms at alpha for all measures together.
    chance = np.sort(((resampled - mean) / floor).max(axis=1))
    limit = float(np.quantile(chance, 1.0 - ALPHA))
    deviation = (mean - margins) / floor
    p = 1.0 - np.searchsorted(chance, deviation, side="left") / len(chance)
    worse, better = deviation > limit, (-mean - margins) / floor > limit
    return [
        _comparison(m, float(error[k]), float(p[k]), worse=bool(worse[k]), better=bool(better[k]))
        for k, m in enumerate(kept)
    ]


def _comparison(measure: Measure, error: float, p: float, *, worse: bool, better: bool) -> Comparison:
    """Means over the crystals that have a value of both models."""
    known = np.isfinite(measure.candidate - measure.current)
    return Comparison(
        measure.name,
        measure.group,
        int(known.sum()),
        float(measure.current[known].mean()),
        float(measure.candidate[known].mean()),
        measure.margin,
        error,
        p,
        MeasureOutcome.WORSE if worse else MeasureOutcome.BETTER if better else MeasureOutcome.SAME,
    )


def _resampled_means(change: Floats, formulas: Sequence[str], n_resamples: int, seed: int) -> tuple[Floats, Floats]:
    """Mean of each column, and its means over crystals drawn with replacement formula by formula.

    Args:
        change: differences, NaN where unknown, [n_crystals, n_measures].
        formulas: what is drawn together, [n_crystals].
        n_resamples: how often.
        seed: of the draw.

    Returns:
        [n_measures] and [n_resamples, n_measures]; a draw without a value of a measure has its mean.
    """
    _, owner = np.unique(np.asarray(formulas), return_inverse=True)
    n_formulas = int(owner.max()) + 1
    known = np.isfinite(change)
    # Sums and counts by formula are enough: a resample is a weighting of the formulas, so one product makes all means.
    sums, counts = np.zeros((n_formulas, change.shape[1])), np.zeros((n_formulas, change.shape[1]))
    np.add.at(sums, owner, np.where(known, change, 0.0))
    np.add.at(counts, owner, known.astype(np.float64))
    mean = sums.sum(axis=0) / counts.sum(axis=0)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n_formulas, np.full(n_formulas, 1.0 / n_formulas), size=n_resamples).astype(np.float64)
    total = drawn @ counts
    return mean, np.where(total > 0, (drawn @ sums) / np.maximum(total, 1.0), mean)
