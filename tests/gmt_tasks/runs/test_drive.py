"""The driver against a real database: whatever fails and whenever, running again ends in the same results."""

import dataclasses
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from db.records import ResultBlock, RunState, ShardLease
from db.store import ResultStore
from gmt_tasks.ingest.blocks import IngestPlan
from gmt_tasks.process import StoppedError, StopRequest, new_holder
from gmt_tasks.runs.drive import ShardDriver
from gmt_tasks.runs.lifecycle import OpenBalanceError, close_run, ingest_source, run_spec
from gmt_tasks.runs.reading import NobodyComputesError, Reading
from gmt_tasks.sources.source import Source, SourceBlock
from models.errors import Reason, StoreError
from tests.gmt_tasks.workers.fake_screener import RAISE, VERSION, FakeScreener, cubic_crystals

PLAN = IngestPlan(max_atoms=100, shard_atoms=3)


@dataclasses.dataclass
class ListSource:
    """One-atom crystals of the given elements, in blocks; some inputs twice."""

    elements: list[int]
    block_size: int = 5
    name: str = "list"

    def fingerprint(self) -> str:
        return str(self.elements)

    def blocks(self, start: int = 0) -> Iterator[SourceBlock]:
        crystals = cubic_crystals(self.elements)
        for first in range(start, len(self.elements), self.block_size):
            rows = np.arange(first, min(first + self.block_size, len(self.elements)))
            ids = [f"i{row}" for row in rows]
            # Every seventh input is a copy of the first crystal: a duplicate.
            chosen = crystals.select([0 if row % 7 == 6 else int(row) for row in rows])
            yield SourceBlock(int(rows[0]), int(rows[-1]) + 1, rows, ids, chosen, [None] * len(rows))


class DirectPool:
    """Computes at once, in this process; keeps one shard back so that work is in flight."""

    def __init__(self) -> None:
        self.waiting: list[ShardLease] = []
        self.n_collected = 0

    @property
    def has_room(self) -> bool:
        return len(self.waiting) < 2

    @property
    def n_in_flight(self) -> int:
        return len(self.waiting)

    def submit(self, lease: ShardLease) -> None:
        self.waiting.append(lease)

    def collect(self, timeout_s: float = 1.0) -> list[tuple[ShardLease, ResultBlock]]:
        if not self.waiting:
            return []
        lease = self.waiting.pop(0)
        self.n_collected += 1
        bad = [i for i, z in enumerate(lease.crystals.numbers) if z == RAISE]
        good = [i for i in range(lease.crystals.n_crystals) if i not in bad]
        block = FakeScreener().screen([lease.crystal_ids[i] for i in good], lease.crystals.select(good))
        out = [(lease.crystal_ids[i], Reason.MODEL_FAILED, "refused") for i in bad]
        return [(lease, dataclasses.replace(block, quarantined=out))]


class FaultyStore:
    """A store whose n-th call fails, before or after it took effect."""

    def __init__(self, store: ResultStore, fail_at: int, *, after: bool) -> None:
        self._store, self._left, self._after = store, fail_at, after

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise StoreError("the database is gone")
            result = method(*args, **kwargs)
            if self._left == 0:
                raise StoreError("the database is gone, after it did it")
            return result

        return call


def screen(store: Any, source: Source, pool: DirectPool | None = None, stop: StopRequest | None = None) -> int:
    """Ingest, drive, close; returns the number of the run."""
    store.register_model(VERSION, {})
    run = store.open_run(run_spec([source], VERSION, 0.01, PLAN))
    ingest_source(store, run.id, source, PLAN)
    ShardDriver(store, run.id, pool or DirectPool(), new_holder(), stop=stop or StopRequest()).drive()
    close_run(store, run.id, 1.0)
    return int(run.id)


ELEMENTS = [13, 7, RAISE, 6, 14, 8, 13, 31, 33, 49]


