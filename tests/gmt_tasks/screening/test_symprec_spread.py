"""What a prediction owes to the tolerance: measured for near-symmetric crystals, and carried to the user."""

from pathlib import Path

import numpy as np
import pytest

from db.records import IngestedBlock, ModelVersion, RunSpec
from db.store import ResultStore
from gmt_tasks.ingest.deduplicate import content_ids
from gmt_tasks.screening.screener import Screener, TensorPrediction, warnings_of
from gmt_tasks.screening.symmetrize import groups_at_tolerances, symprec_spread
from gmt_tasks.screening.symmetry_analysis import analyse_symmetry
from models.crystals.crystal import CrystalBatch
from models.quantities import Tensor, symprec_spread_column
from models.symmetry.search import SYMPRECS_ANGSTROM, find_symmetry
from models.testing.contract import ToyTensorModel, textbook_crystals

VERSION = ModelVersion("toy", "1", "0" * 64)
TITANATE, MAGNESIA = 3, 4
TEXTBOOK = textbook_crystals().crystals


def near_symmetric() -> CrystalBatch:
    """The textbook crystals; barium titanate made cubic, its titanium 0.03 angstrom off the centre."""
    frac, lattice = TEXTBOOK.frac_coords.copy(), TEXTBOOK.lattice.copy()
    atoms = slice(TEXTBOOK.first_atom[TITANATE], TEXTBOOK.first_atom[TITANATE + 1])
    lattice[TITANATE] = 4.0 * np.eye(3)
    frac[atoms] = [[0, 0, 0], [0.5, 0.5, 0.5 + 0.03 / 4], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return CrystalBatch(lattice, frac, TEXTBOOK.numbers, TEXTBOOK.crystal_of_atom)


def predicted() -> TensorPrediction:
    return Screener(ToyTensorModel(), VERSION).predict(near_symmetric())


def test_a_tensor_that_another_tolerance_forbids_has_spread_one() -> None:
    result = predicted().derived.prediction
    assert result.analysis.numbers[TITANATE].tolist() == [99, 99, 221]
    assert result.symprec_spread[Tensor.PIEZOELECTRIC][TITANATE] == pytest.approx(1.0)
    assert np.abs(result.tensors[Tensor.PIEZOELECTRIC][TITANATE]).max() > 1e-4


def test_the_spread_is_the_largest_change_of_the_three_projections() -> None:
    result = predicted().derived.prediction
    raw = ToyTensorModel().predict(near_symmetric())
    for quantity in Tensor:
        one = raw[quantity][0, [TITANATE]]
        made = [find_symmetry(near_symmetric().select([TITANATE]), s).project(quantity, one) for s in SYMPRECS_ANGSTROM]
        stored = result.tensors[quantity][TITANATE]
        changes = [np.linalg.norm(t - stored) / max(np.linalg.norm(t), np.linalg.norm(stored)) for t in made]
        found = result.symprec_spread[quantity][TITANATE]
        assert found == pytest.approx(max(changes), rel=1e-6)
        assert found > 1e-6


def test_crystals_that_are_not_near_symmetric_have_none() -> None:
    result = predicted().derived.prediction
    assert np.flatnonzero(result.analysis.ambiguous).tolist() == [TITANATE]
    for spread in result.symprec_spread.values():
        assert np.flatnonzero(spread).tolist() == [TITANATE]


def test_rounding_errors_have_none() -> None:
    crystals = near_symmetric()
    others = groups_at_tolerances(analyse_symmetry(crystals, 1e-2))
    noise = 1e-9 * np.ones((10, 3, 3))
    assert not symprec_spread(Tensor.DIELECTRIC_TOTAL, noise, noise, others).any()
    assert symprec_spread(Tensor.DIELECTRIC_TOTAL, 1e9 * noise, 1e9 * noise, others)[TITANATE] > 0.5


def test_the_warning_says_how_much() -> None:
    texts = warnings_of(predicted().derived)
    assert "piezoelectric by 100 %" in texts[TITANATE][0]
    assert not any("near-symmetric" in text for text in texts[MAGNESIA])


def test_it_travels_to_lines_and_to_the_database(tmp_path: Path) -> None:
    crystals = near_symmetric()
    names = [f"crystal-{k}" for k in range(10)]
    screener = Screener(ToyTensorModel(), VERSION)
    column = symprec_spread_column(Tensor.PIEZOELECTRIC)
    lines = list(screener.predict_lines(names, crystals))
    assert [line[column] > 0.5 for line in lines] == [k == TITANATE for k in range(10)]
    block = IngestedBlock("made", 0, 10, np.arange(10), names, content_ids(crystals), crystals, [None] * 10, [])
    with ResultStore(str(tmp_path / "hits.db")) as store:
        run = store.open_run(RunSpec(("made",), ("1",), VERSION, {"symprec": 0.01}))
        store.add_block(run.id, block, 1000)
        while (lease := store.lease_shard(run.id, "worker")) is not None:
            assert store.commit_shard(lease, screener.screen(lease.crystal_ids, lease.crystals))
        hits = store.query(f"{column} > 0.5", fields=["source_ids", column])
        assert len(hits) == 1
        assert "crystal-3" in str(hits["source_ids"][0])
        assert len(store.query(f"{column} < 0.5")) == 9
        shown = store.show("crystal-3")["results"][0]
        assert shown[column] == pytest.approx(1.0)
