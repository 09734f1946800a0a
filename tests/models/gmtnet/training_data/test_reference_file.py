"""The distance score on disk: the same scores after reading, and nothing read that the card does not pin."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.applicability.descriptor import DESCRIPTOR_GRAPH, describe
from models.applicability.distance import TrainingReference, reference_of
from models.crystals.graph import build_graph
from models.errors import ModelError
from models.gmtnet.card import ModelCard, read_card, write_card
from models.gmtnet.config import GMTNET
from models.gmtnet.training_data.reference_file import (
    load_training_reference,
    save_training_reference,
    training_reference_path,
)
from models.reference.crystals import crystals_of_all_classes

CRYSTALS = crystals_of_all_classes(seed=1).crystals
DESCRIPTORS = describe(CRYSTALS, build_graph(CRYSTALS, DESCRIPTOR_GRAPH))
CARD = ModelCard("small", "1", "ab" * 32, GMTNET, (8, 14))


@pytest.fixture
def reference() -> TrainingReference:
    return reference_of(DESCRIPTORS, CRYSTALS).calibrated(np.linspace(0.1, 1.0, 60))


@pytest.fixture
def card_path(tmp_path: Path, reference: TrainingReference) -> Path:
    path = write_card(CARD, tmp_path)
    write_card(save_training_reference(reference, path, CARD), tmp_path)
    return path


def test_scores_are_the_same_after_reading(card_path: Path, reference: TrainingReference) -> None:
    again = load_training_reference(card_path, read_card(card_path))
    assert again is not None
    before, after = (each.distance(DESCRIPTORS, CRYSTALS) for each in (reference, again))
    assert after == pytest.approx(before, abs=2e-2)  # a point's distance to itself in half precision
    assert again.score(np.array([0.2, 0.5, 3.0])) == pytest.approx(reference.score(np.array([0.2, 0.5, 3.0])))
    assert read_card(card_path).training_reference_sha256 != ""


def test_a_model_without_a_score_has_none(card_path: Path) -> None:
    assert load_training_reference(card_path, CARD) is None


def test_a_changed_or_missing_file_is_refused(card_path: Path) -> None:
    card, path = read_card(card_path), training_reference_path(card_path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ModelError, match="is not the file its card describes"):
        load_training_reference(card_path, card)
    path.unlink()
    with pytest.raises(ModelError, match="is missing"):
        load_training_reference(card_path, card)


def test_a_file_of_another_kind_is_refused_although_the_card_pins_it(
    card_path: Path, reference: TrainingReference
) -> None:
    fewer = replace(reference, points=reference.points[:, :10])
    with pytest.raises(ModelError, match="measures 10 features"):
        load_training_reference(card_path, save_training_reference(fewer, card_path, CARD))
