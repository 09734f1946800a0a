"""Leases and commits: only the newest lease commits, all of it or nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from db.store import ResultStore
from models.errors import StoreError
from models.quantities import Tensor
from tests.db.blocks import crystal_id, filled, results, rows
from tests.db.blocks import crystals as made_crystals


def test_crystals_come_back_from_a_lease_as_they_went_in(store: ResultStore) -> None:
    run_id = filled(store)
    seeds = {crystal_id(seed): seed for seed in range(20)}
    while (lease := store.lease_shard(run_id, "w")) is not None:
        expected = made_crystals([seeds[each] for each in lease.crystal_ids])
        for name in ("lattice", "frac_coords", "numbers", "crystal_of_atom"):
            np.testing.assert_array_equal(getattr(lease.crystals, name), getattr(expected, name))


def test_two_stores_never_lease_the_same_shard(store: ResultStore, open_again: Callable[[], ResultStore]) -> None:
    run_id = filled(store, 40)
    stores = [store, open_again()]
    taken: list[int] = []
    while (lease := stores[len(taken) % 2].lease_shard(run_id, f"w{len(taken) % 2}")) is not None:
        taken.append(lease.shard_id)
    assert len(taken) == len(set(taken)) > 2


def test_threads_that_race_for_leases_never_share_one(store: ResultStore) -> None:
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
        patched.setattr("db.runs.leases._mark_without_result", broken)
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
