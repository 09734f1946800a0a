"""Which share of which GPU every worker gets, so that all of them find a place.

A scheduler gives a worker its share of one GPU, never parts of two: with 12 workers on 8 GPUs a share of 8/12 would
leave room for one worker per GPU, and four would wait for ever. So a GPU is divided by a whole number. Where nodes
differ, each divides its GPUs by a number of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

WORKERS_PER_GPU = 8
"""Symmetry and graphs are made on the CPU and would leave a GPU idle behind a single worker."""

_RAY_RESOLUTION = 10_000
"""Ray counts resources in units of 1/10,000."""


@dataclass(frozen=True)
class NodeResources:
    """What a machine of the cluster offers.

    Attributes:
        name: its id in the cluster.
        cpus: worker slots.
        gpus: GPUs.
    """

    name: str
    cpus: int
    gpus: int


@dataclass(frozen=True)
class Place:
    """Where a worker runs.

    Attributes:
        gpus: share of a GPU that it reserves, 0 without one.
        node: the node that has room for it, empty for any node.
    """

    gpus: float = 0.0
    node: str = ""


def gpu_share(n_per_gpu: int) -> float:
    """The share of a GPU that lets so many workers on it, rounded down as far as Ray counts."""
    return _RAY_RESOLUTION // n_per_gpu / _RAY_RESOLUTION


def place_workers(nodes: Sequence[NodeResources], n_workers: int | None, gpus_per_worker: float | None) -> list[Place]:
    """One place per worker.

    Without GPUs: one worker per CPU slot. With GPUs: up to `WORKERS_PER_GPU` on each, as far as CPU slots go.

    Args:
        nodes: of the cluster, as they are now.
        n_workers: asked for, or None.
        gpus_per_worker: asked for, or None. A share that is asked for is not changed, and no worker is left out: a
            cluster may start more nodes for those that find no place now.

    Returns:
        The places; fewer than asked for where GPUs are shared out here and CPU slots beside them do not suffice.
    """
    if gpus_per_worker is not None or not any(min(node.cpus, node.gpus) for node in nodes):
        share = gpus_per_worker or 0.0
        # A share of 0.3333 is meant to fit three times. A cluster without a GPU may start a node for each CPU slot.
        fitting = int(1.0 / share + 1e-9) if share and any(node.gpus for node in nodes) else None
        room = sum(node.cpus if fitting is None else min(node.cpus, fitting * node.gpus) for node in nodes)
        return [Place(share)] * (n_workers or max(1, room))
    n_on_node = [min(node.cpus, WORKERS_PER_GPU * node.gpus) for node in nodes]
    if n_workers is not None:
        n_on_node = _spread(nodes, n_workers)
    per_gpu = [-(-n // node.gpus) if n else 0 for n, node in zip(n_on_node, nodes, strict=True)]
    if len({k for k in per_gpu if k}) == 1:
        # Every node divides alike: whoever has room may take any worker, also a node that joins later.
        return [Place(gpu_share(max(per_gpu)))] * sum(n_on_node)
    places: list[Place] = []
    for node, n, k in zip(nodes, n_on_node, per_gpu, strict=True):
        places += [Place(gpu_share(k), node.name)] * n if n else []
    return places


def _spread(nodes: Sequence[NodeResources], n_workers: int) -> list[int]:
    """Workers per node, so that as few as possible share a GPU; all that have a CPU slot where that is not enough."""
    most = max(-(-node.cpus // node.gpus) for node in nodes if node.gpus)

    def room(per_gpu: int) -> list[int]:
        return [min(node.cpus, per_gpu * node.gpus) for node in nodes]

    per_gpu = next((k for k in range(1, most) if sum(room(k)) >= n_workers), most)
    n_on_node = room(per_gpu)
    for _ in range(sum(n_on_node) - n_workers):
        # One fewer where most of them share a GPU.
        crowded = max((k for k, n in enumerate(n_on_node) if n), key=lambda k: n_on_node[k] / nodes[k].gpus)
        n_on_node[crowded] -= 1
    return n_on_node
