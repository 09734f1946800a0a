"""The size of labels: beside known labels of the same crystals, a model's predictions, and the trend with composition.

Whole parts first: stiffnesses that are compliances, one factor between repeats, a median that is off, another quantity,
other crystals. Then single rows.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set

import numpy as np

from db.labels.rows import Resolution, StoredLabel
from db.tables import LabelState
from gmt_tasks.labels.checks.factors import factor_name, other_quantity
from gmt_tasks.labels.checks.repeats import constant_factor
from gmt_tasks.labels.checks.unit_checks import (
    MAX_KNOWN_FACTOR,
    MAX_MEDIAN_FACTOR,
    MIN_COMPARED,
    MIN_KNOWN,
    MIN_TREND_ROWS,
    SINGLE_FACTOR,
    SURE_FACTOR,
    Sizes,
    off_trend,
    power_of_ten,
    ratios,
    scale_shift,
    unrelated,
)
from gmt_tasks.labels.kinds import KINDS
from gmt_tasks.labels.label_batch import BatchDecision, Finding, KnownLabels
from gmt_tasks.labels.label_kind import Fault, Floats, Size
from gmt_tasks.labels.reasons import LabelReason

Parts = dict[tuple[str, str], list[StoredLabel]]

MIN_QUANTITY = 5
"""Labels that must speak for another quantity."""

MIXED_FACTOR = 1.3
"""Distance from a power of ten within which rows are in another unit: about what right ones are from predictions."""

MAX_FAULTY_SHARE = 0.1
"""Share of rows with one mistake above which the whole part has it."""


def parts_of(rows: Iterable[StoredLabel]) -> Parts:
    """Rows by source and kind: what is checked together."""
    parts: Parts = defaultdict(list)
    for row in rows:
        parts[row.part].append(row)
    return parts


def check_scale(pending: Sequence[StoredLabel], known: KnownLabels, decision: BatchDecision) -> None:
    """Factors of units, other quantities and other crystals: of whole parts, then of single rows."""
    guilty = {(finding.source, finding.kind) for finding in decision.findings}
    accepted: defaultdict[str, Sizes] = defaultdict(dict)
    for label in known.accepted:
        for name, value in label.sizes.items():
            accepted[label.crystal_id or ""].setdefault(name, value)
    deciding = {(label.crystal_id, label.kind) for label in known.accepted if label.hash in known.brought}
    for (source, kind), part in parts_of(pending).items():
        if (source, kind) in guilty or kind not in KINDS:
            continue
        # what another value overruled that this batch brings as well was decided then
        own = [row for row in part if not (row.reason and (row.crystal_id, row.kind) in deciding)]
        fault = _fault_beside_known(own, accepted, decision)
        if fault is not None:
            fault = _rather_another_quantity(part, [accepted.get(row.crystal_id or "", {}) for row in part]) or fault
        else:
            fault = _fault_beside_predictions(part, known, decision)
        if fault is not None:
            decision.findings.append(Finding(source, kind, *fault))


def _fault_beside_known(
    part: Sequence[StoredLabel], accepted: Mapping[str, Sizes], decision: BatchDecision
) -> Fault | None:
    """What a part shows by itself and beside accepted labels of the same crystals.

    A factor that only a tenth of the repeats have is refused with these rows alone.
    """
    if not part:
        return None
    sizes = KINDS[part[0].kind].sizes
    others = [accepted.get(row.crystal_id or "", {}) for row in part]
    for size in sizes:
        over_accepted = ratios([row.sizes for row in part], others, size.name)
        over_accepted = over_accepted[~np.isnan(over_accepted)]
        limit = MAX_KNOWN_FACTOR if len(over_accepted) >= MIN_COMPARED else MAX_MEDIAN_FACTOR
        beside = f"known {size.name}"
        shift = scale_shift(over_accepted, size.unit, beside, least=MIN_KNOWN, limit=limit)
        if shift is not None:
            return LabelReason.UNIT_FACTOR, str(shift)
    repeats = constant_factor(part, accepted)
    if repeats is None:
        return None
    if len(repeats.hashes) > MAX_FAULTY_SHARE * repeats.n_repeats:
        return LabelReason.UNIT_FACTOR, str(repeats)
    for name in repeats.hashes:
        refused = Resolution(name, LabelState.REFUSED, LabelReason.UNIT_FACTOR, str(repeats))
        decision.resolutions[name] = refused
    return None


def _fault_beside_predictions(part: Sequence[StoredLabel], known: KnownLabels, decision: BatchDecision) -> Fault | None:
    """What a part shows beside predictions, size by size; where that is nothing, its single rows are looked at."""
    sizes = KINDS[part[0].kind].sizes
    # rows that are far from the trend of their part with composition, as logarithms by size and hash
    deviations: dict[str, Sizes] = {}
    for size in sizes:
        usable = [row for row in part if row.sizes.get(size.name, 0.0) > 0 and row.formula]
        off = off_trend([row.formula or "" for row in usable], np.array([row.sizes[size.name] for row in usable]))
        deviations[size.name] = {row.hash: float(x) for row, x in zip(usable, off, strict=True) if x}
    expected = _expected(part, sizes[0], deviations, known, decision)
    for size in sizes:
        beside = ratios([r.sizes for r in part], [expected.get(r.hash, {}) for r in part], size.name)
        earlier: Sequence[float] = ()
        if size is sizes[0]:
            decision.compared |= {r.hash: float(x) for r, x in zip(part, beside, strict=True) if not np.isnan(x)}
            earlier = known.ratios.get(part[0].kind, ())
        # a model may be off by itself: enough earlier labels say how many times its prediction right ones are
        usual = float(np.median(earlier)) if len(earlier) >= MIN_TREND_ROWS else size.usual_ratio
        steady = np.array([row.hash not in deviations[size.name] for row in part])
        compared = beside[steady & ~np.isnan(beside)]
        shift = scale_shift(compared, size.unit, f"the predicted {size.name}", usual, limit=size.largest_shift)
        fault = None if shift is None else (LabelReason.UNIT_FACTOR, str(shift))
        fault = fault or _mixed_units(size, beside) or _crystal_fault(part, size, expected, decision.sampled)
        if fault is not None:
            return _rather_another_quantity(part, [expected.get(row.hash, {}) for row in part]) or fault
        if size.steady:
            _check_single_rows(part, size.name, beside, deviations[size.name], decision)
    return None


def _rather_another_quantity(part: Sequence[StoredLabel], others: Sequence[Mapping[str, float]]) -> Fault | None:
    """The other quantity that explains a part whose sizes are off better than a factor does.

    Args:
        part: its rows.
        others: sizes of known labels, or predicted ones, of the same crystals.
    """
    own = [row.sizes for row in part]
    for size in KINDS[part[0].kind].sizes:
        name, detail = other_quantity(own, others, size.name, size.unit, MIN_QUANTITY)
        if name:
            return LabelReason.OTHER_QUANTITY, f"{name} for {size.name}: {detail}"
    return None


def _mixed_units(size: Size, beside: Floats) -> Fault | None:
    """Part of the rows a power of ten away from their predictions: two units in one delivery."""
    compared = beside[~np.isnan(beside)]
    off = [x for x in compared.tolist() if power_of_ten(x, MIXED_FACTOR)]
    if not size.steady or len(off) < MIN_KNOWN or len(off) <= MAX_FAULTY_SHARE * len(compared):
        return None
    name = factor_name(float(np.median(off)), size.unit)
    return LabelReason.UNIT_FACTOR, f"{len(off)} of {len(compared)} labels of {size.name} in another unit ({name})"


def _expected(
    part: Sequence[StoredLabel],
    size: Size,
    deviations: Mapping[str, Sizes],
    known: KnownLabels,
    decision: BatchDecision,
) -> dict[str, Sizes]:
    """What a model expects of a fixed sample of a part and of its rows off the trend, by hash."""
    if known.expect is None:
        return {}
    # sorted by hash: the same rows are drawn whatever order they come in
    ordered = sorted((row for row in part if row.crystal_id), key=lambda row: row.hash)
    sample = ordered[: size.compared_rows]
    decision.sampled |= {row.hash for row in sample}
    off = set().union(*deviations.values())
    odd = [row for row in ordered if row.hash in off][: size.compared_rows]
    chosen = list({row.hash: row for row in (*sample, *odd)}.values())
    return dict(zip((r.hash for r in chosen), known.expect([r.crystal_id or "" for r in chosen]), strict=True))


def _crystal_fault(
    part: Sequence[StoredLabel], size: Size, expected: Mapping[str, Sizes], sampled: Set[str]
) -> Fault | None:
    """What shows that the labels of a part belong to other crystals."""
    # the drawn rows alone: those off the trend were chosen for their values
    drawn = [(row.sizes, expected.get(row.hash, {})) for row in part if row.hash in sampled]
    pairs = [(own[size.name], model[size.name]) for own, model in drawn if size.name in own and size.name in model]
    values = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    detail = unrelated(values[:, 0], values[:, 1], size)
    return (LabelReason.WRONG_CRYSTAL, detail) if detail else None


def _check_single_rows(
    part: Sequence[StoredLabel], name: str, beside: Floats, deviations: Sizes, decision: BatchDecision
) -> None:
    """Rows that alone are a power of ten away: refused where prediction and trend say so, marked where one does."""
    # three rows at a power of ten confirm each other, as a trend of few rows cannot
    n_sure = sum(power_of_ten(ratio, SURE_FACTOR) for ratio in beside[~np.isnan(beside)].tolist())
    few = len(part) < MIN_TREND_ROWS or n_sure >= MIN_KNOWN
    for row, ratio in zip(part, beside.tolist(), strict=True):
        off, is_predicted = deviations.get(row.hash, 0.0), not np.isnan(ratio)
        far = is_predicted and abs(np.log(ratio)) > np.log(SINGLE_FACTOR)
        off_alone = abs(off) > np.log(SINGLE_FACTOR) and power_of_ten(np.exp(off))
        if not far and not (off_alone and not is_predicted):
            continue
        texts = [f"{ratio:.3g} times the prediction"] if is_predicted else []
        texts += [f"{np.exp(off):.3g} times its trend with composition"] if off else []
        detail = f"{name} {row.sizes[name]:.4g} is {' and '.join(texts)}"
        if far and power_of_ten(ratio, SURE_FACTOR) and (few or (off_alone and off * np.log(ratio) > 0)):
            refused = Resolution(row.hash, LabelState.REFUSED, LabelReason.UNIT_FACTOR, detail)
            decision.resolutions[row.hash] = refused
        else:
            decision.marks[row.hash] = (LabelReason.UNIT_FACTOR, detail)
