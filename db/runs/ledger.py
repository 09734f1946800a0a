"""The ledger of a run: what came in, which shard is whose, what is done. Every function is one part of a transaction.

Whoever changes a run's ingest first touches the run's row, so two writers of one run take turns on either dialect.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, func, select, update

from db import registry
from db.bulk import chunks, insert_absent, insert_rows
from db.codec import clean_detail, clean_text, crystal_rows, to_json
from db.doubts import doubts_column, doubts_of, notes_of
from db.records import IngestedBlock, ModelVersion, Run, RunSpec, RunState, Stage
from db.runs.lineage import lineage_rows
from db.tables import Outcome, ShardState, crystals, cursors, inputs, lineage, models, results, runs, shards
from db.transactions import database_time
from models.crystals.crystal import Ints
from models.errors import MissingError, StoreError


def open_run(connection: Connection, spec: RunSpec) -> Run:
    """The run of a specification; the same specification is the same run."""
    _check_spec(spec)
    model_id = registry.add(connection, spec.model, {})
    _check_symprec(connection, spec, model_id)
    # What two calls must share to be the same run: the sha256 of the specification's canonical JSON.
    model = [spec.model.name, spec.model.version, spec.model.sha256]
    key = hashlib.sha256(to_json([spec.sources, spec.fingerprints, model, spec.settings]).encode()).hexdigest()
    earlier = connection.execute(select(runs.c.id).where(runs.c.key == key)).first()
    row = {
        "key": key,
        "sources": to_json(spec.sources),
        "fingerprints": to_json(spec.fingerprints),
        "settings": to_json(spec.settings),
        "model_id": model_id,
        "state": RunState.INGESTING,
        "created": database_time(connection),
        "seconds": 0.0,
    }
    insert_absent(connection, runs, [row])
    run = connection.execute(select(runs).where(runs.c.key == key)).one()
    # A source named twice is read once.
    sources = enumerate(dict.fromkeys(spec.sources))
    start = {"run_id": run.id, "next_position": 0, "exhausted": False}
    insert_absent(connection, cursors, [start | {"source_index": index, "source": source} for index, source in sources])
    return Run(int(run.id), RunState(run.state), spec, earlier is not None)


def _check_spec(spec: RunSpec) -> None:
    if not spec.sources:
        raise StoreError("The run has 0 sources. Name at least one.")
    if len(spec.sources) != len(spec.fingerprints):
        message = (
            f"The run has {len(spec.sources)} sources but {len(spec.fingerprints)} fingerprints. Give one per source."
        )
        raise StoreError(message)


def _check_symprec(connection: Connection, spec: RunSpec, model_id: int) -> None:
    """A crystal has one result per model: two tolerances in one database would overwrite each other unseen."""
    asked = spec.settings.get("symprec")
    of_model = (runs.c.model_id == model_id) & runs.c.pruned.is_(None)
    for row in connection.execute(select(runs.c.id, runs.c.settings).where(of_model)):
        used = json.loads(row.settings).get("symprec")
        if used != asked:
            raise StoreError(
                f"Run {row.id} of this database holds results of {spec.model} at symprec {used} angstrom, not {asked}. "
                "Give results at another tolerance a database of their own with --db."
            )


def run_row(connection: Connection, run_id: int) -> Row[Any]:
    """The row of a run.

    Raises:
        StoreError: there is no such run; names the newest ones.
    """
    # A larger number than a column holds is nobody's, and no parameter of a statement either.
    is_number = abs(run_id) < 2**63
    row = connection.execute(select(runs).where(runs.c.id == run_id)).first() if is_number else None
    if row is None:
        newest_ids = connection.execute(select(runs.c.id).order_by(runs.c.id.desc()).limit(5)).scalars().all()
        newest = f"The newest are {', '.join(map(str, newest_ids))}." if newest_ids else "It has none yet."
        raise MissingError(f"This database has no run {run_id}. {newest}")
    return row


def get_run(connection: Connection, run_id: int) -> Run:
    """A run by its number with its specification; see `ResultStore.get_run`."""
    run = run_row(connection, run_id)
    model = connection.execute(select(models).where(models.c.id == run.model_id)).one()
    spec = RunSpec(
        tuple(json.loads(run.sources)),
        tuple(json.loads(run.fingerprints)),
        ModelVersion(model.name, model.version, model.sha256),
        json.loads(run.settings),
    )
    return Run(run_id, RunState(run.state), spec, resumed=True)


def cursor_row(connection: Connection, run_id: int, source: str) -> Row[Any]:
    """How far a source of a run is read.

    Raises:
        StoreError: the run has no such source.
    """
    statement = select(cursors).where(cursors.c.run_id == run_id, cursors.c.source == source)
    row = connection.execute(statement).first()
    if row is None:
        sources = json.loads(run_row(connection, run_id).sources)
        raise StoreError(f"Run {run_id} has no source {source!r}. Its sources are: {', '.join(sources)}.")
    return row


def cursor_position(connection: Connection, run_id: int, source: str) -> tuple[int, bool]:
    """The next input position of a source, and whether the source is exhausted."""
    row = cursor_row(connection, run_id, source)
    return int(row.next_position), bool(row.exhausted)


def lock_run(connection: Connection, run_id: int) -> None:
    """Makes other writers of this run's ingest wait until the transaction ends."""
    # An UPDATE that changes nothing: SELECT ... FOR UPDATE does not exist on SQLite.
    connection.execute(update(runs).where(runs.c.id == run_id).values(state=runs.c.state))


