"""The gate: whether a candidate may become the current model, and if not, why.

It looks at the data (data.py), at the reference set (reference_set.py), at labelled test crystals that neither model
was trained on, measure by measure (measures.py, paired_comparison.py), and at speed. Every finding must hold and no
measure may be worse beyond chance and margin; what the candidate does better outweighs nothing.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.retraining.gate.data import Lineage, check_data, check_unseen, is_trained, join_labels, select_labels
from gmt_tasks.retraining.gate.label_sizes import check_label_sizes
from gmt_tasks.retraining.gate.measures import gate_measures, interval_misses
from gmt_tasks.retraining.gate.paired_comparison import ALPHA, Comparison, compare
from gmt_tasks.retraining.gate.reference_set import check_distance, check_reference_set
from gmt_tasks.retraining.gate.report import Check, Finding, GateReport
from gmt_tasks.screening.screener import Screener, TensorPrediction
from models.crystals.crystal import CrystalBatch
from models.gmtnet.training_data.split_table import SplitTable

Bools = NDArray[np.bool_]

LEAST_SPEED = 0.8
"""A candidate must compute at least this many crystals in the time in which the current model computes one."""

MOST_OUTSIDE = 0.4
"""Share of new test labels that may lie outside the current model's 90 % intervals: 10 to 20 % do of right ones, more
of a kind of crystal that is new to the model, 53 to 74 % where values were joined to the wrong crystals."""

FEWEST_NEW = 20
SPEED_CRYSTALS = 48
SPEED_ROUNDS = 5


@dataclass(frozen=True)
class Evidence:
    """What a candidate is measured on.

    Attributes:
        labels: of the dataset snapshot.
        lineage: which dataset each model was trained on.
        training: what the candidate's card says of its training.
        earlier: labels of the snapshot before; their test part keeps its values, whatever the new labels say.
        table: formulas that the current model and those before it were trained, calibrated and tested on; None for a
            first model, and where nobody knows.
    """

    labels: LabelledCrystals
    lineage: Lineage
    training: Mapping[str, Any]
    earlier: LabelledCrystals | None = None
    table: SplitTable | None = None


def run_gate(candidate: Screener, current: Screener | None, evidence: Evidence) -> GateReport:
    """Compares a candidate with the model that it would replace, and with what must hold of every model.

    Args:
        candidate: the model under test, calibrated and with its distance score.
        current: the model that it would replace; None for the first of its name, which has nothing to be compared with.
        evidence: labels and what is known of the trainings.

    Returns:
        Findings and comparisons; `passes` says whether the candidate may be promoted.
    """
    test, known_before = held_out_part(evidence)
    predicted = candidate.predict(test.crystals)
    findings = check_data(evidence.labels, evidence.lineage, evidence.training)
    findings += [*check_reference_set(candidate, current, evidence.labels), check_distance(candidate, predicted)]
    comparisons: list[Comparison] = []
    if current is not None:
        before = current.predict(test.crystals)
        findings += [
            check_unseen(evidence.labels, evidence.table),
            check_refusals(test, predicted, before),
            check_intervals(candidate, current),
            check_new_labels(test, before, known_before),
            check_label_sizes(evidence.labels, evidence.earlier, current, evidence.table),
            check_speed(candidate, current, test.crystals),
        ]
        comparisons = compare_models(test, predicted, before, known_before)
    names = str(candidate.model_version), "" if current is None else str(current.model_version)
    return GateReport(*names, evidence.lineage.snapshot, len(predicted.rows), findings, comparisons, ALPHA)


def held_out_part(evidence: Evidence) -> tuple[LabelledCrystals, Bools]:
    """Labelled test crystals that neither model was trained on, and which of them were test crystals before.

    Returns:
        n crystals, and whether their labels are those of the earlier snapshot, [n].
    """
    part = select_labels(evidence.labels, evidence.labels.rows(Split.TEST))
    n_before = 0
    if evidence.earlier is not None:
        # Earlier values win over new ones of the same crystal: a faulty batch must not choose its own test.
        before = select_labels(evidence.earlier, evidence.earlier.rows(Split.TEST))
        n_before = len(before.ids)
        part = join_labels(before, select_labels(part, np.flatnonzero(~np.isin(part.ids, before.ids))))
    unseen = np.flatnonzero(~is_trained(part, evidence.table))
    return select_labels(part, unseen), unseen < n_before


def compare_models(
    test: LabelledCrystals, candidate: TensorPrediction, current: TensorPrediction, known_before: Bools
) -> list[Comparison]:
    """Every measure of both models on the crystals that both predict.

    Args:
        test: labelled crystals.
        candidate: predictions of the candidate for them.
        current: predictions of the current model.
        known_before: see `held_out_part`.
    """
    return compare(gate_measures(test, current, candidate, known_before), test.crystals.formulas())


def check_new_labels(test: LabelledCrystals, before: TensorPrediction, known_before: Bools) -> Finding:
    """New labels are about as far from the current model as its intervals say.

    Labels that have nothing to do with their crystals harm a fine-tuned model less than a comparison can show, and the
    new test part has the same fault.

    Args:
        test: labelled crystals.
        before: predictions of the current model for them.
        known_before: see `held_out_part`.
    """
    shares: dict[str, float] = {}
    counts: dict[str, int] = {}
    for name, missed in interval_misses(test, before).items():
        new = missed[np.isfinite(missed) & ~known_before]
        if len(new) >= FEWEST_NEW:
            shares[name], counts[name] = float(new.mean()), len(new)
    off = [
        f"{name}: {100 * share:.0f} % of {counts[name]} outside"
        for name, share in shares.items()
        if share > MOST_OUTSIDE
    ]
    detail = ", ".join(off[:4]) or f"at most {100 * max(shares.values(), default=0.0):.0f} % of new labels outside"
    return Finding(Check.DATA, "new labels lie in the current model's intervals", not off, detail)


def check_refusals(test: LabelledCrystals, predicted: TensorPrediction, before: TensorPrediction) -> Finding:
    """No labelled test crystal that the current model predicts is refused by the candidate."""
    lost = [row for row in predicted.refused if row not in before.refused]
    reasons = "; ".join(f"{test.ids[row]}: {predicted.refused[row][0].value}" for row in lost[:3])
    detail = f"{len(predicted.rows)} of {len(test.ids)} predicted, {len(lost)} lost" + (f": {reasons}" if lost else "")
    return Finding(Check.TEST, "every test crystal that the current model predicts is predicted", not lost, detail)


def check_intervals(candidate: Screener, current: Screener) -> Finding:
    """No quantity loses its interval: without one nothing about it could be compared."""
    names = []
    for model in (current, candidate):
        widths = model.calibration.widths
        # Too few labels give an infinite quantile: the quantity is listed, and has no interval.
        names.append({name for name, width in widths.items() if np.isfinite(width.quantile)})
    given, kept = names
    lost = sorted(given - kept)
    detail = f"{len(given & kept)} of {len(given)} kept" + (f", lost {', '.join(lost[:5])}" if lost else "")
    return Finding(Check.TEST, "every quantity keeps its interval", not lost, detail)


def check_speed(candidate: Screener, current: Screener, crystals: CrystalBatch) -> Finding:
    """Crystals per second of both, measured in turns on the same crystals in this process."""
    sample = crystals.select(np.unique(np.linspace(0, crystals.n_crystals - 1, SPEED_CRYSTALS).astype(np.int64)))
    ratios = []
    # In turns, because another load of the machine then slows both alike.
    for _ in range(SPEED_ROUNDS + 1):
        seconds = []
        for model in (current, candidate):
            began_s = time.perf_counter()
            model.predict(sample)
            seconds.append(time.perf_counter() - began_s)
        ratios.append(seconds[0] / seconds[1])
    ratio = float(np.median(ratios[1:]))  # the first round warms up
    detail = f"{ratio:.2f} crystals in the time of one of the current model (median of {SPEED_ROUNDS} rounds)"
    return Finding(Check.SPEED, f"at least {LEAST_SPEED:g} times as fast", ratio >= LEAST_SPEED, detail)
