"""How a crystal ends that has no result, and what two tolerances in one database would do."""

from dataclasses import replace

import pytest

from db.store import ResultStore
from models.errors import Reason, StoreError
from tests.db.blocks import filled, results, spec


def test_a_crystal_that_the_model_refuses_is_rejected_and_one_whose_calculation_fails_is_quarantined(
    store: ResultStore,
) -> None:
    run_id = filled(store, 4)
    lease = store.lease_shard(run_id, "w")
    assert lease is not None
    refused, failed, *_ = lease.crystal_ids
    answer = results(lease, poison=[refused, failed])
    ends = [(refused, Reason.UNSUPPORTED_ELEMENT, "Xe"), (failed, Reason.MODEL_FAILED, "boom")]
    assert store.commit_shard(lease, replace(answer, quarantined=ends))
    balance = store.balance(run_id)
    assert (balance.rejected, balance.quarantined, balance.closed) == (1, 1, True)


def test_results_at_two_tolerances_never_mix_in_one_database(store: ResultStore) -> None:
    store.open_run(spec(symprec=0.01))
    store.open_run(spec("other", symprec=0.01))
    with pytest.raises(StoreError, match="symprec 0.01 angstrom, not 0.001"):
        store.open_run(spec(symprec=0.001))
    assert len(store.runs()) == 2
