"""Removes the results of a model version that nobody asks for any more, and keeps what was removed and why."""

from sqlalchemy import Connection, delete, func, select, update

from db import registry
from db.records import DecisionRecord, RunState
from db.refinements.tables import refinements
from db.storage.partitions import add_partition, drop_partition
from db.tables import Decision, ModelState, column_segments, results, runs
from db.transactions import database_time
from models.errors import StoreError


def prune(connection: Connection, name: str, version: str, record: DecisionRecord) -> int:
    """Removes every result of a model version; its inputs, its runs and their balances stay.

    Its runs are marked, and free their specification: the same screening again computes everything anew.

    Args:
        connection: in a write transaction.
        name: of the model.
        version: that is to lose its results; not the current one.
        record: who wants it and why; its report becomes the number of results.

    Returns:
        Number of results that were removed.

    Raises:
        StoreError: there is no such version, it is the current one, or a run still works with it.
    """
    registry.lock_name(connection, name)
    chosen = registry.version_row(connection, name, version)
    if chosen.state == ModelState.CURRENT:
        raise StoreError(
            f"{name}@{version} is the current version of {name}. Promote another, or roll back, before its results go."
        )
    model_id = int(chosen.id)
    of_model = (runs.c.model_id == model_id) & runs.c.pruned.is_(None)
    unfinished = select(runs.c.id).where(of_model, runs.c.state != RunState.FINISHED).order_by(runs.c.id)
    working = connection.execute(unfinished).scalars().all()
    if working:
        numbers = ", ".join(map(str, working[:5]))
        raise StoreError(
            f"{len(working)} runs of {name}@{version} are not finished: {numbers}. Let them end; the same screen "
            "command resumes one."
        )
    counted = select(func.count()).select_from(results).where(results.c.model_id == model_id)
    n_results = int(connection.execute(counted).scalar_one())
    _remove(connection, model_id)
    now = database_time(connection)
    # the key is what finds the run of a specification
    connection.execute(update(runs).where(of_model).values(pruned=now, key=runs.c.key + f" pruned {now:.3f}"))
    marked = select(func.count()).select_from(runs).where(runs.c.model_id == model_id, runs.c.pruned.is_not(None))
    report = {"results": n_results, "runs": int(connection.execute(marked).scalar_one())}
    registry.add_record(connection, Decision.PRUNED, model_id, None, DecisionRecord(record.who, record.why, report))
    return n_results


def _remove(connection: Connection, model_id: int) -> None:
    connection.execute(delete(column_segments).where(column_segments.c.model_id == model_id))
    connection.execute(delete(refinements).where(refinements.c.model_id == model_id))
    if connection.dialect.name == "postgresql":
        # a partition that is dropped frees its space at once
        drop_partition(connection, model_id)
        add_partition(connection, model_id)
    else:
        connection.execute(delete(results).where(results.c.model_id == model_id))
