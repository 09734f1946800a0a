"""Label batches: what came, from where, how it ended, and how one is taken back.

A retraction deletes nothing. The labels of the batch that were accepted, duplicates or overruled get the state
RETRACTED; what they had decided about other labels of the same crystals is decided anew by whoever calls. Splits of
formulas stay: a formula of test is one for ever. Labels that a later batch brought again belong to that one.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from db.bulk import chunks
from db.codec import clean_detail, clean_text
from db.labels.rows import Resolution, StoredLabel, resolve, without_content
from db.tables import LabelState, label_ingests, labels
from db.transactions import database_time
from models.errors import StoreError

STANDING = (LabelState.ACCEPTED, LabelState.DUPLICATE, LabelState.OVERRULED)
"""States of labels that say something about their crystal: what a retraction takes back."""

RETRACTED_REASON = "retracted"

Resolve = Callable[[Sequence[StoredLabel], Set[str]], list[Resolution]]
"""Decides anew about labels of some crystals, in the order in which they came, without those of the given hashes."""


@dataclass(frozen=True)
class Withdrawal:
    """Who takes back a batch, and why."""

    who: str
    why: str


@dataclass(frozen=True)
class LabelBatch:
    """One label batch as the database knows it.

    Attributes:
        id: its number.
        source: name of the source.
        status: how it ended; None for one that was begun and not finished.
        report: of its ingest; empty for one without a status.
        created: seconds since 1970 UTC.
        who: brought it; None where it is unknown.
        retracted: seconds since 1970 UTC; None where it was not taken back.
        retracted_by, retracted_why: who took it back, and why.
        states: number of labels that it holds now, by state; one that a later batch brought again is of that one.
    """

    id: int
    source: str
    status: str | None
    report: dict[str, Any]
    created: float
    who: str | None
    retracted: float | None
    retracted_by: str | None
    retracted_why: str | None
    states: Mapping[str, int] = field(default_factory=dict)

    @property
    def withdrawal(self) -> str:
        """Who took it back and why, as one phrase; empty where nobody did."""
        return f"{self.retracted_by} retracted batch {self.id}: {self.retracted_why}" if self.retracted else ""


@dataclass(frozen=True)
class Retraction:
    """What a retraction changes.

    Attributes:
        batch: as it is afterwards.
        labels: those that are taken back, in their states before.
        changed: other labels and how they end now.
        is_new: False for a batch that was retracted before, of which nothing changes.
    """

    batch: LabelBatch
    labels: Sequence[StoredLabel]
    changed: Sequence[tuple[StoredLabel, Resolution]]
    is_new: bool


def list_batches(connection: Connection) -> list[LabelBatch]:
    """Every label batch, the first one first."""
    counted = select(labels.c.ingest_id, labels.c.state, func.count().label("n"))
    states: dict[int, dict[str, int]] = {}
    for row in connection.execute(counted.group_by(labels.c.ingest_id, labels.c.state)):
        states.setdefault(row.ingest_id, {})[row.state] = row.n
    rows = connection.execute(select(label_ingests).order_by(label_ingests.c.id)).all()
    return [_batch(row, states.get(row.id, {})) for row in rows]


def read_batch(connection: Connection, ingest_id: int) -> LabelBatch:
    """One label batch.

    Raises:
        StoreError: there is none of this number.
    """
    row = connection.execute(select(label_ingests).where(label_ingests.c.id == ingest_id)).first()
    if row is None:
        n = connection.execute(select(func.count()).select_from(label_ingests)).scalar_one()
        raise StoreError(f"There is no label batch {ingest_id}; the database has {n}. See gmtscreen labels list.")
    counted = select(labels.c.state, func.count().label("n")).where(labels.c.ingest_id == ingest_id)
    states = {row.state: row.n for row in connection.execute(counted.group_by(labels.c.state))}
    return _batch(row, states)


def decided_by(connection: Connection, ingest_id: int) -> list[StoredLabel]:
    """Labels of other batches about which one of this batch decided."""
    own = select(labels.c.hash).where(labels.c.ingest_id == ingest_id)
    return without_content(connection, labels.c.decided_by.in_(own) & (labels.c.ingest_id != ingest_id))


def accepted_of_ids(connection: Connection, source_ids: Sequence[str]) -> list[StoredLabel]:
    """The accepted labels of the given ids of sources, in the order in which they came."""
    accepted: list[StoredLabel] = []
    for chunk in chunks(source_ids):
        mine = labels.c.source_id.in_(chunk) & (labels.c.state == LabelState.ACCEPTED)
        accepted += without_content(connection, mine)
    return accepted


def retracted_among(connection: Connection, hashes: Sequence[str]) -> list[LabelBatch]:
    """The retracted batches of which some of the given labels are, with the number of these in `states`."""
    counts: Counter[int] = Counter()
    for chunk in chunks(hashes):
        mine = labels.c.hash.in_(chunk) & (labels.c.state == LabelState.RETRACTED)
        counts.update(connection.execute(select(labels.c.ingest_id).where(mine)).scalars())
    found = [read_batch(connection, ingest_id) for ingest_id in sorted(counts)]
    return [replace(batch, states={LabelState.RETRACTED: counts[batch.id]}) for batch in found]


def plan_retraction(connection: Connection, ingest_id: int, resolve_anew: Resolve) -> Retraction:
    """What taking back a batch would change; arguments and errors as of `retract`."""
    batch = read_batch(connection, ingest_id)
    if batch.retracted is not None:
        return Retraction(batch, [], [], is_new=False)
    if batch.status is None:
        raise StoreError(
            f"Label batch {ingest_id} is not finished: nothing of it is used. Finish it with the same ingest first."
        )
    own = labels.c.ingest_id == ingest_id
    taken_back = without_content(connection, own & labels.c.state.in_(STANDING))
    crystals = select(labels.c.crystal_id).where(own, labels.c.state.in_(STANDING))
    beside = without_content(connection, labels.c.crystal_id.in_(crystals))
    by_hash = {label.hash: label for label in beside}
    # all that it brought: what was refused beside another label of the batch does not come in by its retraction
    anew = resolve_anew(beside, {label.hash for label in beside if label.ingest_id == ingest_id})
    return Retraction(batch, taken_back, [(by_hash[end.hash], end) for end in anew], is_new=True)


def retract(connection: Connection, ingest_id: int, record: Withdrawal, resolve_anew: Resolve) -> Retraction:
    """Takes back a label batch.

    Args:
        connection: in a write transaction.
        ingest_id: the batch.
        record: who takes it back and why.
        resolve_anew: decides about the other labels of its crystals.

    Returns:
        What changed; nothing for a batch that was retracted before.

    Raises:
        StoreError: there is no such batch, or it is not finished.
    """
    # two who retract the same batch wait for each other: the second finds it retracted
    connection.execute(select(label_ingests.c.id).where(label_ingests.c.id == ingest_id).with_for_update()).all()
    planned = plan_retraction(connection, ingest_id, resolve_anew)
    if not planned.is_new:
        return planned
    taken_back = []
    for label in planned.labels:
        # what was decided about it before stays readable
        before = ": ".join(text for text in (label.state.value, label.reason, label.detail) if text)
        detail = clean_detail(f"was {before}")
        taken_back.append(Resolution(label.hash, LabelState.RETRACTED, RETRACTED_REASON, detail))
    resolve(connection, taken_back)
    resolve(connection, [end for _, end in planned.changed])
    facts = {"retracted_by": clean_text(record.who), "retracted_why": clean_text(record.why)}
    when = {"retracted": database_time(connection)}
    connection.execute(update(label_ingests).where(label_ingests.c.id == ingest_id).values(facts | when))
    return replace(planned, batch=read_batch(connection, ingest_id))


def _batch(row: Row[Any], states: Mapping[str, int]) -> LabelBatch:
    report = json.loads(row.report) if row.report else {}
    facts = (row.created, row.who, row.retracted, row.retracted_by, row.retracted_why)
    return LabelBatch(row.id, row.source, row.verdict, report, *facts, states)
