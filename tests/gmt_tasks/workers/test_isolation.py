"""Isolation against crystals that crash, hang, raise, swallow memory and lose rows: each costs only itself."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from db.records import ResultBlock
from gmt_tasks.workers.fork_server import ForkServer, ForkServerError
from gmt_tasks.workers.forked_worker import free_memory_bytes, is_out_of_memory
from gmt_tasks.workers.isolation import Isolation, Timeouts
from gmt_tasks.workers.jobs import Job
from models.errors import Reason
from tests.gmt_tasks.workers.fake_screener import (
    CRASH,
    GREEDY,
    HANG,
    KILLED,
    LOSE,
    RAISE,
    SEGFAULT,
    SPIN,
    FakeScreener,
    lease_of,
    make_broken,
    make_fake,
)

SHORT_TIMEOUTS = Timeouts(job_s=2.0, job_s_per_atom=0.0)


@contextmanager
def isolation(
    factory: Callable[[], Any] = make_fake, batch_atoms: int | None = 10, timeouts: Timeouts = SHORT_TIMEOUTS
) -> Iterator[Isolation]:
    """An isolation with a fork server of its own."""
    one = Isolation(ForkServer(factory), timeouts, batch_atoms)
    try:
        one.warm_up()
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Isolation]:
    """One isolation for the tests that leave nothing behind."""
    with isolation() as one:
        yield one


def undisturbed(elements: list[int]) -> ResultBlock:
    """What the worker gives for the good ones, without any process around it."""
    lease = lease_of(elements)
    good = [i for i, z in enumerate(elements) if z < LOSE - 10]
    return FakeScreener().screen([lease.crystal_ids[i] for i in good], lease.crystals.select(good))


@pytest.mark.parametrize(
    ("element", "reason", "detail"),
    [
        (CRASH, Reason.WORKER_DIED, "ended itself with status 9"),
        (SEGFAULT, Reason.WORKER_DIED, "died of SIGSEGV"),
        (KILLED, Reason.WORKER_DIED, "died of SIGKILL"),
        (HANG, Reason.WORKER_DIED, "no answer within 2 s asleep"),
        (SPIN, Reason.WORKER_DIED, "s of computing; the worker process was stopped"),
        (RAISE, Reason.MODEL_FAILED, "RuntimeError: element 117 is refused"),
        (LOSE, Reason.MODEL_FAILED, "0 of 1 crystals"),
        (GREEDY, Reason.OUT_OF_MEMORY, "MemoryError"),
    ],
)
def test_a_failing_crystal_is_quarantined_alone_and_all_others_have_their_result(
    shared: Isolation, element: int, reason: Reason, detail: str
) -> None:
    elements = [6] * 13 + [element] + [7] * 20
    block = shared.screen(Job.whole(lease_of(elements)))
    ((crystal_id, found, said),) = block.quarantined
    assert (crystal_id, found) == ("s1c13", reason)
    assert detail in said
    expected = undisturbed(elements)
    assert block.crystal_ids == expected.crystal_ids
    assert all(np.array_equal(column, expected.columns[name]) for name, column in block.columns.items())


def test_failing_crystals_beside_each_other_are_each_found_by_name(shared: Isolation) -> None:
    block = shared.screen(Job.whole(lease_of([RAISE, CRASH, 6, LOSE, SEGFAULT])))
    assert {crystal_id for crystal_id, _, _ in block.quarantined} == {"s1c0", "s1c1", "s1c3", "s1c4"}
    assert block.crystal_ids == ["s1c2"]


def test_a_part_of_a_shard_gives_the_rows_of_that_part(shared: Isolation) -> None:
    block = shared.screen(Job(lease_of([6, CRASH, 7, 8]), 1, 3))
    assert block.crystal_ids == ["s1c2"]
    assert [crystal_id for crystal_id, _, _ in block.quarantined] == ["s1c1"]


def test_one_crash_costs_one_crystal_no_result_and_no_quarantine(tmp_path: Path) -> None:
    mark = tmp_path / "crash_once"
    mark.touch()
    with isolation(partial(make_fake, once=mark)) as one:
        block = one.screen(Job.whole(lease_of([6, 7, 8])))
    assert not mark.exists()
    assert (block.crystal_ids, block.quarantined) == (["s1c0", "s1c1", "s1c2"], [])


def test_a_process_that_is_killed_from_outside_computes_the_same_rows_again() -> None:
    with isolation(partial(make_fake, delay_s=0.5), batch_atoms=None, timeouts=Timeouts()) as one:
        pid = one.pids[0]
        threading.Timer(0.2, os.kill, (pid, signal.SIGKILL)).start()
        block = one.screen(Job.whole(lease_of([6] * 80)))
        assert len(one.pids) == 1 and one.pids != [pid]
    assert (len(block.crystal_ids), block.quarantined) == (80, [])


def test_a_hung_crystal_does_not_keep_the_others_waiting() -> None:
    with isolation(timeouts=Timeouts(job_s=600.0)) as one:
        one.screen(Job.whole(lease_of([6] * 30)))  # it knows now how long atoms take

        def hang() -> None:
            with suppress(ForkServerError):  # it is still hanging when everything is ended
                one.screen(Job.whole(lease_of([HANG])))

        hung = threading.Thread(target=hang, daemon=True)
        hung.start()
        time.sleep(0.1)
        block = one.screen(Job.whole(lease_of([7] * 20)))
        assert len(block.crystal_ids) == 20
        assert hung.is_alive()  # the control: it does hang


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this kernel does not count")
def test_a_crystal_that_is_merely_slow_on_a_busy_machine_keeps_its_result() -> None:
    # Alone it may compute half a second and a little, and sleep one: it takes several seconds of wall time.
    hurried = Timeouts(job_s=1.0, job_s_per_atom=0.0, computing_s=0.5, usual_times=1.0)
    processor = {min(os.sched_getaffinity(0))}
    with isolation(partial(make_fake, s_per_batch=0.4), timeouts=hurried) as one:
        rivals = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
        try:
            for pid in [*one.pids, *(rival.pid for rival in rivals)]:
                os.sched_setaffinity(pid, processor)
            began_s = time.monotonic()
            block = one.screen(Job.whole(lease_of([6])))
            assert time.monotonic() - began_s > 1.5  # the control: longer than it may compute and sleep together
        finally:
            for rival in rivals:
                rival.kill()
                rival.wait()
    assert (block.crystal_ids, block.quarantined) == (["s1c0"], [])


def test_a_crystal_that_computes_much_longer_than_others_is_given_up_long_before_one_that_sleeps() -> None:
    timeouts = Timeouts(job_s=600.0)
    with isolation(partial(make_fake, s_per_atom=0.002), timeouts=timeouts) as one:
        one.screen(Job.whole(lease_of([6] * 40)))  # it knows now how long atoms take
        block = one.screen(Job.whole(lease_of([7] * 5 + [SPIN] + [7] * 5)))
        assert [crystal_id for crystal_id, _, _ in block.quarantined] == ["s1c5"]
        assert len(block.crystal_ids) == 10


def test_before_anything_is_measured_a_slow_model_has_all_the_time_there_is() -> None:
    # Far above what atoms are taken to need at first: the batch and its parts are stopped, no crystal is.
    with isolation(partial(make_fake, s_per_batch=1.2), timeouts=Timeouts(computing_s=0.1, usual_times=1.0)) as one:
        block = one.screen(Job.whole(lease_of([6, 7])))
    assert (block.crystal_ids, block.quarantined) == (["s1c0", "s1c1"], [])


def test_a_batch_too_large_for_the_memory_is_halved_and_the_smaller_size_is_remembered() -> None:
    with isolation(partial(make_fake, room_atoms=9), batch_atoms=None) as one:
        first = one.screen(Job.whole(lease_of([6] * 32)))
        assert (len(first.crystal_ids), first.quarantined) == (32, [])
        assert one.batch_atoms == 8
        second = one.screen(Job.whole(lease_of([7] * 20)))
        assert (len(second.crystal_ids), one.batch_atoms) == (20, 8)


def test_a_crystal_too_large_for_the_memory_is_quarantined_with_advice_and_batches_stay_large() -> None:
    with isolation(partial(make_fake, room_atoms=0), batch_atoms=None) as one:
        block = one.screen(Job.whole(lease_of([6])))
        ((_, reason, detail),) = block.quarantined
        assert reason is Reason.OUT_OF_MEMORY and "CUDA out of memory" in detail
        assert "cpu" in reason.advice
        assert one.batch_atoms > 1_000_000


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        torch.cuda.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        MemoryError(),
    ],
)
def test_what_torch_and_numpy_raise_without_memory_is_known(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))


def test_the_memory_of_this_machine_is_known() -> None:
    assert 0 <= free_memory_bytes() < 1 << 50


def test_a_factory_that_fails_is_an_error_that_says_why() -> None:
    with pytest.raises(ForkServerError, match="weights are missing"), isolation(make_broken):
        pass


def test_without_its_server_nothing_is_computed_and_that_is_said() -> None:
    with isolation() as one:
        one.close()
        with pytest.raises(ForkServerError, match="is gone"):
            one.screen(Job.whole(lease_of([6])))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_no_process_outlives_the_server_even_when_it_hangs() -> None:
    server = ForkServer(make_fake)
    server.wait_until_loaded()
    worker = server.fork()
    lease = lease_of([SPIN])
    worker.send(lease.crystal_ids, lease.crystals)
    server.close()
    end = time.monotonic() + 30
    while Path(f"/proc/{worker.pid}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker.pid}").exists()
