"""What a run will take, from a sample: a screener of known cost is recognised, and bounds hold."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from db.records import ResultBlock
from db.store import ResultStore
from gmt_tasks.ingest.blocks import IngestPlan
from gmt_tasks.process import new_holder
from gmt_tasks.runs.drive import ShardDriver
from gmt_tasks.runs.estimate import BatchCost, RunEstimate, calibrate, dry_run, pending_sample, spread
from gmt_tasks.runs.lifecycle import database_size, ingest_source, run_spec, scratch_run
from models.crystals.crystal import CrystalBatch
from tests.gmt_tasks.runs.test_drive import DirectPool, ListSource
from tests.gmt_tasks.workers.fake_screener import VERSION, FakeScreener, result_block

PLAN = IngestPlan(max_atoms=100, shard_atoms=16)
RNG = np.random.default_rng(4)


@dataclass
class TimedScreener:
    """A screener whose time is made up: so much per crystal and per atom."""

    crystal_s: float
    atom_s: float
    clock_s: float = 0.0
    seen: list[int] = field(default_factory=list)

    def now(self) -> float:
        return self.clock_s

    def screen(self, crystal_ids: list[str], crystals: CrystalBatch) -> ResultBlock:
        self.clock_s += self.crystal_s * crystals.n_crystals + self.atom_s * len(crystals.numbers)
        self.seen += crystals.atoms_per_crystal.tolist()
        return result_block(crystal_ids, crystals)


def crystals_of_sizes(sizes: list[int]) -> CrystalBatch:
    lattices = [np.eye(3) * (3.0 + 0.01 * k) for k in range(len(sizes))]
    coords = [RNG.uniform(size=(n, 3)) for n in sizes]
    return CrystalBatch.from_arrays(lattices, coords, [np.full(n, 13) for n in sizes])


def test_a_cost_per_crystal_and_per_atom_is_recognised(tmp_path: Path) -> None:
    made = TimedScreener(0.004, 0.001)
    crystals = crystals_of_sizes([*range(1, 90)] * 2)
    found = calibrate(crystals, lambda: made, tmp_path / "s.db", 512, now=made.now)
    assert (found.cost.crystal_s, found.cost.atom_s) == pytest.approx((0.004, 0.001))
    assert (found.n_crystals, found.store_s) == (crystals.n_crystals, 0.0)
    assert found.cost.of(1000, 12_000) == pytest.approx(16.0)


def test_what_is_counted_is_each_crystal_once_and_not_the_first_use(tmp_path: Path) -> None:
    made = TimedScreener(0.0, 0.001)
    crystals = crystals_of_sizes([2, 40] * 50)
    found = calibrate(crystals, lambda: made, tmp_path / "s.db", 512, now=made.now)
    assert len(made.seen) == 2 * (100 + 12)
    assert found.cost.of(100, 2100) == pytest.approx(2.1)


def test_of_a_slow_model_fewer_crystals_are_screened(tmp_path: Path) -> None:
    made = TimedScreener(1.0, 0.0)
    found = calibrate(crystals_of_sizes([1, 2, 3] * 40), lambda: made, tmp_path / "s.db", 512, now=made.now)
    assert found.n_crystals == 20
    slower = TimedScreener(1000.0, 0.0)
    found = calibrate(crystals_of_sizes([1, 2, 3] * 40), lambda: slower, tmp_path / "t.db", 512, now=slower.now)
    assert found.n_crystals == 12


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_batches_together_cost_what_they_did(noise: float) -> None:
    n_crystals, n_atoms = RNG.integers(1, 99, 40), RNG.integers(100, 256, 40)
    seconds = (0.01 * n_crystals + 0.002 * n_atoms) * np.exp(noise * RNG.normal(size=40))
    cost = BatchCost.fit(n_crystals.tolist(), n_atoms.tolist(), seconds.tolist())
    assert sum(cost.of(n, a) for n, a in zip(n_crystals, n_atoms, strict=True)) == pytest.approx(seconds.sum())
    assert cost.crystal_s >= 0 and cost.atom_s >= 0


@pytest.mark.parametrize(
    ("n_crystals", "n_atoms", "seconds"),
    [([5], [20], [1.0]), ([4, 4], [8, 8], [1.0, 3.0]), ([1, 9], [90, 10], [9.0, 0.1]), ([9, 1], [90, 10], [1.0, 2.0])],
)
def test_batches_that_say_too_little_give_no_negative_cost(
    n_crystals: list[int], n_atoms: list[int], seconds: list[float]
) -> None:
    cost = BatchCost.fit(n_crystals, n_atoms, seconds)
    assert cost.crystal_s >= 0 and cost.atom_s >= 0
    assert sum(cost.of(n, a) for n, a in zip(n_crystals, n_atoms, strict=True)) == pytest.approx(sum(seconds))


ESTIMATE = RunEstimate(
    n_crystals=1000, n_atoms=12_000, n_sampled=200, n_workers=1, n_cores=8, start_s=2.0, start_cpu_s=17.0, ingest_s=3.0,
    ingest_cpu_s=3.0, compute_cpu_s=40.0, store_cpu_s=10.0, memory_bytes=1, database_bytes=1,
)  # fmt: skip


@pytest.mark.parametrize(
    ("n_workers", "n_cores", "expected"),
    [(1, 8, 40.0), (2, 8, 20.0), (4, 8, 13.0), (8, 8, 13.0), (2, 2, 26.5), (2, 1, 53.0), (8, 4, 13.25)],
)
def test_a_run_is_bounded_by_workers_by_its_driver_and_by_the_cores(
    n_workers: int, n_cores: int, expected: float
) -> None:
    run = replace(ESTIMATE, n_workers=n_workers, n_cores=n_cores)
    assert run.wall_s == pytest.approx(expected)
    assert run.crystals_per_s == pytest.approx(1000 / expected)
    assert run.facts()["cpu_s"] == 53.0


def test_the_sample_is_spread_and_every_atom_is_counted() -> None:
    with scratch_run([ListSource(list(range(1, 60)))], PLAN) as scratch:
        pending = scratch.balance.pending
        sample, n_atoms = pending_sample(scratch.store, scratch.run_id, 10)
    assert n_atoms == pending  # cells of one atom
    assert 5 < sample.n_crystals <= 10
    assert np.diff(sample.numbers).max() <= 12


@pytest.mark.parametrize(("n", "most"), [(3, 10), (10, 10), (100, 7)])
def test_spread_crystals_are_different_ones(n: int, most: int) -> None:
    chosen = spread(crystals_of_sizes([1] * n), most)
    assert len(np.unique(chosen.lattice[:, 0, 0])) == min(n, most)


def test_the_bytes_of_the_database_are_those_of_a_run(tmp_path: Path) -> None:
    # only elements that the made-up screener computes
    source, plan = ListSource([1 + k % 100 for k in range(1500)], block_size=500), IngestPlan(100, 64)
    _, estimate = dry_run([source], plan, FakeScreener, n_cores=1)
    assert estimate is not None
    with ResultStore(tmp_path / "a.db") as store:
        store.register_model(VERSION, {})
        run = store.open_run(run_spec([source], VERSION, 0.01, plan))
        ingest_source(store, run.id, source, plan)
        ShardDriver(store, run.id, DirectPool(), new_holder()).drive()
    assert estimate.database_bytes == pytest.approx(database_size(tmp_path / "a.db"), rel=0.3)


def test_an_input_without_a_crystal_is_not_estimated() -> None:
    balance, estimate = dry_run([ListSource([])], PLAN, lambda: pytest.fail("loaded"), n_cores=1)
    assert (balance.n_in, estimate) == (0, None)
