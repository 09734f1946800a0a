"""Compositions that models are judged by somewhere: nothing about them may be learned from a table of candidates.

What the arrays of labels hold is not all: rows of a label file that were refused or are of a kind that is not learned
have their part too, the published protocol has a split of its own, and so has the model that a training starts from.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.sources.remote.jarvis_tensors import has_jarvis_tensors
from gmt_tasks.training.published_protocol import read_published
from models.crystals.formula import FormulaError, normalized_formula
from models.gmtnet.training_data.split_table import SplitTable


def evaluated_formulas(folder: Path, labels: LabelledCrystals) -> set[str]:
    """Reduced formulas of val and test in the labels, in any row of a label file, and in the published protocol.

    Args:
        folder: of the training's data.
        labels: what was read of it.
    """
    formulas = _held_back(labels) | set(_formulas_of_rows(folder))
    return formulas | _held_back(read_published(folder).labels) if has_jarvis_tensors(folder) else formulas


def _held_back(labels: LabelledCrystals) -> set[str]:
    """Formulas of the crystals that are not for training."""
    rows = [row for split in Split if split is not Split.TRAIN for row in labels.rows(split).tolist()]
    return set(labels.crystals.select(rows).formulas())


def _formulas_of_rows(folder: Path) -> Iterator[str]:
    """Formulas of rows that name another part than that of training; what no reader understands says nothing."""
    for path in sorted(folder.glob("*.jsonl*")):
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                try:
                    row = json.loads(line)
                    if row["split"] != Split.TRAIN.value:
                        yield normalized_formula(row["formula"])
                except (KeyError, TypeError, ValueError, FormulaError):
                    continue


def judged_by_start(formulas: list[str], table: SplitTable | None) -> set[str]:
    """Which of the formulas the model that a training starts from is judged by.

    Args:
        formulas: of candidates.
        table: split of that model; None without one.
    """
    parts = {} if table is None else table.parts_of(list(dict.fromkeys(formulas)))
    return {formula for formula, part in parts.items() if part != Split.TRAIN}
