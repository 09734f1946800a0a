"""Children that hang, crash or swallow memory cost their own argument and nothing else."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gmt_tasks.sandbox.children import Ending, SandboxError, SandboxPool
from tests.gmt_tasks.sandbox.sandboxed import TARGET, connected_natively, endings


def test_values_come_back_in_the_order_of_the_arguments() -> None:
    outcomes = endings([("return", k) for k in range(200)], max_workers=2)
    assert [outcome.value for outcome in outcomes] == list(range(200))


def test_a_hang_a_crash_and_an_exception_leave_their_neighbours_alone() -> None:
    orders = [("return", 1), ("spin", 60), ("return", 2), ("kill", 0), ("return", 3), ("raise", "bad"), ("return", 4)]
    outcomes = endings(orders, deadline_s=1.0, wall_s=200.0, max_workers=1)
    kinds = [outcome.ending for outcome in outcomes]
    ok = Ending.VALUE
    assert kinds == [ok, Ending.TIMED_OUT, ok, Ending.DIED, ok, Ending.FAILED, ok]
    assert [outcome.value for outcome in outcomes if outcome.ending is ok] == [1, 2, 3, 4]
    assert "processor time" in outcomes[1].detail
    assert "SIGSEGV" in outcomes[3].detail
    assert outcomes[5].detail == "ValueError: bad"


def test_waiting_costs_no_processor_time_but_has_a_limit_of_its_own() -> None:
    orders = [("sleep", 0.5), ("return", 1), ("sleep", 60)]
    patient, value, late = endings(orders, deadline_s=0.2, wall_s=3.0, max_workers=1)
    assert (patient.ending, value.ending, late.ending) == (Ending.VALUE, Ending.VALUE, Ending.TIMED_OUT)
    assert late.detail == "stopped after 3 s"


def test_each_argument_has_its_processor_time_anew() -> None:
    outcomes = endings([("spin", 0.4)] * 3, deadline_s=0.8, wall_s=200.0, max_workers=1)
    assert [outcome.ending for outcome in outcomes] == [Ending.VALUE] * 3


def test_memory_beyond_the_limit_is_refused_and_below_it_is_granted() -> None:
    small, large = endings([("allocate", 10 << 20), ("allocate", 3 << 30)], memory_bytes=2 << 30)
    assert small.ending is Ending.VALUE
    assert large.ending is Ending.DIED and "memory" in large.detail


def test_large_arguments_and_values_do_not_block_each_other() -> None:
    outcomes = endings([("text", 5 << 20), ("return", "y" * (5 << 20)), ("text", 5 << 20)])
    assert [len(outcome.value) for outcome in outcomes] == [5 << 20] * 3


def test_arrays_come_back_as_arrays_that_may_be_written_to() -> None:
    with SandboxPool(TARGET, decode=lambda message: message.arrays[0]) as pool:
        array = pool.run(("array", 1000)).value
    array += 1
    assert np.array_equal(array, np.arange(1, 1001))


def test_a_child_that_leaves_quietly_is_a_death() -> None:
    died, value = endings([("exit", 0), ("return", 7)], max_workers=1)
    assert died.ending is Ending.DIED and "exit status 0" in died.detail
    assert value.value == 7


def test_a_target_that_cannot_be_imported_is_an_error_of_the_pool() -> None:
    with SandboxPool("no_such_module:function") as pool, pytest.raises(SandboxError, match="did not start"):
        list(pool.map([1]))


def test_closing_ends_every_child() -> None:
    pool = SandboxPool(TARGET)
    outcomes = pool.map([("return", 1), ("sleep", 60)])
    next(outcomes)
    processes = [worker._process for worker in pool._workers]
    pool.close()
    assert processes and all(process.poll() is not None for process in processes)


@pytest.fixture
def listener() -> Iterator[tuple[str, int]]:
    """A port on loopback where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


def can_leave_network() -> bool:
    """Whether the kernel grants this user a network namespace."""
    return subprocess.run(["unshare", "--net", "--map-root-user", "true"], capture_output=True).returncode == 0


def test_a_child_reaches_no_network_starts_no_program_and_writes_no_file(
    listener: tuple[str, int], tmp_path: Path
) -> None:
    target = tmp_path / "written"
    orders = [("connect", list(listener)), ("program", ["true"]), ("write", str(target)), ("return", 1)]
    connect, program, write, value = endings(orders, max_workers=1)
    assert (connect.ending, program.ending, write.ending) == (Ending.FAILED,) * 3
    assert "not allowed" in connect.detail and "not allowed" in program.detail
    assert "Permission denied" in write.detail or "File too large" in write.detail
    assert not target.exists() or target.stat().st_size == 0
    assert value.value == 1
    with socket.create_connection(listener, timeout=5):
        pass  # negative control: the port is open, here it is reached


@pytest.mark.skipif(not can_leave_network(), reason="this kernel grants no network namespace")
def test_even_native_code_of_a_child_reaches_no_network(listener: tuple[str, int]) -> None:
    assert endings([("connect natively", list(listener))])[0].value is False
    assert connected_natively(listener)


def test_a_child_that_may_write_a_file_writes_as_much_as_it_may(tmp_path: Path) -> None:
    folder = str(tmp_path)
    assert endings([("write", str(tmp_path / "a"))], file_bytes=10, folder=folder)[0].value == 10
    assert endings([("write", str(tmp_path / "b"))], file_bytes=9, folder=folder)[0].ending is Ending.FAILED


def test_a_child_does_not_see_the_secrets_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MP_API_KEY", "GMTSCREEN_DATABASE", "DATABASE_URL", "RAY_AUTH_TOKEN", "PREFECT_API_AUTH_STRING"):
        monkeypatch.setenv(name, "s3cret")
    monkeypatch.setenv("LANG", "C.UTF-8")
    seen = endings([("environment", None)])[0].value
    assert "s3cret" not in seen.values()
    assert seen["LANG"] == "C.UTF-8"


def test_a_function_that_leaves_the_interpreter_has_failed() -> None:
    assert [outcome.ending for outcome in endings([("leave", 0), ("return", 1)])] == [Ending.FAILED, Ending.VALUE]
