"""Models that predict only some of the tensors: results without the others and what derives from them."""

import json
from pathlib import Path

import numpy as np
import pytest

from db.records import IngestedBlock, ModelVersion, RunSpec
from db.store import ResultStore
from gmt_tasks.ingest.deduplicate import content_ids
from gmt_tasks.screening.screener import Screener
from models.crystals.crystal import CrystalBatch, Floats
from models.quantities import DERIVED, INTERVALS, TENSORS, Tensor
from models.testing.contract import textbook_crystals
from models.testing.model import ToyEnsemble

VERSION = ModelVersion("partial", "1", "0" * 64)
CRYSTALS = textbook_crystals().crystals
SUBSETS = [{Tensor.ELASTIC}, {Tensor.PIEZOELECTRIC}, {Tensor.DIELECTRIC_TOTAL, Tensor.PIEZOELECTRIC}]


class Partial(ToyEnsemble):
    """A toy ensemble of two that predicts some tensors only."""

    def __init__(self, tensors: set[Tensor]) -> None:
        super().__init__([0.9, 1.1])
        self.tensors = tensors

    def predict(self, crystals: CrystalBatch) -> dict[Tensor, Floats]:
        return {q: t for q, t in super().predict(crystals).items() if q in self.tensors}


@pytest.mark.parametrize("tensors", SUBSETS)
def test_what_is_predicted_is_that_of_the_whole_model_and_the_rest_is_unknown(tensors: set[Tensor]) -> None:
    whole, part = (Screener(Partial(chosen), VERSION).predict(CRYSTALS) for chosen in (set(Tensor), tensors))
    assert set(part.derived.prediction.tensors) == tensors
    for quantity in tensors:
        expected = whole.derived.prediction.tensors[quantity]
        assert np.array_equal(part.derived.prediction.tensors[quantity], expected)
    for name, row in DERIVED.items():
        column = part.derived.columns[name]
        if tensors >= set(row.from_tensors) or name == "piezo_allowed":
            np.testing.assert_array_equal(column, whole.derived.columns[name])
            known = part.derived.spread.get(name, np.zeros(1))
            np.testing.assert_array_equal(known, whole.derived.spread.get(name, np.zeros(1)))
        else:
            assert all(value == "" or np.isnan(value) for value in column.tolist()), name
            assert all(np.isnan(part.intervals[end]).all() for end in INTERVALS.get(name, ()))
    for quantity in set(Tensor) - tensors:
        assert np.isnan(part.intervals[TENSORS[quantity].error_column]).all()
    assert part.warnings() == whole.warnings()


def test_lines_leave_the_missing_tensors_out() -> None:
    names = [str(k) for k in range(CRYSTALS.n_crystals)]
    lines = list(Screener(Partial({Tensor.ELASTIC}), VERSION).predict_lines(names, CRYSTALS))
    line = json.loads(json.dumps(lines[0], allow_nan=False))
    assert {q.value for q in Tensor} & set(line) == {"elastic_voigt"}
    assert set(line["units"]) == set(line["removed_fraction"]) == {"elastic_voigt"}
    assert line["derived"]["k_vrh_gpa"] > 0
    assert {line["derived"][name] for name in ("d_max_pc_per_n", "eps_total_mean", "optical_class")} == {None}
    assert line["error_radius"]["piezoelectric"] is None


def test_the_database_has_null_for_what_is_missing(tmp_path: Path) -> None:
    screener = Screener(Partial({Tensor.ELASTIC}), VERSION)
    names = [f"crystal-{k}" for k in range(10)]
    block = IngestedBlock("made", 0, 10, np.arange(10), names, content_ids(CRYSTALS), CRYSTALS, [None] * 10, [])
    with ResultStore(str(tmp_path / "hits.db")) as store:
        run = store.open_run(RunSpec(("made",), ("1",), VERSION, {"symprec": 0.01}))
        store.add_block(run.id, block, 1000)
        while (lease := store.lease_shard(run.id, "worker")) is not None:
            assert store.commit_shard(lease, screener.screen(lease.crystal_ids, lease.crystals))
        assert len(store.query("k_vrh_gpa > 0")) == 10
        assert len(store.query("d_max_pc_per_n IS UNKNOWN AND eps_total_mean IS UNKNOWN")) == 10
        result = store.show("crystal-0")["results"][0]
    assert {name for name, tensor in result["tensors"].items() if tensor is not None} == {"elastic_voigt"}
    assert {name for name, share in result["removed_fraction"].items() if share is not None} == {"elastic_voigt"}
    assert {name for name, row in DERIVED.items() if result["derived"][name] is not None} == {
        name for name, row in DERIVED.items() if row.from_tensors in ((), (Tensor.ELASTIC,))
    } - {"zener_anisotropy"} | {"piezo_allowed"}  # crystal-0 is not cubic