def add_block(connection: Connection, run_id: int, block: IngestedBlock, shard_atoms: int) -> None:
    """Writes a block of inputs; see `ResultStore.add_block`."""
    lock_run(connection, run_id)
    run = run_row(connection, run_id)
    cursor = cursor_row(connection, run_id, block.source)
    _check_block(block, shard_atoms)
    if block.stop <= cursor.next_position:
        return  # a repetition: the block is in
    if block.start != cursor.next_position:
        raise StoreError(
            f"The block {block.start} to {block.stop} of {block.source} does not start at the cursor "
            f"{cursor.next_position}. Ask ingest_cursor where to go on."
        )
    # Rows whose crystal comes for the first time in this run.
    accepted = set(present(connection, inputs.c.crystal_id, block.crystal_ids, inputs.c.run_id == run_id))
    rows_by_id = {crystal_id: row for row, crystal_id in reversed([*enumerate(block.crystal_ids)])}
    new = sorted(row for crystal_id, row in rows_by_id.items() if crystal_id not in accepted)
    # In the order of their ids: two runs that insert the same crystals then wait for each other instead of deadlocking.
    insert_absent(connection, crystals, sorted(crystal_rows(block, new), key=lambda row: str(row["id"])))
    # What an earlier run of the same model computed is not computed again.
    done = set(present(connection, results.c.crystal_id, block.crystal_ids, results.c.model_id == run.model_id))
    pending = [row for row in new if block.crystal_ids[row] not in done]
    places = _cut_shards(connection, run_id, block, pending, shard_atoms)
    common = {"run_id": run_id, "source_index": cursor.source_index}
    rows = [*_crystal_inputs(block, set(new), places), *_rejected_inputs(block)]
    insert_rows(connection, inputs, [row | common for row in rows])
    insert_rows(connection, lineage, [row | common for row in lineage_rows(block)])
    at_cursor = (cursors.c.run_id == run_id) & (cursors.c.source_index == cursor.source_index)
    connection.execute(update(cursors).where(at_cursor).values(next_position=block.stop))


def _check_block(block: IngestedBlock, shard_atoms: int) -> None:
    if shard_atoms < 1:
        raise StoreError(f"Shards of {shard_atoms} atoms cannot be cut. Give at least 1.")
    lengths = {
        len(block.positions),
        len(block.source_ids),
        len(block.crystal_ids),
        len(block.metadata),
        block.crystals.n_crystals,
        len(block.lineage) or block.crystals.n_crystals,
    }
    if len(lengths) != 1:
        raise StoreError(
            f"The columns of the block have different lengths {sorted(lengths)}. Give one row per accepted crystal."
        )
    # Every input is accounted for before anything is written: nothing that came in can vanish.
    covered = sorted([*block.positions.tolist(), *(rejected.position for rejected in block.rejected)])
    if covered != list(range(block.start, block.stop)):
        raise StoreError(
            f"The block {block.start} to {block.stop} of {block.source} accounts for {len(covered)} positions, "
            "not for each exactly once. Every input must be accepted or rejected."
        )


