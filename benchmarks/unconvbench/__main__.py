"""UnconvBench: trains a network on the train part of each fold, predicts its test part, and prints the errors.

    python -m benchmarks.unconvbench FOLDER --task exfoliation --network gmtnet-long-range

FOLDER holds the files of https://figshare.com/articles/dataset/UnconvBench/26657428. A tenth of the train part chooses
the epoch. Runs are resumed, on the same crystals, labels and folds only; predictions are kept in the form in which the
benchmark records them, with those that earlier calls made of other folds. Its public code and pages state no
errors of other networks, so none stand beside ours.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.unconvbench.tasks import SHORT_PREFIX, Fold, Task, TaskError, find_tasks, read_folds, read_task
from gmt_tasks.training.config import TrainingConfig
from gmt_tasks.training.scalars.training import ScalarData, predict_scalars, train_scalar
from models.crystals.crystal import MAX_ATOMS, Floats, Ints
from models.errors import GmtError
from models.gmtnet.config import CONFIGS
from models.gmtnet.device import resolve_device

HELD_OUT_SHARE = 0.1
MOST_REFUSALS_SHOWN = 10
LEAST = {"epochs": 1, "seed": 0, "max_atoms": 1}


def main(arguments: list[str] | None = None) -> int:
    """Runs the tasks that are asked for; 0 done, 1 a task could not be used, 2 bad usage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the benchmark's files")
    parser.add_argument("--task", action="append", help="e.g. exfoliation; all that the folder holds if omitted")
    parser.add_argument("--network", default="gmtnet-long-range", choices=list(CONFIGS))
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--folds", type=int, nargs="+", help="numbers from 0 on; all if omitted")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-atoms", type=int, default=MAX_ATOMS, help="larger cells are refused")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--out", type=Path, default=Path("runs/unconvbench"))
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    try:
        files = find_tasks(asked.folder)
        names = [_full_name(name, list(files)) for name in asked.task or files]
        _check_options(asked)
    except GmtError as error:
        _say(str(error))
        return 2
    reports, failed = [], 0
    for name in names:
        try:
            task = read_task(name, files[name], asked.max_atoms)
            reports.append(run_task(task, read_folds(asked.folder, task), asked))
        except GmtError as error:
            _say(f"{name}: {error}")
            failed += 1
            continue
        if not asked.json:
            sys.stdout.write("\n".join(lines_of(reports[-1])) + "\n")
    if asked.json:
        sys.stdout.write(json.dumps(reports, indent=1) + "\n")
    return 1 if failed else 0


def _check_options(asked: argparse.Namespace) -> None:
    """Refuses what no task could be run with, and makes the folder of the runs.

    Raises:
        GmtError: a number too small, no GPU though one is asked for, or no such folder can be made.
    """
    for name, least in LEAST.items():
        if getattr(asked, name) < least:
            raise TaskError(f"--{name.replace('_', '-')} is {getattr(asked, name)}: give {least} or more.")
    resolve_device(asked.device)
    try:
        asked.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TaskError(f"--out {asked.out} cannot be made a folder ({error.strerror}): give another one.") from error


def _full_name(name: str, known: list[str]) -> str:
    """The name of a task with or without the benchmark's prefix.

    Raises:
        TaskError: there is no such task.
    """
    for each in (name, f"{SHORT_PREFIX}{name}"):
        if each in known:
            return each
    raise TaskError(f"There is no task {name} in the folder. Known are {', '.join(known)}.")


def run_task(task: Task, folds: list[Fold], asked: argparse.Namespace) -> dict[str, Any]:
    """Errors of every fold of a task; predictions are written beside the weights.

    Args:
        task: crystals and labels.
        folds: of all its entries.
        asked: network, epochs, folds, seed, device and folder of the runs.
    """
    for entry in list(task.refused)[:MOST_REFUSALS_SHOWN]:
        _say(f"{task.ids[entry]} refused: {task.refused[entry]}")
    if task.refused:
        _say(f"{len(task.refused)} of {len(task.ids)} entries of {task.name} refused; the mean label predicts them")
    chosen = _chosen_folds(task, folds, asked)
    data = ScalarData.of(task.crystals, task.labels[task.entries], CONFIGS[asked.network].graph)
    rows = []
    for fold in chosen:
        predicted, mean = _predict_fold(task, fold, data, asked)
        labels = task.labels[fold.test]
        known = np.isfinite(labels)
        errors = {"mae": predicted - labels, "mae_of_mean": mean - labels}
        rows.append(
            {"fold": fold.name, "n_train": len(fold.train), "n_test": int(known.sum())}
            | {name: float(np.abs(error[known]).mean()) for name, error in errors.items()}
        )
        kept = {"key": _key(task, fold, data, asked), "predicted": predicted.tolist()}
        _kept_file(task, fold, asked).write_text(json.dumps(kept), encoding="utf-8")
    file = asked.out / asked.network / task.name / "predictions.json"
    file.write_text(json.dumps({task.name: _kept_predictions(task, folds, data, asked)}), encoding="utf-8")
    return {
        "task": task.name,
        "network": asked.network,
        "epochs": asked.epochs,
        "seed": asked.seed,
        "entries": len(task.ids),
        "refused": len(task.refused),
        "mean_atoms": float(task.crystals.atoms_per_crystal.mean()),
        "folds": rows,
        "mae": float(np.mean([row["mae"] for row in rows])),
        "mae_of_mean": float(np.mean([row["mae_of_mean"] for row in rows])),
        "predictions": str(file),
    }


