"""A database with toy labels and a network small enough to be trained in seconds."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from db.store import ResultStore
from gmt_tasks.evaluation import evaluation
from gmt_tasks.evaluation.breakdown import resampling
from gmt_tasks.evaluation.reliability import held_out_widths, ranking
from gmt_tasks.labels.ingest import ingest_labels
from gmt_tasks.labels.readers.open import open_label_source
from gmt_tasks.retraining import sufficiency
from gmt_tasks.retraining.gate import gate, reference_set
from gmt_tasks.retraining.options import Placement, RetrainOptions
from gmt_tasks.settings import Settings, load_settings
from models.applicability.distance import TrainingReference
from models.crystals.crystal import Floats
from models.gmtnet.config import CONFIGS, GMTNET
from models.reference.crystals import textbook_crystals
from tests.gmt_tasks.labels.toy_labels import Row, good_rows, write_rows

TINY = replace(
    GMTNET,
    channels=16,
    n_comformer=1,
    n_radial=12,
    edge_channels=16,
    message_irreps=("8x0e+4x1o+4x2e+2x3o+2x4e",),
    hidden_irreps="8x0e+4x1o+4x2e+4x2o+2x3o+2x4e",
    coupling_channels=4,
)


def tiny_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Toy labels are no material's, and a network of milliseconds has no speed to measure on a busy machine."""
    monkeypatch.setitem(CONFIGS, "gmtnet", TINY)
    calibrated = TrainingReference.calibrated

    def of_few(self: TrainingReference, held_out: Floats) -> TrainingReference:
        return calibrated(self, np.resize(held_out, max(len(held_out), 60)))

    monkeypatch.setattr(TrainingReference, "calibrated", of_few)
    monkeypatch.setattr(sufficiency, "FEWEST_HELD_OUT", 1)
    books = textbook_crystals()
    few = reference_set.ReferenceSet(books.names[:4], books.crystals.select(np.arange(4)))
    monkeypatch.setattr(reference_set, "reference_set", lambda: few)
    monkeypatch.setattr(reference_set, "crystals_of_all_classes", lambda seed: few)
    for module in (reference_set, evaluation):
        monkeypatch.setattr(module, "compare_literature", lambda screener, labels: [])
    monkeypatch.setattr(reference_set, "BOUNDS", dict.fromkeys(reference_set.BOUNDS, 1e9))
    monkeypatch.setattr(reference_set, "LEAST_SEPARATION", -1.0)
    monkeypatch.setattr(reference_set, "CHANGED_METALS", 1.0)
    monkeypatch.setattr(reference_set, "_check_symmetry", lambda candidate: iter(()))
    # Of figures of merit that nobody reads here, intervals need neither thousands of samples nor several draws.
    monkeypatch.setattr(resampling, "N_RESAMPLED", 20)
    monkeypatch.setattr(ranking, "N_BOOTSTRAP", 20)
    monkeypatch.setattr(held_out_widths, "N_DRAWS", 1)
    monkeypatch.setattr(gate, "LEAST_SPEED", 0.05)
    monkeypatch.setattr(gate, "SPEED_CRYSTALS", 4)
    monkeypatch.setattr(gate, "SPEED_ROUNDS", 1)


def settings_in(folder: Path) -> Settings:
    """A database in a folder, with a name for who decides."""
    ResultStore(folder / "tiny.db").close()
    return load_settings(db=str(folder / "tiny.db"), user="cron@lab")


def options_in(folder: Path, **more: object) -> RetrainOptions:
    """Two networks of six epochs, one after the other in this process."""
    config = folder / "tiny.toml"
    text = 'name = "tiny"\nepochs = 6\nbatch_crystals = 8\naverage = 0.8\nlearning_rate = 5e-3\npiezo_repeat = 1\n'
    config.write_text(text, encoding="utf-8")
    options = RetrainOptions(str(config), members=2, where=Placement(1, None, folder / "runs", "cpu"))
    return replace(options, **more)  # type: ignore[arg-type]


def label_batches() -> tuple[list[Row], list[Row]]:
    """Two label batches: two thirds of the crystals in the first, the others in the second."""
    rows = good_rows(15)
    return [row for row in rows if _number(row) % 3], [row for row in rows if not _number(row) % 3]


def _number(row: Row) -> int:
    return int(str(row["id"]).rpartition("-")[2])


def bring(settings: Settings, folder: Path, rows: Iterable[Row]) -> int:
    """Labels through the check into the database; how many are accepted training labels now."""
    with ResultStore(settings.database) as store:
        report = ingest_labels(store, open_label_source(str(write_rows(folder, rows))))
    return report.accepted


def read_json(path: Path) -> dict[str, object]:
    """A JSON file."""
    found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return found
