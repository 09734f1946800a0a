"""Calibration of the intervals on the val part, and their coverage elsewhere.

The val crystals take the whole path of a screening. Of each derived number the error is taken on its scale
(models/uncertainty/scales.py), of each tensor relative to its Frobenius norm; models/uncertainty/conformal.py makes
widths of them. Crystals whose number symmetry fixes (a forbidden piezoelectric tensor) take no part: they are exact.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from gmt_tasks.evaluation.breakdown.stability import fit_stability
from gmt_tasks.evaluation.label_properties import label_properties, label_tensors
from gmt_tasks.evaluation.reliability.combined_errors import combined_widths
from gmt_tasks.evaluation.reliability.fit import fit_error_models
from gmt_tasks.evaluation.reliability.held_out_widths import HeldOutErrors
from gmt_tasks.labels.files import LabelledCrystals, Split, read_labels
from gmt_tasks.screening.intervals import size_of, width_groups, zero_by_symmetry
from gmt_tasks.screening.screener import Screener, TensorPrediction
from gmt_tasks.training.applicability import write_training_reference
from gmt_tasks.training.split_table import seen_by_model
from models.applicability.equilibrium import fit_widening
from models.crystals.crystal_systems import CRYSTAL_SYSTEMS, crystal_systems
from models.error_scales import Scale
from models.gmtnet.card import find_checkpoint, read_card, write_card
from models.gmtnet.training_data.split_table import load_split_table
from models.quantities import DERIVED, INTERVALS, TENSORS
from models.tensors.voigt import to_components
from models.uncertainty.conformal import ALPHA, SMALLEST_N, Calibration, ConformalWidth
from models.uncertainty.scales import interval_around, to_scale

Floats = NDArray[np.float64]

EVERY_SYSTEM = "all"
SMALLEST_REPORTED = 10
"""Coverage of a crystal system is reported from this number of labelled crystals on."""

STRAINED_LOG_VOLUMES = (-0.15, -0.1, 0.1, 0.15)
"""ln V / V0 of the copies that say how intervals widen away from equilibrium."""

LEVELS_PERCENT = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95)
"""Levels of a reliability curve."""


@dataclass(frozen=True)
class Coverage:
    """How often the truth lies inside the interval, over the crystals that have a label and a prediction.

    Attributes:
        quantity: a derived number, or the error column of a tensor.
        split: "val" (optimistic: the widths come from there) or "test".
        system: a crystal system, or "all".
        n: number of crystals with label and prediction.
        coverage: percentage inside, of those that have an interval.
        mean_width: in the quantity's unit; for a tensor the mean radius.
        unbounded: percentage of crystals without an interval.
    """

    quantity: str
    split: str
    system: str
    n: int
    coverage: float
    mean_width: float
    unbounded: float


@dataclass(frozen=True)
class SelectiveCurve:
    """Mean error of the most certain crystals against the share that is kept.

    Attributes:
        quantity, split, n: as of `Coverage`.
        kept: shares from 1 / n to 1.
        error: mean error of the kept ones, on the quantity's scale (relative for a tensor).
        aurc: mean of `error` over all shares: the smaller, the better the order.
        aurc_random: the same for a random order.
        aurc_oracle: the same when sorted by the true error.
    """

    quantity: str
    split: str
    n: int
    kept: list[float]
    error: list[float]
    aurc: float
    aurc_random: float
    aurc_oracle: float


@dataclass(frozen=True)
class UncertaintyMetrics:
    """What `gmtscreen evaluate` says of the intervals of one split."""

    coverage: list[Coverage]
    curves: list[SelectiveCurve]


def calibrate(screener: Screener, labels: LabelledCrystals) -> Calibration:
    """Widths of all intervals of a model from the val part.

    Args:
        screener: the model, with the tolerance that it will be used with.
        labels: labelled crystals; only the val part is looked at.
    """
    rows = labels.rows(Split.VAL)
    prediction = screener.predict(labels.crystals.select(rows))
    rows = rows[prediction.rows]
    widths = {name: errors.width() for name, errors in held_out_errors(labels, rows, prediction).items()}
    for name, width in combined_widths(labels, rows, prediction, formula_numbers(labels, rows)).items():
        # labels of the number itself are better, where there are enough
        if widths[name].n < SMALLEST_N <= width.n:
            widths[name] = width
    n_networks = len(next(iter(prediction.derived.prediction.by_network.values())))
    return Calibration(ALPHA, n_networks, widths, widenings(screener, labels, rows, widths))


def widenings(
    screener: Screener, labels: LabelledCrystals, rows: NDArray[np.int64], widths: dict[str, ConformalWidth]
) -> dict[str, float]:
    """How much wider each interval has to be away from equilibrium; empty for a model that knows of none.

    Args:
        screener: the model.
        labels: labelled crystals.
        rows: crystals of the val part, of which copies of other volumes are predicted.
        widths: of the crystals as they are.
    """
    expansions: list[Floats] = []
    misses: dict[str, list[Floats]] = {}
    reaches: dict[str, list[Floats]] = {}
    for log_volume in STRAINED_LOG_VOLUMES:
        crystals = labels.crystals.select(rows)
        copies = replace(crystals, lattice=crystals.lattice * np.exp(log_volume / 3))
        prediction = screener.predict(copies)
        expansions.append(prediction.evidence.expansion)
        for name, held in held_out_errors(labels, rows[prediction.rows], prediction).items():
            misses.setdefault(name, []).append(held.error)
            reaches.setdefault(name, []).append(held.reach(widths[name]))
    expansion = np.concatenate(expansions)
    if not np.isfinite(expansion).any():
        return {}
    return {
        name: fit_widening(expansion, np.concatenate(reaches[name]), np.concatenate(misses[name]), ALPHA)
        for name in misses
    }


def formula_numbers(labels: LabelledCrystals, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each formula of some crystals, [n_rows]."""
    return np.asarray(np.unique(labels.crystals.select(rows).formulas(), return_inverse=True)[1], dtype=np.int64)


