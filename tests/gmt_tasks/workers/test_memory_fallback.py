"""The real network in a process that runs out of memory: batches shrink until they fit, and the numbers stay."""

from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
import torch

from db.records import ModelVersion, ResultBlock, ShardLease
from gmt_tasks.screening.screener import Screener
from gmt_tasks.workers.fork_server import ForkServer
from gmt_tasks.workers.isolation import Isolation, Timeouts
from gmt_tasks.workers.jobs import Job
from gmt_tasks.workers.worker import NETWORK_MODULES
from models.crystals.crystal import CrystalBatch
from models.errors import Reason
from models.gmtnet.config import GMTNET
from models.reference.crystals import in_cell, textbook_crystals
from models.symmetry.idealize import IdealizedCrystals
from models.tensor_model import ModelOutputs
from tests.models.gmtnet.untrained import untrained

ROOM_ATOMS = 30
COPIES = 3
VERSION = ModelVersion("cramped", "1", "0" * 64)


def make_cramped(room_atoms: int) -> Screener:
    """A screener around the real network, in which a batch of more than `room_atoms` atoms finds no memory.

    Torch is asked for more than any machine has and says so itself; twice as many atoms meet what CUDA's allocator
    raises.
    """
    predictor = copy(untrained(GMTNET))
    predict = predictor.predict_idealized

    def predict_in_room(crystals: IdealizedCrystals) -> ModelOutputs:
        n_atoms = len(crystals.atom_of_given)
        if n_atoms > 2 * room_atoms:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total ...")
        if n_atoms > room_atoms:
            torch.empty(1 << 56, dtype=torch.uint8)
        return predict(crystals)

    predictor.predict_idealized = predict_in_room  # type: ignore[method-assign]
    return Screener(predictor, VERSION)


def lease_of(crystals: CrystalBatch) -> ShardLease:
    """A shard of these crystals."""
    return ShardLease(1, 1, 1, 1, [f"c{i}" for i in range(crystals.n_crystals)], crystals)


@cache
def many() -> ShardLease:
    """The textbook crystals, a few times over, each time a little larger."""
    batch = textbook_crystals().crystals
    return lease_of(CrystalBatch.join(replace(batch, lattice=batch.lattice * (1 + 0.01 * k)) for k in range(COPIES)))


def undisturbed(lease: ShardLease) -> ResultBlock:
    """The same crystals in one batch, without any process around it."""
    return Screener(untrained(GMTNET), VERSION).screen(lease.crystal_ids, lease.crystals)


@pytest.fixture(scope="module")
def cramped() -> Iterator[Isolation]:
    """As on a GPU: no batches to begin with, and each forked worker loads the model itself."""
    one = Isolation(ForkServer(partial(make_cramped, ROOM_ATOMS), NETWORK_MODULES), Timeouts())
    try:
        one.warm_up()
        yield one
    finally:
        one.close()


def same_numbers(left: ResultBlock, right: ResultBlock, rows: list[int] | None = None) -> bool:
    """True when tensors and derived numbers agree to single precision; `rows` of the right one, all by default."""
    chosen = list(range(len(right.crystal_ids))) if rows is None else rows
    pairs = [(left.tensors[name], right.tensors[name][chosen]) for name in left.tensors]
    pairs += [(left.columns[name], right.columns[name][chosen]) for name in ("k_vrh_gpa", "eps_total_mean")]
    return left.crystal_ids == [right.crystal_ids[k] for k in chosen] and all(
        np.allclose(a, b, rtol=1e-4, atol=1e-5 * np.nanmax(np.abs(b)), equal_nan=True) for a, b in pairs
    )


def test_a_crystal_that_finds_no_room_alone_is_given_up_and_batches_stay_large(cramped: Isolation) -> None:
    batch = textbook_crystals().crystals
    huge = in_cell(batch.select([int(np.argmax(batch.atoms_per_crystal))]), np.diag([2, 2, 1]))
    assert len(huge.numbers) > ROOM_ATOMS
    lease = lease_of(CrystalBatch.join([batch.select([0, 1]), huge, batch.select([2])]))
    block = cramped.screen(Job.whole(lease))
    assert [(i, reason) for i, reason, _ in block.quarantined] == [("c2", Reason.OUT_OF_MEMORY)]
    assert same_numbers(block, undisturbed(lease), [0, 1, 3])
    assert cramped.batch_atoms > 1_000_000


def test_batches_of_the_network_shrink_until_they_fit_and_the_results_are_the_same(cramped: Isolation) -> None:
    lease = many()
    assert len(lease.crystals.numbers) > 3 * ROOM_ATOMS
    expected = undisturbed(lease)
    block = cramped.screen(Job.whole(lease))
    assert block.quarantined == [] and same_numbers(block, expected)
    assert not same_numbers(block, expected, [1, 0, *range(2, len(block.crystal_ids))])  # control: it can fail
    remembered = cramped.batch_atoms
    assert ROOM_ATOMS // 3 < remembered <= ROOM_ATOMS
    assert max(batch.n_atoms for batch in Job.whole(lease).batches(remembered)) <= ROOM_ATOMS
    pids = cramped.pids
    again = cramped.screen(Job.whole(lease))
    assert same_numbers(again, expected) and cramped.batch_atoms == remembered
    assert cramped.pids == pids, "lack of memory ends no process"
