"""Ingest of labels: rows of a source in, every one of them settled in the database, and a report in numbers.

Blocks of rows are looked at and stored as they come; a killed ingest goes on where it stopped when the same source is
brought again. When all are in, the instalment is judged and settled in one transaction.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np

from db.labels.rows import StoredLabel
from db.labels.store import LabelStore
from db.store import ResultStore
from db.tables import LabelState
from gmt_tasks.labels.batch import Finding, Memory, Ruling, Verdict
from gmt_tasks.labels.checks.batch_checks import judge
from gmt_tasks.labels.checks.row import Listings, check_labels, content_hash
from gmt_tasks.labels.checks.unit_checks import PredictSizes, Sizes
from gmt_tasks.labels.files import Split
from gmt_tasks.labels.readers.source import LabelRow, LabelSource, RefusedLabel
from gmt_tasks.labels.reasons import LabelReason
from gmt_tasks.telemetry import event

ROWS_PER_BLOCK = 1000


@dataclass(frozen=True)
class PartReport:
    """How the rows of one source and kind ended.

    Attributes:
        source, kind: the part.
        rows: that this instalment brought and nobody had settled before.
        accepted, duplicate, overruled, refused: where they ended; they sum up to `rows`.
        reasons: number of rows by reason, refused or marked, and
        marked: those of them that teach all the same.
        examples: one row per reason: its id and the detail.
        tells_order, tells_frame: rows whose symmetry would have shown a wrong Voigt order or frame; the others are
            unproven in this respect.
        residual_median, residual_max: share of their tensors that the symmetry removes; None without tensors.
        ratio_median: label over prediction; None where nothing was compared.
        compared: rows that were compared with predictions.
    """

    source: str
    kind: str
    rows: int
    accepted: int
    duplicate: int
    overruled: int
    refused: int
    reasons: dict[str, int]
    marked: dict[str, int]
    examples: dict[str, str]
    tells_order: int
    tells_frame: int
    residual_median: float | None
    residual_max: float | None
    ratio_median: float | None
    compared: int


@dataclass(frozen=True)
class LabelReport:
    """What became of an instalment.

    Attributes:
        ingest_id: its number in the database.
        source: name of the source.
        verdict: of the whole.
        brought: rows that the source gave.
        known: those that were settled before, or came twice.
        findings: what it was refused for.
        parts: by source and kind.
        superseded: earlier labels that no longer teach.
        resplit: rows that went to another split than they declared, without harm.
        splits: accepted rows by split.
        licences: accepted rows by licence, "" where none is given.
    """

    ingest_id: int
    source: str
    verdict: Verdict
    brought: int
    known: int
    findings: list[Finding]
    parts: list[PartReport]
    superseded: int
    resplit: int
    splits: dict[str, int]
    licences: dict[str, int]

    @property
    def accepted(self) -> int:
        """Rows that teach from now on."""
        return sum(part.accepted for part in self.parts)

    def as_json(self) -> dict[str, Any]:
        """The report with the sentence and the advice of each reason."""
        found = asdict(self)
        for entry in found["findings"]:
            reason = LabelReason(entry["reason"])
            entry |= {"sentence": reason.sentence, "advice": reason.advice}
        return found | {"accepted": self.accepted}


def ingest_labels(
    store: ResultStore,
    source: LabelSource,
    *,
    expect: PredictSizes | None = None,
    on_block: Callable[[int], None] = lambda n: None,
) -> LabelReport:
    """Brings the labels of a source into the database.

    Args:
        store: the database.
        source: where they come from.
        expect: sizes that a model expects of crystals; without it factors of units are looked for beside known
            labels and the trend with composition only.
        on_block: told the number of rows of each block that was looked at; may raise to stop.

    Returns:
        What became of them. The same source once more changes nothing and says so.
    """
    known = store.labels
    ingest_id = known.open_ingest(source.name, source.fingerprint())
    brought = settled_before = 0
    seen: Listings = {}
    hashes: set[str] = set()
    for block in _blocks(source.rows()):
        positions = range(brought, brought + len(block))
        settled_before += _look_at(store, ingest_id, source.name, block, positions, seen, brought=hashes)
        brought += len(block)
        event("labels.block", source=source.name, rows=brought)
        on_block(len(block))
    rows = known.of_ingest(ingest_id)
    memory = _memory(known, rows, expect, hashes)
    ruling = judge(rows, memory)
    splits = {formula: split for formula, (split, _) in ruling.splits.items()} | dict(memory.splits)
    parts = _parts(rows, ruling)
    report = LabelReport(
        ingest_id=ingest_id,
        source=source.name,
        verdict=ruling.verdict,
        brought=brought,
        known=settled_before,
        findings=ruling.findings,
        parts=parts,
        superseded=sum(s.reason == LabelReason.SUPERSEDED for s in ruling.settlements.values()),
        resplit=ruling.resplit,
        **_accepted_by(rows, ruling, splits),
    )
    known.settle(ingest_id, ruling.settlements.values(), ruling.splits, ruling.verdict.value, report.as_json())
    event("labels.judged", source=source.name, verdict=ruling.verdict.value, accepted=report.accepted)
    return report


def _blocks(rows: Iterable[LabelRow | RefusedLabel]) -> Iterator[list[LabelRow | RefusedLabel]]:
    remaining = iter(rows)
    while block := list(islice(remaining, ROWS_PER_BLOCK)):
        yield block


def _look_at(
    store: ResultStore,
    ingest_id: int,
    name: str,
    block: Sequence[LabelRow | RefusedLabel],
    positions: Sequence[int],
    seen: Listings,
    *,
    brought: set[str],
) -> int:
    """Looks at the rows of a block that nobody looked at before and stores them; returns how many are not judged."""
    hashes = [content_hash(item) for item in block]
    brought.update(hashes)
    mine = store.labels.unsettled(ingest_id, list(dict.fromkeys(hashes)))
    first = {key: row for row, key in reversed(list(enumerate(hashes)))}
    new = sorted(row for key, row in first.items() if key not in mine)
    if new:
        rows, places = [block[row] for row in new], [positions[row] for row in new]
        checked = check_labels(name, rows, places, store.relatives, seen)
        store.labels.add(ingest_id, checked.records, checked.crystals)
    return sum(first[key] != row or not mine.get(key, True) for row, key in enumerate(hashes))


def _memory(known: LabelStore, rows: Sequence[StoredLabel], expect: PredictSizes | None, brought: Set[str]) -> Memory:
    """What the database knows of the crystals and formulas of an instalment."""
    crystal_ids = list(dict.fromkeys(row.crystal_id for row in rows if row.crystal_id))
    teaching = known.accepted_of_crystals(crystal_ids)
    splits = known.splits_of(list(dict.fromkeys(row.formula for row in rows if row.formula)))

    def expected(wanted: Sequence[str]) -> list[Sizes]:
        return expect(known.crystals_of(wanted)) if expect is not None and wanted else [{} for _ in wanted]

    ratios = known.ratios_of(Split.VAL.value)
    return Memory(teaching, splits, ratios, expected if expect is not None else None, brought)


def _ended(row: StoredLabel, ruling: Ruling) -> tuple[LabelState, str | None, str | None]:
    """State, reason and detail of a row of the instalment after the ruling."""
    settled = ruling.settlements.get(row.hash)
    if settled is None:
        return LabelState(row.state), row.reason, row.detail
    return settled.state, settled.reason, settled.detail


def _parts(rows: Sequence[StoredLabel], ruling: Ruling) -> list[PartReport]:
    parts: defaultdict[tuple[str, str], list[StoredLabel]] = defaultdict(list)
    for row in rows:
        parts[row.source, row.kind].append(row)
    return [_part(source, kind, part, ruling) for (source, kind), part in parts.items()]


def _part(source: str, kind: str, rows: Sequence[StoredLabel], ruling: Ruling) -> PartReport:
    ends = [_ended(row, ruling) for row in rows]
    states = Counter(state for state, _, _ in ends)
    examples: dict[str, str] = {}
    for row, (_, reason, detail) in zip(rows, ends, strict=True):
        if reason:
            examples.setdefault(str(reason), f"{row.source_id}: {detail}")
    residuals = [row.residual for row in rows if row.residual is not None]
    # A model may have no answer for a crystal that was drawn: an element that it never saw.
    drawn = ruling.sampled & ruling.compared.keys()
    compared = [ruling.compared[row.hash] for row in rows if row.hash in drawn]
    return PartReport(
        source=source,
        kind=kind,
        rows=len(rows),
        accepted=states[LabelState.ACCEPTED],
        duplicate=states[LabelState.DUPLICATE],
        overruled=states[LabelState.OVERRULED],
        refused=states[LabelState.REFUSED],
        reasons=dict(Counter(str(reason) for _, reason, _ in ends if reason)),
        marked=dict(Counter(str(reason) for state, reason, _ in ends if reason and state is LabelState.ACCEPTED)),
        examples=examples,
        tells_order=sum(bool(row.tells_order) for row in rows),
        tells_frame=sum(bool(row.tells_frame) for row in rows),
        residual_median=float(np.median(residuals)) if residuals else None,
        residual_max=max(residuals) if residuals else None,
        ratio_median=float(np.median(compared)) if compared else None,
        compared=len(compared),
    )


def _accepted_by(rows: Sequence[StoredLabel], ruling: Ruling, splits: dict[str, str]) -> dict[str, dict[str, int]]:
    """Accepted rows by split and by licence."""
    accepted = [row for row in rows if _ended(row, ruling)[0] is LabelState.ACCEPTED]
    return {
        "splits": dict(sorted(Counter(splits[row.formula or ""] for row in accepted).items())),
        "licences": dict(sorted(Counter(row.licence or "" for row in accepted).items())),
    }
