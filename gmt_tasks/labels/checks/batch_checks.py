"""Judges an instalment of labels: what only many rows together show, and how each of its rows ends.

An instalment is judged in parts, the rows of one source and kind. A mistake of those who made it sits in all of its
rows, also in those whose symmetry cannot show it: a part is refused as a whole when one named mistake is found in more
than a tenth of the rows that can show it, or when its sizes are a factor away from known labels or predictions. A row
that claims for training what is kept for testing refuses the whole instalment.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from db.labels.rows import Settlement, StoredLabel
from db.tables import LabelState
from gmt_tasks.labels.batch import Finding, Memory, Ruling, Verdict
from gmt_tasks.labels.checks.duplicates import settle_relatives
from gmt_tasks.labels.checks.unit_checks import (
    MIN_KNOWN,
    MIN_TREND_ROWS,
    SINGLE_FACTOR,
    SURE_FACTOR,
    USUAL_RATIO,
    Sizes,
    off_trend,
    power_of_ten,
    ratios,
    scale_shift,
    unrelated,
)
from gmt_tasks.labels.files import Split
from gmt_tasks.labels.reasons import LabelReason

Floats = NDArray[np.float64]

MAX_FAULTY_SHARE = 0.1
LEAST_FAULTY = 3
COMPARED_ROWS = 64
COMPARED_PIEZO_ROWS = 200
"""Rows per part that are compared with predictions; sizes of e scatter more."""

SIZES_OF: dict[str, tuple[str, ...]] = {
    "dielectric_total": ("eps_total", "eps_electronic"),
    "dielectric_electronic": ("eps_electronic",),
    "dielectric_scalar_mean": ("eps_total", "eps_electronic"),
    "piezo_e_total": ("e_norm",),
    "piezo_scalar": ("e_singular",),
    "elastic_stiffness": ("k_gpa", "g_gpa"),
    "elastic_invariants": ("k_gpa", "g_gpa"),
    "moduli_vrh": ("k_gpa", "g_gpa"),
}
"""Sizes of each kind by which its scale is judged; the first stands for the label."""

STEADY_SIZES = frozenset({"k_gpa", "eps_electronic"})
"""Sizes that composition and model predict well enough to refuse a single row for a factor of ten."""

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


def judge(rows: Sequence[StoredLabel], memory: Memory) -> Ruling:
    """Judges an instalment.

    Args:
        rows: what it brought that is not settled yet, and what was refused row by row, in order.
        memory: what is known already.
    """
    ruling = Ruling()
    pending = [row for row in rows if row.state is LabelState.PENDING]
    splits = assign_splits(pending, memory.splits)
    _judge_faults(rows, ruling)
    _judge_scale(pending, memory, ruling)
    _judge_splits(pending, splits, ruling)
    refused = {(finding.source, finding.kind): finding for finding in reversed(ruling.findings)}
    good = []
    for row in pending:
        finding = refused.get(("", "")) or refused.get(row.part)
        if row.hash in ruling.settlements and ruling.settlements[row.hash].state is LabelState.REFUSED:
            continue
        if finding is None:
            good.append(row)
        else:
            own = finding.reason if finding.reason is LabelReason.UNIT_FACTOR else LabelReason.INSTALMENT
            ruling.settlements[row.hash] = Settlement(
                row.hash, LabelState.REFUSED, own, f"{finding.reason}: {finding.detail}"
            )
    _settle(good, memory, splits, ruling)
    _conclude(rows, pending, ruling)
    ruling.settlements = {
        name: replace(settled, ratio=ruling.compared.get(name)) for name, settled in ruling.settlements.items()
    }
    return ruling


def split_by_hash(formula: str) -> Split:
    """Part of a formula that nobody assigned: 80 % train, 10 % val, 10 % test, the same everywhere."""
    share = int.from_bytes(sha256(formula.encode()).digest()[:8], "big") / 2**64
    return Split.TRAIN if share < 0.8 else Split.VAL if share < 0.9 else Split.TEST


def assign_splits(rows: Iterable[StoredLabel], known: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The split of every formula of the rows, and where it comes from (known, declared or hash).

    A formula that is known keeps its split. Of a new one the declared split counts; where rows disagree, test goes
    before val and val before train: what somebody tests with must not teach.
    """
    declared: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.formula is not None:
            declared[row.formula] |= {row.declared_split} - {None}  # type: ignore[arg-type]
    found = {}
    for formula, claims in declared.items():
        claim = next((split.value for split in (Split.TEST, Split.VAL, Split.TRAIN) if split.value in claims), None)
        if formula in known:
            found[formula] = (known[formula], "known")
        else:
            found[formula] = (claim, "declared") if claim else (split_by_hash(formula).value, "hash")
    return found


