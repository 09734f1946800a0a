"""Labels in the database: rows as they came, what was found, and which formulas are kept for testing.

A label batch is brought in two steps. Blocks of rows that were checked one by one are added as they come, each in a
transaction of its own; when all are in, the batch is checked as a whole and every one of its rows resolved in one
transaction. A killed ingest leaves rows that are pending and a batch without a status (the column `verdict`): the same
source goes on from there.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, case, func, insert, or_, select, update

from db.bulk import chunks, insert_absent
from db.codec import clean_detail, clean_text, crystal_rows, to_json
from db.records import IngestedBlock
from db.tables import LabelStage, LabelState, crystals, formula_splits, label_ingests, labels
from db.transactions import database_time

ORDER = (labels.c.ingest_id, labels.c.position)
"""The order in which labels came."""


@dataclass(frozen=True)
class LabelRecord:
    """One label as it is stored, checked by itself.

    Attributes:
        hash: of its content.
        position: 0-based, within its label batch.
        kind: kind of the row, as written.
        crystal_id: content id of its crystal, None where there is none.
        formula: reduced formula of the crystal.
        source: where the row says it comes from.
        source_id: its id there.
        licence: under which it may be used, as the source says.
        provenance: JSON text of `doi`, `method`, `retrieved` and the name of the source it was read from.
        declared_split: the split that the row claims.
        content: JSON text of the row; None where it could not be read.
        state: PENDING, or REFUSED with `reason`.
        reason: why it was refused.
        detail: the numbers.
        residual: share of its tensors that the crystal's symmetry removes; None without tensors.
        tells_order, tells_frame: a wrong Voigt order or frame would have been seen.
        sizes: rotation invariants, by name.
    """

    hash: str
    position: int
    kind: str
    crystal_id: str | None
    formula: str | None
    source: str
    source_id: str
    licence: str | None
    provenance: str
    declared_split: str | None
    content: str | None
    state: LabelState
    reason: str | None
    detail: str | None
    residual: float | None
    tells_order: bool
    tells_frame: bool
    sizes: dict[str, float]


@dataclass(frozen=True)
class StoredLabel:
    """A label as the database knows it, without its content; the fields are those of `LabelRecord`.

    Attributes:
        stage: in which check it was refused.
        ratio: label over prediction, of the rows that were compared.
        decided_by: hash of the label of the same crystal and kind that this one is a duplicate of, contradicts or is
            superseded by.
        ingest_id: the batch that brought it last.
    """

    hash: str
    kind: str
    source: str
    source_id: str
    crystal_id: str | None = None
    formula: str | None = None
    licence: str | None = None
    declared_split: str | None = None
    state: LabelState = LabelState.PENDING
    stage: LabelStage | None = None
    reason: str | None = None
    detail: str | None = None
    residual: float | None = None
    tells_order: bool = False
    tells_frame: bool = False
    sizes: Mapping[str, float] = field(default_factory=dict)
    ratio: float | None = None
    decided_by: str | None = None
    ingest_id: int = 0

    def __str__(self) -> str:
        return f"{self.source_id} of {self.source}"

    @property
    def part(self) -> tuple[str, str]:
        """Source and kind: the labels that are checked together."""
        return self.source, self.kind


@dataclass(frozen=True)
class AcceptedLabel:
    """An accepted training label: its content as JSON text, its crystal, and the split of its formula."""

    hash: str
    kind: str
    crystal_id: str
    formula: str
    source: str
    source_id: str
    licence: str | None
    provenance: str
    content: str
    split: str
    ingest_id: int


@dataclass(frozen=True)
class Resolution:
    """How a label ends."""

    hash: str
    state: LabelState
    reason: str | None = None
    detail: str | None = None
    ratio: float | None = None
    decided_by: str | None = None


def open_ingest(connection: Connection, source: str, fingerprint: str, who: str = "") -> int:
    """The number of the label batch: that of the same source and content which has no status yet, else a new one."""
    mine = (label_ingests.c.source == source) & (label_ingests.c.fingerprint == fingerprint)
    unfinished = select(label_ingests.c.id).where(mine, label_ingests.c.verdict.is_(None)).limit(1)
    known = connection.execute(unfinished).scalar_one_or_none()
    if known is not None:
        return int(known)
    values = {"source": clean_text(source), "fingerprint": fingerprint, "created": database_time(connection)}
    values["who"] = clean_text(who) or None
    made = connection.execute(insert(label_ingests).values(values).returning(label_ingests.c.id))
    return int(made.scalar_one())


def unresolved(
    connection: Connection, ingest_id: int, hashes: Sequence[str], states: Collection[LabelState] = ()
) -> dict[str, bool]:
    """Which of the labels are known, and whether this batch has to resolve them.

    Left over rows of an ingest that was killed, rows that were refused with their whole batch, and rows that another
    value overruled are checked again with the batch that brings them again; they become part of it. Those that were
    overruled keep their reason until then.

    Args:
        connection: in a write transaction.
        ingest_id: the batch.
        hashes: of what it brings.
        states: further states whose labels are checked again.

    Returns:
        By hash of the known ones: True for one that this batch resolves.
    """
    open_states = [LabelState.PENDING, LabelState.OVERRULED, *states]
    again = or_(labels.c.state.in_(open_states), labels.c.stage == LabelStage.BATCH)
    # a pending row has a reason only if it was overruled before, also when this call was killed and comes again
    is_new = or_(labels.c.stage == LabelStage.BATCH, labels.c.state == LabelState.RETRACTED)
    kept = case((is_new, None), else_=labels.c.reason)
    is_ours: dict[str, bool] = {}
    for chunk in chunks(hashes):
        mine = labels.c.hash.in_(chunk)
        claimed = {"ingest_id": ingest_id, "state": LabelState.PENDING, "reason": kept}
        cleared = dict.fromkeys(("stage", "detail", "decided_by"))
        connection.execute(update(labels).where(mine, again).values(claimed | cleared))
        state, owner = labels.c.state, labels.c.ingest_id
        for row in connection.execute(select(labels.c.hash, state, owner).where(mine)):
            is_ours[row.hash] = row.ingest_id == ingest_id
    return is_ours


def add_labels(connection: Connection, ingest_id: int, records: Sequence[LabelRecord], block: IngestedBlock) -> None:
    """Writes labels that were checked, with their crystals; those that are known stay as they are.

    Args:
        connection: in a write transaction.
        ingest_id: their batch.
        records: the labels.
        block: the crystals that the labels name, at least.
    """
    wanted = {record.crystal_id for record in records}
    first = {name: row for row, name in reversed(list(enumerate(block.crystal_ids))) if name in wanted}
    # sorted: two ingests that insert the same crystals must not wait for each other
    rows = sorted(crystal_rows(block, list(first.values())), key=lambda row: str(row["id"]))
    insert_absent(connection, crystals, rows)
    label_rows = []
    texts = ("kind", "source", "source_id", "licence", "provenance", "declared_split")
    for record in records:
        stage = LabelStage.ROW if record.state is LabelState.REFUSED else None
        row = asdict(record) | {"ingest_id": ingest_id, "sizes": to_json(record.sizes), "stage": stage}
        row |= {"ratio": None, "decided_by": None}
        # sources write what databases refuse: NUL bytes, lone surrogates
        row |= {name: clean_text(row[name]) for name in texts if row[name] is not None}
        row["detail"] = None if record.detail is None else clean_detail(record.detail)
        label_rows.append(row)
    insert_absent(connection, labels, label_rows)


def of_ingest(connection: Connection, ingest_id: int) -> list[StoredLabel]:
    """Every label that a batch brought, in order, without its content."""
    return without_content(connection, labels.c.ingest_id == ingest_id)


def accepted_of_crystals(connection: Connection, crystal_ids: Sequence[str]) -> list[StoredLabel]:
    """The accepted labels of the given crystals; those of one crystal in the order in which they came."""
    is_accepted = labels.c.state == LabelState.ACCEPTED
    accepted_labels: list[StoredLabel] = []
    for chunk in chunks(crystal_ids):
        accepted_labels += without_content(connection, is_accepted & labels.c.crystal_id.in_(chunk))
    return accepted_labels


def without_content(connection: Connection, condition: ColumnElement[bool]) -> list[StoredLabel]:
    """The labels of which a condition holds, in the order in which they came."""
    columns = [labels.c[column.name] for column in fields(StoredLabel)]
    rows = connection.execute(select(*columns).where(condition).order_by(*ORDER)).mappings()
    return [
        StoredLabel(**{**row, "state": LabelState(row["state"]), "sizes": json.loads(row["sizes"])}) for row in rows
    ]


def splits_of(connection: Connection, formulas: Sequence[str]) -> dict[str, str]:
    """The splits of the formulas that have one."""
    splits: dict[str, str] = {}
    for chunk in chunks(formulas):
        rows = connection.execute(select(formula_splits).where(formula_splits.c.formula.in_(chunk)))
        splits |= {row.formula: row.split for row in rows}
    return splits


def ratios_of(connection: Connection, split: str) -> dict[str, list[float]]:
    """Label over prediction of the accepted labels of a split that were compared, by kind."""
    compared = (labels.c.state == LabelState.ACCEPTED) & labels.c.ratio.is_not(None) & (formula_splits.c.split == split)
    joined = labels.join(formula_splits, formula_splits.c.formula == labels.c.formula)
    ratios: dict[str, list[float]] = {}
    for row in connection.execute(select(labels.c.kind, labels.c.ratio).select_from(joined).where(compared)):
        ratios.setdefault(row.kind, []).append(row.ratio)
    return ratios


def conclude(
    connection: Connection,
    ingest_id: int,
    resolutions: Iterable[Resolution],
    splits: Mapping[str, tuple[str, str]],
    status: str,
    report: Mapping[str, Any],
) -> None:
    """Ends a label batch: the state of each label it touches, the splits of new formulas, status and report.

    Args:
        connection: in a write transaction.
        ingest_id: the batch.
        resolutions: how labels end; also earlier ones that a newer value supersedes.
        splits: by formula, split and what assigned it; a formula that has a split keeps it.
        status: of the whole.
        report: JSON-serialisable.
    """
    resolve(connection, resolutions)
    made = [{"formula": f, "split": split, "origin": origin} for f, (split, origin) in sorted(splits.items())]
    insert_absent(connection, formula_splits, made)
    ended = {"verdict": status, "report": to_json(report)}
    connection.execute(update(label_ingests).where(label_ingests.c.id == ingest_id).values(ended))


def resolve(connection: Connection, resolutions: Iterable[Resolution]) -> None:
    """Brings labels into the states in which they end.

    Args:
        connection: in a write transaction.
        resolutions: one per label.
    """
    values: dict[str, Any] = {name: bindparam(f"b_{name}") for name in _RESOLVED}
    # a ratio that was measured once stays where this batch compared nothing
    values["ratio"] = func.coalesce(bindparam("b_ratio", type_=labels.c.ratio.type), labels.c.ratio)
    statement = update(labels).where(labels.c.hash == bindparam("b_hash")).values(values)
    bound = []
    for resolution in resolutions:
        # what is accepted, a duplicate or overruled was refused nowhere
        stage = LabelStage.BATCH if resolution.state is LabelState.REFUSED else None
        bound.append({f"b_{name}": value for name, value in asdict(resolution).items()} | {"b_stage": stage})
    if bound:
        connection.execute(statement, bound)


_RESOLVED = ("state", "reason", "detail", "stage", "decided_by")


def accepted(connection: Connection) -> Iterator[AcceptedLabel]:
    """Every accepted training label, sorted by hash."""
    joined = labels.join(formula_splits, formula_splits.c.formula == labels.c.formula)
    columns = [*(labels.c[column.name] for column in fields(AcceptedLabel) if column.name != "split")]
    wanted = select(*columns, formula_splits.c.split).select_from(joined).where(labels.c.state == LabelState.ACCEPTED)
    for row in connection.execute(wanted.order_by(labels.c.hash).execution_options(yield_per=1000)).mappings():
        yield AcceptedLabel(**row)


def count_states(connection: Connection) -> list[dict[str, Any]]:
    """Number of labels (`n`) by source, kind, state and reason."""
    groups = (labels.c.source, labels.c.kind, labels.c.state, labels.c.reason)
    counted = select(*groups, func.count().label("n")).group_by(*groups).order_by(*groups)
    return [dict(row) for row in connection.execute(counted).mappings()]
