"""Clock, ratios, marginal costs, rates over time, processor time of trees of processes, plans of large screens."""

import math
from dataclasses import replace

import pytest

from benchmarks.speed.interleaved import EARLIER, OURS, OURS_PAPER, PLAIN, figures
from benchmarks.speed.many_rows import driver_cpu_s, rates
from benchmarks.speed.one_process import OUTSIDE, StageClock
from benchmarks.speed.processes import ProcessTree, Seen, role_of
from benchmarks.speed.ratios import by_stage, marginal, microseconds, ratio, repeats
from benchmarks.speed.scaling import Assumed, Measured, plan


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> None:
        self.now_s += seconds


def test_stages_are_exclusive_and_their_sum_is_the_whole() -> None:
    hand = Hand()
    clock = StageClock(hand)
    hand.wait(100.0)
    clock.restart()
    inner = clock.around("inner", hand.wait)
    with clock("outer"):
        hand.wait(1.0)
        inner(4.0)
        hand.wait(2.0)
    inner(0.5)
    hand.wait(8.0)
    assert clock.stop() == {"outer": 3.0, "inner": 4.5, OUTSIDE: 8.0}


def test_a_stage_that_raises_is_left_all_the_same() -> None:
    hand = Hand()
    clock = StageClock(hand)

    def fail() -> None:
        hand.wait(1.0)
        raise KeyError

    with pytest.raises(KeyError):
        clock.around("broken", fail)()
    hand.wait(2.0)
    assert clock.stop() == {"broken": 1.0, OUTSIDE: 2.0}


def test_repeats_and_ratios() -> None:
    assert repeats([3.0, 1.0, 8.0]) == {"min": 1.0, "median": 3.0, "n": 3}
    found = ratio([4.0, 9.0, 6.0], [2.0, 3.0, 1.0])
    assert found == {"of_minima": 4.0, "median": 3.0, "lowest": 2.0, "highest": 6.0}
    for others, ours in (([1.0], [1.0, 2.0]), ([], []), ([1.0], [0.0])):
        with pytest.raises(ValueError, match="rounds"):
            ratio(others, ours)
    with pytest.raises(ValueError, match="nothing was measured"):
        repeats([])


def test_a_stage_that_a_round_lacks_took_no_time_in_it() -> None:
    answers = [
        {"n": 10, "cpu_s": 1e-4, "stages": {"a": 1e-4}},
        {"n": 10, "cpu_s": 3e-4, "stages": {"a": 2e-4, "b": 1e-4}},
    ]
    assert microseconds(answers) == pytest.approx([10.0, 30.0])
    assert by_stage(answers)["b"] == {"min": 0.0, "median": pytest.approx(5.0), "n": 2}


def test_the_cost_of_one_more_crystal_leaves_the_start_out() -> None:
    assert marginal({"n": 110, "cpu_s": 12.0}, {"n": 10, "cpu_s": 10.0}, "cpu_s") == pytest.approx(0.02)
    with pytest.raises(ValueError, match="not longer"):
        marginal({"n": 10, "cpu_s": 12.0}, {"n": 10, "cpu_s": 10.0}, "cpu_s")


def test_ratios_are_given_to_this_version_and_without_an_earlier_one_left_out() -> None:
    answers = {
        name: [{"n": 1, "cpu_s": s, "stages": {"x": s}}] for name, s in ((OURS, 1.0), (OURS_PAPER, 2.0), (PLAIN, 6.0))
    }
    ready = {name: {"missing": [], "load_cpu_s": 1.0} for name in (*answers, EARLIER)}
    found = figures(answers, ready, dict.fromkeys(ready, 1.0))
    assert [(row["of"], row["to"], row["median"]) for row in found["ratios"]] == [
        (PLAIN, OURS, 6.0),
        (PLAIN, OURS_PAPER, 3.0),
    ]
    answers[EARLIER] = [{"n": 1, "cpu_s": 3.0, "stages": {}}]
    assert figures(answers, ready, dict.fromkeys(ready, 1.0))["ratios"][0]["median"] == 3.0