def calibrate_into_card(
    model: str, *, data: Path, device: str = "auto", start: Path | None = None, version: str = ""
) -> Calibration:
    """Calibrates a model: what its predictions need to say how reliable they are goes beside its weights.

    The widths of the intervals, the stability classifier and what tells of large errors go into the card, the training
    data as the distance score sees it into a file that the card pins; every later prediction finds them.

    Args:
        model: shipped name or checkpoint path.
        data: folder of label files (see gmt_tasks/labels/files.py).
        device: "auto", "cpu" or "cuda".
        start: card of the model that its training went on from; None for one that was trained from random weights.
        version: of the model from now on, whose weights stay; "" keeps it.
    """
    path = find_checkpoint(model)
    table = load_split_table(path)
    labels = seen_by_model(read_labels(data), table)
    screener = Screener.load(model, device=device)
    calibration, stability = calibrate(screener, labels), fit_stability(screener, labels)
    # The card first: the reference pins itself in the card that it finds.
    of_stability = stability.to_json() if stability is not None else {}
    card = replace(read_card(path), calibration=calibration.to_json(), stability=of_stability, reliability={})
    write_card(replace(card, version=version or card.version), path.parent)
    write_training_reference(labels, path, start)
    # Last, since the distance score is one of the signals that tell of errors.
    models = fit_error_models(Screener.load(model, device=device), labels, table)
    reliability = {tensor.value: fitted.to_json() for tensor, fitted in models.items()}
    write_card(replace(read_card(path), reliability=reliability), path.parent)
    return calibration


def held_out_errors(
    labels: LabelledCrystals, rows: NDArray[np.int64], prediction: TensorPrediction
) -> dict[str, HeldOutErrors]:
    """Errors of every derived number with an interval and of every tensor.

    Args:
        labels: labelled crystals.
        rows: the crystals that have a prediction, in its order.
        prediction: of these crystals.
    """
    derived = prediction.derived
    symmetry = derived.prediction.analysis.symmetry
    system, gap = crystal_systems(symmetry.number), prediction.evidence.band_gap_ev
    truth, formula = label_properties(labels, rows), formula_numbers(labels, rows)
    errors = {}
    # What symmetry fixes is exact: errors of 0 there would make the intervals of all other crystals too narrow.
    for name in INTERVALS:
        scale = DERIVED[name].scale
        if scale is not None:
            error = to_scale(scale, truth[name]) - to_scale(scale, derived.columns[name])
            error[zero_by_symmetry(name, symmetry)] = np.nan
            known = np.where(np.isfinite(error), derived.columns[name], np.nan)
            widths = partial(_mean_width, scale, known) if scale.skewed else None
            groups = width_groups(DERIVED[name].from_tensors, system, gap)
            errors[name] = HeldOutErrors(np.abs(error), derived.spread[name], groups, error < 0, widths, formula)
    for quantity, tensors in derived.prediction.tensors.items():
        name, size = TENSORS[quantity].error_column, size_of(quantity, tensors)
        off = label_tensors(labels, rows, quantity) - to_components(quantity, tensors)
        error = np.linalg.norm(off, axis=1) / size
        error[zero_by_symmetry(name, symmetry)] = np.nan
        groups = width_groups((quantity,), system, gap)
        errors[name] = HeldOutErrors(error, derived.spread[name] / size, groups, formula=formula)
    return errors


def _mean_width(scale: Scale, values: Floats, below: Floats, above: Floats) -> float:
    """Mean width in the quantity's unit; infinite where one is."""
    lower, upper = interval_around(scale, values, below, above)
    with np.errstate(invalid="ignore"):
        width = float(np.nanmean(upper - lower))
    return width if np.isfinite(width) else np.inf


