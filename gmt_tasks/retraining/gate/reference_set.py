"""The reference set: well-known crystals and one crystal of each of the 32 classes, the same for every candidate.

Here a model is compared with what no label file can change: measured values from the literature, the point groups of
crystals built from generators, and bounds of physics. A dataset whose labels are all wrong in the same way trains a
model that fits its own test part well; here it stands out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.evaluation.equivariance import check_equivariance
from gmt_tasks.evaluation.literature import LiteratureComparison, compare_literature
from gmt_tasks.labels.files import LabelledCrystals
from gmt_tasks.retraining.gate.report import Check, Finding
from gmt_tasks.screening.screener import Screener, TensorPrediction
from gmt_tasks.sources.generated.reference_crystals import reference_crystals
from models.applicability.bounds import AT_BOUND, largest_response
from models.crystals.crystal import CrystalBatch
from models.errors import Reason
from models.quantities import TENSORS, Tensor
from models.reference.crystals import crystals_of_all_classes, textbook_crystals

Floats = NDArray[np.float64]

SEED = 2026
LARGEST_FACTOR = 1.4
"""Largest factor between the median prediction of a tensor's measured values and the values themselves: DFT, finite
temperature and the network together stay well below it, a unit or a factor of 2 does not."""

TIGHTER = float(np.log(1.1))
"""Logarithm of the factor by which a current model that is itself further off may be exceeded."""

ALLOWED_SHARE = 2e-3
"""Share of comparisons of equivalent representations that may deviate: rounding of float32 where large terms cancel."""

FEWEST_VALUES = 5
LARGEST_SUPERCELL = 64
"""Atoms; larger supercells add time and no new way to fail."""

BOUNDS = {quantity: AT_BOUND * row.max_predicted_entry for quantity, row in TENSORS.items()}
"""Most that a material can have, in the tensor's unit; the heads of positive tensors stop there."""

CHANGED_METALS = 0.15
"""Share of the reference set that may change from metal to insulator or back: most of it lies far from the border."""

LEAST_SEPARATION = 0.3
"""How much more often the distance score must flag random crystals than test crystals."""


@dataclass(frozen=True)
class ReferenceSet:
    """Names and crystals."""

    names: tuple[str, ...]
    crystals: CrystalBatch


@cache
def reference_set() -> ReferenceSet:
    """Well-known crystals of the source `reference`, then one crystal of each class."""
    known = reference_crystals()
    classes = crystals_of_all_classes(SEED)
    batch = CrystalBatch.from_arrays(
        [crystal.lattice for crystal in known.values()],
        [crystal.frac_coords for crystal in known.values()],
        [crystal.numbers for crystal in known.values()],
    )
    names = (*known, *(f"class {name}" for name in classes.names))
    return ReferenceSet(names, CrystalBatch.join([batch, classes.crystals]))


def check_reference_set(candidate: Screener, current: Screener | None, labels: LabelledCrystals) -> list[Finding]:
    """Everything about the reference set that must hold.

    Args:
        candidate: the model under test.
        current: the one it would replace, None for the first of a name.
        labels: of the snapshot, to say which formulas have labels.
    """
    reference = reference_set()
    predicted = candidate.predict(reference.crystals)
    before = None if current is None else current.predict(reference.crystals)
    return [
        _check_refusals(reference, predicted, before),
        *_check_sizes(reference, predicted, before),
        *_check_physics(reference, predicted),
        *_check_symmetry(candidate),
        *_check_literature(candidate, current, labels),
        *([] if before is None else [_check_metals(reference, predicted, before)]),
    ]


def _check_refusals(reference: ReferenceSet, predicted: TensorPrediction, before: TensorPrediction | None) -> Finding:
    """No crystal is refused that the current model predicts; a first model may not know every element."""
    unknown = {row for row, (reason, _) in predicted.refused.items() if reason is Reason.UNSUPPORTED_ELEMENT}
    allowed = unknown if before is None else set(before.refused)
    lost = [row for row in predicted.refused if row not in allowed]
    reasons = "; ".join(f"{reference.names[row]}: {predicted.refused[row][0].value}" for row in lost[:3])
    detail = f"{len(predicted.rows)} of {reference.crystals.n_crystals} predicted"
    detail += f", lost {len(lost)}: {reasons}" if lost else ""
    return Finding(Check.REFERENCE, "every crystal is predicted with finite numbers", not lost, detail)


