"""What comes in: runs, blocks, duplicates and shards; everything may be repeated, nothing is lost."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from db.records import Balance, ModelVersion, RunState
from db.runs import ledger
from db.store import ResultStore
from db.tables import crystals, shards
from db.transactions import reading
from models.errors import Reason, StoreError
from tests.db.blocks import SHARD_ATOMS, block, crystal_id, filled, rows, spec, work_off


def test_the_same_specification_is_the_same_run(store: ResultStore) -> None:
    first = store.open_run(spec(limit=10))
    again = store.open_run(spec(limit=10))
    assert (first.resumed, again.resumed) == (False, True)
    assert again.id == first.id


@pytest.mark.parametrize(
    "other",
    [spec(limit=11), spec("elsewhere", limit=10), spec(model=ModelVersion("toy", "2", "b" * 64), limit=10)],
    ids=["settings", "source", "model"],
)
def test_another_setting_source_or_model_is_another_run(store: ResultStore, other: Any) -> None:
    assert store.open_run(spec(limit=10)).id != store.open_run(other).id


def test_a_run_comes_back_with_its_specification(store: ResultStore) -> None:
    wanted = spec("a.cif", "ü.cif", limit=10, note={"deep": [1, 2.5, None]})
    assert store.get_run(store.open_run(wanted).id).spec == wanted


def test_shards_hold_every_crystal_once_in_order_of_size_and_near_the_wanted_size(store: ResultStore) -> None:
    run_id = filled(store, 50)
    found, sizes = [], []
    while (lease := store.lease_shard(run_id, "w")) is not None:
        found += lease.crystal_ids
        sizes.append(lease.crystals.atoms_per_crystal)
    assert sorted(found) == sorted(crystal_id(seed) for seed in range(50))
    assert (np.diff(np.concatenate(sizes)) >= 0).all()
    assert all(SHARD_ATOMS - 5 < int(size.sum()) <= SHARD_ATOMS for size in sizes[:-1])


def test_a_crystal_larger_than_a_shard_gets_a_shard_of_its_own(store: ResultStore) -> None:
    run = store.open_run(spec())
    store.add_block(run.id, block(0, [4, 9, 14]), shard_atoms=1)
    assert work_off(store, run.id) == 3


def test_a_block_given_twice_changes_nothing(store: ResultStore) -> None:
    run = store.open_run(spec())
    given = block(0, [1, 2, 1, Reason.OVERLAP])
    store.add_block(run.id, given, SHARD_ATOMS)
    before = rows(store), store.balance(run.id)
    store.add_block(run.id, given, SHARD_ATOMS)
    assert (rows(store), store.balance(run.id)) == before
    assert store.ingest_cursor(run.id, "made") == (4, False)


def test_a_block_after_a_gap_is_refused_and_leaves_nothing(store: ResultStore) -> None:
    run = store.open_run(spec())
    with pytest.raises(StoreError, match="does not start at the cursor 0"):
        store.add_block(run.id, block(2, [1, 2]), SHARD_ATOMS)
    assert rows(store) == []


def test_a_block_that_skips_an_input_is_refused(store: ResultStore) -> None:
    run = store.open_run(spec())
    short = block(0, [1, 2])
    object.__setattr__(short, "stop", 3)
    with pytest.raises(StoreError, match="accounts for 2 positions"):
        store.add_block(run.id, short, SHARD_ATOMS)
    assert store.balance(run.id) == Balance(0, 0, 0, 0, 0, 0)


def test_a_failure_inside_a_block_rolls_all_of_it_back(store: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run = store.open_run(spec())

    def broken(*_: object) -> None:
        raise RuntimeError("killed between two statements")

    with monkeypatch.context() as patched:
        patched.setattr("db.runs.ledger._rejected_inputs", broken)
        with pytest.raises(RuntimeError):
            store.add_block(run.id, block(0, [1, 2]), SHARD_ATOMS)
    with reading(store._engine) as connection:
        assert connection.execute(select(func.count()).select_from(crystals)).scalar_one() == 0
        assert connection.execute(select(func.count()).select_from(shards)).scalar_one() == 0
    store.add_block(run.id, block(0, [1, 2]), SHARD_ATOMS)
    assert store.balance(run.id).n_in == 2


def test_duplicates_within_and_across_blocks_and_sources_keep_their_source_ids(store: ResultStore) -> None:
    run = store.open_run(spec("a", "b"))
    store.add_block(run.id, block(0, [7, 7], "a"), SHARD_ATOMS)
    store.add_block(run.id, block(2, [7], "a"), SHARD_ATOMS)
    store.add_block(run.id, block(0, [7], "b"), SHARD_ATOMS)
    work_off(store, run.id)
    assert store.balance(run.id) == Balance(n_in=4, done=1, duplicate=3, rejected=0, quarantined=0, pending=0)
    assert store.show(crystal_id(7))["source_ids"] == ["a-0", "a-1", "a-2", "b-0"]


def test_a_crystal_with_a_result_by_the_model_is_done_at_once_and_by_another_model_is_not(store: ResultStore) -> None:
    work_off(store, filled(store, 5))
    again = store.open_run(spec("again"))
    store.add_block(again.id, block(0, range(5), "again"), SHARD_ATOMS)
    assert store.balance(again.id).done == 5
    assert store.lease_shard(again.id, "w") is None
    other = store.open_run(spec("again", model=ModelVersion("toy", "2", "b" * 64)))
    store.add_block(other.id, block(0, range(5), "again"), SHARD_ATOMS)
    assert store.balance(other.id).pending == 5


def test_the_run_runs_only_when_all_sources_are_read(store: ResultStore) -> None:
    run = store.open_run(spec("a", "b"))
    store.end_ingest(run.id, "a")
    assert store.get_run(run.id).state is RunState.INGESTING
    store.end_ingest(run.id, "b")
    assert store.get_run(run.id).state is RunState.RUNNING
    assert store.ingest_cursor(run.id, "b") == (0, True)


@given(st.lists(st.integers(1, 60), max_size=80), st.integers(1, 100))
def test_no_shard_has_more_atoms_than_asked_for_but_one_crystal_of_more(sizes: list[int], most: int) -> None:
    atoms = np.array(sorted(sizes), dtype=np.int64)
    firsts = ledger._first_of_shards(atoms, most)
    assert firsts[0] == 0 and firsts[-1] == len(atoms)
    for number, (start, stop) in enumerate(pairwise(firsts)):
        total = atoms[start:stop].sum()
        assert stop == start + 1 or total <= most
        # full: the next crystal would not have gone in
        assert number == len(firsts) - 2 or total + atoms[stop] > most
