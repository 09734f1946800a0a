"""What label ingest compares sizes with: predictions of the model that the database or the settings mean."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gmt_tasks.labels.checks.unit_checks import PredictSizes, Sizes
    from gmt_tasks.settings import Settings
    from models.crystals.crystal import CrystalBatch


def predictor_of(settings: "Settings") -> "PredictSizes":
    """Predicts with the model of the settings, loaded when it is first asked: a batch without anything new needs none.

    Args:
        settings: database, model and device.
    """
    from gmt_tasks.labels.checks.unit_checks import load_predictor
    from gmt_tasks.registry.current_model import chosen_model

    loaded: list[PredictSizes] = []

    def predict(crystals: "CrystalBatch") -> "list[Sizes]":
        if not loaded:
            loaded.append(load_predictor(chosen_model(settings).model, settings.device))
        return loaded[0](crystals)

    return predict
