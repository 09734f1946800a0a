"""How well large errors are found: each signal alone on val, and the reliability cross-validated over formulas of val.

    python benchmarks/reliability.py --data FOLDER

Only the val part is looked at; the figures on test are those of `gmtscreen evaluate`.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from gmt_tasks.evaluation.reliability.fit import HeldOutSet, held_out_sets
from gmt_tasks.evaluation.reliability.ranking import error_measures, half_coverage_error, rank_errors, worst_tenth_auroc
from gmt_tasks.labels.files import Split, read_labels
from gmt_tasks.screening.screener import Screener
from gmt_tasks.training.split_table import seen_by_model
from models.applicability.error_model import N_FOLDS
from models.gmtnet.card import find_checkpoint
from models.gmtnet.training_data.split_table import load_split_table

N_REPEATS = 10


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of label files")
    parser.add_argument("--model", default="gmtnet")
    arguments = parser.parse_args()
    labels = seen_by_model(read_labels(arguments.data), load_split_table(find_checkpoint(arguments.model)))
    screener = Screener.load(arguments.model, device="cpu")
    rows = labels.rows(Split.VAL)
    prediction = screener.predict(labels.crystals.select(rows))
    lines = ["signal alone on val: AUROC of the worst tenth [90 % bootstrap interval], error of the better half in %"]
    for row in rank_errors(labels, rows[prediction.rows], prediction, Split.VAL):
        figures = f"{row.auroc:.3f} [{row.auroc_low:.2f}, {row.auroc_high:.2f}] {row.half_error:.0f}"
        lines.append(f"{row.quantity:22} {row.measure:9} {row.signal:24} {row.n:4} {figures}")
    lines.append(
        f"reliability of crystals left out, {N_FOLDS} folds of formulas, {N_REPEATS} draws: mean +- over draws"
    )
    for tensor, held_out in held_out_sets(screener, labels, rows).items():
        for measure, (aurocs, halves, by_fold) in cross_validated(held_out).items():
            figures = f"{np.mean(aurocs):.3f} +- {np.std(aurocs):.3f} (over folds +- {np.std(by_fold):.3f})"
            lines.append(f"{tensor.value:22} {measure:9} {figures} {np.mean(halves):.0f} +- {np.std(halves):.0f}")
    sys.stdout.write("\n".join(lines) + "\n")


def cross_validated(held_out: HeldOutSet) -> dict[str, tuple[list[float], list[float], list[float]]]:
    """AUROC and error at half coverage of every repeat, and AUROC of every fold, by measure."""
    known = held_out.errors.is_full & np.isfinite(held_out.errors.absolute)
    figures: dict[str, tuple[list[float], list[float], list[float]]] = {}
    # crystals of one formula have one hash, which stands for it: folds of another draw keep them together
    for seed in range(N_REPEATS):
        fold = np.random.default_rng(seed).permutation(held_out.formula.max() + 1)[held_out.formula] % N_FOLDS
        doubt = np.zeros(len(fold))
        for k in range(N_FOLDS):
            model = held_out.fit(np.flatnonzero(fold != k))
            if model is not None:
                doubt[fold == k] = 1.0 - model.reliability(held_out.features[fold == k])
        for measure, error in error_measures(held_out.errors, held_out.typical_norm).items():
            aurocs, halves, by_fold = figures.setdefault(measure, ([], [], []))
            aurocs.append(worst_tenth_auroc(error[known], doubt[known]))
            halves.append(half_coverage_error(error[known], doubt[known]))
            for k in range(N_FOLDS):
                part = known & (fold == k)
                by_fold.append(worst_tenth_auroc(error[part], doubt[part]))
    return figures


if __name__ == "__main__":
    main()
