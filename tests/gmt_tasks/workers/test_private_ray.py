"""A pool whose own Ray is killed under it."""

import os
import signal
from functools import partial
from typing import Any

import pytest

from gmt_tasks.workers.pool import WorkerPool
from tests.gmt_tasks.workers.fake_screener import lease_of, make_fake
from tests.gmt_tasks.workers.test_pool import collect_all, expected, same

pytestmark = pytest.mark.timeout(900)  # a hang is a failure; worker starts take seconds each on a busy machine


def process_of_ray(name: str) -> int:
    """Process id of one of the processes that belong to the private Ray."""
    from ray._private import worker as ray_worker

    node: Any = ray_worker._global_node
    return int(node.all_processes[name][0].process.pid)


@pytest.mark.parametrize("process", ["raylet", pytest.param("gcs_server", marks=pytest.mark.slow)])
def test_a_private_ray_whose_own_process_is_killed_is_started_again_and_loses_nothing(process: str) -> None:
    killed: list[int] = []

    def kill(pool: WorkerPool) -> None:
        if pool.worker_pids and not killed:
            killed.append(process_of_ray(process))
            os.kill(killed[0], signal.SIGKILL)

    leases = [lease_of([6] * n, shard_id=n) for n in (3, 4, 5)]
    # Slow enough that the kill comes before the answers.
    with WorkerPool(partial(make_fake, s_per_atom=0.3), 1, 0.0) as pool:
        blocks = collect_all(pool, leases, kill)
    assert killed
    assert all(same(blocks[lease.shard_id], expected(lease)) for lease in leases)
