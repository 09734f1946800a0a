"""Reliability columns of the database: stored, filtered, shown; an unknown flag is neither true nor false."""

import dataclasses

import numpy as np
import pytest

from db.store import ResultStore
from models.quantities import ColumnKind
from models.reliability_columns import RELIABILITY
from tests.db import blocks

SEEDS = list(range(6))
SCORES = np.array([0.1, 0.5, 0.94, 0.96, 0.999, np.nan])


@pytest.fixture
def filled(store: ResultStore) -> ResultStore:
    """Six crystals with known scores; the last one's is not known."""
    run = store.open_run(blocks.spec())
    store.add_block(run.id, blocks.block(0, SEEDS), 10**6)
    lease = store.lease_shard(run.id, "w")
    assert lease is not None
    place = {blocks.crystal_id(seed): seed for seed in SEEDS}
    score = SCORES[[place[each] for each in lease.crystal_ids]]
    flag = np.where(np.isnan(score), np.nan, score > 0.95)
    reliability = {name: flag if quantity.kind is ColumnKind.FLAG else score for name, quantity in RELIABILITY.items()}
    given = blocks.results(lease)
    assert store.commit_shard(lease, dataclasses.replace(given, columns=given.columns | reliability))
    return store


def seeds(store: ResultStore, text: str) -> list[int]:
    found = set(store.query(text, limit=0)["id"])
    return [seed for seed in SEEDS if blocks.crystal_id(seed) in found]


def test_not_ood_finds_what_is_known_to_be_near(filled: ResultStore) -> None:
    assert seeds(filled, "NOT ood") == [0, 1, 2]
    assert seeds(filled, "ood") == [3, 4]
    assert seeds(filled, "ood IS UNKNOWN") == [5]


@pytest.mark.parametrize("name", [name for name, quantity in RELIABILITY.items() if quantity.kind is ColumnKind.FLAG])
def test_every_flag_can_be_filtered(filled: ResultStore, name: str) -> None:
    assert seeds(filled, f"NOT {name} AND k_vrh_gpa > -1") == [0, 1, 2]


def test_the_score_is_a_number_to_filter_and_sort_by(filled: ResultStore) -> None:
    assert seeds(filled, "ood_score < 0.6") == [0, 1]
    ranked = filled.query("ood_score > 0", fields=("id", "ood_score"), sort="-ood_score", limit=2)
    assert ranked["ood_score"].tolist() == pytest.approx([0.999, 0.96])


def test_show_gives_the_reliability_columns_and_nothing_for_the_unknown(filled: ResultStore) -> None:
    near, unknown = (filled.show(blocks.crystal_id(seed))["results"][0]["trust"] for seed in (1, 5))
    assert near["ood_score"] == 0.5
    assert near["ood"] is False
    assert unknown == dict.fromkeys(RELIABILITY)