def measure_uncertainty(
    labels: LabelledCrystals,
    rows: NDArray[np.int64],
    prediction: TensorPrediction,
    split: Split,
    calibration: Calibration,
) -> UncertaintyMetrics:
    """Coverage and selective prediction on labelled crystals.

    Args:
        labels: labelled crystals.
        rows: the crystals that have a prediction, in its order.
        prediction: of these crystals.
        split: where they come from.
        calibration: widths that the prediction was made with.

    Returns:
        Figures of every quantity that has a label; coverage also per crystal system with at least 10 of them.
    """
    coverage: list[Coverage] = []
    curves: list[SelectiveCurve] = []
    truth = label_properties(labels, rows)
    for name, held in held_out_errors(labels, rows, prediction).items():
        known = np.isfinite(held.error)
        if known.sum() < SMALLEST_REPORTED:
            continue
        inside, width = inside_intervals(name, truth, held, prediction)
        for system in (EVERY_SYSTEM, *CRYSTAL_SYSTEMS):
            chosen = known & ((held.system == system) | (system == EVERY_SYSTEM))
            if chosen.sum() >= SMALLEST_REPORTED:
                coverage.append(_coverage(name, split, system, inside[chosen], width[chosen]))
        # Sorted by what a user sees, the width; without one the spread of the networks is all there is.
        uncertainty = held.spread
        if name in calibration.widths:
            uncertainty = calibration.widths[name].half_width(held.spread, held.system)
        curves.append(selective_curve(name, split, held.error[known], uncertainty[known]))
    return UncertaintyMetrics(coverage, curves)


def inside_intervals(
    name: str, truth: dict[str, Floats], held: HeldOutErrors, prediction: TensorPrediction
) -> tuple[NDArray[np.bool_], Floats]:
    """Whether the truth is inside, and the width in the quantity's unit (NaN without an interval), [n_crystals]."""
    if name in INTERVALS:
        lower, upper = (prediction.intervals[end] for end in INTERVALS[name])
        return (lower <= truth[name]) & (truth[name] <= upper), upper - lower
    radius = prediction.intervals[name]
    quantity = next(q for q, row in TENSORS.items() if row.error_column == name)
    size = size_of(quantity, prediction.derived.prediction.tensors[quantity])
    return held.error * size <= radius, radius


def _coverage(name: str, split: Split, system: str, inside: NDArray[np.bool_], width: Floats) -> Coverage:
    """Coverage and mean width over the crystals that have an interval, and the share of those without."""
    bounded = np.isfinite(width)
    return Coverage(
        name,
        split.value,
        system,
        len(inside),
        100.0 * float(inside[bounded].mean()) if bounded.any() else float("nan"),
        float(width[bounded].mean()) if bounded.any() else float("nan"),
        100.0 * float((~bounded).mean()),
    )


def selective_curve(name: str, split: Split, error: Floats, uncertainty: Floats) -> SelectiveCurve:
    """Error against share kept when the most certain crystals are kept first.

    Args:
        name: of the quantity.
        split: where the crystals come from.
        error: of each crystal, [n_crystals].
        uncertainty: what they are sorted by, [n_crystals]; equal ones stand in a random, seeded order.
    """
    # Ties in the order of the crystals could follow the label files, which list similar crystals together.
    shuffled = np.random.default_rng(0).permutation(len(error))
    order = shuffled[np.argsort(np.nan_to_num(uncertainty[shuffled], nan=np.inf), kind="stable")]
    counts = np.arange(1, len(error) + 1)
    curve = np.cumsum(error[order]) / counts
    best = np.cumsum(np.sort(error)) / counts
    kept = (counts / len(error)).tolist()
    means = float(curve.mean()), float(error.mean()), float(best.mean())
    return SelectiveCurve(name, split.value, len(error), kept, curve.tolist(), *means)


@dataclass(frozen=True)
class ReliabilityCurve:
    """Nominal against found coverage of one quantity.

    Attributes:
        quantity: a derived number, or the error column of a tensor.
        n: number of crystals that the found coverage comes from.
        promised: nominal coverage in percent.
        found: percentages inside intervals that were calibrated on other crystals.
    """

    quantity: str
    n: int
    promised: list[float]
    found: list[float]


def reliability_curve(name: str, calibrated_on: HeldOutErrors, held_out: HeldOutErrors) -> ReliabilityCurve:
    """Coverage of one quantity at many levels, not at 90 % alone.

    Args:
        name: of the quantity.
        calibrated_on: errors that give the widths (val).
        held_out: errors of other crystals (test).
    """
    known = np.isfinite(held_out.error)
    promised, found = [], []
    for percent in LEVELS_PERCENT:
        alpha = 1 - percent / 100
        width = calibrated_on.width(alpha)
        inside = held_out.inside(width)[known]
        # Few labels give no quantile at the highest levels; such levels are left out.
        if known.any() and np.isfinite(width.quantile):
            promised.append(float(percent))
            found.append(100.0 * float(inside.mean()))
    return ReliabilityCurve(name, int(known.sum()), promised, found)


def chance_of_coverage(coverage: float, n: int, promised: float) -> float:
    """How likely n crystals give a coverage at least as improbable as this one when the promise holds.

    Args:
        coverage: found, in percent.
        n: number of crystals.
        promised: in percent.

    Returns:
        Two-sided exact binomial probability, 0 to 1.
    """
    return float(binomtest(round(n * coverage / 100), n, promised / 100).pvalue)
