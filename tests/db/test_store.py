"""What the store says: balances, states, rejects and single crystals; and how few statements it needs."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event, select, update

from db.records import Balance, RunState
from db.store import ResultStore
from db.tables import Outcome, inputs, shards
from models.errors import Reason, StoreError
from models.quantities import TENSORS, Tensor
from tests.db.blocks import MODEL, SHARD_ATOMS, block, crystal_id, filled, results, spec, tensors, work_off
from tests.db.blocks import crystals as made_crystals


def test_quarantined_crystals_are_named_with_their_reason_and_the_others_are_done(store: ResultStore) -> None:
    run_id = filled(store, 6)
    work_off(store, run_id, poison=[crystal_id(3)])
    assert store.balance(run_id) == Balance(n_in=6, done=5, duplicate=0, rejected=0, quarantined=1, pending=0)
    assert store.rejects(run_id) == [
        {"source": "made", "source_id": "made-3", "stage": "predict", "reason": "model_failed", "detail": "poison"}
    ]


def test_a_run_is_finished_only_when_read_to_its_end_and_balanced(store: ResultStore) -> None:
    run = store.open_run(spec())
    store.add_block(run.id, block(0, [1, 2, Reason.PARSE]), SHARD_ATOMS)
    work_off(store, run.id)
    assert store.finish(run.id, 1.0).closed
    assert store.get_run(run.id).state is RunState.INGESTING
    store.add_block(run.id, block(3, [5]), SHARD_ATOMS)
    store.end_ingest(run.id, "made")
    assert not store.finish(run.id, 1.0).closed
    assert store.get_run(run.id).state is RunState.RUNNING
    work_off(store, run.id)
    assert store.finish(run.id, 2.0).closed
    assert store.get_run(run.id).state is RunState.FINISHED
    assert store.runs()[0]["seconds"] == pytest.approx(4.0)
    store.finish(run.id, 99.0)
    store.end_ingest(run.id, "made")
    assert store.runs()[0]["seconds"] == pytest.approx(4.0)
    assert store.get_run(run.id).state is RunState.FINISHED


def test_an_input_that_vanishes_from_the_table_opens_the_balance(store: ResultStore) -> None:
    run_id = filled(store, 4)
    work_off(store, run_id)
    assert store.balance(run_id).closed
    with store._engine.begin() as connection:
        connection.execute(inputs.delete().where(inputs.c.position == 2, inputs.c.outcome == Outcome.ACCEPTED))
    assert not store.balance(run_id).closed


def test_status_adds_up_and_names_the_model(store: ResultStore) -> None:
    run = store.open_run(spec("a"))
    store.add_block(run.id, block(0, [1, 1, 2, Reason.PARSE], "a"), SHARD_ATOMS)
    (status,) = store.runs()
    counts = {name: status[name] for name in ("in", "done", "duplicate", "rejected", "quarantined", "pending")}
    assert counts == {"in": 4, "done": 0, "duplicate": 1, "rejected": 1, "quarantined": 0, "pending": 2}
    assert status["model"] == str(MODEL)
    assert status["shards"] == {"pending": 1, "leased": 0, "done": 0}


def test_the_rate_of_a_finished_run_is_that_of_its_work_without_the_pauses_between(store: ResultStore) -> None:
    run_id = filled(store, 20)
    work_off(store, run_id)
    store.finish(run_id, 1.0)
    with store._engine.begin() as connection:
        ids = connection.execute(select(shards.c.shard_id).order_by(shards.c.shard_id)).scalars().all()
        for place, shard_id in enumerate(ids):
            # Two seconds per shard, and an hour's pause in the middle, as after a kill.
            ended = 1e9 + 2.0 * place + (3600.0 if 2 * place >= len(ids) else 0.0)
            connection.execute(update(shards).where(shards.c.shard_id == shard_id).values(finished=ended))
        sizes = connection.execute(select(shards.c.n_crystals).order_by(shards.c.shard_id)).scalars().all()
    middle = (len(ids) + 1) // 2
    counted = sum(sizes) - sizes[0] - sizes[middle]
    (status,) = store.runs()
    assert status["state"] == "finished"
    assert status["crystals_per_s"] == pytest.approx(counted / (2.0 * (len(ids) - 2)))


def test_a_run_can_be_asked_for_by_its_number_and_another_number_is_refused(store: ResultStore) -> None:
    first, second = (store.open_run(spec(name)).id for name in ("a", "b"))
    assert store.run_numbers() == [second, first]
    assert [entry["run"] for entry in store.runs(first)] == [first]
    assert [entry["run"] for entry in store.runs()] == [second, first]
    with pytest.raises(StoreError, match="no run 77"):
        store.runs(77)


def test_progress_counts_crystals_of_shards_whatever_became_of_them(store: ResultStore) -> None:
    run_id = filled(store, 20)
    assert store.progress(run_id) == (0, 20)
    lease = store.lease_shard(run_id, "w")
    assert lease is not None
    assert store.progress(run_id) == (0, 20)
    store.commit_shard(lease, results(lease, poison=lease.crystal_ids[:1]))
    assert store.progress(run_id) == (len(lease.crystal_ids), 20)
    work_off(store, run_id)
    assert store.progress(run_id) == (20, 20)
    assert store.balance(run_id).pending == 0


def test_show_gives_tensors_in_their_shape_by_any_of_three_names(store: ResultStore) -> None:
    work_off(store, filled(store, 4))
    for name in (crystal_id(2), crystal_id(2)[:9], "made-2"):
        shown = store.show(name)
        assert shown["id"] == crystal_id(2)
        np.testing.assert_array_equal(shown["numbers"], made_crystals([2]).numbers)
        (result,) = shown["results"]
        for tensor in Tensor:
            np.testing.assert_array_equal(result["tensors"][tensor.value], tensors(tensor, [crystal_id(2)])[0])
            assert result["tensors"][tensor.value].shape == TENSORS[tensor].shape
        assert result["model_sha256"] == MODEL.sha256
        assert result["warnings"] == [f"warning of {crystal_id(2)[:4]}"]
    assert shown["inputs"][0]["metadata"] == {"position": 2}


def test_show_says_why_a_rejected_input_has_no_crystal_and_refuses_what_it_does_not_know(store: ResultStore) -> None:
    run = store.open_run(spec())
    store.add_block(run.id, block(0, [Reason.OVERLAP]), SHARD_ATOMS)
    with pytest.raises(StoreError, match=r"made-0.*closer than 0.5 angstrom.*detail of 0"):
        store.show("made-0")
    for unknown in ("zzzzzzzz", "", "%", "\U0010ffff" * 5):
        with pytest.raises(StoreError, match="No crystal has the id"):
            store.show(unknown)


def test_texts_that_no_database_takes_are_made_storable(store: ResultStore) -> None:
    run = store.open_run(spec())
    odd = block(0, [1, Reason.PARSE])
    odd.source_ids[0] = "nul\0 and surrogate \ud800"
    object.__setattr__(odd.rejected[0], "detail", "\0" * 5000)
    store.add_block(run.id, odd, SHARD_ATOMS)
    assert store.show(crystal_id(1))["source_ids"] == ["nul\ufffd and surrogate ?"]
    assert len(store.rejects()[0]["detail"]) == 2000


def test_unknown_runs_and_sources_are_refused_with_what_there_is(store: ResultStore) -> None:
    run = store.open_run(spec("a", "b"))
    with pytest.raises(StoreError, match=rf"no run 77\. The newest are {run.id}"):
        store.balance(77)
    with pytest.raises(StoreError, match=r"no source 'c'\. Its sources are: a, b"):
        store.ingest_cursor(run.id, "c")


def statements_of(store: ResultStore, n_crystals: int) -> int:
    """Number of statements for a block, a lease and a commit of so many crystals in one shard."""
    executed: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        executed.append(statement)

    run = store.open_run(spec(f"of {n_crystals}"))
    event.listen(store._engine, "before_cursor_execute", note)
    store.add_block(run.id, block(0, range(n_crystals), f"of {n_crystals}"), 10**6)
    lease = store.lease_shard(run.id, "w")
    assert lease is not None
    store.commit_shard(lease, results(lease, poison=[crystal_id(0), crystal_id(1)]))
    event.remove(store._engine, "before_cursor_execute", note)
    return len(executed)


def test_the_number_of_statements_does_not_grow_with_the_number_of_crystals(store: ResultStore) -> None:
    few = statements_of(store, 100)  # enough for COPY on PostgreSQL
    assert few == statements_of(store, 400)
    assert few < 30


def plan_of_balance(path: Path, run_id: int) -> str:
    """What SQLite says it will do for a balance."""
    asked: list[tuple[str, Any]] = []
    with ResultStore(path) as store:
        event.listen(
            store._engine, "before_cursor_execute", lambda c, cursor, text, values, *_: asked.append((text, values))
        )
        store.balance(run_id)
    with closing(sqlite3.connect(path)) as connection:
        (counted,) = [each for each in asked if "LEFT OUTER JOIN results" in each[0]]
        return "\n".join(row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + counted[0], counted[1]))


def test_a_balance_on_sqlite_reads_indexes_only(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with ResultStore(path) as store:
        run_id = filled(store)
        work_off(store, run_id)
    assert "inputs USING COVERING INDEX" in plan_of_balance(path, run_id)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP INDEX ix_inputs_run_id_outcome_crystal_id")
    assert "inputs USING COVERING INDEX" not in plan_of_balance(path, run_id)