def _judge_faults(rows: Sequence[StoredLabel], ruling: Ruling) -> None:
    """Parts in which one mistake is too frequent to be chance."""
    parts: defaultdict[tuple[str, str], list[StoredLabel]] = defaultdict(list)
    for row in rows:
        parts[row.part].append(row)
    for (source, kind), part in parts.items():
        found = Counter(row.reason for row in part if row.state is LabelState.REFUSED)
        for reason in _SYSTEMATIC:
            shown_by = _SHOWN_BY.get(reason)
            able = [row for row in part if shown_by is None or _shows(row, shown_by)]
            n = found[reason.value]
            if n >= min(LEAST_FAULTY, len(able)) and n > MAX_FAULTY_SHARE * len(able):
                detail = f"{n} of {len(able)} rows that can show it ({reason.sentence})"
                ruling.findings.append(Finding(source, kind, reason, detail))


def _shows(row: StoredLabel, fact: str) -> bool:
    """Whether a row could show a mistake; a residual of exactly 0 shows that there is none."""
    evidence = getattr(row, fact)
    return evidence is not None and evidence is not False


def _judge_scale(pending: Sequence[StoredLabel], memory: Memory, ruling: Ruling) -> None:
    """Factors of units: of whole parts, then of single rows."""
    guilty = {(finding.source, finding.kind) for finding in ruling.findings}
    parts: defaultdict[tuple[str, str], list[StoredLabel]] = defaultdict(list)
    for row in pending:
        if row.part not in guilty and SIZES_OF.get(row.kind):
            parts[row.part].append(row)
    siblings: defaultdict[str, Sizes] = defaultdict(dict)
    for label in memory.teaching:
        for name, value in label.sizes.items():
            siblings[label.crystal_id or ""].setdefault(name, value)
    for (source, kind), part in parts.items():
        names = SIZES_OF[kind]
        deviations = {name: _deviations(part, name) for name in names}
        expected = _expected(part, deviations, memory, ruling)
        for name in names:
            shift = None
            if siblings:
                known = ratios([r.sizes for r in part], [siblings.get(r.crystal_id or "", {}) for r in part], name)
                shift = scale_shift(known[~np.isnan(known)], f"known {name}", least=MIN_KNOWN)
            beside = ratios([r.sizes for r in part], [expected.get(r.hash, {}) for r in part], name)
            if name == names[0]:
                ruling.compared |= {r.hash: float(x) for r, x in zip(part, beside, strict=True) if not np.isnan(x)}
            steady = np.array([deviations[name].get(r.hash, 0.0) == 0 for r in part])
            usual = _usual_ratio(name, memory.ratios.get(kind, ()))
            shift = shift or scale_shift(beside[steady & ~np.isnan(beside)], f"the predicted {name}", usual)
            if shift is not None:
                ruling.findings.append(Finding(source, kind, LabelReason.UNIT_FACTOR, str(shift)))
                break
            said = _unrelated(part, name, expected, ruling)
            if said:
                ruling.findings.append(Finding(source, kind, LabelReason.WRONG_CRYSTAL, said))
                break
            _judge_single_rows(part, name, beside, deviations[name], ruling)


def _deviations(part: Sequence[StoredLabel], name: str) -> Sizes:
    """Rows that are far from the trend of their part with composition, as logarithms by hash."""
    usable = [row for row in part if row.sizes.get(name, 0.0) > 0 and row.formula]
    off = off_trend([row.formula or "" for row in usable], np.array([row.sizes[name] for row in usable]))
    return {row.hash: float(x) for row, x in zip(usable, off, strict=True) if x}


def _usual_ratio(name: str, earlier: Sequence[float]) -> float:
    """The median ratio to predictions that right labels have: of earlier labels where there are enough."""
    if name in USUAL_RATIO:
        return float(np.median(earlier)) if len(earlier) >= MIN_TREND_ROWS else USUAL_RATIO[name]
    return 1.0


def _expected(
    part: Sequence[StoredLabel], deviations: Mapping[str, Sizes], memory: Memory, ruling: Ruling
) -> dict[str, Sizes]:
    """What a model expects of a fixed sample of a part and of its rows off the trend, by hash."""
    if memory.expect is None:
        return {}
    n = COMPARED_PIEZO_ROWS if part[0].kind.startswith("piezo") else COMPARED_ROWS
    odd = {row for found in deviations.values() for row in found}
    ordered = sorted((row for row in part if row.crystal_id), key=lambda row: row.hash)
    ruling.sampled |= {row.hash for row in ordered[:n]}
    chosen = list({row.hash: row for row in (*ordered[:n], *[row for row in ordered if row.hash in odd][:n])}.values())
    return dict(zip((r.hash for r in chosen), memory.expect([r.crystal_id or "" for r in chosen]), strict=True))


