"""UnconvBench: trains a network on the train part of each fold, predicts its test part, and prints the errors.

    python -m benchmarks.unconvbench FOLDER --task exfoliation --network gmtnet-long-range

FOLDER holds the files of https://figshare.com/articles/dataset/UnconvBench/26657428. A tenth of the train part chooses
the epoch. Runs are resumed; predictions are kept in the form in which the benchmark records them. Its public code and
pages state no errors of other networks, so none stand beside ours.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.unconvbench.tasks import SHORT_PREFIX, Fold, Task, TaskError, find_tasks, read_folds, read_task
from gmt_tasks.training.config import TrainingConfig
from gmt_tasks.training.scalars.training import ScalarData, predict_scalars, train_scalar
from models.crystals.crystal import MAX_ATOMS, Floats
from models.errors import GmtError
from models.gmtnet.config import CONFIGS

HELD_OUT_SHARE = 0.1
MOST_REFUSALS_SHOWN = 10


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
    except TaskError as error:
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
    chosen = [fold for k, fold in enumerate(folds) if asked.folds is None or k in asked.folds]
    if not chosen:
        raise TaskError(f"folds are 0 to {len(folds) - 1}: none of them is asked for.")
    data = ScalarData.of(task.crystals, task.labels[task.entries], CONFIGS[asked.network].graph)
    rows, predictions = [], {}
    for fold in chosen:
        predicted, mean = _predict_fold(task, fold, data, asked)
        labels = task.labels[fold.test]
        known = np.isfinite(labels)
        errors = {"mae": predicted - labels, "mae_of_mean": mean - labels}
        rows.append(
            {"fold": fold.name, "n_train": len(fold.train), "n_test": int(known.sum())}
            | {name: float(np.abs(error[known]).mean()) for name, error in errors.items()}
        )
        predictions[fold.name] = predicted.tolist()
    file = asked.out / asked.network / task.name / "predictions.json"
    file.write_text(json.dumps({task.name: predictions}), encoding="utf-8")
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


def _predict_fold(task: Task, fold: Fold, data: ScalarData, asked: argparse.Namespace) -> tuple[Floats, float]:
    """Predictions of the test part, refused entries as the mean label of the train part, and that mean.

    Raises:
        TaskError: fewer than two crystals to learn from.
    """
    place = np.full(len(task.ids), -1)
    place[task.entries] = np.arange(len(task.entries))
    train = place[fold.train]
    train = np.random.default_rng(asked.seed).permutation(train[train >= 0])
    if len(train) < 2:
        raise TaskError(f"{fold.name} has {len(train)} usable crystals to learn from: two are the least.")
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
    out = asked.out / asked.network / task.name / f"{fold.name}-seed{asked.seed}"
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
