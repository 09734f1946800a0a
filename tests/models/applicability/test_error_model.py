"""The expected error is learned from what tells of it, never from an accident, and its parts add up."""

import json

import numpy as np
import pytest

from models.applicability.error_features import FEATURES
from models.applicability.error_model import N_FOLDS, ErrorModel, fit_error_model

N = 400
NAMES = list(FEATURES)
COUNTS = np.arange(119.0)


def fitted(feature: str, sign: float, *, seed: int = 0) -> tuple[ErrorModel, np.ndarray, np.ndarray]:
    """A model of errors that grow (or fall) with one feature and nothing else."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(N, len(NAMES)))
    error = np.exp(sign * features[:, NAMES.index(feature)] + 0.5 * rng.normal(size=N))
    fold = np.arange(N) % N_FOLDS
    model = fit_error_model(features, error, np.ones(N, bool), fold, typical_norm=1.0, element_counts=COUNTS)
    assert model is not None
    return model, features, error


def share_of_worst_found(model: ErrorModel, features: np.ndarray, error: np.ndarray) -> float:
    """Share of the worst tenth among the least reliable fifth."""
    worst = np.argsort(-error)[: N // 10]
    return float(np.isin(worst, np.argsort(model.reliability(features))[: N // 5]).mean())


def test_what_tells_of_errors_is_found_and_nothing_else() -> None:
    model, _, _ = fitted("disagreement", 1.0)
    _, features, error = fitted("disagreement", 1.0, seed=1)  # fresh crystals
    assert share_of_worst_found(model, features, error) > 0.8
    assert NAMES[int(np.argmax(model.weights))] == "disagreement"
    shuffled = np.random.default_rng(2).permutation(error)  # negative control
    assert share_of_worst_found(model, features, shuffled) < 0.45


def test_reliability_is_a_probability_of_fresh_crystals() -> None:
    model, _, _ = fitted("ood_score", 1.0)
    _, features, error = fitted("ood_score", 1.0, seed=1)
    reliability = model.reliability(features)
    assert ((reliability >= 0) & (reliability <= 1)).all()
    assert abs((1 - reliability).mean() - (error > model.worst_error).mean()) < 0.04


@pytest.mark.parametrize("name", ["disagreement", "ood_score", "log_packing", "narrow_gap", "symmetry_ambiguous"])
def test_what_can_only_make_it_worse_never_makes_a_result_more_reliable(name: str) -> None:
    model, _, _ = fitted(name, -1.0)
    assert model.weights[NAMES.index(name)] == 0.0
    assert fitted(name, 1.0)[0].weights[NAMES.index(name)] > 0.3  # negative control


def test_parts_add_up_and_unknown_features_have_none() -> None:
    model, features, _ = fitted("size", -1.0)
    log_odds = model.intercept + model.slope * model.parts(features).sum(axis=1)
    assert np.allclose(model.reliability(features), 1 / (1 + np.exp(log_odds)))
    unknown = np.full((2, len(NAMES)), np.nan)
    assert not model.parts(unknown).any()
    assert np.allclose(model.reliability(unknown), 1 / (1 + np.exp(model.intercept)))


def test_the_card_holds_all_of_it() -> None:
    model, features, _ = fitted("size", 1.0)
    read = ErrorModel.from_json(json.loads(json.dumps(model.to_json(), allow_nan=False)))
    assert np.allclose(read.reliability(features), model.reliability(features), atol=1e-3)
    assert np.array_equal(read.element_counts, COUNTS)


def test_a_handful_of_labels_fits_nothing() -> None:
    features, error = np.zeros((N, len(NAMES))), np.full(N, np.nan)
    error[:39] = 1.0
    fold = np.arange(N) % N_FOLDS
    assert fit_error_model(features, error, np.ones(N, bool), fold, typical_norm=1.0, element_counts=COUNTS) is None
