"""Metrics of evaluations are laws of numbers; a model that gives the labels back scores perfectly."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from db.records import ModelVersion
from gmt_tasks.evaluation import evaluation
from gmt_tasks.labels.files import LabelledCrystals, Split, read_labels
from gmt_tasks.screening.screener import Screener
from models.crystals.crystal import CrystalBatch, Floats
from models.quantities import Tensor
from models.tensors.rotate import rotate
from models.tensors.voigt import from_components
from tests.gmt_tasks.labels.toy_labels import good_rows, write_rows

DATA = Path("../shared/data")
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="label files lie beside a checkout; none here")


@pytest.fixture(scope="module", params=["toy", pytest.param("real", marks=[pytest.mark.slow, needs_data])])
def labels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LabelledCrystals:
    """Labels of the toy model; then the label files, which take a quarter of a minute to read."""
    if request.param == "real":
        real: LabelledCrystals = request.getfixturevalue("real_labels")
        return real
    return read_labels(write_rows(tmp_path_factory.mktemp("labels"), good_rows()))


@needs_data
@pytest.mark.slow
def test_splits_share_no_formula_and_every_label_obeys_its_group(real_labels: LabelledCrystals) -> None:
    labels = real_labels
    formulas = np.array(labels.crystals.formulas())
    parts = [set(formulas[labels.rows(split)]) for split in Split]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    for quantity in Tensor:
        assert (~np.isnan(labels.components[quantity][labels.rows(Split.TEST), 0])).sum() > 50


@pytest.mark.parametrize("quantity", list(Tensor))
def test_the_baseline_is_isotropic(labels: LabelledCrystals, quantity: Tensor) -> None:
    mean = from_components(quantity, evaluation.train_mean(labels, quantity))
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    np.testing.assert_allclose(rotate(quantity, mean, turn), mean, atol=1e-9)
    one = labels.components[quantity][~np.isnan(labels.components[quantity][:, 0])]
    lopsided = from_components(quantity, one[np.argmax(np.abs(one[:, -1]))])
    assert np.abs(rotate(quantity, lopsided, turn) - lopsided).max() > 1e-3, "negative control"


class Oracle:
    """Gives the labels of a split back."""

    elements = frozenset(range(1, 119))

    def __init__(self, labels: LabelledCrystals, rows: np.ndarray) -> None:
        self.labels, self.rows = labels, rows

    def predict(self, crystals: CrystalBatch) -> dict[Tensor, Floats]:
        assert crystals.n_crystals == len(self.rows)
        return {q: from_components(q, np.nan_to_num(self.labels.components[q][self.rows]))[None] for q in Tensor}


def test_a_model_that_gives_the_labels_back_scores_perfectly(labels: LabelledCrystals) -> None:
    rows = labels.rows(Split.VAL)
    screener = Screener(Oracle(labels, rows), ModelVersion("oracle", "1", "0" * 64))
    prediction = screener.predict(labels.crystals.select(rows))
    rows = rows[prediction.rows]
    for quantity in Tensor:
        for metrics in evaluation.tensor_metrics(labels, rows, prediction, quantity, Split.VAL):
            if metrics.predictor == "model":
                assert metrics.fnorm < 1e-2, metrics
                assert metrics.success == 100.0
    wrong = replace(labels, components={q: 2 * c for q, c in labels.components.items()})
    doubled = evaluation.tensor_metrics(wrong, rows, prediction, Tensor.ELASTIC, Split.VAL)[0]
    assert doubled.median_relative == pytest.approx(0.5, abs=1e-3), "negative control"
