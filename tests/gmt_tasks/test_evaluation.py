"""Metrics of evaluations are laws of numbers; a model that gives the labels back scores perfectly."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from db.records import ModelVersion
from gmt_tasks import evaluation
from gmt_tasks.labels import LabelledCrystals, Split, read_labels
from gmt_tasks.screening import Screener
from models.crystal import CrystalBatch, Floats
from models.quantities import Tensor
from models.tensors.rotate import rotate
from models.tensors.voigt import from_components

DATA = Path("../shared/data")
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="label files lie beside a checkout; none here")


def test_exact_predictions_have_no_error_and_a_perfect_ranking() -> None:
    where = evaluation._Where("C", "all", "test", "model")
    size = np.array([1.0, 2.0, 4.0])
    exact = evaluation._summary(where, np.zeros(3), size, np.ones(3, dtype=bool))
    assert (exact.fnorm, exact.ewt5, exact.median_relative, exact.success) == (0.0, 100.0, 0.0, 100.0)
    ranked = evaluation._ranking("k_vrh_gpa", Split.TEST, size, size, 2.0)
    assert (ranked.mae, ranked.spearman, ranked.top5_hits) == (0.0, pytest.approx(1.0), 100.0)


def test_shares_and_trimmed_means_count_as_the_paper_does() -> None:
    where = evaluation._Where("C", "all", "test", "model")
    error = np.array([0.04, 0.07, 0.2, 0.3, 0, 0, 0, 0, 0, 9.0])
    found = evaluation._summary(where, error, np.ones(10), np.arange(10) < 5)
    assert (found.ewt25, found.ewt10, found.ewt5, found.success) == pytest.approx((80.0, 70.0, 60.0, 50.0))
    assert found.fnorm == pytest.approx(error.mean())
    assert found.fnorm_trimmed == pytest.approx(error[:9].mean())


def test_a_reversed_ranking_is_minus_one() -> None:
    truth = np.arange(40.0)
    found = evaluation._ranking("k_vrh_gpa", Split.VAL, -truth, truth, 0.0)
    assert found.spearman == pytest.approx(-1.0)
    assert found.top5_hits == 0.0


@pytest.fixture(scope="module")
def labels() -> LabelledCrystals:
    return read_labels(DATA)


@needs_data
def test_splits_share_no_formula_and_every_label_obeys_its_group(labels: LabelledCrystals) -> None:
    formulas = np.array(labels.crystals.formulas())
    parts = [set(formulas[labels.rows(split)]) for split in Split]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    for quantity in Tensor:
        assert (~np.isnan(labels.components[quantity][labels.rows(Split.TEST), 0])).sum() > 50


@needs_data
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
        return {q: from_components(q, np.nan_to_num(self.labels.components[q][self.rows])) for q in Tensor}


@needs_data
def test_a_model_that_gives_the_labels_back_scores_perfectly(labels: LabelledCrystals) -> None:
    rows = labels.rows(Split.VAL)
    screener = Screener(Oracle(labels, rows), ModelVersion("oracle", "1", "0" * 64))
    prediction = screener.predict(labels.crystals.select(rows))
    rows = rows[prediction.rows]
    for quantity in Tensor:
        for metrics in evaluation._tensor_metrics(labels, rows, prediction, quantity, Split.VAL):
            if metrics.predictor == "model":
                assert metrics.fnorm < 1e-2, metrics
                assert metrics.success == 100.0
    wrong = replace(labels, components={q: 2 * c for q, c in labels.components.items()})
    doubled = evaluation._tensor_metrics(wrong, rows, prediction, Tensor.ELASTIC, Split.VAL)[0]
    assert doubled.median_relative == pytest.approx(0.5, abs=1e-3), "negative control"
