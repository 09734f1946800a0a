"""What the ledger holds: balances, runs, rejects, and one crystal with everything."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, select, update

from db.codec import clean_text, read_crystals, read_rotation, read_tensor
from db.designs.store import proposals_of_crystal, rounds_of_runs
from db.doubts import doubt_of, notes_of, split_column
from db.records import Balance, RunState, is_combined, uncertainty_of
from db.refinements import store as second_opinions
from db.refinements.rows import opinion_facts
from db.runs.ledger import lock_run, run_row
from db.runs.lineage import children_counts, lineage_of
from db.tables import (
    SYMMETRY_COLUMNS,
    Outcome,
    ShardState,
    crystals,
    cursors,
    inputs,
    models,
    removed_fraction_column,
    results,
    runs,
    shards,
)
from db.transactions import database_time
from models.errors import MissingError, Reason
from models.quantities import DERIVED, Tensor
from models.reliability_columns import RELIABILITY
from models.tensors.frames import axes_of_lattice

RATE_WINDOW_S = 300.0
"""The rate of a running run is that of its last five minutes."""

LONGEST_WORK_S = 60.0
"""Where two shards of a finished run ended further apart, the run stood still between them."""

MIN_PREFIX = 4
"""Characters of a content id that are enough to ask for a crystal."""

NO_INPUT = Balance(0, 0, 0, 0, 0, 0)

OF_CURSOR = and_(cursors.c.run_id == inputs.c.run_id, cursors.c.source_index == inputs.c.source_index)
"""Joins inputs with the source that they came from."""


def balances(connection: Connection, run_id: int | None = None) -> dict[int, Balance]:
    """The balance of one run, or of all; what came in is counted by the cursors, where it ended by the inputs."""
    done = and_(
        results.c.crystal_id == inputs.c.crystal_id,
        results.c.model_id == runs.c.model_id,
        inputs.c.outcome == Outcome.ACCEPTED,
    )
    # what was done stays done when the results of a version are removed
    answered = case((runs.c.pruned.is_not(None), inputs.c.crystal_id), else_=results.c.crystal_id)
    ended = (
        select(inputs.c.run_id, inputs.c.outcome, func.count().label("n"), func.count(answered).label("done"))
        .select_from(inputs.join(runs, runs.c.id == inputs.c.run_id).outerjoin(results, done))
        .group_by(inputs.c.run_id, inputs.c.outcome)
    )
    arrived = select(cursors.c.run_id, func.sum(cursors.c.next_position).label("n")).group_by(cursors.c.run_id)
    if run_id is not None:
        ended, arrived = ended.where(inputs.c.run_id == run_id), arrived.where(cursors.c.run_id == run_id)
    # An accepted input is done as soon as its crystal has a result of the run's model, whichever run computed it.
    counts: dict[int, dict[str, int]] = {}
    for row in connection.execute(ended):
        of_run = counts.setdefault(row.run_id, {})
        of_run[row.outcome] = row.n
        if row.outcome == Outcome.ACCEPTED:
            of_run["done"] = row.done
    return {row.run_id: _balance(int(row.n), counts.get(row.run_id, {})) for row in connection.execute(arrived)}


def doubt_counts(connection: Connection, run_id: int | None = None) -> dict[int, dict[str, int]]:
    """How many accepted inputs of a run, or of each, have each doubt, the most frequent first."""
    counted = select(inputs.c.run_id, inputs.c.doubts, func.count().label("n")).where(
        inputs.c.doubts.is_not(None), inputs.c.outcome.in_([Outcome.ACCEPTED, Outcome.DUPLICATE])
    )
    if run_id is not None:
        counted = counted.where(inputs.c.run_id == run_id)
    counts: dict[int, Counter[str]] = {}
    for row in connection.execute(counted.group_by(inputs.c.run_id, inputs.c.doubts)):
        of_run = counts.setdefault(row.run_id, Counter())
        of_run.update(dict.fromkeys(split_column(row.doubts), row.n))
    return {number: dict(of_run.most_common()) for number, of_run in counts.items()}


def balance_of(connection: Connection, run_id: int) -> Balance:
    """Where every input of a run ended."""
    run_row(connection, run_id)
    return balances(connection, run_id)[run_id]


def close_run(connection: Connection, run_id: int, seconds: float) -> Balance:
    """Adds working time to a run and finishes it when it is read to its end and balanced; see `ResultStore.finish`."""
    lock_run(connection, run_id)
    run, balance = run_row(connection, run_id), balance_of(connection, run_id)
    if run.state == RunState.FINISHED:
        return balance  # its working time is closed too
    values: dict[str, Any] = {"seconds": run.seconds + seconds}
    if balance.closed and run.state == RunState.RUNNING:
        values |= {"state": RunState.FINISHED, "finished": database_time(connection)}
    connection.execute(update(runs).where(runs.c.id == run_id).values(values))
    return balance


def _balance(n_in: int, counts: dict[str, int]) -> Balance:
    done = counts.get("done", 0)
    return Balance(
        n_in=n_in,
        done=done,
        duplicate=counts.get(Outcome.DUPLICATE, 0),
        rejected=counts.get(Outcome.REJECTED, 0),
        quarantined=counts.get(Outcome.QUARANTINED, 0),
        pending=counts.get(Outcome.ACCEPTED, 0) - done,
    )


def list_runs(connection: Connection, run_id: int | None = None) -> list[dict[str, Any]]:
    """One run, or all, newest first, as `gmtscreen status --json` prints them."""
    if run_id is not None:
        run_row(connection, run_id)
    all_balances = balances(connection, run_id)
    all_doubts = doubt_counts(connection, run_id)
    all_rounds = rounds_of_runs(connection, run_id)
    now = database_time(connection)
    statement = select(runs, models.c.name, models.c.version).join(models, models.c.id == runs.c.model_id)
    if run_id is not None:
        statement = statement.where(runs.c.id == run_id)
    return [
        _run_summary(
            row,
            all_balances.get(row["id"], NO_INPUT),
            all_doubts.get(row["id"], {}),
            _progress(connection, row["id"], now),
            _overall_rate(connection, row["id"]) if row["state"] == RunState.FINISHED else 0.0,
        )
        | {"round_of": all_rounds.get(row["id"])}
        for row in connection.execute(statement.order_by(runs.c.id.desc())).mappings()
    ]


def run_numbers(connection: Connection) -> list[int]:
    """The numbers of all runs, newest first."""
    return [int(number) for number in connection.execute(select(runs.c.id).order_by(runs.c.id.desc())).scalars()]


def progress(connection: Connection, run_id: int) -> tuple[int, int]:
    """Crystals in shards that are done, and in all shards of a run; see `ResultStore.progress`."""
    counts = _by_state(connection, run_id)
    return counts.get(ShardState.DONE, (0, 0))[1], sum(n_crystals for _, n_crystals in counts.values())


def _by_state(connection: Connection, run_id: int) -> dict[str, tuple[int, int]]:
    """Shards of a run and crystals in them, by state."""
    by_state = (
        select(shards.c.state, func.count().label("n"), func.sum(shards.c.n_crystals).label("crystals"))
        .where(shards.c.run_id == run_id)
        .group_by(shards.c.state)
    )
    return {row.state: (row.n, int(row.crystals)) for row in connection.execute(by_state)}


def _progress(connection: Connection, run_id: int, now: float) -> dict[str, Any]:
    """Shards by state, crystals in done shards, and the present rate in crystals per second."""
    by_state = _by_state(connection, run_id)
    recent = select(func.count(), func.sum(shards.c.n_crystals), func.min(shards.c.finished)).where(
        shards.c.run_id == run_id, shards.c.state == ShardState.DONE, shards.c.finished > now - RATE_WINDOW_S
    )
    n_shards, n_crystals, since = connection.execute(recent).one()
    # The window opens when its first shard ends, so that shard itself does not count towards the rate.
    rate = (n_shards - 1) / n_shards * int(n_crystals) / max(now - since, 1e-3) if n_shards > 1 else 0.0
    counts = {state.value: by_state.get(state.value, (0, 0))[0] for state in ShardState}
    return {"shards": counts, "crystals_done": by_state.get(ShardState.DONE, (0, 0))[1], "rate": rate}


def _overall_rate(connection: Connection, run_id: int) -> float:
    """Crystals per second of a whole run, from when its shards ended: a killed call could not write down its time.

    A pause is no work: what lies between two shards counts up to a minute.
    """
    gap = shards.c.finished - func.lag(shards.c.finished).over(order_by=shards.c.finished)
    done = (shards.c.run_id == run_id) & (shards.c.state == ShardState.DONE)
    gaps = select(gap.label("gap"), shards.c.n_crystals).where(done).subquery()
    worked = select(func.sum(gaps.c.gap), func.sum(gaps.c.n_crystals)).where(gaps.c.gap <= LONGEST_WORK_S)
    seconds, n_crystals = connection.execute(worked).one()
    return int(n_crystals) / seconds if seconds else 0.0


def _run_summary(
    row: Any, balance: Balance, doubts: dict[str, int], progress: dict[str, Any], overall: float
) -> dict[str, Any]:
    finished = row["state"] == RunState.FINISHED
    if not overall and row["seconds"] > 0:
        overall = progress["crystals_done"] / row["seconds"]  # one shard gives no rate
    rate = overall if finished else progress["rate"]
    return {
        "run": row["id"],
        "state": row["state"],
        "in": balance.n_in,
        "done": balance.done,
        "duplicate": balance.duplicate,
        "rejected": balance.rejected,
        "quarantined": balance.quarantined,
        "pending": balance.pending,
        "doubts": doubts,
        "model": f"{row['name']}@{row['version']}",
        "crystals_per_s": rate,
        "eta_s": balance.pending / rate if rate > 0 and not finished else None,
        "shards": progress["shards"],
        "sources": json.loads(row["sources"]),
        "settings": json.loads(row["settings"]),
        "created": row["created"],
        "finished": row["finished"],
        "seconds": row["seconds"],
        "pruned": row["pruned"],
    }


def list_rejects(connection: Connection, run_id: int | None) -> list[dict[str, Any]]:
    """Every input without a result, of one run or of all, in the order it was read."""
    if run_id is not None:
        run_row(connection, run_id)
    statement = (
        select(cursors.c.source, inputs.c.source_id, inputs.c.stage, inputs.c.reason, inputs.c.detail)
        .join(cursors, OF_CURSOR)
        .where(inputs.c.outcome.in_([Outcome.REJECTED, Outcome.QUARANTINED]))
        .order_by(inputs.c.run_id, inputs.c.source_index, inputs.c.position)
    )
    if run_id is not None:
        statement = statement.where(inputs.c.run_id == run_id)
    return [dict(row) for row in connection.execute(statement).mappings()]


def show(connection: Connection, text: str) -> dict[str, Any]:
    """Everything about one crystal; see `ResultStore.show`."""
    crystal_id = find_crystal(connection, text)
    row = connection.execute(select(crystals).where(crystals.c.id == crystal_id)).one()
    batch = read_crystals([row.lattice], [row.numbers], [row.frac_coords])
    arrivals = []
    for arrival in connection.execute(_arrivals(inputs.c.crystal_id == crystal_id)).mappings():
        decoded = {"metadata": json.loads(arrival["metadata"] or "null"), "turn": read_rotation(arrival["turn"])}
        notes = notes_of(arrival["metadata"])
        decoded |= {
            "doubts": split_column(arrival["doubts"]),
            "doubt_notes": [note for note in notes if doubt_of(note)],
        }
        arrivals.append({**arrival, **decoded})
    # The mirror image is a crystal of its own, which may never have come in.
    enantiomorph = connection.execute(select(crystals.c.id).where(crystals.c.id == row.twin_id)).first()
    return {
        "id": row.id,
        "formula": row.formula,
        "elements": row.elements.strip(",").split(","),
        "n_atoms": row.n_atoms,
        "volume_per_atom": row.volume_per_atom,
        "lattice": batch.lattice[0],
        "axes": axes_of_lattice(batch.lattice[0]),
        "numbers": batch.numbers,
        "frac_coords": batch.frac_coords,
        "source_ids": sorted({arrival["source_id"] for arrival in arrivals}),
        "inputs": arrivals,
        "lineage": lineage_of(connection, crystal_id),
        "proposals": proposals_of_crystal(connection, crystal_id),
        "children": children_counts(connection, crystal_id),
        "twin_id": row.twin_id,
        "twin_stored": enantiomorph is not None,
        "results": _results_of(connection, crystal_id),
        "second_opinions": [
            opinion_facts(model, one) for model, one in second_opinions.of_crystal(connection, crystal_id)
        ],
    }


def _arrivals(condition: ColumnElement[bool]) -> Select[Any]:
    return (
        select(
            inputs.c.run_id.label("run"),
            cursors.c.source,
            *(inputs.c[name] for name in ("position", "source_id", "outcome", "stage", "reason", "detail", "metadata")),
            inputs.c.doubts,
            inputs.c.turn,
        )
        .join(cursors, OF_CURSOR)
        .where(condition)
        .order_by(inputs.c.run_id, inputs.c.source_index, inputs.c.position)
    )


def _results_of(connection: Connection, crystal_id: str) -> list[dict[str, Any]]:
    statement = (
        select(results, models.c.name, models.c.version, models.c.sha256, models.c.state)
        .join(models, models.c.id == results.c.model_id)
        .where(results.c.crystal_id == crystal_id)
        .order_by(models.c.id.desc())
    )
    facts = []
    for row in connection.execute(statement).mappings():
        # The flat columns of a row, grouped as a reader asks for them.
        fact = {
            "model": f"{row['name']}@{row['version']}",
            "model_sha256": row["sha256"],
            "model_state": row["state"],
            "run": row["run_id"],
            "created": row["created"],
        }
        fact |= {name: row[name] for name in SYMMETRY_COLUMNS}
        fact["tensors"] = {tensor.value: read_tensor(tensor, row[tensor.value]) for tensor in Tensor}
        fact["removed_fraction"] = {tensor.value: row[removed_fraction_column(tensor)] for tensor in Tensor}
        fact["derived"] = {name: row[name] for name in DERIVED}
        fact |= uncertainty_of(dict(row))
        fact["trust"] = {name: row[name] for name in RELIABILITY}
        fact["warnings"] = json.loads(row["warnings"])
        facts.append(fact)
    # What a network alone says comes first: a second opinion is asked for by its model.
    return sorted(facts, key=lambda fact: is_combined(fact["model"]))


def result_of(facts: Mapping[str, Any], model: str | None = None) -> dict[str, Any]:
    """The one of a crystal's results that is shown: of the model's current version, else of its newest.

    Args:
        facts: of `ResultStore.show`.
        model: NAME or NAME@VERSION; empty or None where nobody asks for one.

    Raises:
        MissingError: the crystal has no result, or none of that model.
    """
    fitting = [one for one in facts["results"] if not model or model in (one["model"], one["model"].split("@")[0])]
    if not fitting:
        whose = f" of {model[:80]}" if model else ""
        raise MissingError(f"{facts['id']} has no result{whose}. Screen its source, or choose another model.")
    current = [one for one in fitting if one["model_state"] == "current"]
    result: dict[str, Any] = (current or fitting)[0]
    return result


def find_crystal(connection: Connection, text: str) -> str:
    """The content id that a content id, a source id or the start of a content id means.

    Raises:
        MissingError: none or several crystals fit, or the input of that source id was refused.
    """
    text = clean_text(text)
    if connection.execute(select(crystals.c.id).where(crystals.c.id == text)).first() is not None:
        return text
    by_source = select(inputs.c.crystal_id).where(inputs.c.source_id == text, inputs.c.crystal_id.is_not(None))
    ids = set(connection.execute(by_source).scalars())
    if not ids and len(text) >= MIN_PREFIX:
        # A range instead of LIKE: it uses the primary key, and nothing in the text has a special meaning.
        beyond = text + "\U0010ffff"
        by_prefix = select(crystals.c.id).where(crystals.c.id >= text, crystals.c.id < beyond).limit(6)
        ids = set(connection.execute(by_prefix).scalars())
    if len(ids) == 1:
        return str(ids.pop())
    if ids:
        raise MissingError(f"{text!r} means {len(ids)} crystals: {', '.join(sorted(ids)[:5])}. Give one of these ids.")
    # An input of that id may have come in and have been refused: then its reason is the answer.
    refused = connection.execute(_arrivals(inputs.c.source_id == text).limit(1)).first()
    if refused is None:
        hint = f"Give a source id, or at least {MIN_PREFIX} characters of a content id."
        raise MissingError(f"No crystal has the id or source id {text!r}. {hint}")
    reason = Reason(refused.reason)
    sentence = f"{text!r} of {refused.source} gave no crystal. {reason.sentence} {refused.detail}. {reason.advice}"
    raise MissingError(sentence)
