"""Shards: lease, heartbeat, give back, commit. A lease's token fences late writers out.

A shard's token only grows. Whoever commits must hold the newest one; a lease that was taken over or revoked has an
older one, and its late result is refused without a trace.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, select, update

from db import segments
from db.bulk import Conflict, insert_columns
from db.codec import clean_detail, read_crystals, result_columns
from db.records import ResultBlock, ShardLease, Stage
from db.refinements import store as second_opinions
from db.runs.ledger import present, run_row
from db.tables import Outcome, ShardState, crystals, inputs, results, shards
from db.transactions import database_time
from models.errors import Reason, StoreError

REFUSED_BY_MODEL = frozenset({Reason.UNSUPPORTED_ELEMENT, Reason.SYMMETRY_FAILED, Reason.TOO_LARGE})
"""The model cannot predict such crystals; no calculation failed."""

# Only a leased shard can be committed, and the next lease has a newer token: the one who held it is out for good.
REVOKED: dict[str, Any] = {"state": ShardState.PENDING, "holder": None, "heartbeat": None}
"""Values of a shard whose lease ends without a result."""


def lease_shard(
    connection: Connection, run_id: int, holder: str, stale_after_s: float, taken: list[ShardLease]
) -> ShardLease | None:
    """Takes the first shard that is pending or whose holder gave no heartbeat; see `ResultStore.lease_shard`.

    Repeated because the answer to COMMIT was lost, it gives the same lease again. Without this the shard of the lost
    answer would wait until its lease goes stale.

    Args:
        connection: in a write transaction.
        run_id: the run.
        holder: who works on it.
        stale_after_s: see `ResultStore.lease_shard`.
        taken: the leases that earlier attempts of this call took; the new one is appended.
    """
    if taken:
        # The holder counts: if the COMMIT was lost too, the next holder has got the very same token.
        own = select(shards.c.shard_id).where(_in_state(taken[-1], ShardState.LEASED), shards.c.holder == holder)
        if connection.execute(own).first() is not None:
            return taken[-1]
    run_row(connection, run_id)
    now = database_time(connection)
    silent = (shards.c.state == ShardState.LEASED) & (shards.c.heartbeat <= now - stale_after_s)
    row = None
    # Pending shards first: a silent holder may still be computing, and its work would be done twice.
    for condition in (shards.c.state == ShardState.PENDING, silent):
        free = select(shards).where(shards.c.run_id == run_id, condition).order_by(shards.c.shard_id).limit(1)
        # On PostgreSQL two callers skip each other's row; SQLite has one writer at a time and ignores the lock clause.
        row = row or connection.execute(free.with_for_update(skip_locked=True)).first()
    if row is None:
        return None
    values = {"state": ShardState.LEASED, "token": row.token + 1, "attempt": row.attempt + 1, "holder": holder}
    unchanged = (shards.c.run_id == run_id) & (shards.c.shard_id == row.shard_id) & (shards.c.token == row.token)
    if connection.execute(update(shards).where(unchanged).values(**values, heartbeat=now)).rowcount != 1:
        raise StoreError(f"Shard {row.shard_id} of run {run_id} changed while it was being leased. Lease again.")
    taken.append(_lease(connection, run_id, row.shard_id, row.token + 1, row.attempt + 1))
    return taken[-1]


def _lease(connection: Connection, run_id: int, shard_id: int, token: int, attempt: int) -> ShardLease:
    """The lease with the shard's crystals, in the order of their slots: similar sizes stand together."""
    statement = (
        select(crystals.c.id, crystals.c.lattice, crystals.c.numbers, crystals.c.frac_coords)
        .join(inputs, inputs.c.crystal_id == crystals.c.id)
        .where(inputs.c.run_id == run_id, inputs.c.shard_id == shard_id)
        .order_by(inputs.c.slot)
    )
    rows = connection.execute(statement).all()
    batch = read_crystals(
        [row.lattice for row in rows], [row.numbers for row in rows], [row.frac_coords for row in rows]
    )
    return ShardLease(run_id, shard_id, token, attempt, [row.id for row in rows], batch)


def _in_state(lease: ShardLease, state: ShardState) -> ColumnElement[bool]:
    """The shard of a lease that nobody took over, in a state."""
    same_shard = (shards.c.run_id == lease.run_id) & (shards.c.shard_id == lease.shard_id)
    return same_shard & (shards.c.token == lease.token) & (shards.c.state == state)


def heartbeat(connection: Connection, lease: ShardLease) -> bool:
    """Says that the holder lives; False when the lease is no longer the newest."""
    beat = update(shards).where(_in_state(lease, ShardState.LEASED)).values(heartbeat=database_time(connection))
    return connection.execute(beat).rowcount == 1


