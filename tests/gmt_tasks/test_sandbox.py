"""Children that hang, crash or swallow memory cost their own argument and nothing else."""

import os
import signal
import time
from typing import Any

import pytest

from gmt_tasks.sandbox import Ending, SandboxError, SandboxPool

THIS = "tests.gmt_tasks.test_sandbox"


def behave(order: Any) -> Any:
    """Runs in the child: does what the argument says."""
    what, value = order
    if what == "sleep":
        time.sleep(value)
    if what == "kill":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "exit":
        os._exit(value)
    if what == "raise":
        raise ValueError(value)
    if what == "allocate":
        return len(bytearray(value))
    if what == "echo big":
        return b"x" * value
    return value


def endings(orders: list[Any], **options: Any) -> list[Any]:
    with SandboxPool(f"{THIS}:behave", **options) as pool:
        return list(pool.map(orders))


def test_values_come_back_in_the_order_of_the_arguments() -> None:
    outcomes = endings([("return", k) for k in range(200)], max_workers=2)
    assert [outcome.value for outcome in outcomes] == list(range(200))


def test_a_hang_a_crash_and_an_exception_leave_their_neighbours_alone() -> None:
    orders = [("return", 1), ("sleep", 60), ("return", 2), ("kill", 0), ("return", 3), ("raise", "bad"), ("return", 4)]
    outcomes = endings(orders, deadline_s=5.0, max_workers=1)
    kinds = [outcome.ending for outcome in outcomes]
    ok = Ending.VALUE
    assert kinds == [ok, Ending.TIMED_OUT, ok, Ending.DIED, ok, Ending.FAILED, ok]
    assert [outcome.value for outcome in outcomes if outcome.ending is ok] == [1, 2, 3, 4]
    assert "SIGSEGV" in outcomes[3].detail
    assert outcomes[5].detail == "ValueError: bad"


def test_work_within_the_deadline_is_not_stopped() -> None:
    assert endings([("sleep", 0.5)], deadline_s=20.0)[0].ending is Ending.VALUE


def test_memory_beyond_the_limit_is_refused_and_below_it_is_granted() -> None:
    small, large = endings([("allocate", 10 << 20), ("allocate", 3 << 30)], memory_bytes=2 << 30)
    assert small.ending is Ending.VALUE
    assert large.ending is Ending.DIED and "memory" in large.detail


def test_large_arguments_and_values_do_not_block_each_other() -> None:
    outcomes = endings([("echo big", 5 << 20), ("return", "y" * (5 << 20)), ("echo big", 5 << 20)])
    assert [len(outcome.value) for outcome in outcomes] == [5 << 20] * 3


def test_a_child_that_leaves_quietly_is_a_death() -> None:
    died, value = endings([("exit", 0), ("return", 7)], max_workers=1)
    assert died.ending is Ending.DIED and "exit status 0" in died.detail
    assert value.value == 7


def test_a_target_that_cannot_be_imported_is_an_error_of_the_pool() -> None:
    with SandboxPool("no_such_module:function") as pool, pytest.raises(SandboxError, match="did not start"):
        list(pool.map([1]))


def test_closing_ends_every_child() -> None:
    pool = SandboxPool(f"{THIS}:behave")
    outcomes = pool.map([("return", 1), ("sleep", 60)])
    next(outcomes)
    processes = [worker._process for worker in pool._workers]
    pool.close()
    assert processes and all(process.poll() is not None for process in processes)
