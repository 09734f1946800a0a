"""What the gate measures on labelled crystals: one column per tensor, property, crystal system and interval.

Every measure is a cost, the smaller the better, of one crystal and one model. Long tails are cut at what the current
model does not exceed in nine of ten crystals, so that one outlier among the labels does not decide; outliers among the
predictions are looked at elsewhere (reference_set.py).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from gmt_tasks.evaluation.evaluation import RANKED
from gmt_tasks.evaluation.label_properties import label_properties, label_tensors
from gmt_tasks.evaluation.scores import printed_norm, tensor_errors
from gmt_tasks.labels.files import LabelledCrystals
from gmt_tasks.retraining.gate.paired_comparison import Measure
from gmt_tasks.screening.intervals import zero_by_symmetry
from gmt_tasks.screening.screener import TensorPrediction
from models.crystals.crystal_systems import CRYSTAL_SYSTEMS, crystal_systems
from models.quantities import DERIVED, INTERVALS, TENSORS, Tensor
from models.symmetry.search import SymmetryBatch
from models.tensors.voigt import from_components, to_components
from models.uncertainty.conformal import ALPHA as CALIBRATED_ALPHA
from models.uncertainty.scales import to_scale

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.int64]

ERROR_MARGIN = 0.03
"""Growth of a mean error, as a share of it, that does not matter: two trainings with other seeds differ as much."""

SYSTEM_MARGIN = 0.08
"""The same for one crystal system: fewer crystals, more difference between two seeds."""

TOGETHER_MARGIN = 0.005
"""The same for the mean over everything: many small losses below the other margins do not pass unseen."""

RATE_MARGIN = 0.02
"""Growth of a rate (share of misses, lost rank correlation) that does not matter."""

INTERVAL_MARGIN = 0.06
"""Growth of an interval score, as a share of it, that does not matter, besides the chance of the calibration."""

WIDTH_CHANCE = 0.885
"""Relative standard deviation of a width that n errors set, times the root of n: that of the 90 % quantile of normal
errors, sqrt(0.09 / n) / (2 x 0.103 x 1.645)."""

CALIBRATION_Z = 1.64
"""Standard deviations of the calibration's own chance that a rate of misses may grow by."""

SMALLEST_NORM = 1e-3
"""Norm below which a label is a zero of the calculation; errors are then measured against this, in its unit."""

ALL, KNOWN = "all", "labels known before"
LARGEST_RELATIVE = 1.0
TRIMMED_FROM = 0.9


def gate_measures(
    labels: LabelledCrystals, current: TensorPrediction, candidate: TensorPrediction, known_before: Bools
) -> list[Measure]:
    """All measures of two models over the same labelled crystals.

    Args:
        labels: n_crystals labelled crystals.
        current: predictions of the current model for them; it may have refused some.
        candidate: predictions of the candidate, likewise.
        known_before: crystals whose labels the current model was measured on too, [n_crystals]; all False without.

    Returns:
        Measures over n_crystals each, NaN where either model has no prediction or no label is known.
    """
    old, new = _Costs.of(labels, current), _Costs.of(labels, candidate)
    measures = [*_errors(old, new), *_rates(old, new), *_intervals(old, new)]
    # Labels that were there before cannot be wrong in a new way: errors on them are compared once more by themselves.
    errors = [m for m in measures if m.group == ALL and m.name.endswith("error")] if known_before.any() else []
    before = [_only(m, known_before, KNOWN) for m in errors]
    by_system = [
        _only(m, old.system == system, system)
        for m in _relative_errors(old, new, SYSTEM_MARGIN)
        for system in CRYSTAL_SYSTEMS
    ]
    return [*measures, *by_system, *before]


def interval_misses(labels: LabelledCrystals, prediction: TensorPrediction) -> dict[str, Floats]:
    """By quantity 1 where a label is outside the interval, 0 where not, NaN where either is unknown, [n_crystals]."""
    return _Costs.of(labels, prediction).miss


