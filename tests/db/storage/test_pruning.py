"""Results of a version can be removed: what was counted stays counted, and the same screening computes them again."""

import pytest

from db.records import DecisionRecord, ModelVersion
from db.store import ResultStore
from models.errors import StoreError
from tests.db.blocks import SHARD_ATOMS, block, spec, work_off

OLD, NEW = ModelVersion("toy", "1", "a" * 64), ModelVersion("toy", "2", "b" * 64)
WHY = DecisionRecord("ana", "a better one is there")


def screened(store: ResultStore, model: ModelVersion, source: str) -> int:
    run = store.open_run(spec(source, model=model))
    store.add_block(run.id, block(0, range(6), source), SHARD_ATOMS)
    store.end_ingest(run.id, source)
    work_off(store, run.id)
    assert store.finish(run.id, 1.0).closed
    return run.id


def test_the_results_of_a_version_go_and_everything_else_stays(store: ResultStore) -> None:
    first, second = screened(store, OLD, "a"), screened(store, NEW, "b")
    store.promote_model("toy", "2", WHY)
    before = store.balance(first)
    assert store.prune_model("toy", "1", WHY) == 6
    assert store.balance(first) == before
    assert store.count("", model="toy@1") == len(store.query("", model="toy@1")) == 0
    assert store.count() == store.count("", model="toy@2") == 6
    assert store.balance(second).done == 6
    decision = store.describe_model("toy@1")["decisions"][0]
    assert (decision["decision"], decision["who"], decision["report"]) == ("pruned", "ana", {"results": 6, "runs": 1})


def test_the_same_screening_computes_the_results_again(store: ResultStore) -> None:
    first = screened(store, OLD, "a")
    screened(store, NEW, "b")
    store.promote_model("toy", "2", WHY)
    numbers = store.query("", fields=["id", "k_vrh_gpa"], model="toy@1", limit=0)
    store.prune_model("toy", "1", WHY)
    again = screened(store, OLD, "a")
    assert again != first
    assert store.query("", fields=["id", "k_vrh_gpa"], model="toy@1", limit=0).equals(numbers)
    assert store.balance(first).closed
    assert store.balance(again).done == 6


def test_the_current_version_and_one_at_work_keep_their_results(store: ResultStore) -> None:
    screened(store, OLD, "a")
    with pytest.raises(StoreError, match="toy@1 is the current version"):
        store.prune_model("toy", "1", WHY)
    run = store.open_run(spec("b", model=NEW))
    with pytest.raises(StoreError, match=f"1 runs of toy@2 are not finished: {run.id}"):
        store.prune_model("toy", "2", WHY)
    assert store.count() == 6
