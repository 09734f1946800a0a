"""Shares of GPUs: whatever is planned finds a place, in any order, and a GPU is shared by as few as possible."""

import json
import random
import subprocess
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmt_tasks.import_guard import REPOSITORY_ROOT
from gmt_tasks.workers.placement import WORKERS_PER_GPU, NodeResources, Place, gpu_share, place_workers

NODES = st.lists(st.tuples(st.integers(0, 24), st.integers(0, 8)), min_size=1, max_size=4).map(
    lambda pairs: [NodeResources(f"node-{k}", cpus, gpus) for k, (cpus, gpus) in enumerate(pairs)]
)


def placed(nodes: Sequence[NodeResources], places: Sequence[Place], rng: random.Random) -> int:
    """How many workers a scheduler finds room for that takes them in any order and any GPU with enough left.

    It counts as Ray does, in ten-thousandths, and gives nobody parts of two GPUs.
    """
    cpus = {node.name: node.cpus for node in nodes}
    free = {node.name: [10_000] * node.gpus for node in nodes}
    n_placed = 0
    for place in rng.sample(places, len(places)):
        wanted = round(place.gpus * 10_000)
        fitting = [
            (name, gpu)
            for name in ([place.node] if place.node else cpus)
            for gpu, left in enumerate(free[name] if wanted else [0])
            if cpus[name] and left >= wanted
        ]
        if fitting:
            name, gpu = rng.choice(fitting)
            cpus[name] -= 1
            if wanted:
                free[name][gpu] -= wanted
            n_placed += 1
    return n_placed


@given(NODES, st.one_of(st.none(), st.integers(1, 100)), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_every_planned_worker_finds_a_place_in_any_order(
    nodes: list[NodeResources], n_workers: int | None, rng: random.Random
) -> None:
    places = place_workers(nodes, n_workers, None)
    with_gpu = [node for node in nodes if min(node.cpus, node.gpus)]
    if not with_gpu:
        n_cpus = sum(node.cpus for node in nodes)
        assert places == [Place()] * (n_workers or max(1, n_cpus))
        return
    assert placed(nodes, places, rng) == len(places)
    n_slots = sum(node.cpus for node in with_gpu)
    if n_workers is not None:
        assert len(places) == min(n_workers, n_slots), "nobody is left out who has a CPU slot beside a GPU"
    else:
        assert len(places) == sum(min(node.cpus, WORKERS_PER_GPU * node.gpus) for node in with_gpu)


@given(NODES, st.integers(1, 60))
@settings(max_examples=100, deadline=None)
def test_no_plan_shares_the_gpus_among_fewer_workers_each(nodes: list[NodeResources], n_workers: int) -> None:
    shares = [place.gpus for place in place_workers(nodes, n_workers, None)]
    if not shares[0]:
        return
    crowd = max(round(1 / share) for share in shares)
    room = sum(min(node.cpus, (crowd - 1) * node.gpus) for node in nodes)
    assert room < len(shares), f"{crowd} on a GPU where {crowd - 1} would do"


def test_twelve_workers_on_eight_gpus_share_them_two_by_two_and_none_is_stranded() -> None:
    node = NodeResources("a", 64, 8)
    places = place_workers([node], 12, None)
    assert places == [Place(0.5)] * 12
    assert placed([node], places, random.Random(0)) == 12
    # Negative control: the share that divides all GPUs among all workers strands four of them.
    assert placed([node], [Place(int(8 / 12 * 1000) / 1000)] * 12, random.Random(0)) == 8


def test_nodes_that_differ_divide_their_gpus_by_numbers_of_their_own() -> None:
    large, small = NodeResources("large", 8, 8), NodeResources("small", 8, 1)
    places = place_workers([large, small], None, None)
    assert sorted(set(places), key=str) == [Place(0.125, "small"), Place(1.0, "large")]
    assert placed([large, small], places, random.Random(0)) == 16


def test_a_share_that_was_asked_for_is_kept_for_nodes_that_come_later() -> None:
    assert place_workers([NodeResources("head", 0, 0)], 64, 0.125) == [Place(0.125)] * 64
    assert place_workers([NodeResources("a", 16, 2)], None, 0.3333) == [Place(0.3333)] * 6
    assert place_workers([NodeResources("a", 16, 2)], None, 0.0) == [Place()] * 16, "a worker without a GPU"


@pytest.mark.parametrize("n_per_gpu", range(1, 65))
def test_a_share_lets_that_many_on_a_gpu_and_no_more(n_per_gpu: int) -> None:
    node = NodeResources("a", 200, 1)
    assert placed([node], [Place(gpu_share(n_per_gpu))] * (n_per_gpu + 1), random.Random(0)) == n_per_gpu


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_workers", "nodes", "on_gpus"),
    [(12, ["12x8"], [2] * 6), (0, ["6x6", "4x1"], [1, 1, 1, 1, 1, 1, 4])],
)
def test_a_real_ray_starts_every_planned_worker(n_workers: int, nodes: list[str], on_gpus: list[int]) -> None:
    command = [sys.executable, "-m", "tests.gmt_tasks.workers.placed_on_ray", str(n_workers), *nodes]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY_ROOT, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    facts = json.loads(done.stdout.splitlines()[-1])
    assert facts == {"planned": sum(on_gpus), "started": sum(on_gpus), "on_gpus": on_gpus}