@dataclass(frozen=True)
class _Costs:
    """Costs of one model's predictions, crystal by crystal, each array [n_crystals], NaN without label.

    Attributes:
        error: of tensors in their unit.
        relative: the same relative to the label.
        number: errors of derived numbers on their scale.
        rank: loss of rank correlation, whose mean is 1 - Spearman.
        miss: 1 where the truth is outside the interval.
        interval: interval scores: the width, and 2 / alpha times the distance of a truth outside (Gneiting & Raftery,
            J. Am. Stat. Assoc. 102, 359 (2007), eq. 43); of a tensor, with its radius for the width and 1 / alpha.
        system: crystal system.
    """

    error: dict[Tensor, Floats]
    relative: dict[Tensor, Floats]
    number: dict[str, Floats]
    rank: dict[str, Floats]
    miss: dict[str, Floats]
    interval: dict[str, Floats]
    system: NDArray[Any]

    @staticmethod
    def of(labels: LabelledCrystals, prediction: TensorPrediction) -> "_Costs":
        rows, derived, intervals = prediction.rows, prediction.derived, prediction.intervals
        symmetry = derived.prediction.analysis.symmetry
        costs = _Costs({}, {}, {}, {}, {}, {}, crystal_systems(symmetry.number))
        for quantity, tensors in derived.prediction.tensors.items():
            name = TENSORS[quantity].error_column
            # What symmetry fixes at 0 is exact for every model and would only dilute the means.
            allowed = ~zero_by_symmetry(name, symmetry)
            truth = from_components(quantity, labels.components[quantity][rows])
            sign_free = labels.sign_unproven[rows] & (quantity is Tensor.PIEZOELECTRIC)
            costs.error[quantity] = np.where(allowed, tensor_errors(tensors, truth, quantity, sign_free), np.nan)
            costs.relative[quantity] = costs.error[quantity] / np.maximum(printed_norm(truth, quantity), SMALLEST_NORM)
            off = np.linalg.norm(label_tensors(labels, rows, quantity) - to_components(quantity, tensors), axis=1)
            radius = np.where(allowed, intervals[name], np.nan)
            costs.miss[name] = _missed(off, radius)
            costs.interval[name] = radius + np.maximum(off - radius, 0.0) / CALIBRATED_ALPHA
        costs._add_numbers(label_properties(labels, rows), prediction, symmetry)
        return costs._on_all(rows, len(labels.ids))

    def _add_numbers(self, truths: dict[str, Floats], prediction: TensorPrediction, symmetry: SymmetryBatch) -> None:
        """Costs of the properties that people sort by; what symmetry fixes is exact and not counted."""
        for name in RANKED:
            scale = DERIVED[name].scale
            if scale is None:
                continue
            truth = np.where(zero_by_symmetry(name, symmetry), np.nan, truths[name])
            predicted = prediction.derived.columns[name]
            # On the scale of the property, where an error of a soft and of a stiff crystal weigh alike.
            self.number[name] = np.abs(to_scale(scale, truth) - to_scale(scale, predicted))
            self.rank[name] = lost_ranks(predicted, truth)
            value = to_scale(scale, truth)
            lower, upper = (to_scale(scale, prediction.intervals[end]) for end in INTERVALS[name])
            outside, width = np.maximum(lower - value, value - upper), upper - lower
            self.miss[name] = _missed(outside, np.where(np.isfinite(width), 0.0, np.nan))
            self.interval[name] = width + np.maximum(outside, 0.0) * 2 / CALIBRATED_ALPHA

    def _on_all(self, rows: Rows, n_crystals: int) -> "_Costs":
        """The same over all crystals, NaN (and no system) for those without a prediction."""
        system = np.full(n_crystals, "", dtype=object)
        system[rows] = self.system
        tables: dict[str, Any] = {"system": system}
        for table in ("error", "relative", "number", "rank", "miss", "interval"):
            tables[table] = {}
            for name, values in getattr(self, table).items():
                tables[table][name] = np.full(n_crystals, np.nan)
                tables[table][name][rows] = values
        return replace(self, **tables)


def _missed(distance: Floats, reach: Floats) -> Floats:
    """1 where a distance exceeds the reach, 0 where not, NaN where either is unknown."""
    known = np.isfinite(distance) & np.isfinite(reach)
    return np.where(known, (distance > reach).astype(np.float64), np.nan)


def lost_ranks(predicted: Floats, truth: Floats) -> Floats:
    """Each crystal's share in the loss of rank correlation: the mean of these numbers is 1 - Spearman's rho.

    Args:
        predicted: numbers, [n].
        truth: labels, NaN where unknown, [n].
    """
    lost = np.full(len(truth), np.nan)
    known = np.flatnonzero(np.isfinite(truth) & np.isfinite(predicted))
    if len(known) > 1:
        first, second = (rankdata(values[known], method="ordinal") for values in (predicted, truth))
        lost[known] = 6.0 * (first - second) ** 2 / (len(known) ** 2 - 1.0)
    return lost


