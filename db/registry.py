"""Model versions: add, promote, refuse, current, roll back. At most one version of a name is current.

A version never changes: the same name and version with other weights is refused. The first version of a name that
screens is current; one that comes with files of its own waits for its promotion. A promotion gets the next number of
its name. Rolling back takes the number away from the current version and makes the one below current again: two roll
backs in a row go two promotions back, and no roll back leads to a version that was itself rolled back. Every decision
is kept: who, when, why, the gate's report, and which version was current before. A promotion whose report does not
pass was forced, and is marked so wherever it is shown.
"""

import difflib
import json
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from db.bulk import insert_absent
from db.codec import clean_text, to_json
from db.records import DecisionRecord, ModelProvenance, ModelVersion, is_combined
from db.storage.partitions import add_partition
from db.tables import Decision, ModelState, models, promotions
from db.transactions import database_time
from models.errors import MissingError, StoreError


def add(
    connection: Connection, model: ModelVersion, metrics: dict[str, Any], provenance: ModelProvenance | None = None
) -> int:
    """Registers a version. Without provenance it is current where its name has no current version, else a candidate.

    Args:
        connection: in a write transaction.
        model: the version; registering the same one again changes nothing but fills what is empty.
        metrics: what it scored, JSON-serialisable.
        provenance: where its files are; such a version becomes current by a promotion only.

    Returns:
        Its id in the database.

    Raises:
        StoreError: the same name and version is registered with other weights or other files.
    """
    # a network with a second opinion is never what screens
    alone = provenance is None and not is_combined(model.name)
    first = alone and current(connection, model.name) is None
    row = {
        "name": model.name,
        "version": model.version,
        "sha256": model.sha256,
        "metrics": to_json(metrics),
        "state": ModelState.CURRENT if first else ModelState.CANDIDATE,
        "promotion": _next_promotion(connection, model.name) if first else None,
        "created": database_time(connection),
    }
    # Another process may register the same version meanwhile: only the row that is there then counts.
    insert_absent(connection, models, [row])
    stored = version_row(connection, model.name, model.version)
    if stored.sha256 != model.sha256:
        raise StoreError(
            f"{model} is registered with sha256 {stored.sha256[:12]}, this one has {model.sha256[:12]}. "
            "Versions are immutable: give the new weights a new version."
        )
    add_partition(connection, int(stored.id))
    if metrics and stored.metrics == "{}":
        connection.execute(update(models).where(models.c.id == stored.id).values(metrics=to_json(metrics)))
    if provenance is not None:
        _fill_provenance(connection, model, stored, provenance)
    return int(stored.id)


def _fill_provenance(
    connection: Connection, model: ModelVersion, stored: Row[Any], provenance: ModelProvenance
) -> None:
    """Stores where the files are, once; the folder alone may change later, because files may be moved."""
    files = to_json(provenance.files)
    if stored.files not in (None, files):
        raise StoreError(
            f"{model} is registered with other files beside its weights (calibration or distance score). "
            "Versions are immutable: give the changed model a new version."
        )
    values = {
        "folder": provenance.folder,
        "files": files,
        "snapshot": stored.snapshot or provenance.snapshot,
        "code_version": stored.code_version or provenance.code_version,
        "batches": stored.batches or (to_json(list(provenance.batches)) if provenance.batches else None),
    }
    connection.execute(update(models).where(models.c.id == stored.id).values(values))


def list_models(connection: Connection) -> list[dict[str, Any]]:
    """All versions, newest first: the columns of `models`, JSON decoded, `created` in seconds since 1970.

    Beside them `forced`: whether the newest promotion of a version went against its gate.
    """
    rows = connection.execute(select(models).order_by(models.c.id.desc())).mappings()
    promoted = select(promotions.c.model_id, promotions.c.report).where(promotions.c.decision == Decision.PROMOTED)
    in_order = connection.execute(promoted.order_by(promotions.c.id))
    # The newest promotion comes last and is what stays.
    reports = {row.model_id: json.loads(row.report) if row.report else None for row in in_order}
    return [_decoded(dict(row)) | {"forced": _is_against(reports.get(row["id"]))} for row in rows]


