"""Figures of the other shipped models, read from their cards, to stand beside those of the model that was measured."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gmt_tasks.evaluation.evaluation import Evaluation
from gmt_tasks.evaluation.scores import PropertyMetrics, TensorMetrics
from models.gmtnet.card import WEIGHTS_FOLDER, ModelCard, read_card

MODEL = "model"


def beside_shipped(evaluation: Evaluation, folder: Path = WEIGHTS_FOLDER) -> Evaluation:
    """The same evaluation with rows of every other shipped model, under its name as the predictor.

    Args:
        evaluation: of one model.
        folder: with the cards; models without measured figures are left out.
    """
    cards = list(_measured(folder, evaluation.model.split("@")[0]))
    tensors = [
        replace(TensorMetrics(**row), predictor=card.name)
        for card in cards
        for row in card.metrics["tensors"]
        if row["predictor"] == MODEL
    ]
    properties = [
        replace(PropertyMetrics(**row), predictor=card.name)
        for card in cards
        for row in card.metrics["properties"]
        if row["predictor"] == MODEL
    ]
    return replace(
        evaluation, tensors=[*evaluation.tensors, *tensors], properties=[*evaluation.properties, *properties]
    )


def _measured(folder: Path, name: str) -> Iterator[ModelCard]:
    """Cards of the folder with figures, but for the model of that name."""
    for path in sorted(folder.glob("*.json")):
        card = read_card(path)
        if card.name != name and card.metrics.get("tensors"):
            yield card
