"""Model versions: add, promote, current, roll back. At most one version of a name is current.

A promotion gets the next number of its name. Rolling back takes the number away from the current version and makes the
one below current again: two roll backs in a row go two promotions back, and no roll back leads to a version that was
itself rolled back.
"""

import difflib
import json
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from db.bulk import insert_absent
from db.codec import to_json
from db.records import ModelVersion
from db.tables import ModelState, models
from db.transactions import database_time
from models.errors import StoreError


def add(connection: Connection, model: ModelVersion, metrics: dict[str, Any]) -> int:
    """Registers a version; the first of its name becomes current, later ones are candidates.

    Args:
        connection: in a write transaction.
        model: the version; registering the same one again changes nothing but fills empty metrics.
        metrics: what it scored, JSON-serialisable.

    Returns:
        Its id in the database.

    Raises:
        StoreError: the same name and version is registered with other weights.
    """
    names = select(func.count()).select_from(models).where(models.c.name == model.name)
    first = not connection.execute(names).scalar_one()
    row = {
        "name": model.name,
        "version": model.version,
        "sha256": model.sha256,
        "metrics": to_json(metrics),
        "state": ModelState.CURRENT if first else ModelState.CANDIDATE,
        "promotion": 1 if first else None,
        "created": database_time(connection),
    }
    insert_absent(connection, models, [row])
    known = _row(connection, model.name, model.version)
    if known.sha256 != model.sha256:
        raise StoreError(
            f"{model} is registered with sha256 {known.sha256[:12]}, this one has {model.sha256[:12]}. "
            "Versions are immutable: give the new weights a new version."
        )
    if metrics and known.metrics == "{}":
        connection.execute(update(models).where(models.c.id == known.id).values(metrics=to_json(metrics)))
    return int(known.id)


def list_models(connection: Connection) -> list[dict[str, Any]]:
    """All versions, newest first: id, name, version, sha256, state, metrics, created (seconds since 1970)."""
    rows = connection.execute(select(models).order_by(models.c.id.desc())).mappings()
    return [{**row, "metrics": json.loads(row["metrics"])} for row in rows]


def current(connection: Connection, name: str | None = None) -> ModelVersion | None:
    """The current version of a name; without a name, the one registered last among the current ones."""
    statement = select(models).where(models.c.state == ModelState.CURRENT).order_by(models.c.id.desc()).limit(1)
    if name is not None:
        statement = statement.where(models.c.name == name)
    row = connection.execute(statement).first()
    return None if row is None else ModelVersion(row.name, row.version, row.sha256)


def promote(connection: Connection, name: str, version: str) -> None:
    """Makes a version the current one of its name and retires the one before.

    Raises:
        StoreError: no such version.
    """
    chosen = _row(connection, name, version)
    highest = connection.execute(select(func.max(models.c.promotion)).where(models.c.name == name)).scalar_one()
    _make_current(connection, chosen, (highest or 0) + 1)


def roll_back(connection: Connection, name: str) -> ModelVersion:
    """Makes the version that was current before the present one current again, and returns it.

    Raises:
        StoreError: the name is unknown, or there was no earlier promotion.
    """
    now = current(connection, name)
    if now is None:
        raise StoreError(unknown_model(connection, name))
    promotion = _row(connection, name, now.version).promotion
    earlier = (
        select(models)
        .where(models.c.name == name, models.c.promotion < promotion)
        .order_by(models.c.promotion.desc())
        .limit(1)
    )
    before = connection.execute(earlier).first()
    if before is None:
        raise StoreError(f"{now} is the first version of {name} that was ever current; there is none to go back to.")
    _make_current(connection, before, before.promotion)
    undone = (models.c.name == name) & (models.c.version == now.version)
    connection.execute(update(models).where(undone).values(promotion=None))
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
    found = [int(row) for row in connection.execute(statement).scalars()]
    if not found:
        raise StoreError(unknown_model(connection, text))
    return found


def unknown_model(connection: Connection, text: str) -> str:
    """The sentence that says which models there are instead of an unknown one."""
    known = [f"{row.name}@{row.version}" for row in connection.execute(select(models.c.name, models.c.version))]
    close = difflib.get_close_matches(text, known, n=3, cutoff=0.0)
    return f"This database knows no model {text!r}. It knows {len(known)}" + (
        f", for example {', '.join(close)}." if close else "."
    )


def _row(connection: Connection, name: str, version: str) -> Row[Any]:
    row = connection.execute(select(models).where(models.c.name == name, models.c.version == version)).first()
    if row is None:
        raise StoreError(unknown_model(connection, f"{name}@{version}"))
    return row


def _make_current(connection: Connection, chosen: Row[Any], promotion: int) -> None:
    others = (models.c.name == chosen.name) & (models.c.state == ModelState.CURRENT)
    connection.execute(update(models).where(others).values(state=ModelState.RETIRED))
    values = {"state": ModelState.CURRENT, "promotion": promotion}
    connection.execute(update(models).where(models.c.id == chosen.id).values(values))
