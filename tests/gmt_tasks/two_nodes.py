"""A screening on a Ray cluster of two nodes on this machine, one of which is killed in mid-run; prints what came of it.

A process of its own, because a process can be connected to one Ray only. Run as `python -m tests.gmt_tasks.two_nodes`
with a folder for the databases.
"""

import json
import os
import secrets
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.cluster_utils import Cluster

from db.store import ResultStore
from gmt_tasks.origin import REPOSITORY_ROOT
from gmt_tasks.packed_model import PackedModel
from gmt_tasks.pool import WorkerPool
from gmt_tasks.process import new_holder
from gmt_tasks.shard import Pool, ShardDriver
from gmt_tasks.store import IngestPlan, close_run, ingest_source, run_spec
from gmt_tasks.telemetry import Progress
from tests.gmt_tasks.fake_screener import CRASH, RAISE, VERSION, FakeScreener, make_fake
from tests.gmt_tasks.test_shard import ListSource

N_CRYSTALS = 120
STORE_BYTES = 80 * 1024**2
ELEMENTS = [6, 7, CRASH, 8, RAISE, *[14] * (N_CRYSTALS - 5)]


def make_travelled(packed: PackedModel, folder: str, root: str) -> FakeScreener:
    """A worker whose code and model came over the network, or an error that says which did not."""
    if str(REPOSITORY_ROOT) == root:
        raise RuntimeError(f"the worker runs the driver's own code in {root}")
    Path(folder).mkdir(exist_ok=True)
    card = packed.unpack(Path(folder))
    if json.loads(card.read_text(encoding="utf-8")) != {"name": "mine"}:
        raise RuntimeError("the model is another one")
    return make_fake(delay_s=0.2)


def screen(db: Path, pool: Pool, on_progress: Any = lambda progress: None) -> list[dict[str, Any]]:
    """The dump of a whole run."""
    source, plan = ListSource(ELEMENTS), IngestPlan(max_atoms=100, shard_atoms=3)
    with ResultStore(db) as store:
        store.register_model(VERSION, {})
        run = store.open_run(run_spec([source], VERSION, 0.01, plan))
        ingest_source(store, run.id, source, plan)
        ShardDriver(store, run.id, pool, new_holder(), on_progress).drive()
        close_run(store, run.id, 1.0)
        return list(store.dump())


def spilled() -> bool:
    """Puts three times as much into the object store as it holds and reads it back."""
    values = [np.full(STORE_BYTES // 8 // 4, float(i)) for i in range(12)]
    refs = [ray.put(value) for value in values]
    return all(bool((ray.get(ref) == i).all()) for i, ref in enumerate(refs))


def main(folder: Path) -> None:
    """Both runs, with and without the death of a node."""
    card = folder / "mine" / "m.json"
    card.parent.mkdir()
    card.write_text('{"name": "mine"}', encoding="utf-8")
    cluster = Cluster()
    nodes = [cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES, include_dashboard=False) for _ in range(2)]
    cluster.wait_for_nodes()
    killed: list[int] = []

    def kill_a_node(progress: Progress) -> None:
        if not killed and progress.n_done > N_CRYSTALS // 3:
            killed.append(progress.n_done)
            cluster.remove_node(nodes[1], allow_graceful=False)

    pids: set[int] = set()
    factory = partial(make_travelled, PackedModel.of(card), str(folder / "there"), str(REPOSITORY_ROOT))
    with WorkerPool(factory, 4, address=cluster.address) as pool:

        def watch(progress: Progress) -> None:
            pids.update(pool.worker_pids)
            kill_a_node(progress)

        undisturbed = screen(folder / "undisturbed.db", pool)
        disturbed = screen(folder / "disturbed.db", pool, watch)
        all_read = spilled()
    cluster.shutdown()
    rows = [json.dumps(row, default=str, sort_keys=True) for row in disturbed]
    expected = [json.dumps(row, default=str, sort_keys=True) for row in undisturbed]
    facts = {
        "killed_after": killed[0],
        "workers": len(pids),
        "lost": len(set(expected) - set(rows)),
        "doubled": len(rows) - len(set(rows)),
        "same": rows == expected,
        "spilled": all_read,
    }
    print(json.dumps(facts))  # noqa: T201 - the answer to the test


if __name__ == "__main__":
    if "RAY_AUTH_TOKEN" not in os.environ:
        # Ray reads this when it is imported; nodes and drivers must agree about it.
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "PYTHONPATH": str(REPOSITORY_ROOT)}
        command = [sys.executable, "-m", "tests.gmt_tasks.two_nodes", *sys.argv[1:]]
        os.execve(sys.executable, command, os.environ | token)  # noqa: S606 - our own module
    # By its name, not as __main__: what is sent to a worker is found there by the name of its module.
    from tests.gmt_tasks import two_nodes

    two_nodes.main(Path(sys.argv[1]))