@pytest.fixture
def undisturbed(tmp_path: Path) -> list[dict[str, Any]]:
    """The dump of a run to which nothing happened."""
    with ResultStore(tmp_path / "undisturbed.db") as store:
        screen(store, ListSource(ELEMENTS))
        return list(store.dump())


def test_the_balance_closes_with_duplicates_and_quarantined(tmp_path: Path) -> None:
    with ResultStore(tmp_path / "a.db") as store:
        run = screen(store, ListSource(ELEMENTS))
        balance = store.balance(run)
        ends = (balance.n_in, balance.done, balance.duplicate, balance.rejected, balance.quarantined)
        assert ends == (10, 8, 1, 0, 1)
        assert store.get_run(run).state is RunState.FINISHED


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_failure_at_any_call_of_the_store_and_another_start_give_the_same_database(
    tmp_path: Path, undisturbed: list[dict[str, Any]], after: bool
) -> None:
    source, fail_at, n_failures = ListSource(ELEMENTS), 0, 0
    while True:
        fail_at += 1
        with ResultStore(tmp_path / f"{fail_at}.db") as store:
            try:
                screen(FaultyStore(store, fail_at, after=after), source)
            except StoreError:
                n_failures += 1
            else:
                break  # the run has fewer calls than that: every one of them has failed once
            run = screen(store, source)
            assert list(store.dump()) == undisturbed, f"failure at call {fail_at}"
            assert store.balance(run).closed
    assert n_failures > 12


def test_a_second_call_computes_nothing_again(tmp_path: Path) -> None:
    with ResultStore(tmp_path / "a.db") as store:
        first, second = DirectPool(), DirectPool()
        screen(store, ListSource(ELEMENTS), first)
        screen(store, ListSource(ELEMENTS), second)
        assert first.n_collected > 0
        assert second.n_collected == 0


def test_a_stop_gives_the_leases_back_and_the_next_call_finishes(
    tmp_path: Path, undisturbed: list[dict[str, Any]]
) -> None:
    class StoppingPool(DirectPool):
        def collect(self, timeout_s: float = 1.0) -> list[tuple[ShardLease, ResultBlock]]:
            if self.n_collected == 2:
                stop.ask()
            return super().collect(timeout_s)

    stop = StopRequest()
    with ResultStore(tmp_path / "a.db") as store:
        with pytest.raises(StoppedError, match="run the same command again"):
            screen(store, ListSource(ELEMENTS), StoppingPool(), stop)
        run = store.open_run(run_spec([ListSource(ELEMENTS)], VERSION, 0.01, PLAN))
        assert store.holders(run.id) == []
        assert 0 < store.balance(run.id).done < 8
        screen(store, ListSource(ELEMENTS))
        assert list(store.dump()) == undisturbed


