"""Ingest of labels: rows of a source in, every one of them resolved in the database, and a report in numbers.

Blocks of rows are checked and stored as they come; a killed ingest goes on where it stopped when the same source is
brought again. When all are in, the batch is checked as a whole and resolved in one transaction.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence, Set
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from db.labels.rows import Resolution, StoredLabel
from db.labels.store import LabelStore
from db.store import ResultStore
from db.tables import LabelState
from gmt_tasks.labels.checks.batch_checks import check_batch
from gmt_tasks.labels.checks.requested_crystal import with_ids_checked
from gmt_tasks.labels.checks.row import IdentifiedCells, check_labels, hashed_label
from gmt_tasks.labels.checks.unit_checks import PredictSizes, Sizes
from gmt_tasks.labels.files import Split
from gmt_tasks.labels.label_batch import BatchDecision, BatchStatus, Finding, KnownLabels
from gmt_tasks.labels.readers.source import LabelRow, LabelSource, RefusedLabel
from gmt_tasks.labels.reasons import LabelReason
from gmt_tasks.telemetry import event
from models.gmtnet.training_data.split_table import SplitTable

ROWS_PER_BLOCK = 1000


@dataclass(frozen=True)
class IngestOptions:
    """What the person who brings labels says of them.

    Attributes:
        who: brings them, for the history; empty where nobody is named.
        replace: many accepted labels may be superseded at once.
        again: labels that were retracted are checked and taken again.
    """

    who: str = ""
    replace: bool = False
    again: bool = False


@dataclass(frozen=True)
class PartReport:
    """How the rows of one source and kind ended.

    Attributes:
        source, kind: the part.
        rows: that this batch brought and that were not resolved before.
        accepted, duplicate, overruled, refused: where they ended; they sum up to `rows`.
        reasons: number of rows by reason, refused or marked, and
        marked: those of them that are accepted all the same.
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
    """What became of a label batch.

    Attributes:
        ingest_id: its number in the database.
        source: name of the source.
        status: of the whole.
        brought: rows that the source gave.
        known: those that were resolved before, or came twice.
        findings: what it was refused for.
        parts: by source and kind.
        superseded: earlier labels that are no longer trained on.
        resplit: rows that went to another split than they declared, without harm.
        splits: accepted rows by split.
        licences: accepted rows by licence, "" where none is given.
        retracted: who took back rows that it brings again, and why; these stay out.
    """

    ingest_id: int
    source: str
    status: BatchStatus
    brought: int
    known: int
    findings: list[Finding]
    parts: list[PartReport]
    superseded: int
    resplit: int
    splits: dict[str, int]
    licences: dict[str, int]
    retracted: str = ""

    @property
    def accepted(self) -> int:
        """Rows that are trained on from now on."""
        return sum(part.accepted for part in self.parts)

    def as_json(self) -> dict[str, Any]:
        """The report with the sentence and the advice of each reason."""
        # stored reports have the status under this name
        facts = {"verdict" if name == "status" else name: value for name, value in asdict(self).items()}
        for entry in facts["findings"]:
            reason = LabelReason(entry["reason"])
            entry |= {"sentence": reason.sentence, "advice": reason.advice}
        return facts | {"accepted": self.accepted}


def ingest_labels(
    store: ResultStore,
    source: LabelSource,
    *,
    expect: PredictSizes | None = None,
    table: SplitTable | None = None,
    on_block: Callable[[int], None] = lambda n: None,
    options: IngestOptions = IngestOptions(),
) -> LabelReport:
    """Brings the labels of a source into the database.

    Args:
        store: the database.
        source: where they come from.
        expect: sizes that a model expects of crystals; without it factors of units are looked for beside known
            labels and the trend with composition only.
        table: split of the current model, which its formulas keep.
        on_block: called with the number of rows of each block that was checked; may raise to stop.
        options: what the person who brings them says of them.

    Returns:
        What became of them. The same source once more changes nothing and says so.
    """
    ingest_id = store.labels.open_ingest(source.name, source.fingerprint(), options.who)
    taken_again = (LabelState.RETRACTED,) if options.again else ()
    brought = resolved_before = 0
    identified: IdentifiedCells = {}
    hashes: set[str] = set()
    remaining = iter(source.rows())
    while block := list(islice(remaining, ROWS_PER_BLOCK)):
        block_hashes, n_known = _check_block(
            store, ingest_id, source.name, block, brought, identified=identified, taken_again=taken_again
        )
        hashes.update(block_hashes)
        resolved_before += n_known
        brought += len(block)
        event("labels.block", source=source.name, rows=brought)
        on_block(len(block))
    rows = store.labels.of_ingest(ingest_id)
    batches = store.labels.retracted_among(sorted(hashes))
    retracted = "; ".join(f"{batch.states[LabelState.RETRACTED]} labels: {batch.withdrawal}" for batch in batches)
    known = _known_labels(store.labels, rows, expect, hashes, table)
    known = replace(known, replace=options.replace, retracted=retracted)
    decision = check_batch(rows, known)
    report = _report(ingest_id, source.name, rows, known, decision, brought=brought, resolved_before=resolved_before)
    resolutions = decision.resolutions.values()
    store.labels.conclude(ingest_id, resolutions, decision.splits, decision.status.value, report.as_json())
    event("labels.judged", source=source.name, verdict=decision.status.value, accepted=report.accepted)
    return report


