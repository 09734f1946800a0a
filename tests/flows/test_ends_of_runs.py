"""However a run ends, and whenever: half a minute later no process, socket, temporary file or shared memory is left."""

import sys

import pytest

from tests.flows.ends_of_runs import ENDS, PHASES, left_behind

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="other systems hide environments of processes"),
]


@pytest.mark.parametrize("how", ["SIGTERM", "driver killed"])
def test_a_run_that_is_killed_while_its_servers_start_leaves_nothing(how: str) -> None:
    assert left_behind("starting", how) == []


@pytest.mark.chaos
@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("phase", PHASES)
def test_a_run_leaves_nothing(phase: str, how: str) -> None:
    assert left_behind(phase, how) == []
