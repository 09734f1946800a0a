"""The shipped distilled network answers as the ensemble does, and says how far the ensemble's networks are apart."""

import numpy as np
import pytest

from gmt_tasks.screening.screener import Screener, TensorPrediction
from gmt_tasks.sources.open import open_source
from models.crystals.crystal import CrystalBatch
from models.gmtnet.card import find_checkpoint, read_card
from models.quantities import TENSORS, Tensor
from models.tensors.voigt import to_components

MOST_APART = {Tensor.DIELECTRIC_ELECTRONIC: 0.045, Tensor.DIELECTRIC_TOTAL: 0.08, Tensor.ELASTIC: 0.095}
"""Median relative difference from the ensemble on unrelaxed prototypes: twice what it is on relaxed crystals."""


@pytest.fixture(scope="module")
def crystals() -> CrystalBatch:
    blocks = [block.crystals for block in open_source("prototypes:n=150").blocks(0)]
    return CrystalBatch.join(blocks)


@pytest.fixture(scope="module")
def ensemble(crystals: CrystalBatch) -> TensorPrediction:
    return Screener.load("gmtnet", device="cpu").predict(crystals)


@pytest.fixture(scope="module")
def distilled(crystals: CrystalBatch) -> TensorPrediction:
    return Screener.load("gmtnet-distilled", device="cpu").predict(crystals)


def test_the_card_names_the_teacher_and_the_network_is_one() -> None:
    card, teacher = read_card(find_checkpoint("gmtnet-distilled")), read_card(find_checkpoint("gmtnet"))
    assert card.n_networks == 1
    assert card.training["teacher"] == f"gmtnet@{teacher.version} {teacher.sha256[:12]}"
    assert card.config.spreads
    assert set(card.elements) == set(teacher.elements)


@pytest.mark.parametrize("quantity", MOST_APART)
def test_tensors_are_near_the_ensembles(
    ensemble: TensorPrediction, distilled: TensorPrediction, quantity: Tensor
) -> None:
    theirs = to_components(quantity, ensemble.derived.prediction.tensors[quantity])
    ours = to_components(quantity, distilled.derived.prediction.tensors[quantity])
    apart = np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(theirs, axis=1)
    assert np.median(apart) < MOST_APART[quantity]
    # control: those of another crystal are far off
    other = np.linalg.norm(np.roll(ours, 1, axis=0) - theirs, axis=1) / np.linalg.norm(theirs, axis=1)
    assert np.median(other) > 3 * MOST_APART[quantity]


def test_large_piezoelectric_tensors_are_the_ensembles(ensemble: TensorPrediction, distilled: TensorPrediction) -> None:
    norms = [
        np.linalg.norm(
            to_components(Tensor.PIEZOELECTRIC, each.derived.prediction.tensors[Tensor.PIEZOELECTRIC]), axis=1
        )
        for each in (ensemble, distilled)
    ]
    allowed = ensemble.derived.prediction.analysis.symmetry.piezo_allowed
    assert (norms[1][~allowed] == 0.0).all()
    assert allowed.sum() > 20
    order = [np.argsort(np.argsort(norm[allowed])) for norm in norms]
    assert np.corrcoef(*order)[0, 1] > 0.85


@pytest.mark.parametrize("name", ["k_vrh_gpa", "eps_electronic_mean", TENSORS[Tensor.ELASTIC].error_column])
def test_predicted_spreads_rank_as_those_of_the_ensemble(
    ensemble: TensorPrediction, distilled: TensorPrediction, name: str
) -> None:
    spreads = [each.derived.spread[name] for each in (ensemble, distilled)]
    known = np.isfinite(spreads[0]) & np.isfinite(spreads[1])
    order = [np.argsort(np.argsort(spread[known])) for spread in spreads]
    assert np.corrcoef(*order)[0, 1] > 0.4
    # as wide, not only in the same order
    assert 0.5 < np.median(spreads[1][known]) / np.median(spreads[0][known]) < 2.0
