"""Backbones on the same ground: the same labels, recipe, epochs and seeds; errors on val and test, paired by crystal.

    python -m benchmarks.accuracy.backbones --data FOLDER --out runs/backbones

Every network is trained from random weights on the train part of the label files (no candidates, no computed states);
what is there is not trained again, and a killed training goes on. The figure of a seed is the mean error of the best
90 % of the crystals, Frobenius norms of labels that nothing speaks against, e with either sign where its sign is
unproven. Printed are mean and standard deviation over seeds and, against the first network, the relative change of the
mean over seeds with its 90 % bootstrap interval over crystals and seeds: the same crystals for both networks, seeds of
each for itself, since the same seeds trained anew on another machine end elsewhere. An interval that holds 0 is no
result.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from benchmarks.accuracy.model_change import errors_of
from gmt_tasks.evaluation.label_properties import label_properties
from gmt_tasks.labels.files import LabelledCrystals, Split, read_labels
from gmt_tasks.screening.screener import Screener, TensorPrediction
from gmt_tasks.training.config import TrainingConfig
from gmt_tasks.training.training import train

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RECIPE = TrainingConfig(epochs=6, average=0.995)
N_RESAMPLED = 2000
RANKED = "e_norm_c_per_m2"


def main() -> None:
    """Trains what is missing and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--networks", nargs="+", default=["gmtnet", "gmtnet-fusion", "gmtnet-long-range"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=RECIPE.epochs)
    asked = parser.parse_args()
    cards = {name: [_trained(name, seed, asked) for seed in asked.seeds] for name in asked.networks}
    labels = read_labels(asked.data)
    for split in (Split.VAL, Split.TEST):
        rows = labels.rows(split)
        crystals = labels.crystals.select(rows)
        predictions = {name: [Screener.load(str(p)).predict(crystals) for p in paths] for name, paths in cards.items()}
        sys.stdout.write(f"\n{split.value}, {len(rows):,} crystals, {len(asked.seeds)} seeds\n")
        sys.stdout.write(table(labels, rows, predictions))


def _trained(network: str, seed: int, asked: argparse.Namespace) -> Path:
    """The card of a network, trained if it is not there."""
    folder = asked.out / f"{network}-{seed}"
    card: Path = folder / f"{RECIPE.name}.json"
    if not card.exists():
        recipe = replace(RECIPE, network=network, seed=seed, epochs=asked.epochs, data=str(asked.data))
        train(recipe, folder, report=lambda line: print(f"{network} {seed}: {line}", file=sys.stderr))  # noqa: T201
    return card


def table(labels: LabelledCrystals, rows: Ints, predictions: dict[str, list[TensorPrediction]]) -> str:
    """Lines of figures by network."""
    errors = {name: errors_by_seed(labels, rows, of_seeds) for name, of_seeds in predictions.items()}
    names = list(predictions)
    lines = [f"{'':38s}{'n':>6s}" + "".join(f"{name:>40s}" for name in names)]
    for figure in errors[names[0]]:
        stacked = np.stack([errors[name][figure] for name in names])  # [n_networks, n_seeds, n_crystals]
        known = np.isfinite(stacked).all(axis=(0, 1))
        cells = [cell(of_network[:, known], stacked[0][:, known]) for of_network in stacked]
        lines.append(f"{figure:38s}{known.sum():6d}" + "".join(f"{text:>40s}" for text in cells))
    lines.append(
        f"{'Spearman of the norm of e':44s}" + "".join(f"{_ranks(labels, rows, p):>40s}" for p in predictions.values())
    )
    return "\n".join(lines) + "\n"


def errors_by_seed(labels: LabelledCrystals, rows: Ints, predictions: Sequence[TensorPrediction]) -> dict[str, Floats]:
    """Errors of every figure, [n_seeds, n_crystals], NaN without a label or a prediction."""
    errors: dict[str, list[Floats]] = {}
    for prediction in predictions:
        place = [np.arange(len(prediction.rows))] * 2
        for name, of_seed, _ in errors_of(labels, rows[prediction.rows], (prediction, prediction), place):
            whole = np.full(len(rows), np.nan)
            whole[prediction.rows] = of_seed
            errors.setdefault(name, []).append(whole)
    return {name: np.array(of_seeds) for name, of_seeds in errors.items()}


def cell(errors: Floats, base: Floats) -> str:
    """Mean and deviation over seeds, and the change against the base, both [n_seeds, n_crystals]."""
    figures = best_mean(errors)
    text = _over_seeds(figures)
    if errors is base or np.array_equal(errors, base):
        return text
    low, high = 100 * np.quantile(resampled_changes(errors, base), [0.05, 0.95])
    return f"{text} {100 * (figures.mean() / best_mean(base).mean() - 1):+.1f} % [{low:+.1f}, {high:+.1f}]"


def resampled_changes(errors: Floats, base: Floats) -> Floats:
    """Relative changes of the mean against the base for crystals and seeds drawn with replacement, [N_RESAMPLED]."""
    rng = np.random.default_rng(0)
    changes = np.empty(N_RESAMPLED)
    for row in range(N_RESAMPLED):
        crystals = rng.integers(0, errors.shape[1], errors.shape[1])
        means = []
        for of_network in (errors, base):
            seeds = rng.integers(0, len(of_network), len(of_network))
            means.append(best_mean(of_network[np.ix_(seeds, crystals)]).mean())
        changes[row] = means[0] / means[1] - 1
    return changes


def best_mean(errors: Floats) -> Floats:
    """Mean of the best 90 % of the errors of each seed, [n_seeds]."""
    ordered = np.sort(errors, axis=1)
    return np.asarray(ordered[:, : int(np.ceil(0.9 * errors.shape[1]))].mean(axis=1))


def _ranks(labels: LabelledCrystals, rows: Ints, predictions: Sequence[TensorPrediction]) -> str:
    """Rank correlation of the norms of e with their labels over seeds."""
    ranks = []
    for prediction in predictions:
        truth = label_properties(labels, rows[prediction.rows])[RANKED]
        sizes = np.asarray(prediction.derived.columns[RANKED])
        known = np.isfinite(truth) & np.isfinite(sizes)
        ranks.append(spearmanr(truth[known], sizes[known]).statistic)
    return _over_seeds(np.array(ranks))


def _over_seeds(figures: Floats) -> str:
    """Mean, and the standard deviation where there are several."""
    return f"{figures.mean():.3f}" + (f" ± {figures.std(ddof=1):.3f}" if len(figures) > 1 else "")


if __name__ == "__main__":
    main()
