"""Actors on a real Ray whose GPUs are made up; prints where each of them came to be. A process of its own, see below.

Run as `python -m tests.gmt_tasks.workers.placed_on_ray WORKERS CPUSxGPUS...`, one `CPUSxGPUS` per node; 0 workers takes
as many as are planned.
"""

import json
import os
import secrets
import sys
from collections import Counter

import ray
from ray.cluster_utils import Cluster

from gmt_tasks.workers.cluster import nodes_of_cluster, options_at
from gmt_tasks.workers.placement import place_workers

START_S = 150.0
STORE_BYTES = 80 * 1024**2


@ray.remote
class Placed:
    """An actor that knows where it is."""

    def where(self) -> str:
        """Node and GPU."""
        return f"{ray.get_runtime_context().get_node_id()} {os.environ.get('CUDA_VISIBLE_DEVICES')}"


def main(n_workers: int, *nodes: str) -> None:
    """Starts the nodes and the actors, and counts actors per GPU."""
    cluster = Cluster()
    for node in nodes:
        cpus, _, gpus = node.partition("x")
        cluster.add_node(
            num_cpus=int(cpus), num_gpus=int(gpus), object_store_memory=STORE_BYTES, include_dashboard=False
        )
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    places = place_workers(nodes_of_cluster(), n_workers or None, None)
    actors = [Placed.options(**options_at(place)).remote() for place in places]
    started, _ = ray.wait([actor.where.remote() for actor in actors], num_returns=len(actors), timeout=START_S)
    on_gpu = Counter(ray.get(started))
    print(json.dumps({"planned": len(places), "started": len(started), "on_gpus": sorted(on_gpu.values())}))  # noqa: T201
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    if "RAY_AUTH_TOKEN" not in os.environ:
        # Ray reads this when it is imported; the last keeps all on loopback.
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        token |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
        command = [sys.executable, "-m", "tests.gmt_tasks.workers.placed_on_ray", *sys.argv[1:]]
        os.execve(sys.executable, command, os.environ | token)  # noqa: S606 - our own module
    main(int(sys.argv[1]), *sys.argv[2:])