def give_back(connection: Connection, lease: ShardLease) -> bool:
    """Makes a shard pending again after its work failed; the attempt counts."""
    return connection.execute(update(shards).where(_in_state(lease, ShardState.LEASED)).values(**REVOKED)).rowcount == 1


def release(connection: Connection, run_id: int, holder: str) -> int:
    """Makes all shards of a holder that stops in good order pending again; the attempts do not count."""
    mine = (shards.c.run_id == run_id) & (shards.c.state == ShardState.LEASED) & (shards.c.holder == holder)
    statement = update(shards).where(mine).values(**REVOKED, attempt=shards.c.attempt - 1)
    return connection.execute(statement).rowcount


def reclaim(connection: Connection, run_id: int, dead_holders: Sequence[str]) -> int:
    """Makes all shards of holders that are known to be dead pending again; the attempts count."""
    theirs = shards.c.holder.in_(list(dead_holders)) & (shards.c.state == ShardState.LEASED)
    statement = update(shards).where(shards.c.run_id == run_id, theirs).values(**REVOKED)
    return connection.execute(statement).rowcount


def holders(connection: Connection, run_id: int) -> list[str]:
    """Who holds leases of a run now."""
    leased = (shards.c.run_id == run_id) & (shards.c.state == ShardState.LEASED)
    statement = select(shards.c.holder).where(leased).distinct().order_by(shards.c.holder)
    return [str(holder) for holder in connection.execute(statement).scalars()]


def commit(connection: Connection, lease: ShardLease, block: ResultBlock) -> bool:
    """Writes a shard's results and its ledger entry; see `ResultStore.commit_shard`."""
    _check_complete(lease, block)
    now = database_time(connection)
    done = {"state": ShardState.DONE, "finished": now, "holder": None}
    if connection.execute(update(shards).where(_in_state(lease, ShardState.LEASED)).values(**done)).rowcount != 1:
        # True when this very lease committed before: its holder did not receive the answer and asks again.
        own = select(shards.c.shard_id).where(_in_state(lease, ShardState.DONE))
        return connection.execute(own).first() is not None
    model_id = run_row(connection, lease.run_id).model_id
    columns = result_columns(block, {"model_id": model_id, "run_id": lease.run_id, "created": now})
    segments.lock(connection, model_id)
    # Seldom: two runs that compute the same crystals at the same time.
    of_model = results.c.model_id == model_id
    if replaced := list(present(connection, results.c.crystal_id, block.crystal_ids, of_model)):
        segments.remove(connection, model_id, replaced)
    # In the order of their ids: two runs that write the same crystals then wait for each other, never in a circle.
    insert_columns(connection, results, columns, Conflict.REPLACE)
    segments.append(connection, model_id, columns)
    second_opinions.write(connection, model_id, lease.run_id, block.refinements)
    _mark_without_result(connection, lease, block)
    return True


def _check_complete(lease: ShardLease, block: ResultBlock) -> None:
    # Compared as lists too: a crystal that is answered twice is as wrong as one that is missing.
    answered = [*block.crystal_ids, *(crystal_id for crystal_id, _, _ in block.quarantined)]
    wrong = sorted(set(answered) ^ set(lease.crystal_ids))
    if wrong or len(answered) != len(lease.crystal_ids):
        raise StoreError(
            f"The block for shard {lease.shard_id} of run {lease.run_id} answers for {len(answered)} crystals, the "
            f"shard has {len(lease.crystal_ids)}; {len(wrong)} differ{', first ' + wrong[0] if wrong else ''}. "
            "Give each crystal of the shard one result or one quarantine."
        )


def _mark_without_result(connection: Connection, lease: ShardLease, block: ResultBlock) -> None:
    if not block.quarantined:
        return
    accepted = (inputs.c.run_id == lease.run_id) & (inputs.c.outcome == Outcome.ACCEPTED)
    marked = (
        update(inputs)
        .where(accepted, inputs.c.crystal_id == bindparam("of_crystal"))
        .values(outcome=bindparam("end"), stage=Stage.PREDICT, reason=bindparam("why"), detail=bindparam("what"))
    )
    rows = []
    for crystal_id, reason, detail in block.quarantined:
        # Rejected when the model cannot predict such a crystal, quarantined when its calculation failed.
        outcome = Outcome.REJECTED if reason in REFUSED_BY_MODEL else Outcome.QUARANTINED
        rows.append({"of_crystal": crystal_id, "end": outcome, "why": reason, "what": clean_detail(detail)})
    connection.execute(marked, rows)