def dead_pid() -> int:
    """The id of a process that is gone."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return child


def test_leases_of_a_dead_process_of_this_host_are_taken_over_at_once(tmp_path: Path) -> None:
    with ResultStore(tmp_path / "a.db") as store:
        store.register_model(VERSION, {})
        source = ListSource(ELEMENTS)
        run = store.open_run(run_spec([source], VERSION, 0.01, PLAN))
        ingest_source(store, run.id, source, PLAN)
        dead = f"{socket.gethostname()}:{dead_pid()}:00"
        late = store.lease_shard(run.id, dead)
        assert late is not None
        pool = DirectPool()
        ShardDriver(store, run.id, pool, new_holder()).drive()
        assert store.balance(run.id).pending == 0
        # The dead one's late commit must not count.
        assert not store.commit_shard(late, pool_answer(late))


def pool_answer(lease: ShardLease) -> ResultBlock:
    """What a worker would answer."""
    pool = DirectPool()
    pool.submit(lease)
    return pool.collect()[0][1]


def test_a_shard_that_another_driver_took_over_is_dropped(tmp_path: Path) -> None:
    class SlowPool(DirectPool):
        def collect(self, timeout_s: float = 1.0) -> list[tuple[ShardLease, ResultBlock]]:
            if self.n_collected == 0 and self.waiting:
                store.reclaim(run.id, store.holders(run.id))
                thief = store.lease_shard(run.id, "elsewhere:1:1")
                assert thief is not None
                store.commit_shard(thief, pool_answer(thief))
            return super().collect(timeout_s)

    with ResultStore(tmp_path / "a.db") as store:
        store.register_model(VERSION, {})
        source = ListSource(ELEMENTS)
        run = store.open_run(run_spec([source], VERSION, 0.01, PLAN))
        ingest_source(store, run.id, source, PLAN)
        committed = ShardDriver(store, run.id, SlowPool(), new_holder()).drive()
        assert committed < 9
        assert store.balance(run.id).closed


def test_a_run_with_pending_crystals_is_not_finished(tmp_path: Path) -> None:
    with ResultStore(tmp_path / "a.db") as store:
        store.register_model(VERSION, {})
        source = ListSource(ELEMENTS)
        run = store.open_run(run_spec([source], VERSION, 0.01, PLAN))
        ingest_source(store, run.id, source, PLAN)
        with pytest.raises(OpenBalanceError, match="9 of 10 inputs"):
            close_run(store, run.id, 1.0)


@dataclasses.dataclass
class WatchedSource(ListSource):
    """Gives a block only after something was seen, so that a test is sure of the order of events."""

    before_block: Callable[[int], None] = lambda number: None

    def blocks(self, start: int = 0) -> Iterator[SourceBlock]:
        for number, block in enumerate(super().blocks(start)):
            self.before_block(number)
            yield block


def screen_while_read(store: ResultStore, source: Source, pool: DirectPool) -> int:
    """As `screen`, with the driver in a thread beside the reading; returns the number of crystals it committed."""
    store.register_model(VERSION, {})
    run = store.open_run(run_spec([ListSource(ELEMENTS)], VERSION, 0.01, PLAN))
    reading = Reading()
    driver = ShardDriver(store, run.id, pool, new_holder(), reading=reading)
    with ThreadPoolExecutor(1) as thread:
        driving = thread.submit(driver.drive)
        with suppress(OSError), reading:
            ingest_source(store, run.id, source, PLAN, on_block=lambda n: reading.added())
        return driving.result(timeout=60)


def wait_until(condition: Callable[[], bool]) -> None:
    """Waits for what another thread does."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def test_what_is_in_is_computed_while_the_rest_is_read(tmp_path: Path, undisturbed: list[dict[str, Any]]) -> None:
    with ResultStore(tmp_path / "a.db") as store:
        # the second block is read when all crystals of the first have their results, and not before
        source = WatchedSource(ELEMENTS, before_block=lambda n: wait_until(lambda: n == 0 or store.progress(1)[0] == 5))
        assert screen_while_read(store, source, DirectPool()) == 9
        close_run(store, 1, 1.0)
        assert list(store.dump()) == undisturbed


def test_a_reading_that_fails_ends_the_driver_in_peace_and_the_next_call_goes_on(
    tmp_path: Path, undisturbed: list[dict[str, Any]]
) -> None:
    def broken(number: int) -> None:
        if number:
            wait_until(lambda: store.progress(1)[0] > 0)
            raise OSError("the disk is gone")

    with ResultStore(tmp_path / "a.db") as store:
        committed = screen_while_read(store, WatchedSource(ELEMENTS, before_block=broken), DirectPool())
        assert 0 < committed <= 5
        assert store.holders(1) == []
        assert store.ingest_cursor(1, "list") == (5, False)
        screen(store, ListSource(ELEMENTS))
        assert list(store.dump()) == undisturbed


def test_a_reading_ends_when_nobody_computes_what_it_brings() -> None:
    reading = Reading()
    reading.added()
    reading.give_up()
    with pytest.raises(NobodyComputesError), reading:
        reading.added()
    assert reading.ended and reading.failed
