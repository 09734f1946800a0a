"""Taking back a label batch: which labels of the same crystals are accepted again, and what is reported.

The labels that stay are resolved as if the batch had never come: of each crystal and kind in the order in which they
came, by the rules of `resolve_duplicates`. What a label that stays decided about another goes on holding.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from db.labels.batches import STANDING, Retraction, Withdrawal
from db.labels.rows import Resolution, StoredLabel
from db.store import ResultStore
from db.tables import LabelState, ModelState
from gmt_tasks.labels.checks.duplicates import resolve_duplicates
from gmt_tasks.telemetry import event

MAX_EXAMPLES = 20


@dataclass(frozen=True)
class RetractionReport:
    """What a retraction changed, or would change.

    Attributes:
        batch, source: what was taken back.
        who, why: and by whom.
        was_retracted: it had been before: nothing changed.
        dry_run: nothing was written.
        retracted: labels taken back, by the state that they were in.
        restored: labels of other batches that are accepted again.
        changed: other labels that end in another way, by their new state; `restored` are not counted.
        examples: some of the restored ones.
        models: versions that were trained on labels of the batch and are current or were.
    """

    batch: int
    source: str
    who: str
    why: str
    was_retracted: bool
    dry_run: bool
    retracted: dict[str, int]
    restored: int
    changed: dict[str, int]
    examples: list[str]
    models: list[str]


def retract_batch(store: ResultStore, ingest_id: int, record: Withdrawal, *, dry_run: bool = False) -> RetractionReport:
    """Takes back a label batch in one transaction; a second time changes nothing.

    Args:
        store: the database.
        ingest_id: the batch.
        record: who takes it back, and why.
        dry_run: only say what would change.

    Raises:
        StoreError: there is no such batch, or its ingest is not finished.
    """
    if dry_run:
        retraction = store.labels.retraction(ingest_id, resolve_without)
    else:
        retraction = store.labels.retract(ingest_id, record, resolve_without)
    report = _report(retraction, record, models_that_saw(store, ingest_id), dry_run=dry_run)
    if retraction.is_new and not dry_run:
        event("labels.retracted", batch=ingest_id, restored=report.restored)
    return report


def resolve_without(labels: Sequence[StoredLabel], retracted: Set[str]) -> list[Resolution]:
    """How the labels of some crystals end without those that are taken back.

    Args:
        labels: all of these crystals, in the order in which they came.
        retracted: hashes of what the batch brought that is taken back.

    Returns:
        A resolution for each label that ends in another way than before.
    """
    places: defaultdict[tuple[str | None, str], list[StoredLabel]] = defaultdict(list)
    for label in labels:
        places[label.crystal_id, label.kind].append(label)
    changed: list[Resolution] = []
    for place in places.values():
        # also what was refused beside another label of its crystal, and for nothing else
        states = {label.hash: label.state in STANDING or label.decided_by is not None for label in place}
        staying = [label for label in place if label.hash not in retracted and states[label.hash]]
        decided_by_it = any(label.decided_by in retracted for label in staying)
        if decided_by_it or any(label.hash in retracted and label.state is LabelState.ACCEPTED for label in place):
            changed += _resolved_in_order(staying, retracted)
    return changed


def _resolved_in_order(labels: Sequence[StoredLabel], retracted: Set[str]) -> list[Resolution]:
    """The labels of one crystal and kind, batch by batch; those whose end stays as it is are left out."""
    ends: dict[str, Resolution] = {}
    kept: StoredLabel | None = None
    for _, batch in groupby(labels, key=lambda label: label.ingest_id):
        new = []
        for label in batch:
            # decided by a label that stays and is still accepted: that holds, also where it came twice
            is_settled = kept is not None and label.decided_by == kept.hash and label.state is not LabelState.ACCEPTED
            if not is_settled:
                new.append(replace(label, reason=None))
        for end in resolve_duplicates([] if kept is None else [kept], new):
            ends[end.hash] = end
        accepted = [label for label in labels if label.hash in ends and ends[label.hash].state is LabelState.ACCEPTED]
        kept = accepted[-1] if accepted else kept
    changed = []
    for label in labels:
        if label.hash not in ends:
            continue
        end = ends[label.hash]
        differs = (label.state, label.reason, label.decided_by) != (end.state, end.reason, end.decided_by)
        # a mark that its own batch, or a label that stays, gave it is kept
        is_marked = label.state is end.state is LabelState.ACCEPTED and not end.reason
        if differs and not (is_marked and label.decided_by not in retracted):
            changed.append(end)
    return changed


def models_that_saw(store: ResultStore, ingest_id: int) -> list[str]:
    """The versions that are or were current and were trained on labels of a batch, newest first."""
    models = []
    for row in store.list_models():
        seen = {batch["batch"] for batch in row["batches"]}
        if row["state"] != ModelState.CANDIDATE and ingest_id in seen:
            models.append(f"{row['name']}@{row['version']}")
    return models


def _report(retraction: Retraction, record: Withdrawal, models: Sequence[str], *, dry_run: bool) -> RetractionReport:
    batch = retraction.batch
    restored = [
        (label, end)
        for label, end in retraction.changed
        if end.state is LabelState.ACCEPTED and label.state is not LabelState.ACCEPTED
    ]
    others = Counter(end.state.value for _, end in retraction.changed)
    others[LabelState.ACCEPTED.value] -= len(restored)
    # an earlier retraction is reported with the words of who did it
    who, why = (record.who, record.why) if retraction.is_new else (batch.retracted_by, batch.retracted_why)
    return RetractionReport(
        batch=batch.id,
        source=batch.source,
        who=str(who),
        why=str(why),
        was_retracted=not retraction.is_new,
        dry_run=dry_run,
        retracted=dict(Counter(label.state.value for label in retraction.labels)),
        restored=len(restored),
        changed={state: n for state, n in others.items() if n},
        examples=[f"{label.source_id} of {label.source}: {label.kind}" for label, _ in restored[:MAX_EXAMPLES]],
        models=list(models),
    )


def retracted_since(batches: Sequence[Mapping[str, Any]], store: ResultStore) -> dict[int, str]:
    """Who took back which of the batches that a model saw, and why, by number."""
    seen = {batch["batch"] for batch in batches}
    return {batch.id: batch.withdrawal for batch in store.labels.batches() if batch.id in seen and batch.retracted}