def _chosen_folds(task: Task, folds: list[Fold], asked: argparse.Namespace) -> list[Fold]:
    """The folds that are asked for.

    Raises:
        TaskError: there is no such fold, or one has nothing to learn from or to be measured by.
    """
    if asked.folds is not None and not set(asked.folds) <= set(range(len(folds))):
        raise TaskError(f"folds are 0 to {len(folds) - 1}: ask for these with --folds.")
    chosen = [fold for k, fold in enumerate(folds) if asked.folds is None or k in asked.folds]
    for fold in chosen:
        n_usable = int(np.isin(fold.train, task.entries).sum())
        if n_usable < 2:
            raise TaskError(
                f"the train part of {fold.name} has {n_usable} usable crystals and two are the least: "
                "leave the fold out with --folds."
            )
        if not np.isfinite(task.labels[fold.test]).any():
            raise TaskError(f"the test part of {fold.name} has no entry with a label: leave the fold out with --folds.")
    return chosen


def _run_folder(task: Task, fold: Fold, asked: argparse.Namespace) -> Path:
    folder: Path = asked.out / asked.network / task.name / f"{fold.name}-seed{asked.seed}"
    return folder


def _kept_file(task: Task, fold: Fold, asked: argparse.Namespace) -> Path:
    """Where the predictions of one fold are kept with what they were made from."""
    return _run_folder(task, fold, asked) / "predicted.json"


def _key(task: Task, fold: Fold, data: ScalarData, asked: argparse.Namespace) -> str:
    """A hash of all that the predictions of a fold depend on."""
    place = _places(task)
    parts = [repr(CONFIGS[asked.network]), f"{asked.epochs} {asked.seed} {asked.max_atoms}"]
    for entries in (fold.train, fold.test):
        usable = place[entries] >= 0
        parts += [str(usable.tolist()), data.digest(place[entries][usable])]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _kept_predictions(
    task: Task, folds: list[Fold], data: ScalarData, asked: argparse.Namespace
) -> dict[str, list[float]]:
    """Predictions by fold, also those of earlier calls that were made from the same data in the same way."""
    predictions = {}
    for fold in folds:
        file = _kept_file(task, fold, asked)
        kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        if kept.get("key") == _key(task, fold, data, asked):
            predictions[fold.name] = kept["predicted"]
    return predictions


def _places(task: Task) -> Ints:
    """The crystal of each entry, -1 where it has none, [n_entries]."""
    place = np.full(len(task.ids), -1)
    place[task.entries] = np.arange(len(task.entries))
    return place


def _predict_fold(task: Task, fold: Fold, data: ScalarData, asked: argparse.Namespace) -> tuple[Floats, float]:
    """Predictions of the test part, refused entries as the mean label of the train part, and that mean.

    Args:
        task: crystals and labels.
        fold: with two usable crystals in its train part at least.
        data: of the crystals of the task.
        asked: network, epochs, seed, device and folder of the runs.

    Raises:
        GmtError: the folder of the run holds one on other crystals, labels or folds.
    """
    place = _places(task)
    train = place[fold.train]
    train = np.random.default_rng(asked.seed).permutation(train[train >= 0])
    n_held_out = max(1, round(HELD_OUT_SHARE * len(train)))
    held_out, learned = data.select(train[:n_held_out]), data.select(train[n_held_out:])
    config = TrainingConfig(
        network=asked.network,
        seed=asked.seed,
        epochs=asked.epochs,
        batch_crystals=16,
        batch_atoms=1500,
        max_atoms=asked.max_atoms,  # other crystals are another run
    )
    out = _run_folder(task, fold, asked)
    layers = CONFIGS[asked.network]
    network = train_scalar(layers, config, learned, held_out, out, report=_say, device=asked.device)
    if network is None:
        raise TaskError(f"{fold.name}: the training ended before its last epoch.")
    mean = float(data.labels[train].mean())
    predicted = np.full(len(fold.test), mean)
    usable = place[fold.test] >= 0
    if usable.any():
        predicted[usable] = predict_scalars(network, data.select(place[fold.test][usable]))
    return predicted, mean


def lines_of(report: dict[str, Any]) -> list[str]:
    """A table of the errors of a task, in the unit of its labels, as lines."""
    lines = [
        f"{report['task']}: {report['entries']} entries of {report['mean_atoms']:.0f} atoms on average, "
        f"{report['refused']} refused; {report['network']}, {report['epochs']} epochs, seed {report['seed']}",
        "| fold | train | test | MAE | MAE of the mean label |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['fold']} | {row['n_train']} | {row['n_test']} | {row['mae']:.4g} | {row['mae_of_mean']:.4g} |"
        for row in report["folds"]
    ]
    lines.append(f"| mean | | | {report['mae']:.4g} | {report['mae_of_mean']:.4g} |")
    return [*lines, f"predictions in the benchmark's form: {report['predictions']}"]


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    raise SystemExit(main())
