"""The pool against real worker processes that crash, raise, hang and lose rows."""

import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from db.records import ResultBlock, ShardLease
from gmt_tasks.workers.cluster import start_ray, stop_ray
from gmt_tasks.workers.isolation import Patience
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
    start_ray(n_cpus=2)
    assert signal.getsignal(signal.SIGTERM) is before, "Ray kept its SIGTERM handler"
    yield
    stop_ray()


def screen_all(
    leases: list[ShardLease],
    factory: Callable[[], FakeScreener] = make_fake,
    n_workers: int = 2,
    meanwhile: Callable[[WorkerPool], None] = lambda _: None,
    patience: Patience | None = None,
) -> dict[int, ResultBlock]:
    """Everything that comes back, by shard; fails when a shard comes back twice or never."""
    blocks: dict[int, ResultBlock] = {}
    todo = list(leases)
    with WorkerPool(factory, n_workers, 0.0, patience=patience) as pool:
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


@pytest.mark.usefixtures("local_ray")
def test_results_do_not_depend_on_order_or_number_of_workers() -> None:
    leases = [lease_of([6] * n, shard_id=n) for n in (1, 2, 3, 5, 8)]
    forward = screen_all(leases, n_workers=1)
    backward = screen_all(leases[::-1], n_workers=2)
    for lease in leases:
        assert same(forward[lease.shard_id], expected(lease))
        assert same(backward[lease.shard_id], forward[lease.shard_id])
    assert not same(forward[5], forward[8])  # the control: the comparison can fail


@pytest.mark.usefixtures("local_ray")
def test_poison_is_quarantined_alone_with_the_reason_and_all_others_commit_once() -> None:
    poison = lease_of([6, RAISE, 8, LOSE, 6], shard_id=1)
    crash = lease_of([6, 7, CRASH, 8], shard_id=2)
    good = [lease_of([6] * 3, shard_id=i) for i in (3, 4, 5)]
    blocks = screen_all([poison, crash, *good])
    reasons = {i: (reason, detail) for i, reason, detail in blocks[1].quarantined}
    assert reasons["s1c1"] == (Reason.MODEL_FAILED, "RuntimeError: element 117 is refused")
    assert reasons["s1c3"][0] is Reason.MODEL_FAILED and "0 of 1" in reasons["s1c3"][1]
    assert blocks[1].crystal_ids == ["s1c0", "s1c2", "s1c4"]
    assert blocks[2].crystal_ids == ["s2c0", "s2c1", "s2c3"]
    assert [(i, reason) for i, reason, _ in blocks[2].quarantined] == [("s2c2", Reason.WORKER_DIED)]
    assert all(same(blocks[lease.shard_id], expected(lease)) for lease in good)


@pytest.mark.usefixtures("local_ray")
def test_a_worker_killed_from_outside_costs_no_result() -> None:
    leases = [lease_of([6] * 4, shard_id=i) for i in range(1, 9)]
    killed: list[int] = []

    def kill_one(pool: WorkerPool) -> None:
        if not killed and pool.worker_pids:
            killed.append(pool.worker_pids[0])
            os.kill(killed[0], signal.SIGKILL)

    blocks = screen_all(leases, partial(make_fake, delay_s=0.2), meanwhile=kill_one)
    assert killed
    assert all(same(blocks[lease.shard_id], expected(lease)) for lease in leases)
    assert not any(block.quarantined for block in blocks.values())


@pytest.mark.usefixtures("local_ray")
def test_a_worker_that_falls_silent_is_replaced_and_its_jobs_are_done_elsewhere() -> None:
    leases = [lease_of([6] * 4, shard_id=i) for i in range(1, 7)]
    frozen: list[int] = []

    def freeze_one(pool: WorkerPool) -> None:
        if not frozen and pool.worker_pids and pool.n_in_flight:
            frozen.append(pool.worker_pids[0])
            os.kill(frozen[0], signal.SIGSTOP)

    blocks = screen_all(leases, n_workers=1, meanwhile=freeze_one, patience=Patience(pulse_s=15.0))
    assert frozen
    assert all(same(blocks[lease.shard_id], expected(lease)) for lease in leases)
    assert not any(block.quarantined for block in blocks.values())


@pytest.mark.usefixtures("local_ray")
def test_a_transient_crash_is_forgiven(tmp_path: Path) -> None:
    mark = tmp_path / "crash_once"
    mark.touch()
    lease = lease_of([6, 7, 8])
    blocks = screen_all([lease], partial(make_fake, once=mark), n_workers=1)
    assert not mark.exists()
    assert same(blocks[1], expected(lease))
    assert blocks[1].quarantined == []


@pytest.mark.usefixtures("local_ray")
def test_a_crystal_that_hangs_is_stopped_and_quarantined() -> None:
    lease = lease_of([HANG, 6])
    blocks = screen_all([lease], n_workers=1, patience=Patience(job_s=5.0, job_s_per_atom=0.0))
    assert blocks[1].crystal_ids == ["s1c1"]
    ((crystal_id, reason, detail),) = blocks[1].quarantined
    assert (crystal_id, reason) == ("s1c0", Reason.WORKER_DIED)
    assert "no answer within 5 s asleep" in detail


@pytest.mark.usefixtures("local_ray")
def test_workers_that_cannot_start_are_an_error_that_says_why() -> None:
    with pytest.raises(ModelError, match="weights are missing.*gmtscreen doctor"):
        screen_all([lease_of([6])], make_broken, n_workers=1)


@pytest.mark.usefixtures("local_ray")
def test_work_in_flight_is_bounded() -> None:
    with WorkerPool(partial(make_fake, delay_s=0.3), 1, 0.0) as pool:
        while not pool.has_room:
            pool.collect(0.5)
        submitted = 0
        while pool.has_room and submitted < 50:
            submitted += 1
            pool.submit(lease_of([6], shard_id=submitted))
        assert submitted == JOBS_PER_ACTOR
