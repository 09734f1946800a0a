"""The canary set: well-known crystals and one crystal of each of the 32 classes, the same for every candidate.

Here a model is held against what no label file can change: measured values from the literature, the point groups of
crystals built from generators, and bounds of physics. A dataset whose labels are all wrong in the same way trains a
model that fits its own test part well; it is seen here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.evaluation.equivariance import check_equivariance
from gmt_tasks.evaluation.literature import LiteratureComparison, compare_literature
from gmt_tasks.labels.files import LabelledCrystals
from gmt_tasks.labels.kinds import TENSOR_VALUES
from gmt_tasks.retraining.gate.report import Check, Finding
from gmt_tasks.screening.screener import Screener, TensorPrediction
from gmt_tasks.sources.generated.reference_crystals import reference_crystals
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
"""Share of comparisons of retold crystals that may deviate: rounding of float32 where large terms cancel."""

FEWEST_VALUES = 5
LARGEST_SUPERCELL = 64
"""Atoms; larger supercells add time and no new way to fail."""

BOUNDS = {
    Tensor.DIELECTRIC_ELECTRONIC: 2 * TENSOR_VALUES[Tensor.DIELECTRIC_ELECTRONIC].trained_below,
    Tensor.DIELECTRIC_TOTAL: 10 * TENSOR_VALUES[Tensor.DIELECTRIC_TOTAL].trained_below,
    Tensor.PIEZOELECTRIC: TENSOR_VALUES[Tensor.PIEZOELECTRIC].trained_below,
    Tensor.ELASTIC: 2 * TENSOR_VALUES[Tensor.ELASTIC].trained_below,
}
"""Largest component that a material can have, in the tensor's unit: training keeps below half of it or a tenth."""

CHANGED_METALS = 0.15
"""Share of canary crystals that may turn from metal to insulator or back: most of them lie far from the border."""

LEAST_SEPARATION = 0.3
"""How much more often the distance score must flag random crystals than test crystals."""


@dataclass(frozen=True)
class CanarySet:
    """Names and crystals."""

    names: tuple[str, ...]
    crystals: CrystalBatch


@cache
def canary_crystals() -> CanarySet:
    """Well-known crystals of the source `reference`, then one crystal of each class."""
    known = reference_crystals()
    classes = crystals_of_all_classes(SEED)
    batch = CrystalBatch.from_arrays(
        [each.lattice for each in known.values()],
        [each.frac_coords for each in known.values()],
        [each.numbers for each in known.values()],
    )
    names = (*known, *(f"class {name}" for name in classes.names))
    return CanarySet(names, CrystalBatch.join([batch, classes.crystals]))


def check_canary(candidate: Screener, current: Screener | None, labels: LabelledCrystals) -> list[Finding]:
    """Everything about the canary set that must hold.

    Args:
        candidate: the model under test.
        current: the one it would replace, None for the first of a name.
        labels: of the snapshot, to say which formulas have labels.
    """
    canary = canary_crystals()
    answer = candidate.predict(canary.crystals)
    before = None if current is None else current.predict(canary.crystals)
    return [
        _all_answered(canary, answer, before),
        *_sizes(canary, answer, before),
        *_physics(canary, answer),
        *_exact(candidate),
        *_literature(candidate, current, labels),
        *([] if before is None else [_metals(canary, answer, before)]),
    ]


def _all_answered(canary: CanarySet, answer: TensorPrediction, before: TensorPrediction | None) -> Finding:
    """No crystal is refused that the current model answers; a first model may not know every element."""
    unknown = {row for row, (reason, _) in answer.refused.items() if reason is Reason.UNSUPPORTED_ELEMENT}
    allowed = unknown if before is None else set(before.refused)
    lost = [row for row in answer.refused if row not in allowed]
    said = [f"{canary.names[row]}: {answer.refused[row][0].value}" for row in lost[:3]]
    n = len(answer.rows)
    detail = f"{n} of {canary.crystals.n_crystals} answered" + (
        f", lost {len(lost)}: {'; '.join(said)}" if lost else ""
    )
    return Finding(Check.CANARY, "every crystal is answered with finite numbers", not lost, detail)


def _sizes(canary: CanarySet, answer: TensorPrediction, before: TensorPrediction | None) -> Iterator[Finding]:
    """No component is larger than a material's can be, or no more often than the current model's are.

    The crystals of the classes are random: a model that learned from few labels may be far off there.
    """
    for quantity, bound in BOUNDS.items():
        name = f"{TENSORS[quantity].symbol} below {bound:g} {TENSORS[quantity].unit}".removesuffix(" 1")
        found = _bound(canary, answer, name, -_largest(answer, quantity), -bound)
        known = 0 if before is None else int((_largest(before, quantity) > bound).sum())
        if known:
            n = int((_largest(answer, quantity) > bound).sum())
            found = replace(found, holds=n <= known, detail=f"{found.detail}; {known} of the current model")
        yield found


def _largest(answer: TensorPrediction, quantity: Tensor) -> Floats:
    """Largest absolute component of each tensor, [n_results]; what is not a number counts as infinite."""
    tensors = answer.derived.prediction.tensors[quantity]
    size: Floats = np.abs(tensors).reshape(len(tensors), -1).max(axis=1, initial=0.0)
    return np.nan_to_num(size, nan=np.inf)