def _check_sizes(
    reference: ReferenceSet, predicted: TensorPrediction, before: TensorPrediction | None
) -> Iterator[Finding]:
    """No component is larger than a material's can be, or no more often than the current model's are.

    The crystals of the classes are random: a model that was trained on few labels may be far off there.
    """
    for quantity, bound in BOUNDS.items():
        name = f"{TENSORS[quantity].symbol} below {bound:g} {TENSORS[quantity].unit}".removesuffix(" 1")
        finding = _check_bound(reference, predicted, name, -_largest(predicted, quantity), -bound)
        n_before = 0 if before is None else int((_largest(before, quantity) > bound).sum())
        if n_before:
            n_above = int((_largest(predicted, quantity) > bound).sum())
            detail = f"{finding.detail}; {n_before} of the current model"
            finding = replace(finding, holds=n_above <= n_before, detail=detail)
        yield finding


def _largest(predicted: TensorPrediction, quantity: Tensor) -> Floats:
    """Largest eigenvalue or component that a network predicts of each crystal, [n_results]; infinite for no number."""
    by_network = predicted.derived.prediction.by_network[quantity]
    return np.asarray(largest_response(quantity, by_network).max(axis=0))


def _check_physics(reference: ReferenceSet, predicted: TensorPrediction) -> Iterator[Finding]:
    """Positive stiffness, dielectric tensors of a material."""
    columns = predicted.derived.columns
    # The ionic part of a dielectric tensor is never negative: ε0 is at least ε∞.
    ionic = columns["eps_total_mean"] - columns["eps_electronic_mean"]
    # what a metal does not have cannot be wrong
    withheld = predicted.reliability["metal"] == 1
    for subject, values, least in (
        ("C positive definite, lowest eigenvalue in GPa", columns["elastic_min_eigenvalue_gpa"], 0.0),
        ("ε∞ at least 1", np.where(withheld, np.inf, columns["eps_electronic_min"]), 1.0 - 1e-6),
        ("ε0 no smaller than ε∞", np.where(withheld, np.inf, ionic), -1e-6),
    ):
        yield _check_bound(reference, predicted, subject, values, least)


def _check_bound(
    reference: ReferenceSet, predicted: TensorPrediction, subject: str, values: Floats, least: float
) -> Finding:
    """All values [n_results] are at least `least`."""
    wrong = np.flatnonzero(~(values >= least))
    if not len(wrong):
        return Finding(Check.REFERENCE, subject, holds=True, detail=f"all {len(values)}")
    worst = wrong[np.argmin(np.nan_to_num(values[wrong], nan=-np.inf))]
    name = reference.names[predicted.rows[worst]]
    detail = f"{len(wrong)} of {len(values)} are not, worst {name}: {abs(values[worst]):.4g}"
    return Finding(Check.REFERENCE, subject, holds=False, detail=detail)


def _check_symmetry(candidate: Screener) -> Iterator[Finding]:
    """Predictions are equivariant and obey the point groups of all classes; forbidden tensors are 0."""
    classes, books = crystals_of_all_classes(SEED), textbook_crystals()
    crystals = CrystalBatch.join([classes.crystals, books.crystals])
    names = (*classes.names, *books.names)
    equivariance = check_equivariance(candidate, crystals, names, seed=SEED, max_atoms=LARGEST_SUPERCELL)
    worst = max((row.worst for row in equivariance.invariances), default=0.0)
    n_above = sum(row.n_exceptions for row in equivariance.invariances)
    # A deviation without a quantity is a crystal that one representation alone has a result for.
    n_lost = sum(not deviation.quantity for deviation in equivariance.deviations)
    detail = f"largest deviation {worst:.1e}, {n_above} above {equivariance.tolerance:g}, {n_lost} without a result"
    few = all(equivariance.share_of_exceptions(q) <= ALLOWED_SHARE for q in Tensor) and not n_lost
    yield Finding(Check.REFERENCE, "the same in every equivalent representation", few, detail)
    wrong = [row for row in equivariance.consistencies if row.success < 100.0 and row.system == "all"]
    shares = ", ".join(f"{TENSORS[Tensor(row.quantity)].symbol} {row.success:.1f} %" for row in wrong)
    detail = shares or f"all of {equivariance.n_crystals} crystals"
    yield Finding(Check.REFERENCE, "obeys every point group, forbidden tensors exactly 0", not wrong, detail)