def present(connection: Connection, column: Any, ids: Sequence[str], condition: Any) -> Iterator[str]:
    """Those of the ids that the column holds in rows that satisfy the condition."""
    for chunk in chunks(ids):
        yield from connection.execute(select(column).where(column.in_(chunk), condition)).scalars()


def _cut_shards(
    connection: Connection, run_id: int, block: IngestedBlock, pending: list[int], shard_atoms: int
) -> dict[int, tuple[int, int]]:
    """Makes shards of crystals of similar size; gives (shard, slot) of each row. Similar sizes pad and balance well."""
    atoms = block.crystals.atoms_per_crystal
    ordered = sorted(pending, key=lambda row: (int(atoms[row]), row))
    firsts = _first_of_shards(atoms[ordered], shard_atoms)
    last = connection.execute(select(func.max(shards.c.shard_id)).where(shards.c.run_id == run_id)).scalar_one()
    first_id = 0 if last is None else int(last) + 1
    places: dict[int, tuple[int, int]] = {}
    rows = []
    for shard, (start, stop) in enumerate(pairwise(firsts)):
        in_shard = ordered[start:stop]
        places |= {row: (first_id + shard, slot) for slot, row in enumerate(in_shard)}
        rows.append(
            {
                "run_id": run_id,
                "shard_id": first_id + shard,
                "state": ShardState.PENDING,
                "token": 0,
                "attempt": 0,
                "n_crystals": len(in_shard),
                "n_atoms": int(atoms[in_shard].sum()),
            }
        )
    insert_rows(connection, shards, rows)
    return places


def _first_of_shards(atoms: Ints, shard_atoms: int) -> list[int]:
    """Where shards begin, and the end of the last; each has at most `shard_atoms` atoms, or one crystal of more.

    Workers compute what has so many atoms at once: a few atoms more would be a second pass for one crystal.
    """
    ends = np.cumsum(atoms)
    firsts = [0]
    while firsts[-1] < len(atoms):
        start = firsts[-1]
        before = int(ends[start - 1]) if start else 0
        firsts.append(max(start + 1, int(np.searchsorted(ends, before + shard_atoms, side="right"))))
    return firsts


def _crystal_inputs(
    block: IngestedBlock, new: set[int], places: dict[int, tuple[int, int]]
) -> Iterator[dict[str, Any]]:
    positions = block.positions.tolist()
    for row, crystal_id in enumerate(block.crystal_ids):
        shard_id, slot = places.get(row, (None, None))
        metadata = block.metadata[row]
        yield {
            "position": positions[row],
            "source_id": clean_text(block.source_ids[row]),
            "crystal_id": crystal_id,
            "outcome": Outcome.ACCEPTED if row in new else Outcome.DUPLICATE,
            "stage": None,
            "reason": None,
            "detail": None,
            "metadata": None if metadata is None else clean_text(metadata),
            "doubts": doubts_column(doubts_of(notes_of(metadata))),
            "shard_id": shard_id,
            "slot": slot,
            "turn": np.asarray(block.rotations[row], dtype="<f8").tobytes() if row in block.rotations else None,
        }


def _rejected_inputs(block: IngestedBlock) -> Iterator[dict[str, Any]]:
    for rejected in block.rejected:
        yield {
            "position": rejected.position,
            "source_id": clean_text(rejected.source_id),
            "crystal_id": None,
            "outcome": Outcome.REJECTED,
            "stage": Stage.INGEST,
            "reason": rejected.reason,
            "detail": clean_detail(rejected.detail),
            "metadata": None,
            "doubts": None,
            "shard_id": None,
            "slot": None,
            "turn": None,
        }


def end_ingest(connection: Connection, run_id: int, source: str) -> None:
    """Marks a source as read to its end; when all are, the run is no longer ingesting."""
    lock_run(connection, run_id)
    cursor_row(connection, run_id, source)
    at_source = (cursors.c.run_id == run_id) & (cursors.c.source == source)
    connection.execute(update(cursors).where(at_source).values(exhausted=True))
    unread = select(cursors.c.source).where(cursors.c.run_id == run_id, cursors.c.exhausted.is_(False))
    if connection.execute(unread.limit(1)).first() is None:
        ingesting = (runs.c.id == run_id) & (runs.c.state == RunState.INGESTING)
        connection.execute(update(runs).where(ingesting).values(state=RunState.RUNNING))
