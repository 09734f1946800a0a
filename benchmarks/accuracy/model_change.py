"""What another model changes: errors of two models on the same crystals, paired, by kind of crystal.

    python -m benchmarks.accuracy.model_change OLD NEW --data FOLDER [--split val]

OLD and NEW are names or checkpoints. Printed are mean errors of both and the relative change with its 90 % bootstrap
interval over crystals: tensors by the Frobenius norm of labels that nothing speaks against, K and G by their logarithms
too. Far crystals are those that the new model flags.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.evaluation.label_properties import label_properties
from gmt_tasks.evaluation.scores import label_sets, tensor_errors
from gmt_tasks.labels.files import LabelledCrystals, Split, read_labels
from gmt_tasks.screening.screener import Screener, TensorPrediction
from models.quantities import Tensor
from models.tensors.voigt import from_components

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

N_RESAMPLED = 2000
FEWEST = 8
PROPERTIES = ("k_vrh_gpa", "g_vrh_gpa", "eps_electronic_mean", "eps_total_mean", "e_norm_c_per_m2")
KINDS = ("ood", "layered", "molecular", "open_framework", "off_equilibrium")


def main() -> None:
    """Predicts by both and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs=2, metavar="MODEL")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", choices=[split.value for split in Split], default="val")
    asked = parser.parse_args()
    labels = read_labels(asked.data)
    rows = labels.rows(Split(asked.split))
    crystals = labels.crystals.select(rows)
    old, new = (Screener.load(name).predict(crystals) for name in asked.models)
    # one of them may refuse elements that the other knows
    both = np.intersect1d(old.rows, new.rows)
    places = [np.searchsorted(prediction.rows, both) for prediction in (old, new)]
    for name, *errors in errors_of(labels, rows[both], (old, new), places):
        known = np.isfinite(errors).all(axis=0)
        groups: dict[str, Bools] = {"": known}
        if name.startswith(("k_vrh", "ln k")):
            groups |= {f", {kind}": known & (new.reliability[kind][places[1]] == 1) for kind in KINDS}
        for group, chosen in groups.items():
            if chosen.sum() >= FEWEST:
                sys.stdout.write(f"{name + group:44s}{change(errors[0][chosen], errors[1][chosen])}\n")


def errors_of(
    labels: LabelledCrystals,
    rows: NDArray[np.int64],
    predictions: tuple[TensorPrediction, TensorPrediction],
    places: list[NDArray[np.int64]],
) -> Iterator[tuple[str, Floats, Floats]]:
    """Name and errors by both models of every figure, NaN without a label, [n_rows] each."""
    pairs = list(zip(predictions, places, strict=True))
    for quantity in Tensor:
        *_, (_, chosen) = label_sets(labels, rows, quantity).items()
        truth = from_components(quantity, labels.components[quantity][rows])
        sign_free = labels.sign_unproven[rows] & (quantity is Tensor.PIEZOELECTRIC)
        tensors = [prediction.derived.prediction.tensors[quantity][place] for prediction, place in pairs]
        first, second = (
            np.where(chosen, tensor_errors(guess, truth, quantity, sign_free), np.nan) for guess in tensors
        )
        yield f"{quantity.value}, Frobenius", first, second
    truths = label_properties(labels, rows)
    for name in PROPERTIES:
        columns = [np.asarray(p.derived.columns[name], dtype=np.float64)[place] for p, place in pairs]
        first, second = (np.abs(column - truths[name]) for column in columns)
        yield name, first, second
        if name == "k_vrh_gpa":
            first, second = (np.abs(np.log(np.maximum(c, 0.1) / np.maximum(truths[name], 0.1))) for c in columns)
            yield f"ln {name}", first, second


def change(before: Floats, after: Floats) -> str:
    """Means, and the relative change with its 90 % bootstrap interval."""
    drawn = np.random.default_rng(0).integers(0, len(before), (N_RESAMPLED, len(before)))
    low, high = np.quantile(after[drawn].mean(axis=1) / before[drawn].mean(axis=1) - 1, [0.05, 0.95])
    return (
        f"n {len(before):4d}  {before.mean():8.3f} -> {after.mean():8.3f}  "
        f"{100 * (after.mean() / before.mean() - 1):+6.1f} % [{100 * low:+.1f}, {100 * high:+.1f}]"
    )


if __name__ == "__main__":
    main()