def describe(connection: Connection, text: str) -> dict[str, Any]:
    """One version with every decision about it, as `list_models` gives it with `decisions`, newest first.

    Args:
        connection: to read from.
        text: NAME@VERSION, or NAME for its current version.

    Raises:
        StoreError: there is none.
    """
    name, _, version = text.partition("@")
    if not version and (present := current(connection, name)) is not None:
        version = present.version
    row = version_row(connection, name, version)
    return _decoded(dict(row._mapping)) | {"decisions": decisions(connection, name, version)}


def decisions(connection: Connection, name: str, version: str | None = None) -> list[dict[str, Any]]:
    """Decisions about the versions of a name, newest first: model, before, decision, who, why, report, created.

    Beside them `forced`, whether it is a promotion against the gate, and `against`, the gate's reasons then.
    """
    before = models.alias("before")
    statement = (
        select(
            models.c.name.concat("@").concat(models.c.version).label("model"),
            before.c.name.concat("@").concat(before.c.version).label("before"),
            *(promotions.c[column] for column in ("decision", "who", "why", "report", "created")),
        )
        .select_from(promotions.join(models, models.c.id == promotions.c.model_id))
        .outerjoin(before, before.c.id == promotions.c.before_id)
        .where(models.c.name == name)
        .order_by(promotions.c.id.desc())
    )
    if version is not None:
        statement = statement.where(models.c.version == version)
    rows = [dict(row) for row in connection.execute(statement).mappings()]
    found = [row | {"report": json.loads(row["report"]) if row["report"] else None} for row in rows]
    for row in found:
        row["forced"] = row["decision"] == Decision.PROMOTED and _is_against(row["report"])
        row["against"] = list(row["report"].get("reasons", [])) if row["forced"] else []
    return found


def current(connection: Connection, name: str | None = None) -> ModelVersion | None:
    """The current version of a name; without a name, the one registered last among the current ones."""
    statement = select(models).where(models.c.state == ModelState.CURRENT).order_by(models.c.id.desc()).limit(1)
    if name is not None:
        statement = statement.where(models.c.name == name)
    row = connection.execute(statement).first()
    return None if row is None else ModelVersion(row.name, row.version, row.sha256)


def promote(connection: Connection, name: str, version: str, record: DecisionRecord) -> None:
    """Makes a version the current one of its name, retires the one before, and keeps the decision record.

    Raises:
        StoreError: no such version.
    """
    before = lock_name(connection, name)
    chosen = version_row(connection, name, version)
    if chosen.state != ModelState.CURRENT:  # a step that is repeated after a lost answer must not count twice
        _make_current(connection, chosen, _next_promotion(connection, name))
        add_record(connection, Decision.PROMOTED, int(chosen.id), before, record)


def refuse(connection: Connection, name: str, version: str, record: DecisionRecord) -> None:
    """Keeps the record of the decision that a version shall not become current; what is current stays.

    Raises:
        StoreError: no such version.
    """
    before = lock_name(connection, name)
    add_record(connection, Decision.REFUSED, int(version_row(connection, name, version).id), before, record)


def roll_back(connection: Connection, name: str, record: DecisionRecord) -> ModelVersion:
    """Makes the version that was current before the present one current again, and returns it.

    Raises:
        StoreError: the name is unknown, or there was no earlier promotion.
    """
    undone = lock_name(connection, name)
    present = current(connection, name)
    if present is None:
        raise MissingError(_unknown_model(connection, name))
    promotion = version_row(connection, name, present.version).promotion
    earlier = (
        select(models)
        .where(models.c.name == name, models.c.promotion < promotion)
        .order_by(models.c.promotion.desc())
        .limit(1)
    )
    before = connection.execute(earlier).first()
    if before is None:
        raise StoreError(
            f"{present} is the first version of {name} that was ever current; there is none to go back to."
        )
    _make_current(connection, before, before.promotion)
    # Without a number, no later roll back leads to the version that was taken back here.
    connection.execute(update(models).where(models.c.id == undone).values(promotion=None))
    add_record(connection, Decision.ROLLED_BACK, int(before.id), undone, record)
    return ModelVersion(before.name, before.version, before.sha256)


