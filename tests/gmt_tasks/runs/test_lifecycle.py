"""Ingest with limits, shard sizes, and the dry run."""

from pathlib import Path

import pytest

from db.store import ResultStore
from gmt_tasks.ingest.blocks import IngestPlan, ingested_blocks
from gmt_tasks.process import StoppedError
from gmt_tasks.runs.lifecycle import dry_balance, ingest_source, run_spec, shard_atoms_for
from tests.gmt_tasks.runs.test_drive import ListSource
from tests.gmt_tasks.workers.fake_screener import VERSION


@pytest.mark.parametrize("limit", [1, 4, 5, 6, 15, 16, 99])
def test_a_limit_takes_exactly_the_first_inputs(limit: int) -> None:
    source = ListSource(list(range(1, 17)))
    plan = IngestPlan(100, 8, limit=limit)
    ids = [source_id for block in ingested_blocks(source, plan) for source_id in block.source_ids]
    assert ids == [f"i{i}" for i in range(min(limit, 16))]


def test_a_limit_counts_over_all_sources_together() -> None:
    sources = [ListSource(list(range(1, 9)), name="a"), ListSource(list(range(11, 19)), name="b")]
    assert dry_balance(sources, IngestPlan(100, 8, limit=11)).n_in == 11
    assert dry_balance(sources, IngestPlan(100, 8)).n_in == 16


def test_the_dry_balance_is_that_of_the_run(tmp_path: Path) -> None:
    source, plan = ListSource([13, 7, 6, 14, 8, 13, 31, 33, 49]), IngestPlan(100, 8)
    with ResultStore(tmp_path / "a.db") as store:
        store.register_model(VERSION, {})
        run = store.open_run(run_spec([source], VERSION, 0.01, plan))
        ingest_source(store, run.id, source, plan)
        assert dry_balance([source], plan) == store.balance(run.id)


def test_an_interrupted_ingest_goes_on_at_the_next_block(tmp_path: Path) -> None:
    source, plan, blocks = ListSource(list(range(1, 17))), IngestPlan(100, 8), []

    def stop_after_two(n: int) -> None:
        blocks.append(n)
        if len(blocks) == 2:
            raise StoppedError

    with ResultStore(tmp_path / "a.db") as store:
        store.register_model(VERSION, {})
        run = store.open_run(run_spec([source], VERSION, 0.01, plan))
        with pytest.raises(StoppedError):
            ingest_source(store, run.id, source, plan, on_block=stop_after_two)
        assert store.ingest_cursor(run.id, "list") == (10, False)
        assert ingest_source(store, run.id, source, plan, on_block=blocks.append) == 16
        assert blocks == [5, 5, 5, 1]
        assert store.balance(run.id).n_in == 16


def test_the_same_source_named_twice_counts_once() -> None:
    source, plan = ListSource([6, 7]), IngestPlan(100, 8)
    assert run_spec([source, source], VERSION, 0.01, plan) == run_spec([source], VERSION, 0.01, plan)
    assert dry_balance([source, source], plan).n_in == 2


def test_what_changes_a_result_changes_the_run_and_what_does_not_does_not() -> None:
    source = ListSource([6, 7])
    base = run_spec([source], VERSION, 0.01, IngestPlan(100, 8))
    assert run_spec([source], VERSION, 0.01, IngestPlan(100, 9, n_workers=4)) == base
    assert run_spec([source], VERSION, 0.02, IngestPlan(100, 8)) != base
    assert run_spec([source], VERSION, 0.01, IngestPlan(100, 8, limit=1)) != base


def test_small_blocks_are_cut_for_all_workers_and_large_ones_at_the_limit() -> None:
    (block,) = ingested_blocks(ListSource([6] * 4000, block_size=4000), IngestPlan(100, 8192))
    assert shard_atoms_for(block, IngestPlan(100, 8192, n_workers=1)) == 250
    assert shard_atoms_for(block, IngestPlan(100, 200, n_workers=1)) == 200
    assert shard_atoms_for(block, IngestPlan(100, 8192, n_workers=1000)) == 128
    # On GPUs few large shards: one per worker and block, as far as they fill a pass.
    for_gpus = IngestPlan(100, 2048).on_gpus(None, n_workers=1)
    assert (for_gpus.shard_atoms, shard_atoms_for(block, for_gpus)) == (16_384, 4000)
    assert shard_atoms_for(block, for_gpus.on_gpus(None, n_workers=1000)) == 2048
    assert shard_atoms_for(block, for_gpus.on_gpus(300, n_workers=1)) == 300
