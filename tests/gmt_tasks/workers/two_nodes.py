"""A screening on a Ray cluster of two nodes on this machine, with deaths in mid-run; prints what came of it.

A node is killed, and before and after it workers wherever they are, again and again. A process of its own, because a
process can be connected to one Ray only. Run as
`python -m tests.gmt_tasks.workers.two_nodes FOLDER [CRYSTALS] [DEATHS]` with a folder for the databases; CRYSTALS is
120 and DEATHS is 1 by default.
"""

import json
import os
import secrets
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.cluster_utils import Cluster

from db.store import ResultStore
from flows.cli.open_ports import listeners_of, process_tree
from gmt_tasks.import_guard import REPOSITORY_ROOT
from gmt_tasks.ingest.blocks import IngestPlan
from gmt_tasks.process import new_holder
from gmt_tasks.runs.drive import Pool, ShardDriver
from gmt_tasks.runs.lifecycle import close_run, ingest_source, run_spec
from gmt_tasks.telemetry import Progress
from gmt_tasks.workers.packed_model import PackedModel
from gmt_tasks.workers.pool import WorkerPool
from tests.gmt_tasks.runs.test_drive import ListSource
from tests.gmt_tasks.workers.fake_screener import CRASH, RAISE, VERSION, FakeScreener, make_fake

STORE_BYTES = 80 * 1024**2


def elements(n_crystals: int) -> list[int]:
    """Of crystals that are good but for two; each element returns so late that its cell is another one by then."""
    return [6, 7, CRASH, 8, RAISE, *(10 + i % 80 for i in range(n_crystals - 5))]


def make_travelled(packed: PackedModel, folder: str, root: str) -> FakeScreener:
    """A worker whose code and model came over the network, or an error that says which did not."""
    if str(REPOSITORY_ROOT) == root:
        raise RuntimeError(f"the worker runs the driver's own code in {root}")
    Path(folder).mkdir(exist_ok=True)
    card = packed.unpack(Path(folder))
    if json.loads(card.read_text(encoding="utf-8")) != {"name": "mine"}:
        raise RuntimeError("the model is another one")
    return make_fake(delay_s=0.2)


def screen(db: Path, pool: Pool, n_crystals: int, on_progress: Any = lambda progress: None) -> list[dict[str, Any]]:
    """The dump of a whole run."""
    source, plan = ListSource(elements(n_crystals)), IngestPlan(max_atoms=100, shard_atoms=3)
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


@dataclass
class Deaths:
    """Kills in the course of a run, spread evenly over its crystals: workers, then a node, then workers again.

    Attributes:
        cluster: of two nodes, of which the first is the driver's.
        pool: whose workers are killed.
        due: numbers of crystals after which somebody dies.
        nodes: how often a node was killed, and
        workers: a worker.
        pids: of all workers that were ever seen.
    """

    cluster: Cluster
    pool: WorkerPool
    due: list[int]
    nodes: int = 0
    workers: int = 0
    pids: set[int] = field(default_factory=set)

    def on_progress(self, progress: Progress) -> None:
        """Kills what is due: every other time a node, which another one then replaces."""
        self.pids.update(self.pool.worker_pids)
        if not self.due or progress.n_done <= self.due[0]:
            return
        del self.due[0]
        if (self.nodes + self.workers) % 2 == 0:
            self.nodes += 1
            self.cluster.remove_node(next(iter(self.cluster.worker_nodes)), allow_graceful=False)
            add_node(self.cluster)
        elif self.pool.worker_pids:
            self.workers += 1
            with suppress(ProcessLookupError):
                os.kill(self.pool.worker_pids[0], signal.SIGKILL)


def add_node(cluster: Cluster, tries: int = 5) -> None:
    """A node with room for two workers; again when a busy machine was too slow for Ray's own 30 seconds."""
    try:
        cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES, include_dashboard=False)
    except Exception as error:
        if tries <= 1 or "timed out" not in str(error):
            raise
        add_node(cluster, tries - 1)


def main(folder: Path, n_crystals: int = 120, n_deaths: int = 1) -> None:
    """Both runs, with and without deaths."""
    card = folder / "mine" / "m.json"
    card.parent.mkdir()
    card.write_text('{"name": "mine"}', encoding="utf-8")
    cluster = Cluster()
    for _ in range(2):
        add_node(cluster)
    cluster.wait_for_nodes()
    factory = partial(make_travelled, PackedModel.of(card), str(folder / "there"), str(REPOSITORY_ROOT))
    with WorkerPool(factory, 4, address=cluster.address) as pool:
        deaths = Deaths(cluster, pool, [n_crystals * (k + 1) // (n_deaths + 2) for k in range(n_deaths)])
        undisturbed = screen(folder / "undisturbed.db", pool, n_crystals)
        disturbed = screen(folder / "disturbed.db", pool, n_crystals, deaths.on_progress)
        all_read = spilled()
        wide = [str(each) for each in listeners_of(process_tree(os.getpid())) if not each.loopback]
    cluster.shutdown()
    rows = [json.dumps(row, default=str, sort_keys=True) for row in disturbed]
    expected = [json.dumps(row, default=str, sort_keys=True) for row in undisturbed]
    facts = {
        "crystals": n_crystals,
        "nodes_killed": deaths.nodes,
        "workers_killed": deaths.workers,
        "workers": len(deaths.pids),
        "lost": len(set(expected) - set(rows)),
        "doubled": len(rows) - len(set(rows)),
        "same": rows == expected,
        "spilled": all_read,
        "open_to_others": wide,
    }
    print(json.dumps(facts))  # noqa: T201 - the answer to the test


if __name__ == "__main__":
    if "RAY_AUTH_TOKEN" not in os.environ:
        # Ray reads this when it is imported; nodes and drivers must agree about it. The last keeps all on loopback.
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "PYTHONPATH": str(REPOSITORY_ROOT)}
        token |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
        command = [sys.executable, "-m", "tests.gmt_tasks.workers.two_nodes", *sys.argv[1:]]
        os.execve(sys.executable, command, os.environ | token)  # noqa: S606 - our own module
    # By its name, not as __main__: what is sent to a worker is found there by the name of its module.
    from tests.gmt_tasks.workers import two_nodes

    two_nodes.main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