def _errors(old: _Costs, new: _Costs) -> Iterator[Measure]:
    """Errors of tensors and numbers over all crystals, and their mean over everything."""
    relative = list(_relative_errors(old, new, ERROR_MARGIN))
    shared = (q for q in TENSORS if q in old.error and q in new.error)
    for quantity, measure in zip(shared, relative, strict=True):
        name = f"{TENSORS[quantity].symbol} error"
        yield _trimmed(name, old.error[quantity], new.error[quantity], ERROR_MARGIN)
        yield measure
    for name in old.number:
        yield _trimmed(f"{name} error", old.number[name], new.number[name], ERROR_MARGIN)
    first = _mean_of_known([m.current for m in relative])
    second = _mean_of_known([m.candidate for m in relative])
    yield _measure("all tensors, relative error", ALL, first, second, TOGETHER_MARGIN)


def _relative_errors(old: _Costs, new: _Costs, share: float) -> Iterator[Measure]:
    """Relative errors of each tensor, none above 1: predicting nothing is not made worse by predicting nonsense."""
    for quantity, tensor in TENSORS.items():
        if quantity in old.relative and quantity in new.relative:
            first, second = (np.minimum(costs.relative[quantity], LARGEST_RELATIVE) for costs in (old, new))
            yield _measure(f"{tensor.symbol} relative error", ALL, first, second, share)


def _rates(old: _Costs, new: _Costs) -> Iterator[Measure]:
    """EwT 25 and EwT 10 as shares that miss them, and lost rank correlation."""
    for quantity, tensor in TENSORS.items():
        if quantity in old.relative and quantity in new.relative:
            relative = old.relative[quantity], new.relative[quantity]
            for limit in (0.25, 0.10):
                first, second = (_missed(errors, np.full_like(errors, limit)) for errors in relative)
                yield Measure(f"{tensor.symbol} above {100 * limit:.0f} %", ALL, first, second, RATE_MARGIN)
    for name in old.rank:
        yield Measure(f"{name} lost rank correlation", ALL, old.rank[name], new.rank[name], RATE_MARGIN)


def _intervals(old: _Costs, new: _Costs) -> Iterator[Measure]:
    """Misses of the 90 % intervals, and their scores: honest intervals are wanted, and no wider ones than before."""
    for name in old.miss:
        if name in new.miss:
            n = int(np.isfinite(old.miss[name] + new.miss[name]).sum())
            # About as many val labels set the widths: their chance is not in the resampling of test crystals.
            chance = CALIBRATION_Z * float(np.sqrt(CALIBRATED_ALPHA * (1 - CALIBRATED_ALPHA) / max(n, 1)))
            margin = RATE_MARGIN + chance
            yield Measure(f"{name} outside its interval", ALL, old.miss[name], new.miss[name], margin)
            share = INTERVAL_MARGIN + WIDTH_CHANCE / float(np.sqrt(max(n, 1)))
            yield _trimmed(f"{name} interval score", old.interval[name], new.interval[name], share)


def _trimmed(name: str, current: Floats, candidate: Floats, share: float) -> Measure:
    """Errors, none above what the current model does not exceed in nine of ten crystals."""
    known = np.isfinite(current) & np.isfinite(candidate)
    limit = float(np.quantile(current[known], TRIMMED_FROM)) if known.any() else np.inf
    return _measure(name, ALL, np.minimum(current, limit), np.minimum(candidate, limit), share)


def _measure(name: str, group: str, current: Floats, candidate: Floats, share: float) -> Measure:
    """A measure whose margin is a share of the current mean."""
    known = np.isfinite(current) & np.isfinite(candidate)
    margin = share * float(current[known].mean()) if known.any() else 0.0
    return Measure(name, group, current, candidate, margin)


def _only(measure: Measure, chosen: Bools, group: str) -> Measure:
    """The measure on some of the crystals, its margin in proportion to the current mean there."""
    known = np.isfinite(measure.current) & np.isfinite(measure.candidate)
    first = np.where(chosen, measure.current, np.nan)
    within = known & chosen
    # The margin of a measure is an absolute growth; a subset with smaller errors must not get the whole set's.
    mean = float(measure.current[known].mean()) if known.any() else 0.0
    share = measure.margin / mean if mean > 0 else 0.0
    margin = share * float(measure.current[within].mean()) if within.any() else 0.0
    return Measure(measure.name, group, first, measure.candidate, margin)


def _mean_of_known(columns: Sequence[Floats]) -> Floats:
    """Mean over the columns that are known, NaN where none is, [n]."""
    stacked = np.stack(columns)
    known = np.isfinite(stacked)
    total = np.where(known, stacked, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)