def _report(
    ingest_id: int,
    name: str,
    rows: Sequence[StoredLabel],
    known: KnownLabels,
    decision: BatchDecision,
    *,
    brought: int,
    resolved_before: int,
) -> LabelReport:
    """What became of a label batch.

    Args:
        ingest_id: its number.
        name: of its source.
        rows: that it resolves.
        known: what was known before.
        decision: about them.
        brought: rows that the source gave.
        resolved_before: those of them that were resolved before.
    """
    parts: defaultdict[tuple[str, str], list[StoredLabel]] = defaultdict(list)
    for row in rows:
        # what was refused row by row stays as it is
        end: StoredLabel | Resolution = decision.resolutions.get(row.hash, row)
        parts[row.part].append(replace(row, state=end.state, reason=end.reason, detail=end.detail))
    splits = dict(known.splits) | {formula: split for formula, (split, _) in decision.splits.items()}
    accepted = [row for part in parts.values() for row in part if row.state is LabelState.ACCEPTED]
    return LabelReport(
        ingest_id=ingest_id,
        source=name,
        status=decision.status,
        brought=brought,
        known=resolved_before,
        findings=decision.findings,
        parts=[_part_report(part, decision) for part in parts.values()],
        superseded=sum(end.reason == LabelReason.SUPERSEDED for end in decision.resolutions.values()),
        resplit=decision.resplit,
        splits=dict(sorted(Counter(splits[row.formula or ""] for row in accepted).items())),
        licences=dict(sorted(Counter(row.licence or "" for row in accepted).items())),
        retracted=known.retracted,
    )


def _check_block(
    store: ResultStore,
    ingest_id: int,
    name: str,
    block: Sequence[LabelRow | RefusedLabel],
    start: int,
    *,
    identified: IdentifiedCells,
    taken_again: Sequence[LabelState],
) -> tuple[list[str], int]:
    """Checks the rows of a block that are not stored and stores them.

    Returns:
        The hashes of all rows, and how many of them were resolved before or came twice.
    """
    hashed = [hashed_label(item) for item in block]
    hashes = [key for key, _ in hashed]
    unresolved = store.labels.unresolved(ingest_id, list(dict.fromkeys(hashes)), taken_again)
    first = {key: row for row, key in reversed(list(enumerate(hashes)))}
    new = sorted(row for key, row in first.items() if key not in unresolved)
    if new:
        positions = [start + row for row in new]
        items = [hashed[row][1] for row in new]
        checked = check_labels(name, items, positions, store.crystals_in_buckets, identified)
        records = with_ids_checked(checked.records, items, store.labels.known_crystals)
        store.labels.add(ingest_id, records, checked.crystals)
    return hashes, sum(first[key] != row or not unresolved.get(key, True) for row, key in enumerate(hashes))


def _known_labels(
    labels: LabelStore,
    rows: Sequence[StoredLabel],
    expect: PredictSizes | None,
    brought: Set[str],
    table: SplitTable | None,
) -> KnownLabels:
    """What the database knows of the crystals and formulas of a label batch."""
    crystal_ids = list(dict.fromkeys(row.crystal_id for row in rows if row.crystal_id))
    accepted = labels.accepted_of_crystals(crystal_ids)
    formulas = list(dict.fromkeys(row.formula for row in rows if row.formula))
    splits, of_model = labels.splits_of(formulas), {} if table is None else table.parts_of(formulas)

    def expected(wanted: Sequence[str]) -> list[Sizes]:
        return expect(labels.crystals_of(wanted)) if expect is not None and wanted else [{} for _ in wanted]

    ratios = labels.ratios_of(Split.VAL.value)
    return KnownLabels(accepted, splits, of_model, ratios, expected if expect is not None else None, brought)


def _part_report(rows: Sequence[StoredLabel], decision: BatchDecision) -> PartReport:
    """How the rows of a part ended; they are in their last state."""
    states = Counter(row.state for row in rows)
    with_reason = [row for row in rows if row.reason]
    examples: dict[str, str] = {}
    for row in with_reason:
        examples.setdefault(str(row.reason), f"{row.source_id}: {row.detail}")
    residuals = [row.residual for row in rows if row.residual is not None]
    # a model may have no answer for a crystal that was drawn: an element that it never saw
    drawn = decision.sampled & decision.compared.keys()
    compared = [decision.compared[row.hash] for row in rows if row.hash in drawn]
    return PartReport(
        source=rows[0].source,
        kind=rows[0].kind,
        rows=len(rows),
        accepted=states[LabelState.ACCEPTED],
        duplicate=states[LabelState.DUPLICATE],
        overruled=states[LabelState.OVERRULED],
        refused=states[LabelState.REFUSED],
        reasons=dict(Counter(str(row.reason) for row in with_reason)),
        marked=dict(Counter(str(row.reason) for row in with_reason if row.state is LabelState.ACCEPTED)),
        examples=examples,
        tells_order=sum(bool(row.tells_order) for row in rows),
        tells_frame=sum(bool(row.tells_frame) for row in rows),
        residual_median=float(np.median(residuals)) if residuals else None,
        residual_max=max(residuals) if residuals else None,
        ratio_median=float(np.median(compared)) if compared else None,
        compared=len(compared),
    )
