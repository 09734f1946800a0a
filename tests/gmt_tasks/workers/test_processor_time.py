"""Computing, sleeping and waiting in the queue are counted apart, however busy the machine is."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.speed.whole_run import on_one_core
from gmt_tasks.workers.processor_time import ProcessClock, Spent
from tests.gmt_tasks.workers.fake_screener import work

pytestmark = pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this kernel does not count")

SPIN = "[0 for _ in iter(int, 1)]"


@contextmanager
def child(code: str) -> Iterator[int]:
    """A Python process that runs some code and then sleeps; ready when it has said so."""
    command = [sys.executable, "-c", f"import time; print(flush=True); {code}; time.sleep(600)"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def watched(pid: int, wall_s: float) -> Spent:
    clock = ProcessClock(pid)
    time.sleep(wall_s)
    return clock.spent()


def test_a_process_that_sleeps_computes_nothing() -> None:
    with child("pass") as pid:
        time.sleep(0.3)
        spent = watched(pid, 0.5)
    assert spent.computing_s < 0.1
    assert spent.asleep_s > 0.4


def test_a_process_that_computes_does_not_sleep() -> None:
    with child(SPIN) as pid:
        clock = ProcessClock(pid)
        while clock.spent().computing_s < 0.3:
            time.sleep(0.05)
        assert clock.spent().asleep_s < 0.1


def test_waiting_for_a_processor_is_neither_computing_nor_sleep() -> None:
    rivals = [child(SPIN) for _ in range(6)]
    with on_one_core(), child(SPIN) as pid:
        for each in rivals:
            each.__enter__()
        try:
            spent = watched(pid, 1.0)
        finally:
            for each in rivals:
                each.__exit__(None, None, None)
    assert spent.asleep_s < 0.1
    assert spent.computing_s < 0.5  # the control: most of the second it stood in the queue


def test_a_stopped_process_counts_as_asleep() -> None:
    with child(SPIN) as pid:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.1)
        spent = watched(pid, 0.5)
    assert spent.asleep_s > 0.4
    assert spent.computing_s < 0.1


def test_where_nobody_counts_all_time_is_taken_for_sleep() -> None:
    clock = ProcessClock(2**22 + 1)  # above the largest process id of Linux
    work(0.05)
    assert clock.spent().computing_s == 0.0
    assert clock.spent().asleep_s > 0.04
