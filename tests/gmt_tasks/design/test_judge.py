"""Judging rounds: which crystals count and for which round, what is better, and choices that are not all alike."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from db.records import ModelVersion
from db.store import ResultStore
from gmt_tasks.active_learning.acquisition import choose_batch
from gmt_tasks.design import judge as judge_module
from gmt_tasks.design.judge import (
    BEST_SHARE,
    LEAST_LEARNED,
    MOST_LEARNED,
    Judged,
    choose,
    goal_scale,
    judge,
    n_learned,
)
from gmt_tasks.design.request import DesignRequest
from models.errors import FilterError, GmtError
from tests.db import blocks
from tests.gmt_tasks.design.screened_rounds import FIRST, MODEL, SECOND, screen_rounds

LARGE, SMALL = DesignRequest(sort="-k_vrh_gpa"), DesignRequest(sort="k_vrh_gpa")
RUNS = [1, 2]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ResultStore]:
    """A database that nothing changes, with a third run that is no round."""
    with ResultStore(tmp_path_factory.mktemp("rounds") / "a.db") as opened:
        assert screen_rounds(opened) == RUNS
        run = opened.open_run(blocks.spec("other")).id
        opened.add_block(run, blocks.block(0, range(100, 110), "other"), blocks.SHARD_ATOMS)
        blocks.work_off(opened, run)
        yield opened


def ids_of(seeds: range) -> set[str]:
    return {blocks.crystal_id(seed) for seed in seeds}


def judged_of(n: int) -> Judged:
    """So many wanted crystals, the first the best."""
    score = np.linspace(1.0, 0.9, n)
    names = [blocks.crystal_id(seed) for seed in range(n)]
    return Judged(names, ["X"] * n, np.ones(n, dtype=np.int64), score, score, np.zeros(n), score)


def test_each_crystal_belongs_to_the_first_round_that_wrote_it(store: ResultStore) -> None:
    judged = judge(store, LARGE, RUNS, MODEL)
    by_round = [{one for one, k in zip(judged.ids, judged.round, strict=True) if k == number} for number in (1, 2)]
    assert by_round == [ids_of(FIRST), ids_of(SECOND) - ids_of(FIRST)]
    assert len(judged.ids) == len(set(judged.ids))
    reversed_rounds = judge(store, LARGE, RUNS[::-1], MODEL)
    assert (reversed_rounds.round == 1).sum() == len(SECOND), "the control: the other order of rounds"


def test_only_wanted_crystals_of_the_rounds_count(store: ResultStore) -> None:
    for text in ("k_vrh_gpa > 50", "k_vrh_gpa > 50 OR k_vrh_gpa < 20"):
        judged = judge(store, replace(LARGE, filter=text), RUNS, MODEL)
        wanted = set(store.query(text, fields=["id"], limit=0)["id"])
        assert set(judged.ids) == wanted & ids_of(range(SECOND.stop))
        assert 0 < len(judged.ids) < SECOND.stop
    assert judge(store, replace(LARGE, filter="k_vrh_gpa > 1000"), RUNS, MODEL).ids == []


def test_quantiles_are_those_of_the_new_wanted_crystals_of_a_round(store: ResultStore) -> None:
    judged = judge(store, LARGE, RUNS, MODEL)
    for number, seeds in ((1, ids_of(FIRST)), (2, ids_of(SECOND) - ids_of(FIRST))):
        values = sorted(100 * blocks.number_of(one) for one in seeds)
        found = judged.quantiles(number)
        assert found == pytest.approx(np.quantile(values, [0.0, 0.1, 0.5, 0.9, 1.0]))
        assert found == sorted(found)
    assert judged.quantiles(3) == []


def test_the_opposite_goal_reverses_the_order(store: ResultStore) -> None:
    large, small = (judge(store, request, RUNS, MODEL) for request in (LARGE, SMALL))
    assert large.ids == small.ids and (large.value == small.value).all()
    assert (np.argsort(large.score) == np.argsort(large.value)).all()
    assert (np.argsort(small.score) == np.argsort(-small.value)).all()


def test_the_results_of_another_model_do_not_count(tmp_path: Path) -> None:
    with ResultStore(tmp_path / "a.db") as opened:
        runs = screen_rounds(opened)
        before = judge(opened, LARGE, runs, MODEL)
        other = ModelVersion("other", "2", "b" * 64)
        screen_rounds(opened, other, shift=1000.0)
        assert (judge(opened, LARGE, runs, MODEL).value == before.value).all()
        assert (judge(opened, LARGE, runs, str(other)).value > 999).all(), "the control: judged by the other one"


def test_what_is_learned_does_not_depend_on_how_many_are_proposed(store: ResultStore) -> None:
    few, many = (judge(store, replace(LARGE, propose=propose), RUNS, MODEL) for propose in (1, 30))
    assert (few.score == many.score).all()
    assert (judge(store, LARGE, RUNS, MODEL, n_best=2).score != few.score).any(), "the control: other best ones"


@pytest.mark.parametrize("n", [0, 1, 16, 159, 200, 1000, 3999, 4100, 100_000])
def test_a_tenth_is_learned_from_within_bounds(n: int) -> None:
    empty = np.zeros(0)
    judged = Judged([""] * n, [], np.zeros(0, dtype=np.int64), empty, empty, empty, empty)
    learned = n_learned(judged)
    assert LEAST_LEARNED <= learned <= MOST_LEARNED
    if LEAST_LEARNED < learned < MOST_LEARNED:
        assert learned == pytest.approx(BEST_SHARE * n, abs=0.5)


def test_chosen_crystals_are_not_all_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = judged_of(6)
    made = replace(blocks.block(0, range(6)), crystals=blocks.crystals([1, 1, 1, 1, 7, 8]))
    with ResultStore(tmp_path / "a.db") as opened:
        opened.add_block(opened.open_run(blocks.spec()).id, made, blocks.SHARD_ATOMS)
        chosen = choose(opened, judged, 3)
        assert chosen.rows.tolist() == [0, 4, 5]
        assert (chosen.crowding < 0.5).all()
        assert chosen.crystals.formulas() == blocks.crystals([1, 7, 8]).formulas()
        monkeypatch.setattr(judge_module, "choose_batch", partial(choose_batch, crowding=0.0))
        assert choose(opened, judged, 3).rows.tolist() == [0, 1, 2], "the control: without crowding"


def test_all_are_chosen_where_there_are_no_more_and_none_without_a_score(store: ResultStore) -> None:
    judged = judged_of(4)
    assert sorted(choose(store, judged, 9).rows.tolist()) == [0, 1, 2, 3]
    unknown = replace(judged, score=np.array([-np.inf, 0.5, -np.inf, 0.7]))
    assert choose(store, unknown, 9).rows.tolist() == [3, 1]


@pytest.mark.parametrize("goal", ["formula", "mechanically_stable", "no_such_number", "", "-k_vrh_gpa"])
def test_a_goal_that_is_no_number_is_refused(goal: str) -> None:
    with pytest.raises(GmtError, match=r"is no number that gmtscreen derives"):
        goal_scale(DesignRequest(sort=f"-{goal}"))


@pytest.mark.parametrize("text", ["k_vrh_gpa >", "no_such_name > 3", "k_vrh_gpa > 3) OR (k_vrh_gpa < 9"])
def test_a_filter_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(FilterError):
        goal_scale(replace(LARGE, filter=text))
