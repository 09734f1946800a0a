"""A toy model with a split table, as one of ours."""

from collections.abc import Mapping

from db.records import ModelVersion
from gmt_tasks.evaluation.scoreboard.own_models import OwnModel
from gmt_tasks.screening.screener import Screener
from models.gmtnet.training_data.split_table import SplitTable
from models.testing.model import ToyTensorModel

VERSION = ModelVersion("toy", "1", "c" * 64)


def toy_model(parts: Mapping[str, str] | None = None) -> OwnModel:
    """The toy model; `parts` are those of the formulas that it knows, None for a model without a table."""
    table = None if parts is None else SplitTable.of(parts, {})
    return OwnModel(Screener(ToyTensorModel(), VERSION), table)