def test_rates_over_time_do_not_count_a_pause_of_the_work() -> None:
    def sample(second: float, done: int) -> dict[str, float]:
        return {"s": second, "done": done}

    # nothing while the input is read, then 10 a second, then half of that
    samples = [sample(0, 0), sample(30, 0), sample(60, 0), sample(90, 300), sample(120, 600), sample(150, 750)]
    found = rates(samples)
    assert [row["crystals_per_s"] for row in found] == [10.0, 5.0]
    assert rates(samples[:4]) == []


def test_processor_time_of_drivers_that_follow_each_other_adds_up() -> None:
    times = [1.0, 5.0, None, 2.0, 3.0]
    assert driver_cpu_s([{} if time is None else {"driver_cpu_s": time} for time in times]) == 5.0 + 3.0
    assert driver_cpu_s([{}]) == 0.0


def test_processor_time_of_a_tree_counts_each_process_once() -> None:
    tree = ProcessTree(1)
    tree.seen = {
        1: Seen("driver", 0, own_s=5.0, reaped_s=4.5),  # of its children it saw 3 end, and waited for unseen ones
        2: Seen("workers", 1, own_s=2.0, reaped_s=1.0),
        3: Seen("workers", 2, own_s=1.0),
        4: Seen("Ray", 1, own_s=0.5),  # nobody waited for it
    }
    assert tree.cpu_s() == pytest.approx(5.0 + 2.0 + 1.0 + 0.5 + (4.5 - 3.5))
    assert tree.cpu_by_role() == {"driver": 5.0, "workers": 3.0, "Ray": 0.5}


@pytest.mark.parametrize(
    ("command", "role"),
    [
        ("python -c from gmt_tasks.workers.fork_server import serve; serve(7)", "workers"),
        ("python -c sys.path[:] = ['lib/ray/x']; from gmt_tasks.sandbox.children import serve", "readers, content ids"),
        ("ray::WorkerProcess", "Ray"),
        ("python -m flows.private_server", "Prefect"),
        ("sleep 1", "other"),
    ],
)
def test_a_process_is_known_by_its_command_line(command: str, role: str) -> None:
    assert role_of(command) == role


MEASURED = Measured(
    cpu_s=0.018, driver_s=0.001, network_s=0.009, start_s=20.0, bytes_sqlite=3000.0, bytes_parquet=1500.0,
    bytes_input=150.0, bytes_postgresql=4000.0,
)  # fmt: skip


def test_hours_and_money_follow_from_what_was_measured_and_assumed() -> None:
    one = plan(10**6, MEASURED, Assumed(core_hour=0.1, efficiency=0.5))
    assert one.core_hours == pytest.approx(10.0) and one.core_money == pytest.approx(1.0)
    assert one.cores == math.ceil(10.0 / 6.0)
    assert one.bytes["results, SQLite"] == 3e9
    assert one.wall == ["none: one machine, one command, one SQLite file"]


def test_a_hundred_times_as_many_cost_a_hundred_times_as_much_and_meet_walls_in_order() -> None:
    small, large, huge = (plan(n, MEASURED, Assumed()) for n in (10**6, 10**8, 10**9))
    assert large.core_hours == pytest.approx(100 * small.core_hours)
    assert (small.drivers, large.drivers) == (1, 1) and huge.drivers == 2
    assert "PostgreSQL" in large.wall[0] and len(huge.wall) > len(large.wall)
    assert "hits alone in SQL" in " ".join(huge.wall)


def test_a_faster_gpu_costs_less_and_an_unmeasured_size_is_said_to_be_none() -> None:
    slow, fast = (plan(10**8, MEASURED, Assumed(gpu_speedup=x)) for x in (10.0, 100.0))
    assert slow.gpu_hours == pytest.approx(10 * fast.gpu_hours) and slow.gpu_core_hours == fast.gpu_core_hours
    assert plan(10**6, replace(MEASURED, bytes_postgresql=None), Assumed()).bytes["results, PostgreSQL"] is None
