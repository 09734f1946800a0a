"""Nested cross-validation over formulas: every figure of the model card, with its spread over five folds.

    python -m benchmarks.accuracy.cross_validation --data FOLDER --out runs/folds [--fold K] [--write docs]

One part of 64 to 95 piezoelectric labels decides little. Crystals of train and val are dealt to five folds by their
formula; the test part takes no part in anything. For each fold the product's own path runs on a folder of label files
in which that fold is called test, a tenth of the other formulas val, and the rest train: networks are trained on train,
joined, calibrated on val and evaluated on the fold, which neither weights nor intervals have seen. Killed, the same
command goes on; `--fold` does one, to share the work. The recipe is the configuration's but for `--epochs` and
`--networks`, and without computed crystals, which are chosen by a split of their own.
"""

import argparse
import gzip
import hashlib
import json
import math
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from flows.reports.markdown import figures, markdown_table, render, with_spread
from gmt_tasks.evaluation.calibration import calibrate_into_card
from gmt_tasks.evaluation.evaluation import evaluate_into_card
from gmt_tasks.labels.files import Split
from gmt_tasks.training.config import TrainingConfig
from gmt_tasks.training.training import train
from models.crystals.formula import normalized_formula
from models.gmtnet.checkpoint import join_checkpoints
from models.quantities import TENSORS, Tensor

N_FOLDS, N_INNER = 5, 10
APART = "apart"
"""Part of the test labels in the folders of the folds: nothing is learned of their formulas, nothing scored on them."""

COVERED = (
    "eps_electronic_mean", "eps_total_mean", "k_vrh_gpa", "g_vrh_gpa", "e_norm_c_per_m2", "e_max_c_per_m2",
    "d_max_pc_per_n", "d_norm_pc_per_n",
)  # fmt: skip
"""Properties whose intervals are looked at."""

TENSOR_FIGURES = {
    "fnorm": "Fnorm",
    "fnorm_trimmed": "best 90 %",
    "fnorm_trimmed, single": "one network",
    "ewt25": "EwT 25, %",
    "ewt10": "EwT 10, %",
    "median_relative": "median rel. error",
}
PROPERTY_FIGURES = {
    "mae": "MAE",
    "median_relative": "median rel. error",
    "spearman": "Spearman",
    "spearman, single": "one network",
    "coverage": "coverage of 90 % intervals, %",
}

Figures = dict[tuple[str, str, str], tuple[int, float]]
"""What is judged, on which labels, by which figure -> number of labels and value."""


def main() -> None:
    """Trains what is not trained yet, and prints or writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", default="gmtnet")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--networks", type=int, default=2, help="of each fold's model, trained with seeds 1, 2, ...")
    parser.add_argument("--fold", type=int, choices=range(N_FOLDS), help="train this one only")
    parser.add_argument("--write", type=Path, help="folder for the document of all folds")
    asked = parser.parse_args()
    recipe = replace(TrainingConfig.read(asked.config), epochs=asked.epochs, computed="", computed_per_epoch=0)
    for fold in range(N_FOLDS) if asked.fold is None else [asked.fold]:
        evaluate_fold(recipe, asked.data, asked.out, fold, asked.networks)
    if asked.fold is None:
        text = document([figures_of(card_of(asked.out, fold)) for fold in range(N_FOLDS)], recipe, asked.networks)
        sys.stdout.write(text)
        if asked.write:
            (asked.write / "cross-validation.md").write_text(text, encoding="utf-8")


def card_of(out: Path, fold: int) -> Path:
    """The card of a fold's model."""
    return out / f"fold-{fold}" / "model" / "gmtnet.json"