def matching_ids(connection: Connection, text: str) -> list[int]:
    """Ids of the versions that NAME or NAME@VERSION means.

    Raises:
        StoreError: there is none; names close ones.
    """
    name, _, version = text.partition("@")
    statement = select(models.c.id).where(models.c.name == name)
    if version:
        statement = statement.where(models.c.version == version)
    ids = [int(model_id) for model_id in connection.execute(statement).scalars()]
    if not ids:
        raise MissingError(_unknown_model(connection, text))
    return ids


def _unknown_model(connection: Connection, text: str) -> str:
    """The sentence that says which models there are instead of an unknown one."""
    names = [f"{row.name}@{row.version}" for row in connection.execute(select(models.c.name, models.c.version))]
    closest = difflib.get_close_matches(text, names, n=3, cutoff=0.0)
    examples = f", for example {', '.join(closest)}" if closest else ""
    return f"This database knows no model {text!r}. It knows {len(names)}{examples}."


def _is_against(report: dict[str, Any] | None) -> bool:
    """True for a gate's report that does not pass; without one there was no gate to go against."""
    return report is not None and not report.get("passes", True)


def _decoded(row: dict[str, Any]) -> dict[str, Any]:
    decoded = {"metrics": json.loads(row["metrics"]), "files": json.loads(row["files"]) if row["files"] else {}}
    return row | decoded | {"batches": json.loads(row["batches"]) if row["batches"] else []}


def version_row(connection: Connection, name: str, version: str) -> Row[Any]:
    """The row of a version.

    Raises:
        StoreError: there is no such version.
    """
    row = connection.execute(select(models).where(models.c.name == name, models.c.version == version)).first()
    if row is None:
        raise MissingError(_unknown_model(connection, f"{name}@{version}" if version else name))
    return row


def lock_name(connection: Connection, name: str) -> int | None:
    """Makes other decisions about a name wait for this one; returns the id of its current version."""
    statement = select(models.c.id, models.c.state).where(models.c.name == name).order_by(models.c.id)
    connection.execute(statement.with_for_update()).all()
    # Read again: what another transaction decided while this one waited is seen by a new statement only.
    rows = connection.execute(statement).all()
    return next((int(row.id) for row in rows if row.state == ModelState.CURRENT), None)


def _next_promotion(connection: Connection, name: str) -> int:
    highest = connection.execute(select(func.max(models.c.promotion)).where(models.c.name == name)).scalar_one()
    return (highest or 0) + 1


def _make_current(connection: Connection, chosen: Row[Any], promotion: int) -> None:
    # First retire, then promote: no statement ever sees two current versions of a name.
    others = (models.c.name == chosen.name) & (models.c.state == ModelState.CURRENT)
    connection.execute(update(models).where(others).values(state=ModelState.RETIRED))
    values = {"state": ModelState.CURRENT, "promotion": promotion}
    connection.execute(update(models).where(models.c.id == chosen.id).values(values))


def add_record(
    connection: Connection, decision: Decision, model_id: int, before_id: int | None, record: DecisionRecord
) -> None:
    """Keeps a decision about a version."""
    row = {
        "model_id": model_id,
        "before_id": before_id,
        "decision": decision,
        "who": clean_text(record.who),
        "why": clean_text(record.why),
        "report": None if record.report is None else to_json(record.report),
        "created": database_time(connection),
    }
    connection.execute(insert(promotions), [row])
