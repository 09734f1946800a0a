"""The stability classifier: probabilities, and what a card keeps of it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from models.uncertainty.stability import FEATURES, StabilityClassifier, stability_features

FITTED = StabilityClassifier(-2.0, (-1.5, 1.4, -0.4, 0.7), 1000, 58, 0.74, 0.07, 114, 8, 0.73)
COLUMNS = {
    "elastic_min_eigenvalue_gpa": np.array([40.0, 4.0, np.nan]),
    "k_vrh_gpa": np.array([90.0, 90.0, 90.0]),
    "g_vrh_gpa": np.array([50.0, 50.0, 50.0]),
}
SYSTEM = np.array(["cubic", "cubic", "trigonal"])


def test_a_soft_eigenvalue_beside_moduli_that_are_not_soft_makes_a_crystal_less_likely_stable() -> None:
    stiff, soft, unknown = FITTED.probability(COLUMNS, SYSTEM)
    assert 0 < soft < stiff < 1
    assert np.isnan(unknown)
    odds = [(1 - p) / p for p in (stiff, soft)]
    assert odds[1] / odds[0] == pytest.approx(10.0**1.5)
    assert stability_features(COLUMNS, SYSTEM)[:, 3].tolist() == [1.0, 1.0, 0.0]


def test_a_classifier_survives_its_card_and_one_of_other_features_is_none() -> None:
    plain = json.loads(json.dumps(FITTED.to_json()))
    assert StabilityClassifier.from_json(plain) == FITTED
    assert StabilityClassifier.from_json({}) is None
    assert StabilityClassifier.from_json(plain | {"features": [*FEATURES, "colour"]}) is None
    assert replace(FITTED, intercept=0.0) != FITTED
