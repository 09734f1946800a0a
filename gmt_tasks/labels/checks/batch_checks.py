"""Checks a batch of labels: what only many rows together show, and how each of its rows ends.

A batch is checked in parts, the rows of one source and kind. A mistake of those who made it sits in all of its rows,
also in those whose symmetry cannot show it: a part is refused as a whole when one named mistake is found in more than a
tenth of the rows that can show it, or when its sizes are a factor away from known labels or predictions. A row that
claims for training what is kept for testing refuses the whole batch.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from hashlib import sha256

import numpy as np

from db.labels.rows import Resolution, StoredLabel
from db.tables import LabelState
from gmt_tasks.labels.checks.duplicates import resolve_duplicates
from gmt_tasks.labels.checks.unit_checks import (
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
from gmt_tasks.labels.files import Split
from gmt_tasks.labels.kinds import KINDS
from gmt_tasks.labels.label_batch import BatchDecision, BatchStatus, Finding, KnownLabels
from gmt_tasks.labels.label_kind import Fault, Floats, Size
from gmt_tasks.labels.reasons import LabelReason

MAX_FAULTY_SHARE = 0.1
LEAST_FAULTY = 3

_SHOWN_BY = {
    LabelReason.VOIGT_ORDER: "tells_order",
    LabelReason.UNIT_FACTOR: "tells_order",
    LabelReason.FRAME: "tells_frame",
    LabelReason.CELL_SETTING: "tells_frame",
    LabelReason.SYMMETRY_MISFIT: "residual",
}
"""Which rows can show a mistake: those where this is known and true; any row can show the others."""

_SYSTEMATIC = (*_SHOWN_BY, LabelReason.INDEX_SYMMETRY, LabelReason.NONFINITE, LabelReason.UNIT, LabelReason.PARSE,
               LabelReason.FORBIDDEN, LabelReason.BELOW_ELECTRONIC, LabelReason.OUT_OF_RANGE)  # fmt: skip

Parts = dict[tuple[str, str], list[StoredLabel]]


def check_batch(rows: Sequence[StoredLabel], known: KnownLabels) -> BatchDecision:
    """Checks a batch of labels.

    Args:
        rows: what it brought that is not resolved yet, and what was refused row by row, in order.
        known: what is known already.
    """
    decision = BatchDecision()
    pending = [row for row in rows if row.state is LabelState.PENDING]
    splits = assign_splits(pending, known.splits, known.model_splits)
    _check_faults(rows, decision)
    _check_scale(pending, known, decision)
    _check_splits(pending, splits, decision)
    # the first finding about a part is the one that its rows name
    refused = {(finding.source, finding.kind): finding for finding in reversed(decision.findings)}
    passed = []
    for row in pending:
        finding = refused.get(("", "")) or refused.get(row.part)
        if row.hash in decision.resolutions:
            continue  # refused by itself
        if finding is None:
            passed.append(row)
        else:
            own = finding.reason if finding.reason is LabelReason.UNIT_FACTOR else LabelReason.LABEL_BATCH
            decision.resolutions[row.hash] = Resolution(
                row.hash, LabelState.REFUSED, own, f"{finding.reason}: {finding.detail}"
            )
    for resolution in resolve_duplicates(known.accepted, passed, known.brought):
        mark = decision.marks.get(resolution.hash)
        is_unmarked = resolution.state is LabelState.ACCEPTED and resolution.reason is None
        marked = replace(resolution, reason=mark[0], detail=mark[1]) if mark and is_unmarked else resolution
        decision.resolutions[resolution.hash] = marked
    decision.splits = {r.formula: splits[r.formula] for r in passed if r.formula and splits[r.formula][1] != "known"}
    _conclude(rows, pending, decision)
    for name, resolution in decision.resolutions.items():
        decision.resolutions[name] = replace(resolution, ratio=decision.compared.get(name))
    return decision


def split_by_hash(formula: str) -> Split:
    """Part of a formula that nobody assigned: 80 % train, 10 % val, 10 % test, the same everywhere."""
    share = int.from_bytes(sha256(formula.encode()).digest()[:8], "big") / 2**64
    return Split.TRAIN if share < 0.8 else Split.VAL if share < 0.9 else Split.TEST


def assign_splits(
    rows: Iterable[StoredLabel], known: Mapping[str, str], of_model: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    """The split of every formula of the rows, and where it comes from (model, known, declared or hash).

    What the current model was trained on can neither calibrate nor test it or what is trained further from it, so its
    split goes before all others. A formula that the database knows keeps its split. Of a new one the declared split
    counts; where rows disagree, test goes before val and val before train: what somebody tests with must not be trained
    on.
    """
    declared: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.formula is not None:
            declared[row.formula] |= {row.declared_split} - {None}  # type: ignore[arg-type]
    splits = {}
    for formula, claims in declared.items():
        claim = next((split.value for split in (Split.TEST, Split.VAL, Split.TRAIN) if split.value in claims), None)
        if formula in of_model:
            splits[formula] = (of_model[formula], "model")
        elif formula in known:
            splits[formula] = (known[formula], "known")
        else:
            splits[formula] = (claim, "declared") if claim else (split_by_hash(formula).value, "hash")
    return splits


def _parts(rows: Iterable[StoredLabel]) -> Parts:
    parts: Parts = defaultdict(list)
    for row in rows:
        parts[row.part].append(row)
    return parts


def _check_faults(rows: Sequence[StoredLabel], decision: BatchDecision) -> None:
    """Parts in which one mistake is too frequent to be chance."""
    for (source, kind), part in _parts(rows).items():
        counts = Counter(row.reason for row in part if row.state is LabelState.REFUSED)
        for reason in _SYSTEMATIC:
            shown_by = _SHOWN_BY.get(reason)
            # by identity: a residual of exactly 0 is evidence too, it shows that there is no misfit
            shown = [True if shown_by is None else getattr(row, shown_by) for row in part]
            able = [row for row, fact in zip(part, shown, strict=True) if fact is not None and fact is not False]
            n = counts[reason.value]
            if n >= min(LEAST_FAULTY, len(able)) and n > MAX_FAULTY_SHARE * len(able):
                detail = f"{n} of {len(able)} rows that can show it ({reason.sentence})"
                decision.findings.append(Finding(source, kind, reason, detail))


def _check_scale(pending: Sequence[StoredLabel], known: KnownLabels, decision: BatchDecision) -> None:
    """Factors of units and other crystals: of whole parts, then of single rows."""
    guilty = {(finding.source, finding.kind) for finding in decision.findings}
    accepted: defaultdict[str, Sizes] = defaultdict(dict)
    for label in known.accepted:
        for name, value in label.sizes.items():
            accepted[label.crystal_id or ""].setdefault(name, value)
    for (source, kind), part in _parts(pending).items():
        if (source, kind) in guilty or kind not in KINDS:
            continue
        sizes = KINDS[kind].sizes
        # rows that are far from the trend of their part with composition, as logarithms by size and hash
        deviations: dict[str, Sizes] = {}
        for size in sizes:
            usable = [row for row in part if row.sizes.get(size.name, 0.0) > 0 and row.formula]
            off = off_trend([row.formula or "" for row in usable], np.array([row.sizes[size.name] for row in usable]))
            deviations[size.name] = {row.hash: float(x) for row, x in zip(usable, off, strict=True) if x}
        expected = _expected(part, sizes[0], deviations, known, decision)
        for size in sizes:
            beside = ratios([r.sizes for r in part], [expected.get(r.hash, {}) for r in part], size.name)
            if size is sizes[0]:
                decision.compared |= {r.hash: float(x) for r, x in zip(part, beside, strict=True) if not np.isnan(x)}
            earlier = known.ratios.get(kind, ())
            fault = _scale_fault(part, size, accepted, beside, deviations[size.name], earlier)
            fault = fault or _crystal_fault(part, size, expected, decision.sampled)
            if fault is not None:
                decision.findings.append(Finding(source, kind, *fault))
                break
            if size.steady:
                _check_single_rows(part, size.name, beside, deviations[size.name], decision)


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


def _scale_fault(
    part: Sequence[StoredLabel],
    size: Size,
    accepted: Mapping[str, Sizes],
    beside: Floats,
    deviations: Sizes,
    earlier: Sequence[float],
) -> Fault | None:
    """The factor between a part and accepted labels of the same crystals, or its predictions.

    Args:
        part: its rows.
        size: what is compared.
        accepted: sizes by crystal.
        beside: label over prediction, [n_rows].
        deviations: rows off the trend, which say nothing about the whole.
        earlier: label over prediction of earlier labels of the kind.
    """
    shift = None
    if accepted:
        others = [accepted.get(row.crystal_id or "", {}) for row in part]
        over_accepted = ratios([row.sizes for row in part], others, size.name)
        shift = scale_shift(over_accepted[~np.isnan(over_accepted)], f"known {size.name}", least=MIN_KNOWN)
    if shift is None:
        steady = np.array([deviations.get(r.hash, 0.0) == 0 for r in part])
        # where right labels are not 1 times the prediction, enough earlier ones say how many times they are
        usual = size.usual_ratio
        if usual != 1.0 and len(earlier) >= MIN_TREND_ROWS:
            usual = float(np.median(earlier))
        shift = scale_shift(beside[steady & ~np.isnan(beside)], f"the predicted {size.name}", usual)
    return None if shift is None else (LabelReason.UNIT_FACTOR, str(shift))


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
    few = len(part) < MIN_TREND_ROWS
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


def _check_splits(
    pending: Sequence[StoredLabel], splits: Mapping[str, tuple[str, str]], decision: BatchDecision
) -> None:
    """Rows that claim for training what is kept for testing, and rows that merely go elsewhere than declared."""
    leaked = 0
    for row in pending:
        if row.formula is None or row.declared_split is None:
            continue
        split, assigned_by = splits[row.formula]
        if row.declared_split == Split.TRAIN.value and split != Split.TRAIN.value:
            leaked += 1
            detail = f"{row.formula} is {split} ({assigned_by}), the row says train"
            refused = Resolution(row.hash, LabelState.REFUSED, LabelReason.LEAKED_SPLIT, detail)
            decision.resolutions[row.hash] = refused
        elif row.declared_split != split:
            decision.resplit += 1
    if leaked:
        detail = f"{leaked} of {len(pending)} rows declare formulas of val or test as training data"
        # before the others: it refuses the whole batch
        decision.findings.insert(0, Finding("", "", LabelReason.LEAKED_SPLIT, detail))


def _conclude(rows: Sequence[StoredLabel], pending: Sequence[StoredLabel], decision: BatchDecision) -> None:
    """The status of the whole."""
    resolutions = [decision.resolutions[row.hash] for row in pending]
    still_overruled = sum(
        bool(row.reason) and resolution.reason == row.reason
        for row, resolution in zip(pending, resolutions, strict=True)
    )
    if still_overruled == len(rows):
        decision.status = BatchStatus.REPEATED
    elif decision.findings:
        decision.status = BatchStatus.REFUSED
    elif pending and all(resolution.state is LabelState.DUPLICATE for resolution in resolutions):
        decision.status = BatchStatus.STALE
        detail = f"all {len(pending)} labels are known from other rows"
        decision.findings.append(Finding("", "", LabelReason.STALE, detail))
    elif not pending:
        decision.status = BatchStatus.REFUSED
        detail = f"each of its {len(rows)} rows was refused"
        decision.findings.append(Finding("", "", LabelReason.LABEL_BATCH, detail))