def evaluate_fold(recipe: TrainingConfig, data: Path, out: Path, fold: int, n_networks: int) -> None:
    """Trains, joins, calibrates and measures the model of one fold, as far as that is not done yet."""
    card, labels = card_of(out, fold), out / f"fold-{fold}" / "labels"
    if card.exists() and json.loads(card.read_text(encoding="utf-8"))["metrics"]:
        return
    write_fold(data, labels, fold)
    networks = []
    for seed in range(1, n_networks + 1):
        folder = card.parent.parent / f"network-{seed}"
        if not (folder / f"{recipe.name}.json").exists():
            train(replace(recipe, data=str(labels), seed=seed), folder, report=_say)
        networks.append(folder / f"{recipe.name}.json")
    join_checkpoints(networks, card.parent, "gmtnet", recipe.version)
    calibrate_into_card(str(card), data=labels)
    evaluate_into_card(str(card), data=labels)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def write_fold(data: Path, folder: Path, fold: int) -> None:
    """The label files of a folder with other parts, and links to its other files."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(data.iterdir()):
        if path.name.endswith(".jsonl.gz"):
            partial = folder / f"{path.name}.partial"  # another process may be reading, and a kill may come
            with gzip.open(path, "rt", encoding="utf-8") as lines, gzip.open(partial, "wt") as out:
                for line in lines:
                    row = json.loads(line)
                    row["split"] = part_of(row, fold)
                    out.write(json.dumps(row) + "\n")
            partial.replace(folder / path.name)
        elif path.is_file() and not (folder / path.name).exists():
            (folder / path.name).symlink_to(path.resolve())


def part_of(row: dict[str, Any], fold: int) -> str:
    """The part of a label row where a fold is judged."""
    if row["split"] == Split.TEST:
        return APART
    digest = hashlib.sha256(normalized_formula(row["formula"]).encode()).digest()
    if digest[0] % N_FOLDS == fold:
        return Split.TEST
    return Split.VAL if digest[1] % N_INNER == 0 else Split.TRAIN


def figures_of(card: Path) -> Figures:
    """The figures of a fold, all on labels that neither weights nor intervals have seen."""
    metrics = json.loads(card.read_text(encoding="utf-8"))["metrics"]
    found: Figures = {}
    for row in _of_fold(metrics["tensors"]):
        found |= _scores(row, (row["quantity"], row["labels"]), TENSOR_FIGURES)
    for row in _of_fold(metrics["properties"]):
        found |= _scores(row, (row["property"], ""), PROPERTY_FIGURES)
    for row in _of_fold(metrics["coverage"]):
        if row["system"] == "all" and row["quantity"] in COVERED:
            found[row["quantity"], "", "coverage"] = row["n"], row["coverage"]
    for row in _of_fold(metrics["error_rankings"]):
        if (row["signal"], row["measure"]) == ("reliability", "typical"):
            found[row["quantity"], "trustworthy", "auroc"] = row["n"], row["auroc"]
            found[row["quantity"], "trustworthy", "half_error"] = row["n"], row["half_error"]
    for row in _of_fold(metrics["breakdown"]["signs"]):
        found["sign", "", "right"] = row["n"], 100.0 * row["right"] / row["n"] if row["n"] else math.nan
    return found


def _scores(row: dict[str, Any], judged: tuple[str, str], names: Iterable[str]) -> Figures:
    """Figures of the ensemble, or of its networks one by one, as far as a row of a card has them."""
    mark = {"model": "", "one member": ", single"}.get(row["predictor"])
    known = [name for name in row if mark is not None and f"{name}{mark}" in names]
    return {(*judged, f"{name}{mark}"): (row["n"], row[name]) for name in known}


def _of_fold(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["split"] == Split.TEST]


def document(folds: list[Figures], recipe: TrainingConfig, n_networks: int) -> str:
    """All figures, mean ± standard deviation over folds."""
    tensors, reliable = _judged_by(folds, "fnorm"), _judged_by(folds, "auroc")
    properties = list(dict.fromkeys([*_judged_by(folds, "mae"), *_judged_by(folds, "coverage")]))
    spearman = "e_norm_c_per_m2", "", "spearman"
    return render(
        "cross-validation.md",
        folder=Path(__file__).parent,
        model=f"{n_networks} networks of {recipe.epochs} epochs (seeds 1 to {n_networks})",
        recipe=f"{recipe.name} {recipe.version}",
        tensors=_table(folds, tensors, TENSOR_FIGURES, ("tensor", "labels")),
        properties=_table(folds, properties, PROPERTY_FIGURES, ("property",)),
        reliability=_table(
            folds,
            reliable,
            {"auroc": "AUROC of the worst tenth", "half_error": "error of the better half, %"},
            ("tensor",),
        ),
        spearman=", ".join(figures(fold[spearman][1]) for fold in folds),
        signs=over_folds(folds, ("sign", "", "right")),
        n_signs=sum(fold["sign", "", "right"][0] for fold in folds),
    )


def _judged_by(folds: list[Figures], figure: str) -> list[tuple[str, str]]:
    """What a figure is known of in more than one fold: what a single fold has has no spread."""
    known = [key[:2] for fold in folds for key in fold if key[2] == figure]
    return [of for of in dict.fromkeys(known) if known.count(of) > 1]


def _table(folds: list[Figures], judged: list[tuple[str, str]], names: dict[str, str], head: tuple[str, ...]) -> str:
    """One row for each of what is judged, one column for each figure."""
    rows = []
    for of in judged:
        counts = [fold[key][0] for fold in folds for key in fold if key[:2] == of and key[2] in names]
        n = sum(counts) // max(1, sum((*of, name) in folds[0] for name in names))
        said = TENSORS[Tensor(of[0])].symbol if of[0] in list(Tensor) else f"`{of[0]}`"
        texts = (said, of[1])[: len(head)]
        rows.append([*texts, f"{n:,}", *(over_folds(folds, (*of, name)) for name in names)])
    return markdown_table((*head, "n", *names.values()), rows, texts=len(head))


def over_folds(folds: list[Figures], key: tuple[str, str, str]) -> str:
    """Mean ± standard deviation over the folds that have the figure; "-" where fewer than two do."""
    values = np.array([fold[key][1] for fold in folds if key in fold and fold[key][1] is not None], dtype=np.float64)
    values = values[np.isfinite(values)]
    return with_spread(float(values.mean()), float(values.std(ddof=1))) if len(values) > 1 else "-"


if __name__ == "__main__":
    main()