def _physics(canary: CanarySet, answer: TensorPrediction) -> Iterator[Finding]:
    """Positive stiffness, dielectric tensors of a material."""
    columns = answer.derived.columns
    softest = columns["elastic_min_eigenvalue_gpa"]
    yield _bound(canary, answer, "C positive definite, lowest eigenvalue in GPa", softest, 0.0)
    yield _bound(canary, answer, "ε∞ at least 1", columns["eps_electronic_min"], 1.0 - 1e-6)
    gain = columns["eps_total_mean"] - columns["eps_electronic_mean"]
    yield _bound(canary, answer, "ε0 no smaller than ε∞", gain, -1e-6)


def _bound(canary: CanarySet, answer: TensorPrediction, subject: str, values: Floats, least: float) -> Finding:
    """All values [n_results] are at least `least`."""
    wrong = np.flatnonzero(~(values >= least))
    if not len(wrong):
        return Finding(Check.CANARY, subject, holds=True, detail=f"all {len(values)}")
    worst = wrong[np.argmin(np.nan_to_num(values[wrong], nan=-np.inf))]
    name = canary.names[answer.rows[worst]]
    detail = f"{len(wrong)} of {len(values)} are not, worst {name}: {abs(values[worst]):.4g}"
    return Finding(Check.CANARY, subject, holds=False, detail=detail)


def _exact(candidate: Screener) -> Iterator[Finding]:
    """Retold crystals of all classes get the same tensors, which obey their point groups; forbidden ones are 0."""
    classes, books = crystals_of_all_classes(SEED), textbook_crystals()
    crystals = CrystalBatch.join([classes.crystals, books.crystals])
    found = check_equivariance(
        candidate, crystals, (*classes.names, *books.names), seed=SEED, max_atoms=LARGEST_SUPERCELL
    )
    worst = max((row.worst for row in found.invariances), default=0.0)
    n_off = sum(row.n_exceptions for row in found.invariances)
    lost = sum(not each.quantity for each in found.deviations)
    detail = f"largest deviation {worst:.1e}, {n_off} above {found.tolerance:g}, {lost} crystals without a result"
    few = all(found.share_of_exceptions(q) <= ALLOWED_SHARE for q in Tensor) and not lost
    yield Finding(Check.CANARY, "the same however crystals are told", few, detail)
    wrong = [row for row in found.consistencies if row.success < 100.0 and row.system == "all"]
    said = ", ".join(f"{TENSORS[Tensor(row.quantity)].symbol} {row.success:.1f} %" for row in wrong)
    detail = said or f"all of {found.n_crystals} crystals"
    yield Finding(Check.CANARY, "obeys every point group, forbidden tensors exactly 0", not wrong, detail)


def _literature(candidate: Screener, current: Screener | None, labels: LabelledCrystals) -> Iterator[Finding]:
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
            known = float(np.median(before[quantity]))
            detail += f", {np.exp(known):.2f} before"
            nearer = abs(median) <= abs(known)
            holds = nearer or (abs(median) <= max(allowed, abs(known) + TIGHTER) and abs(median - known) <= allowed)
        subject = f"{TENSORS[quantity].symbol} of well-known crystals beside the literature"
        yield Finding(Check.CANARY, subject, bool(holds), detail)


def literature_ratios(compared: list[LiteratureComparison]) -> dict[Tensor, Floats]:
    """Logarithms of |predicted / literature| by tensor; values of 0 are left out."""
    found: dict[Tensor, list[float]] = {}
    for each in compared:
        if each.literature and each.predicted:
            found.setdefault(each.tensor, []).append(float(np.log(abs(each.predicted / each.literature))))
    return {tensor: np.array(logs) for tensor, logs in found.items()}


def _metals(canary: CanarySet, answer: TensorPrediction, before: TensorPrediction) -> Finding:
    """The band gaps still tell metals from insulators as before: their heads learn from other data than tensors."""
    shared, first, second = np.intersect1d(answer.rows, before.rows, return_indices=True)
    now, then = answer.reliability["metal"][first], before.reliability["metal"][second]
    now, then = (np.asarray(each, dtype=np.float64) for each in (now, then))
    changed = np.flatnonzero(np.isfinite(then) & (now != then))
    names = ", ".join(canary.names[shared[k]] for k in changed[:3])
    detail = f"{len(changed)} of {len(shared)} changed" + (f": {names}" if len(changed) else "")
    return Finding(Check.CANARY, "metals as before", len(changed) <= CHANGED_METALS * len(shared), detail)


def check_distance(candidate: Screener, test: TensorPrediction) -> Finding:
    """The distance score flags random crystals and lets crystals like the training data pass.

    Args:
        candidate: the model.
        test: its answers for the labelled test crystals.
    """
    subject = "the distance score tells random crystals from test crystals"
    if candidate.applicability is None:
        return Finding(Check.CANARY, subject, holds=False, detail="the model has no distance score")
    random = candidate.predict(crystals_of_all_classes(SEED).crystals).reliability["ood"]
    shares = [float(np.nanmean(np.asarray(each, dtype=np.float64))) for each in (random, test.reliability["ood"])]
    detail = f"flagged: {100 * shares[0]:.0f} % of random crystals, {100 * shares[1]:.0f} % of test crystals"
    return Finding(Check.CANARY, subject, shares[0] - shares[1] >= LEAST_SEPARATION, detail)
