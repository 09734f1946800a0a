"""Intervals in the database: what goes in comes out, filters find it, and unknown stays unknown."""

from dataclasses import replace

import numpy as np
import pytest

from db.query.properties import PROPERTIES, Kind
from db.store import ResultStore
from models.quantities import INTERVALS, TENSORS, UNCERTAINTY_COLUMNS, Tensor
from tests.db.blocks import block, crystal_id, results, spec


@pytest.fixture
def filled(store: ResultStore) -> ResultStore:
    """Six crystals; numbers are bounded by 10 % to both sides, the last two crystals have no interval."""
    run = store.open_run(spec())
    store.add_block(run.id, block(0, list(range(6))), 10**6)
    lease = store.lease_shard(run.id, "w")
    assert lease is not None
    found = results(lease)
    known = np.arange(len(found.crystal_ids)) < len(found.crystal_ids) - 2
    for name, (lower, upper) in INTERVALS.items():
        found.columns[lower] = np.where(known, 0.9 * found.columns[name], np.nan)
        found.columns[upper] = np.where(known, 1.1 * found.columns[name], np.nan)
    for row in TENSORS.values():
        found.columns[row.error_column] = np.where(known, 3.5, np.nan)
    assert store.commit_shard(lease, replace(found))
    return store


def test_every_interval_can_be_asked_for() -> None:
    assert {PROPERTIES[name] for name in UNCERTAINTY_COLUMNS} == {Kind.NUMBER}
    assert {"k_vrh_gpa_lo", "k_vrh_gpa_hi", "elastic_error_gpa"} <= set(PROPERTIES)


def test_ends_come_back_beside_their_number(filled: ResultStore) -> None:
    rows = filled.query("k_vrh_gpa_lo IS KNOWN", fields=["k_vrh_gpa", "k_vrh_gpa_lo", "k_vrh_gpa_hi"], limit=0)
    assert len(rows) == 4
    assert np.allclose(rows["k_vrh_gpa_lo"], 0.9 * rows["k_vrh_gpa"])
    assert np.allclose(rows["k_vrh_gpa_hi"], 1.1 * rows["k_vrh_gpa"])
    assert len(filled.query("k_vrh_gpa_lo IS UNKNOWN", limit=0)) == 2


def test_a_filter_on_the_lower_end_is_stricter_than_one_on_the_number(filled: ResultStore) -> None:
    rows = filled.query("", fields=["k_vrh_gpa", "k_vrh_gpa_lo"], limit=0)
    bound = float(rows["k_vrh_gpa_lo"].max()) * 1.001
    assert len(filled.query(f"k_vrh_gpa > {bound}", limit=0)) > len(filled.query(f"k_vrh_gpa_lo > {bound}", limit=0))
    assert len(filled.query("elastic_error_gpa < 4", limit=0)) == 4


def test_show_has_the_interval_of_every_number_and_leaves_unknown_ones_out(filled: ResultStore) -> None:
    shown = [filled.show(crystal_id(seed))["results"][0] for seed in range(6)]
    with_intervals = [result for result in shown if result["uncertainty"]]
    assert len(with_intervals) == 4
    for result in with_intervals:
        assert set(result["uncertainty"]) == set(INTERVALS)
        lower, upper = result["uncertainty"]["g_vrh_gpa"]
        assert lower <= result["derived"]["g_vrh_gpa"] <= upper
        assert result["error_radius"] == {tensor.value: 3.5 for tensor in Tensor}
    bare = next(result for result in shown if not result["uncertainty"])
    assert bare["error_radius"] == {tensor.value: None for tensor in Tensor}