def _check_literature(candidate: Screener, current: Screener | None, labels: LabelledCrystals) -> Iterator[Finding]:
    """Median factor between prediction and measured value, tensor by tensor; no further from 1 than allowed.

    A current model that is itself off by more (a small one, one of few labels) may not be made worse, and no candidate
    may differ from it by such a factor, unless it comes nearer to the measured values.
    """
    ratios = literature_ratios(compare_literature(candidate, labels))
    before = {} if current is None else literature_ratios(compare_literature(current, labels))
    allowed = np.log(LARGEST_FACTOR)
    for quantity, logs in ratios.items():
        if len(logs) < FEWEST_VALUES:
            continue
        median = float(np.median(logs))
        holds, detail = abs(median) <= allowed, f"median factor {np.exp(median):.2f} over {len(logs)} values"
        if quantity in before:
            earlier = float(np.median(before[quantity]))
            detail += f", {np.exp(earlier):.2f} before"
            # A candidate that is nearer to experiment passes however far it moved; any other stays near the current.
            limit = max(allowed, abs(earlier) + TIGHTER)
            near = abs(median) <= limit and abs(median - earlier) <= allowed
            holds = near or abs(median) <= abs(earlier)
        subject = f"{TENSORS[quantity].symbol} of well-known crystals beside the literature"
        yield Finding(Check.REFERENCE, subject, bool(holds), detail)


def literature_ratios(compared: list[LiteratureComparison]) -> dict[Tensor, Floats]:
    """Logarithms of |predicted / literature| by tensor; values of 0 are left out."""
    ratios: dict[Tensor, list[float]] = {}
    for row in compared:
        if row.literature and row.predicted:
            ratios.setdefault(row.tensor, []).append(float(np.log(abs(row.predicted / row.literature))))
    return {tensor: np.array(logs) for tensor, logs in ratios.items()}


def _check_metals(reference: ReferenceSet, predicted: TensorPrediction, before: TensorPrediction) -> Finding:
    """The band gaps still separate metals from insulators: their heads are trained on other data than tensors."""
    shared, first, second = np.intersect1d(predicted.rows, before.rows, return_indices=True)
    now = np.asarray(predicted.reliability["metal"][first], dtype=np.float64)
    then = np.asarray(before.reliability["metal"][second], dtype=np.float64)
    changed = np.flatnonzero(np.isfinite(then) & (now != then))
    names = ", ".join(reference.names[shared[k]] for k in changed[:3])
    detail = f"{len(changed)} of {len(shared)} changed" + (f": {names}" if len(changed) else "")
    return Finding(Check.REFERENCE, "metals as before", len(changed) <= CHANGED_METALS * len(shared), detail)


def check_distance(candidate: Screener, test: TensorPrediction) -> Finding:
    """The distance score flags random crystals and lets crystals like the training data pass.

    Args:
        candidate: the model.
        test: its predictions for the labelled test crystals.
    """
    subject = "the distance score separates random crystals from test crystals"
    if candidate.applicability is None:
        return Finding(Check.REFERENCE, subject, holds=False, detail="the model has no distance score")
    random = candidate.predict(crystals_of_all_classes(SEED).crystals).reliability["ood"]
    share_random = float(np.nanmean(np.asarray(random, dtype=np.float64)))
    share_test = float(np.nanmean(np.asarray(test.reliability["ood"], dtype=np.float64)))
    detail = f"flagged: {100 * share_random:.0f} % of random crystals, {100 * share_test:.0f} % of test crystals"
    return Finding(Check.REFERENCE, subject, share_random - share_test >= LEAST_SEPARATION, detail)
