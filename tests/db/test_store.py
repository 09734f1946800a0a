"""The ledger's laws: everything may be repeated, nothing is lost, only the newest lease commits."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event, func, select

from db.engine import reading
from db.records import Balance, ModelVersion, RunState
from db.store import ResultStore
from db.tables import Outcome, crystals, inputs, shards
from models.errors import Reason, StoreError
from models.quantities import TENSORS, Tensor
from tests.db.blocks import MODEL, SHARD_ATOMS, block, crystal_id, results, spec, tensors, work_off
from tests.db.blocks import crystals as made_crystals


def rows(store: ResultStore) -> list[dict[str, Any]]:
    return list(store.dump())


def filled(store: ResultStore, n_crystals: int = 20) -> int:
    run = store.open_run(spec())
    store.add_block(run.id, block(0, range(n_crystals)), SHARD_ATOMS)
    store.end_ingest(run.id, "made")
    return run.id


def test_the_same_specification_is_the_same_run(store: ResultStore) -> None:
    first = store.open_run(spec(limit=10))
    again = store.open_run(spec(limit=10))
    assert (first.resumed, again.resumed) == (False, True)
    assert again.id == first.id


@pytest.mark.parametrize(
    "other",
    [spec(limit=11), spec("elsewhere", limit=10), spec(model=ModelVersion("toy", "2", "b" * 64), limit=10)],
    ids=["settings", "source", "model"],
)
def test_another_setting_source_or_model_is_another_run(store: ResultStore, other: Any) -> None:
    assert store.open_run(spec(limit=10)).id != store.open_run(other).id


def test_a_run_comes_back_with_its_specification(store: ResultStore) -> None:
    wanted = spec("a.cif", "ü.cif", limit=10, note={"deep": [1, 2.5, None]})
    assert store.get_run(store.open_run(wanted).id).spec == wanted


def test_crystals_come_back_from_a_lease_as_they_went_in(store: ResultStore) -> None:
    run_id = filled(store)
    seeds = {crystal_id(seed): seed for seed in range(20)}
    while (lease := store.lease_shard(run_id, "w")) is not None:
        expected = made_crystals([seeds[each] for each in lease.crystal_ids])
        for name in ("lattice", "frac_coords", "numbers", "crystal_of_atom"):
            np.testing.assert_array_equal(getattr(lease.crystals, name), getattr(expected, name))


def test_shards_hold_every_crystal_once_in_order_of_size_and_near_the_wanted_size(store: ResultStore) -> None:
    run_id = filled(store, 50)
    found, sizes = [], []
    while (lease := store.lease_shard(run_id, "w")) is not None:
        found += lease.crystal_ids
        sizes.append(lease.crystals.atoms_per_crystal)
    assert sorted(found) == sorted(crystal_id(seed) for seed in range(50))
    assert (np.diff(np.concatenate(sizes)) >= 0).all()
    assert all(abs(int(size.sum()) - SHARD_ATOMS) < 5 + 1 for size in sizes[:-1])


def test_a_crystal_larger_than_a_shard_gets_a_shard_of_its_own(store: ResultStore) -> None:
    run = store.open_run(spec())
    store.add_block(run.id, block(0, [4, 9, 14]), shard_atoms=1)
    assert work_off(store, run.id) == 3


def test_a_block_given_twice_changes_nothing(store: ResultStore) -> None:
    run = store.open_run(spec())
    given = block(0, [1, 2, 1, Reason.OVERLAP])
    store.add_block(run.id, given, SHARD_ATOMS)
    before = rows(store), store.balance(run.id)
    store.add_block(run.id, given, SHARD_ATOMS)
    assert (rows(store), store.balance(run.id)) == before
    assert store.ingest_cursor(run.id, "made") == (4, False)


def test_a_block_after_a_gap_is_refused_and_leaves_nothing(store: ResultStore) -> None:
    run = store.open_run(spec())
    with pytest.raises(StoreError, match="does not start at the cursor 0"):
        store.add_block(run.id, block(2, [1, 2]), SHARD_ATOMS)
    assert rows(store) == []


def test_a_block_that_skips_an_input_is_refused(store: ResultStore) -> None:
    run = store.open_run(spec())
    short = block(0, [1, 2])
    object.__setattr__(short, "stop", 3)
    with pytest.raises(StoreError, match="accounts for 2 positions"):
        store.add_block(run.id, short, SHARD_ATOMS)
    assert store.balance(run.id) == Balance(0, 0, 0, 0, 0, 0)


def test_a_failure_inside_a_block_rolls_all_of_it_back(store: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run = store.open_run(spec())

    def broken(*_: object) -> None:
        raise RuntimeError("killed between two statements")

    with monkeypatch.context() as patched:
        patched.setattr("db.ledger._rejected_inputs", broken)
        with pytest.raises(RuntimeError):
            store.add_block(run.id, block(0, [1, 2]), SHARD_ATOMS)
    with reading(store._engine) as connection:
        assert connection.execute(select(func.count()).select_from(crystals)).scalar_one() == 0
        assert connection.execute(select(func.count()).select_from(shards)).scalar_one() == 0
    store.add_block(run.id, block(0, [1, 2]), SHARD_ATOMS)
    assert store.balance(run.id).n_in == 2


def test_duplicates_within_and_across_blocks_and_sources_keep_their_source_ids(store: ResultStore) -> None:
    run = store.open_run(spec("a", "b"))
    store.add_block(run.id, block(0, [7, 7], "a"), SHARD_ATOMS)
    store.add_block(run.id, block(2, [7], "a"), SHARD_ATOMS)
    store.add_block(run.id, block(0, [7], "b"), SHARD_ATOMS)
    work_off(store, run.id)
    assert store.balance(run.id) == Balance(n_in=4, done=1, duplicate=3, rejected=0, quarantined=0, pending=0)
    assert store.show(crystal_id(7))["source_ids"] == ["a-0", "a-1", "a-2", "b-0"]


def test_a_crystal_with_a_result_by_the_model_is_done_at_once_and_by_another_model_is_not(store: ResultStore) -> None:
    work_off(store, filled(store, 5))
    again = store.open_run(spec("again"))
    store.add_block(again.id, block(0, range(5), "again"), SHARD_ATOMS)
    assert store.balance(again.id).done == 5
    assert store.lease_shard(again.id, "w") is None
    other = store.open_run(spec("again", model=ModelVersion("toy", "2", "b" * 64)))
    store.add_block(other.id, block(0, range(5), "again"), SHARD_ATOMS)
    assert store.balance(other.id).pending == 5


def test_the_run_runs_only_when_all_sources_are_read(store: ResultStore) -> None:
    run = store.open_run(spec("a", "b"))
    store.end_ingest(run.id, "a")
    assert store.get_run(run.id).state is RunState.INGESTING
    store.end_ingest(run.id, "b")
    assert store.get_run(run.id).state is RunState.RUNNING
    assert store.ingest_cursor(run.id, "b") == (0, True)


def test_two_stores_never_lease_the_same_shard(store: ResultStore, open_again: Callable[[], ResultStore]) -> None:
    run_id = filled(store, 40)
    stores = [store, open_again()]
    taken: list[int] = []
    while (lease := stores[len(taken) % 2].lease_shard(run_id, f"w{len(taken) % 2}")) is not None:
        taken.append(lease.shard_id)
    assert len(taken) == len(set(taken)) > 2


def test_threads_that_race_for_leases_never_share_one(store: ResultStore) -> None:
    from concurrent.futures import ThreadPoolExecutor

    run_id = filled(store, 60)

    def grab(worker: int) -> list[int]:
        taken = []
        while (lease := store.lease_shard(run_id, f"w{worker}")) is not None:
            taken.append(lease.shard_id)
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [shard for of_worker in pool.map(grab, range(4)) for shard in of_worker]
    assert len(taken) == len(set(taken)) > 4


def test_a_lease_with_a_heartbeat_is_left_alone_and_a_silent_one_is_taken_over(store: ResultStore) -> None:
    run_id = filled(store, 2)
    first = store.lease_shard(run_id, "w1")
    assert first is not None
    assert store.lease_shard(run_id, "w2") is None
    second = store.lease_shard(run_id, "w2", stale_after_s=0)
    assert second is not None
    assert (second.shard_id, second.token, second.attempt) == (first.shard_id, first.token + 1, 2)
    assert not store.heartbeat(first)
    assert store.heartbeat(second)


def test_a_late_writer_with_an_old_token_changes_nothing(store: ResultStore) -> None:
    run_id = filled(store, 2)
    late = store.lease_shard(run_id, "w1")
    newest = store.lease_shard(run_id, "w2", stale_after_s=0)
    assert late is not None
    assert newest is not None
    before = rows(store)
    assert store.commit_shard(late, results(late, poison=late.crystal_ids[:1], shift=1)) is False
    assert rows(store) == before
    assert store.commit_shard(newest, results(newest))
    after = rows(store)
    assert store.commit_shard(late, results(late, shift=1)) is False
    assert rows(store) == after != before


def test_a_commit_repeated_by_its_holder_is_true_and_changes_nothing(store: ResultStore) -> None:
    run_id = filled(store, 2)
    lease = store.lease_shard(run_id, "w")
    assert lease is not None
    assert store.commit_shard(lease, results(lease))
    before = rows(store)
    assert store.commit_shard(lease, results(lease, shift=1))
    assert rows(store) == before


def test_a_commit_that_fails_half_way_leaves_the_shard_to_be_done_again(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = filled(store, 2)
    lease = store.lease_shard(run_id, "w")
    assert lease is not None

    def broken(*_: object) -> None:
        raise RuntimeError("killed before the end of the transaction")

    with monkeypatch.context() as patched:
        patched.setattr("db.leases._mark_without_result", broken)
        with pytest.raises(RuntimeError):
            store.commit_shard(lease, results(lease))
    assert store.balance(run_id).done == 0
    assert store.commit_shard(lease, results(lease))
    assert store.balance(run_id).done == 2


def test_a_commit_must_answer_for_exactly_the_crystals_of_its_shard(store: ResultStore) -> None:
    run_id = filled(store, 2)
    lease = store.lease_shard(run_id, "w")
    assert lease is not None
    short = results(lease, poison=lease.crystal_ids[:1])
    short.quarantined.clear()
    with pytest.raises(StoreError, match="answers for 1 crystals, the shard has 2"):
        store.commit_shard(lease, short)


def test_a_tensor_that_is_not_finite_is_refused_by_name(store: ResultStore) -> None:
    run_id = filled(store, 2)
    lease = store.lease_shard(run_id, "w")
    assert lease is not None
    bad = results(lease)
    bad.tensors[Tensor.ELASTIC][1, 0, 0] = np.nan
    with pytest.raises(
        StoreError, match=f"1 of 2 elastic_voigt tensors are not finite; first is crystal {lease.crystal_ids[1]}"
    ):
        store.commit_shard(lease, bad)


def test_a_column_that_nobody_declared_is_refused(store: ResultStore) -> None:
    run_id = filled(store, 2)
    lease = store.lease_shard(run_id, "w")
    assert lease is not None
    bad = results(lease)
    bad.columns["k_vhr_gpa"] = np.zeros(2)
    with pytest.raises(StoreError, match="k_vhr_gpa"):
        store.commit_shard(lease, bad)


def test_the_work_of_a_dead_holder_can_be_reclaimed_and_counts_as_an_attempt(store: ResultStore) -> None:
    run_id = filled(store, 2)
    dead = store.lease_shard(run_id, "host:1")
    assert dead is not None
    assert store.holders(run_id) == ["host:1"]
    assert store.reclaim(run_id, ["host:2"]) == 0
    assert store.reclaim(run_id, ["host:1"]) == 1
    assert store.commit_shard(dead, results(dead)) is False
    again = store.lease_shard(run_id, "host:3")
    assert again is not None
    assert again.attempt == 2
    assert again.token > dead.token


def test_a_holder_that_stops_in_good_order_costs_no_attempt_but_a_failure_does(store: ResultStore) -> None:
    run_id = filled(store, 2)
    assert store.lease_shard(run_id, "w") is not None
    assert store.release_leases(run_id, "w") == 1
    lease = store.lease_shard(run_id, "w")
    assert lease is not None
    assert lease.attempt == 1
    assert store.give_back(lease)
    assert not store.give_back(lease)
    failed = store.lease_shard(run_id, "w")
    assert failed is not None
    assert failed.attempt == 2


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
    few = statements_of(store, 3)
    assert few == statements_of(store, 400)
    assert few < 30
