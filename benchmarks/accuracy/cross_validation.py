"""Cross-validation over formulas: what a recipe is worth, with the spread over folds.

    python -m benchmarks.accuracy.cross_validation --data FOLDER --out runs/folds [--epochs 12] [--config gmtnet]

One part of 64 to 95 piezoelectric labels decides little. Here crystals of train and val are dealt to five folds by
their formula, one network is trained without each fold, and scored on it; the test part takes no part. The files that
the configuration names must be in the folder (candidates, computed crystals), or give one without them. Killed, the
same command goes on. Figures are those of `gmtscreen evaluate` for single networks, mean ± standard deviation.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.evaluation.evaluation import property_metrics, tensor_metrics
from gmt_tasks.labels.files import LabelledCrystals, Split, read_labels
from gmt_tasks.screening.screener import Screener
from gmt_tasks.training.config import TrainingConfig
from gmt_tasks.training.training import train
from models.quantities import Tensor

N_FOLDS = 5
TENSOR_FIGURES = ("fnorm_trimmed", "ewt25", "median_relative")
PROPERTY_FIGURES = ("mae", "spearman")


def main() -> None:
    """Trains what is not trained yet, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", default="gmtnet")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--fold", type=int, choices=range(N_FOLDS), help="train this one only, to share the work")
    asked = parser.parse_args()
    labels = read_labels(asked.data)
    config = replace(TrainingConfig.read(asked.config), data=str(asked.data), epochs=asked.epochs)
    figures: dict[str, list[float]] = {}
    counts: dict[str, list[int]] = {}
    for fold in range(N_FOLDS) if asked.fold is None else [asked.fold]:
        folder, without = asked.out / f"fold-{fold}", without_fold(labels, fold)
        if not (folder / f"{config.name}.json").exists():
            train(config, folder, report=_say, labels=without)
        for name, n, value in scores(folder / f"{config.name}.json", without):
            figures.setdefault(name, []).append(value)
            counts.setdefault(name, []).append(n)
    for name, values in figures.items():
        spread = f" ± {np.std(values, ddof=1):.3g}" if len(values) > 1 else ""
        each = ", ".join(f"{value:.3g}" for value in values)
        sys.stdout.write(f"{name:52s} {np.mean(values):.4g}{spread}  ({each}; n = {sum(counts[name])})\n")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def without_fold(labels: LabelledCrystals, fold: int) -> LabelledCrystals:
    """The labels with a fold of train and val in the place of the val part."""
    formulas = labels.crystals.formulas()
    digests = (hashlib.sha256(formula.encode()).digest() for formula in formulas)
    is_fold: NDArray[np.bool_] = np.array([digest[0] % N_FOLDS == fold for digest in digests])
    part = np.where(is_fold, Split.VAL.value, Split.TRAIN.value)
    return replace(labels, split=np.where(labels.split == Split.TEST.value, Split.TEST.value, part))


def scores(card: Path, labels: LabelledCrystals) -> Iterator[tuple[str, int, float]]:
    """Name, number of labels and value of every figure on the part that the network was trained without."""
    screener = Screener.load(str(card))
    rows = labels.rows(Split.VAL)
    prediction = screener.predict(labels.crystals.select(rows))
    rows = rows[prediction.rows]
    for quantity in Tensor:
        for metrics in tensor_metrics(labels, rows, prediction, quantity, Split.VAL):
            if metrics.predictor == "model":
                for figure in TENSOR_FIGURES:
                    yield f"{quantity.value}, {metrics.labels}: {figure}", metrics.n, getattr(metrics, figure)
    for of_property in property_metrics(labels, rows, prediction, Split.VAL):
        if of_property.predictor == "model":
            for figure in PROPERTY_FIGURES:
                yield f"{of_property.property}: {figure}", of_property.n, getattr(of_property, figure)


if __name__ == "__main__":
    main()
