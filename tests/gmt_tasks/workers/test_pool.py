"""The pool against real worker processes that crash, raise, hang, no longer answer and lose rows."""

import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from db.records import ResultBlock, ShardLease
from gmt_tasks.workers import pool as pools
from gmt_tasks.workers.cluster import start_ray, stop_ray
from gmt_tasks.workers.isolation import Timeouts
from gmt_tasks.workers.pool import JOBS_PER_ACTOR, WorkerPool
from models.errors import ModelError, Reason
from tests.gmt_tasks.workers.fake_screener import (
    CRASH,
    HANG,
    LOSE,
    RAISE,
    FakeScreener,
    lease_of,
    make_broken,
    make_fake,
)

pytestmark = pytest.mark.timeout(900)  # a hang is a failure; worker starts take seconds each on a busy machine


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """One private Ray for this file; the pools find it running and leave it running."""
    before = signal.getsignal(signal.SIGTERM)
    stop_ray()  # one that other files left has too few slots for all pools at once
    start_ray(n_cpus=5)
    assert signal.getsignal(signal.SIGTERM) is before, "Ray kept its SIGTERM handler"
    yield
    stop_ray()


@pytest.fixture(scope="module")
def crash_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that makes a worker of `pool` crash once when a test creates it."""
    return tmp_path_factory.mktemp("marks") / "crash_once"


@pytest.fixture(scope="module")
def pool(local_ray: None, crash_once: Path) -> Iterator[WorkerPool]:
    """Two workers for the tests whose faults stay inside of them; to start one takes seconds."""
    timeouts = Timeouts(job_s=2.0, job_s_per_atom=0.0)
    with WorkerPool(partial(make_fake, once=crash_once), 2, 0.0, timeouts=timeouts) as started:
        yield started


@pytest.fixture(scope="module")
def slow_pool(local_ray: None) -> Iterator[WorkerPool]:
    """Two workers that still compute when a test looks at them, and are asked often whether they live."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pools, "HEARTBEAT_EVERY_S", 0.2)
        with WorkerPool(partial(make_fake, delay_s=0.3), 2, 0.0, timeouts=Timeouts(heartbeat_s=3.0)) as started:
            yield started


def collect_all(
    pool: WorkerPool, leases: list[ShardLease], meanwhile: Callable[[WorkerPool], None] = lambda _: None
) -> dict[int, ResultBlock]:
    """Everything that comes back, by shard; fails when a shard comes back twice or never."""
    blocks: dict[int, ResultBlock] = {}
    todo = list(leases)
    while todo or pool.n_in_flight:
        while todo and pool.has_room:
            pool.submit(todo.pop(0))
        for lease, block in pool.collect(0.5):
            assert lease.shard_id not in blocks
            blocks[lease.shard_id] = block
        meanwhile(pool)
    assert len(blocks) == len(leases)
    return blocks


def expected(lease: ShardLease) -> ResultBlock:
    """What the worker gives without a pool."""
    return FakeScreener().screen(lease.crystal_ids, lease.crystals)


def same(left: ResultBlock, right: ResultBlock) -> bool:
    """True when ids and every number agree."""
    return left.crystal_ids == right.crystal_ids and all(
        np.array_equal(array, right.columns[name]) for name, array in left.columns.items()
    )


def test_results_do_not_depend_on_order_or_number_of_workers(pool: WorkerPool) -> None:
    leases = [lease_of([6] * n, shard_id=n) for n in (1, 2, 3, 5, 8)]
    with WorkerPool(make_fake, 1, 0.0) as one_worker:
        forward = collect_all(one_worker, leases)
    backward = collect_all(pool, leases[::-1])
    for lease in leases:
        assert same(forward[lease.shard_id], expected(lease))
        assert same(backward[lease.shard_id], forward[lease.shard_id])
    assert not same(forward[5], forward[8])  # the control: the comparison can fail


def test_a_failing_crystal_is_quarantined_alone_with_the_reason_and_all_others_commit_once(pool: WorkerPool) -> None:
    failing = lease_of([6, RAISE, 8, LOSE, 6], shard_id=1)
    crash = lease_of([6, 7, CRASH, 8], shard_id=2)
    good = [lease_of([6] * 3, shard_id=i) for i in (3, 4, 5)]
    blocks = collect_all(pool, [failing, crash, *good])
    reasons = {i: (reason, detail) for i, reason, detail in blocks[1].quarantined}
    assert reasons["s1c1"] == (Reason.MODEL_FAILED, "RuntimeError: element 117 is refused")
    assert reasons["s1c3"][0] is Reason.MODEL_FAILED and "0 of 1" in reasons["s1c3"][1]
    assert blocks[1].crystal_ids == ["s1c0", "s1c2", "s1c4"]
    assert blocks[2].crystal_ids == ["s2c0", "s2c1", "s2c3"]
    assert [(i, reason) for i, reason, _ in blocks[2].quarantined] == [("s2c2", Reason.WORKER_DIED)]
    assert all(same(blocks[lease.shard_id], expected(lease)) for lease in good)


def test_a_crystal_that_hangs_is_stopped_and_quarantined(pool: WorkerPool) -> None:
    blocks = collect_all(pool, [lease_of([HANG, 6])])
    assert blocks[1].crystal_ids == ["s1c1"]
    ((crystal_id, reason, detail),) = blocks[1].quarantined
    assert (crystal_id, reason) == ("s1c0", Reason.WORKER_DIED)
    assert "no answer within 2 s asleep" in detail


def test_a_crystal_that_crashes_only_once_has_its_result(pool: WorkerPool, crash_once: Path) -> None:
    crash_once.touch()
    lease = lease_of([6, 7, 8])
    blocks = collect_all(pool, [lease])
    assert not crash_once.exists()
    assert same(blocks[1], expected(lease))
    assert blocks[1].quarantined == []


@pytest.mark.usefixtures("local_ray")
def test_workers_that_cannot_start_are_an_error_that_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "MAX_FAILED_STARTS", 2)
    with (
        pytest.raises(ModelError, match="2 workers in a row could not start.*weights are missing.*gmtscreen doctor"),
        WorkerPool(make_broken, 1, 0.0) as broken,
    ):
        collect_all(broken, [lease_of([6])])


def test_work_in_flight_is_bounded(slow_pool: WorkerPool) -> None:
    while len(slow_pool.worker_pids) < slow_pool.n_workers:
        slow_pool.collect(0.5)
    submitted = 0
    while slow_pool.has_room and submitted < 50:
        submitted += 1
        slow_pool.submit(lease_of([6], shard_id=submitted))
    assert submitted == JOBS_PER_ACTOR * slow_pool.n_workers
    while slow_pool.n_in_flight:
        slow_pool.collect(0.5)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_is_killed_or_no_longer_answers_is_replaced_and_costs_no_result(
    slow_pool: WorkerPool, number: signal.Signals
) -> None:
    leases = [lease_of([6] * 4, shard_id=i) for i in range(1, 9)]
    hit: list[int] = []

    def hit_one(pool: WorkerPool) -> None:
        if not hit and pool.worker_pids and pool.n_in_flight:
            hit.append(pool.worker_pids[0])
            os.kill(hit[0], number)

    blocks = collect_all(slow_pool, leases, hit_one)
    assert hit and hit[0] not in slow_pool.worker_pids
    assert all(same(blocks[lease.shard_id], expected(lease)) for lease in leases)
    assert not any(block.quarantined for block in blocks.values())
