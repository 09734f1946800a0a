"""Figures of the other shipped models, read from their cards, to stand beside those of the model that was measured."""

from dataclasses import replace
from pathlib import Path

from gmt_tasks.evaluation.evaluation import Evaluation
from gmt_tasks.evaluation.scores import PropertyMetrics, TensorMetrics
from models.gmtnet.card import WEIGHTS_FOLDER, card_paths, read_card

MODEL = "model"


def beside_shipped(evaluation: Evaluation, folder: Path = WEIGHTS_FOLDER) -> Evaluation:
    """The same evaluation with rows of every other shipped model, under its name as the predictor.

    Args:
        evaluation: of one model.
        folder: with the cards; models without measured figures are left out.
    """
    tensors, properties = list(evaluation.tensors), list(evaluation.properties)
    for path in card_paths(folder):
        card = read_card(path)
        if card.name == evaluation.model.split("@")[0] or not card.metrics.get("tensors"):
            continue
        # Of an ensemble only the whole: figures of single networks have no place beside other models.
        rows = [row for row in card.metrics["tensors"] if row["predictor"] == MODEL]
        tensors += [replace(TensorMetrics(**row), predictor=card.name) for row in rows]
        rows = [row for row in card.metrics["properties"] if row["predictor"] == MODEL]
        properties += [replace(PropertyMetrics(**row), predictor=card.name) for row in rows]
    return replace(evaluation, tensors=tensors, properties=properties)
