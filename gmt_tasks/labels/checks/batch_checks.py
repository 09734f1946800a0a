"""Checks a batch of labels: what only many rows together show, and how each of its rows ends.

A batch is checked in parts, the rows of one source and kind. A mistake of those who made it sits in all of its rows,
also in those whose symmetry cannot show it: a part is refused as a whole when one named mistake is found in more than a
tenth of the rows that can show it, or when its sizes are a factor away from known labels or predictions. A row that
claims for training what is kept for testing refuses the whole batch.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

from db.labels.rows import Resolution, StoredLabel
from db.tables import LabelState
from gmt_tasks.labels.checks.duplicates import resolve_duplicates
from gmt_tasks.labels.checks.factors import compliance_for_stiffness
from gmt_tasks.labels.checks.repeats import replaced_too_many
from gmt_tasks.labels.checks.scale import MAX_FAULTY_SHARE, check_scale, parts_of
from gmt_tasks.labels.files import Split
from gmt_tasks.labels.kinds import KINDS, K
from gmt_tasks.labels.label_batch import BatchDecision, BatchStatus, Finding, KnownLabels
from gmt_tasks.labels.reasons import LabelReason

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
               LabelReason.FORBIDDEN, LabelReason.BELOW_ELECTRONIC, LabelReason.OUT_OF_RANGE,
               LabelReason.COMPOSITION_MISMATCH, LabelReason.LATTICE_TRANSPOSED, LabelReason.CELL_UNIT,
               LabelReason.OTHER_QUANTITY, LabelReason.UNKNOWN_KIND)  # fmt: skip

_OF_EACH_ROW = (LabelReason.UNIT_FACTOR, LabelReason.OTHER_QUANTITY)
"""Mistakes of a part that its rows name as their own."""


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
    _check_stated_groups(pending, decision)
    check_scale(pending, known, decision)
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
            decision.resolutions[row.hash] = _refused_with(row, finding)
    resolutions = resolve_duplicates(known.accepted, passed, known.brought)
    if not known.replace and (findings := _check_replaced(passed, resolutions, known)):
        decision.findings += findings.values()
        replacing = [row for row in passed if row.part in findings]
        decision.resolutions |= {row.hash: _refused_with(row, findings[row.part]) for row in replacing}
        passed = [row for row in passed if row.part not in findings]
        resolutions = resolve_duplicates(known.accepted, passed, known.brought)
    for resolution in resolutions:
        mark = decision.marks.get(resolution.hash)
        is_unmarked = resolution.state is LabelState.ACCEPTED and resolution.reason is None
        marked = replace(resolution, reason=mark[0], detail=mark[1]) if mark and is_unmarked else resolution
        decision.resolutions[resolution.hash] = marked
    decision.splits = {r.formula: splits[r.formula] for r in passed if r.formula and splits[r.formula][1] != "known"}
    _conclude(rows, pending, known, decision)
    for name, resolution in decision.resolutions.items():
        decision.resolutions[name] = replace(resolution, ratio=decision.compared.get(name))
    return decision


def _refused_with(row: StoredLabel, finding: Finding) -> Resolution:
    """The end of a row whose part is refused; one that another value overruled before is overruled still."""
    detail = f"{finding.reason}: {finding.detail}"
    if row.reason:
        return Resolution(row.hash, LabelState.OVERRULED, row.reason, detail)
    own = finding.reason if finding.reason in _OF_EACH_ROW else LabelReason.LABEL_BATCH
    return Resolution(row.hash, LabelState.REFUSED, own, detail)


def _check_replaced(
    passed: Sequence[StoredLabel], resolutions: Sequence[Resolution], known: KnownLabels
) -> dict[tuple[str, str], Finding]:
    """Parts that would supersede many accepted labels."""
    earlier = {label.hash: label for label in known.accepted}
    findings = {}
    for (source, kind), part in parts_of(passed).items():
        if detail := replaced_too_many(part, resolutions, earlier):
            findings[source, kind] = Finding(source, kind, LabelReason.REPLACES, detail)
    return findings


def _check_stated_groups(pending: Sequence[StoredLabel], decision: BatchDecision) -> None:
    """Rows whose space group or point group is not that of their cell: marked, and refused where they are many."""
    for (source, kind), part in parts_of(pending).items():
        # a row that passed its own checks has a detail only where they found something odd
        odd = [row for row in part if row.detail]
        decision.marks |= {row.hash: (LabelReason.INCONSISTENT, str(row.detail)) for row in odd}
        if len(odd) >= LEAST_FAULTY and len(odd) > MAX_FAULTY_SHARE * len(part):
            detail = f"{len(odd)} of {len(part)} rows, {odd[0].source_id}: {odd[0].detail}"
            decision.findings.append(Finding(source, kind, LabelReason.INCONSISTENT, detail))


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


def _check_faults(rows: Sequence[StoredLabel], decision: BatchDecision) -> None:
    """Parts in which one mistake is too frequent to be chance."""
    for (source, kind), part in parts_of(rows).items():
        # first: the shear entries of compliances have factors of 2 and 4, which look like a mistake of their own
        if kind in KINDS and K in KINDS[kind].sizes and (detail := compliance_for_stiffness([r.sizes for r in part])):
            decision.findings.append(Finding(source, kind, LabelReason.OTHER_QUANTITY, detail))
        counts = Counter(row.reason for row in part if row.state is LabelState.REFUSED)
        for reason in _SYSTEMATIC:
            shown_by = _SHOWN_BY.get(reason)
            # by identity: a residual of exactly 0 is evidence too, it shows that there is no misfit
            shown = [True if shown_by is None else getattr(row, shown_by) for row in part]
            able = [
                row
                for row, fact in zip(part, shown, strict=True)
                if (fact is not None and fact is not False) or row.reason == reason
            ]
            n = counts[reason.value]
            if n >= min(LEAST_FAULTY, len(able)) and n > MAX_FAULTY_SHARE * len(able):
                detail = f"{n} of {len(able)} rows that can show it ({reason.sentence})"
                decision.findings.append(Finding(source, kind, reason, detail))


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


def _conclude(
    rows: Sequence[StoredLabel], pending: Sequence[StoredLabel], known: KnownLabels, decision: BatchDecision
) -> None:
    """The status of the whole."""
    resolutions = [decision.resolutions[row.hash] for row in pending]
    still_overruled = sum(
        bool(row.reason) and resolution.reason == row.reason
        for row, resolution in zip(pending, resolutions, strict=True)
    )
    if not rows and known.retracted:
        decision.status = BatchStatus.REFUSED
        decision.findings.append(Finding("", "", LabelReason.RETRACTED, known.retracted))
    elif decision.findings:
        decision.status = BatchStatus.REFUSED
    elif still_overruled == len(rows):
        decision.status = BatchStatus.REPEATED
    elif pending and all(resolution.state is LabelState.DUPLICATE for resolution in resolutions):
        decision.status = BatchStatus.STALE
        detail = f"all {len(pending)} labels are known from other rows"
        decision.findings.append(Finding("", "", LabelReason.STALE, detail))
    elif not pending:
        decision.status = BatchStatus.REFUSED
        counts = Counter(row.reason for row in rows).most_common(3)
        reasons = ", ".join(f"{n} {reason}" for reason, n in counts)
        detail = f"each of its {len(rows)} rows was refused: {reasons}"
        decision.findings.append(Finding("", "", LabelReason.LABEL_BATCH, detail))