def _unrelated(part: Sequence[StoredLabel], name: str, expected: Mapping[str, Sizes], ruling: Ruling) -> str:
    """What shows that the drawn rows of a part belong to other crystals."""
    drawn = [(row.sizes, expected.get(row.hash, {})) for row in part if row.hash in ruling.sampled]
    pairs = [(mine[name], theirs[name]) for mine, theirs in drawn if name in mine and name in theirs]
    values = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return unrelated(values[:, 0], values[:, 1], name)


def _judge_single_rows(
    part: Sequence[StoredLabel], name: str, beside: Floats, deviations: Sizes, ruling: Ruling
) -> None:
    """Rows that alone are a power of ten away: refused where prediction and trend say so, marked where one does."""
    if name not in STEADY_SIZES:
        return
    few = len(part) < MIN_TREND_ROWS
    for row, ratio in zip(part, beside.tolist(), strict=True):
        off, known = deviations.get(row.hash, 0.0), ratio == ratio
        far = known and abs(np.log(ratio)) > np.log(SINGLE_FACTOR)
        alone = abs(off) > np.log(SINGLE_FACTOR) and power_of_ten(np.exp(off))
        if not far and not (alone and not known):
            continue
        said = [f"{ratio:.3g} times the prediction"] if known else []
        said += [f"{np.exp(off):.3g} times its trend with composition"] if off else []
        detail = f"{name} {row.sizes[name]:.4g} is {' and '.join(said)}"
        if far and power_of_ten(ratio, SURE_FACTOR) and (few or (alone and off * np.log(ratio) > 0)):
            ruling.settlements[row.hash] = Settlement(row.hash, LabelState.REFUSED, LabelReason.UNIT_FACTOR, detail)
        else:
            ruling.marks[row.hash] = (LabelReason.UNIT_FACTOR, detail)


def _judge_splits(pending: Sequence[StoredLabel], splits: Mapping[str, tuple[str, str]], ruling: Ruling) -> None:
    """Rows that claim for training what is kept for testing, and rows that merely go elsewhere than declared."""
    leaked = 0
    for row in pending:
        if row.formula is None or row.declared_split is None:
            continue
        split, origin = splits[row.formula]
        if row.declared_split == Split.TRAIN.value and split != Split.TRAIN.value:
            leaked += 1
            detail = f"{row.formula} is {split} ({origin}), the row says train"
            ruling.settlements[row.hash] = Settlement(row.hash, LabelState.REFUSED, LabelReason.LEAKED_SPLIT, detail)
        elif row.declared_split != split:
            ruling.resplit += 1
    if leaked:
        detail = f"{leaked} of {len(pending)} rows declare formulas of val or test as training data"
        ruling.findings.insert(0, Finding("", "", LabelReason.LEAKED_SPLIT, detail))


def _settle(good: Sequence[StoredLabel], memory: Memory, splits: Mapping[str, tuple[str, str]], ruling: Ruling) -> None:
    """Duplicates and contradictions among the good rows, and the splits of the formulas that stay."""
    for settled in settle_relatives(memory.teaching, good, memory.brought):
        mark = ruling.marks.get(settled.hash)
        if mark and settled.state is LabelState.ACCEPTED and settled.reason is None:
            settled = replace(settled, reason=mark[0], detail=mark[1])  # noqa: PLW2901  the same label, marked
        ruling.settlements[settled.hash] = settled
    ruling.splits = {r.formula: splits[r.formula] for r in good if r.formula and splits[r.formula][1] != "known"}


def _conclude(rows: Sequence[StoredLabel], pending: Sequence[StoredLabel], ruling: Ruling) -> None:
    """The verdict of the whole."""
    ends = Counter(ruling.settlements[row.hash].state for row in pending)
    still_overruled = [row for row in pending if row.reason and ruling.settlements[row.hash].reason == row.reason]
    if len(still_overruled) == len(rows):
        ruling.verdict = Verdict.REPEATED
    elif ruling.findings:
        ruling.verdict = Verdict.REFUSED
    elif pending and ends[LabelState.DUPLICATE] == len(pending):
        ruling.verdict = Verdict.STALE
        detail = f"all {len(pending)} labels are known from other rows"
        ruling.findings.append(Finding("", "", LabelReason.STALE, detail))
    elif not pending:
        ruling.verdict = Verdict.REFUSED
        ruling.findings.append(Finding("", "", LabelReason.INSTALMENT, f"each of its {len(rows)} rows was refused"))
