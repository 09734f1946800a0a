"""Laws of jobs: whatever fails in whatever order, every crystal ends exactly once, and those that fail end alone."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.records import ShardLease
from gmt_tasks.workers.jobs import Assembly, Job, WrongAnswerError, check_rows, first_line, merge, quarantine
from models.crystals.crystal import CrystalBatch
from models.errors import Reason
from models.quantities import Tensor
from tests.gmt_tasks.workers.fake_screener import FakeScreener, lease_of, result_block


def play(n: int, failing: set[int], seed: int) -> tuple[Assembly, int]:
    """Runs a shard of n crystals whose failing rows make every job that holds them fail; jobs run in random order."""
    lease = lease_of([6] * n)
    assembly, jobs, order, failures = Assembly(lease), [Job.whole(lease)], random.Random(seed), 0
    while jobs:
        job = jobs.pop(order.randrange(len(jobs)))
        if failing.isdisjoint(range(job.start, job.stop)):
            assembly.add(job, result_block(job.crystal_ids, job.crystals))
            continue
        failures += 1
        following = job.after_failure()
        jobs.extend(following)
        if not following:
            assembly.add(job, quarantine(job, Reason.WORKER_DIED, "gone"))
    return assembly, failures


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.data())
def test_exactly_the_failing_crystals_are_quarantined_and_all_others_keep_their_order(
    n: int, data: st.DataObject
) -> None:
    failing = data.draw(st.sets(st.integers(0, n - 1)))
    assembly, _ = play(n, failing, data.draw(st.integers(0, 9)))
    block = assembly.block()
    ids = assembly.lease.crystal_ids
    assert assembly.complete
    assert block.crystal_ids == [ids[i] for i in range(n) if i not in failing]
    assert {i for i, _, _ in block.quarantined} == {ids[i] for i in failing}


def test_results_do_not_depend_on_the_split() -> None:
    whole = FakeScreener().screen(lease_of([6] * 9).crystal_ids, lease_of([6] * 9).crystals)
    parts = play(9, {4}, 0)[0].block()
    kept = [i for i in range(9) if i != 4]
    for name, column in parts.columns.items():
        assert np.array_equal(column, whole.columns[name][kept]), name
    for tensor, array in parts.tensors.items():
        assert np.array_equal(array, whole.tensors[tensor][kept]), tensor


def test_one_failing_crystal_in_a_thousand_costs_a_logarithmic_number_of_failures() -> None:
    _, failures = play(1024, {700}, 0)
    assert failures == 2 + 10  # two tries of the shard, one per halving


def test_a_first_failure_is_followed_by_the_same_rows() -> None:
    job = Job.whole(lease_of([6, 7, 8]))
    (again,) = job.after_failure()
    assert (again.start, again.stop) == (0, 3)
    assert [(j.start, j.stop) for j in again.after_failure()] == [(0, 1), (1, 3)]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 20))
def test_batches_cover_a_job_in_order_and_hold_as_many_atoms_as_allowed(sizes: list[int], max_atoms: int) -> None:
    batch = CrystalBatch.from_arrays(
        [np.eye(3) * 9.0] * len(sizes), [np.zeros((n, 3)) for n in sizes], [np.full(n, 6) for n in sizes]
    )
    job = Job.whole(ShardLease(1, 1, 1, 1, [str(i) for i in range(len(sizes))], batch))
    batches = job.batches(max_atoms)
    assert [i for part in batches for i in range(part.start, part.stop)] == list(range(len(sizes)))
    assert all(part.n_atoms <= max_atoms or part.n_crystals == 1 for part in batches)
    # None could have taken the crystal behind it.
    assert all(this.n_atoms + sizes[this.stop] > max_atoms for this in batches[:-1])


@given(st.integers(1, 40), st.integers(1, 10))
def test_parts_cover_a_job_evenly(n: int, n_parts: int) -> None:
    parts = Job.whole(lease_of([6] * n)).parts(n_parts)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(n))
    sizes = [part.n_crystals for part in parts]
    assert len(sizes) == min(n, n_parts) and max(sizes) - min(sizes) <= 1


def test_a_job_gives_its_own_rows_and_atoms() -> None:
    job = Job(lease_of([6, 7, 8, 9]), 1, 3)
    assert job.crystal_ids == ["s1c1", "s1c2"]
    assert job.crystals.numbers.tolist() == [7, 8]
    assert job.n_atoms == 2


@pytest.mark.parametrize("rows", [[0, 1], [0, 1, 2, 2], [0, 1, 2, 3]])
def test_an_answer_that_misses_or_adds_a_crystal_is_refused(rows: list[int]) -> None:
    lease = lease_of([6] * 4)
    job = Job(lease, 0, 3)
    block = result_block([lease.crystal_ids[i] for i in rows], lease.crystals.select(rows))
    with pytest.raises(WrongAnswerError):
        check_rows(job, block)
    check_rows(job, result_block(job.crystal_ids, job.crystals))  # the control: a right answer passes


def test_a_short_array_in_an_answer_is_refused_by_name() -> None:
    job = Job.whole(lease_of([6, 7]))
    block = result_block(job.crystal_ids, job.crystals)
    block.columns["k_vrh_gpa"] = np.zeros(1)
    with pytest.raises(WrongAnswerError, match="k_vrh_gpa"):
        check_rows(job, block)


def test_a_tensor_that_is_not_finite_is_refused_before_it_reaches_the_store() -> None:
    job = Job.whole(lease_of([6, 7]))
    block = result_block(job.crystal_ids, job.crystals)
    block.tensors[Tensor.ELASTIC][1, 0, 0] = np.nan
    with pytest.raises(WrongAnswerError, match="elastic_voigt"):
        check_rows(job, block)


def test_blocks_with_different_columns_are_not_joined() -> None:
    halves = (Job(lease_of([6, 7]), 0, 1), Job(lease_of([6, 7]), 1, 2))
    first, second = (result_block(half.crystal_ids, half.crystals) for half in halves)
    del second.columns["k_vrh_gpa"]
    with pytest.raises(WrongAnswerError, match="different versions"):
        merge([first, second])


def test_the_detail_of_an_error_is_its_first_line_and_short() -> None:
    assert first_line("\n  boom \nrest") == "boom"
    assert first_line("") == "no message"
    assert len(first_line("x" * 10_000)) == 300
