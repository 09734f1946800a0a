"""Matbench: three of its tasks on the official five folds, for the predictions of others and for our models.

A data set is `matbench_log_kvrh.json.gz` and the like: a pandas table as JSON, of pymatgen structures and targets. The
folds are those of scikit-learn's KFold with five parts, shuffled with 18012019, over the order of the file; they agree
with the ids in matbench_v0.1_validation.json of the package matbench 0.6, fold by fold. Row k (0-based) of a file of n
is called `mb-log-kvrh-0...k+1`, with as many digits as n has.

Contributions are `benchmarks/*/results.json.gz` of Matbench's repository: predictions by fold and id, scored again here
where the data set is there. Our models are not trained anew on each fold: one model answers for the test rows of every
fold, and rows of formulas that it knows are left out in a second line.

Source: A. Dunn et al., npj Comput. Mater. 6, 138 (2020); github.com/materialsproject/matbench.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.evaluation.scoreboard.board import BoardRow, BoardTable, Figure, Origin, Section, missing_row
from gmt_tasks.evaluation.scoreboard.jarvis import number_of, printable, refuse_absurd
from gmt_tasks.evaluation.scoreboard.own_models import OwnModel, OwnNumbers, Wanted, predict_numbers
from gmt_tasks.evaluation.scoreboard.quoted import MATBENCH_FIGURES, MATBENCH_FOLDERS, MATBENCH_SOURCE, QuotedMatbench
from gmt_tasks.sources.json_documents import records_of
from gmt_tasks.sources.json_records import load_json, refused_or_parsed
from gmt_tasks.sources.packed_texts import plain_or_gzipped_text
from gmt_tasks.sources.parsed import ParsedCrystal, RefusedInputError, as_batch
from models.crystals.crystal import CrystalBatch
from models.errors import SourceError

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Results = dict[str, list[dict[str, Any]]] | SourceError
"""Predictions of a contribution by task, fold and id, or why they cannot be read."""

Contributions = list[tuple[str, Results]]
"""Name and predictions."""

N_FOLDS = 5
SEED = 18012019
MAE, SPREAD, RMSE = "MAE, mean of folds", "± folds", "RMSE, mean of folds"
COLUMNS = (MAE, SPREAD, RMSE)
MAX_RESULTS_BYTES = 512 << 20
MAX_DATA_BYTES = 1 << 30


@dataclass(frozen=True)
class MatbenchTask:
    """One task.

    Attributes:
        name: of the data set.
        column: of the target in its table.
        title, unit: for readers.
        n_rows: of the data set as published.
        wanted: the number of ours that answers it.
        logarithm: the target is a decimal logarithm of it.
    """

    name: str
    column: str
    title: str
    unit: str
    n_rows: int
    wanted: Wanted
    logarithm: bool

    @property
    def id_prefix(self) -> str:
        """With which the ids of rows begin."""
        return self.name.replace("matbench", "mb").replace("_", "-")


TASKS: tuple[MatbenchTask, ...] = (
    MatbenchTask("matbench_log_kvrh", "log10(K_VRH)", "log10 K", "log10(GPa)", 10987, Wanted.K_VRH, logarithm=True),
    MatbenchTask("matbench_log_gvrh", "log10(G_VRH)", "log10 G", "log10(GPa)", 10987, Wanted.G_VRH, logarithm=True),
    MatbenchTask("matbench_dielectric", "n", "refractive index", "1", 4764, Wanted.INDEX, logarithm=False),
)


@dataclass(frozen=True)
class MatbenchData:
    """A data set.

    Attributes:
        target: finite or NaN, in the order of the file, [n_rows].
        rows: rows with a crystal that can be read, ascending.
        crystals: of these, not validated.
    """

    target: Floats
    rows: Rows
    crystals: CrystalBatch


def folds(n_rows: int) -> list[Rows]:
    """Test rows of each official fold, ascending."""
    order = np.arange(n_rows)
    np.random.RandomState(SEED).shuffle(order)  # the legacy generator, as scikit-learn's KFold uses it
    return [np.sort(part) for part in np.array_split(order, N_FOLDS)]


def row_ids(task: MatbenchTask, n_rows: int) -> list[str]:
    """Ids of the rows as Matbench makes them."""
    digits = len(str(n_rows))
    return [f"{task.id_prefix}-{row + 1:0{digits}d}" for row in range(n_rows)]


def data_path(task: MatbenchTask, folder: Path) -> Path | None:
    """The file of a data set in a folder or below it; None where there is none."""
    names = (f"{task.name}.json.gz", f"{task.name}.json")
    return next((path for name in names for path in sorted(folder.rglob(name))), None)


def read_data(task: MatbenchTask, path: Path) -> MatbenchData:
    """Reads a data set.

    Raises:
        SourceError: no such table, or one without the target.
    """
    try:
        records = records_of(load_json(plain_or_gzipped_text(path, MAX_DATA_BYTES)))
    except RefusedInputError as error:
        raise SourceError(f"{path.name}: {error.detail}. Take the file as published.") from error
    values = [record.value if isinstance(record.value, dict) else {} for record in records or []]
    target = np.array([number_of(value.get(task.column)) for value in values])
    if len(target) < N_FOLDS or np.isnan(target).all():
        raise SourceError(f"{path.name} has no rows with the column {task.column}. Take the file as published.")
    rows, parsed = [], []
    for row, value in enumerate(values):
        reading = refused_or_parsed(value)
        if isinstance(reading, ParsedCrystal):
            rows.append(row)
            parsed.append(reading)
    return MatbenchData(target, np.array(rows, dtype=np.int64), as_batch(parsed))


def matbench_tables(tasks: Sequence[MatbenchTask], folder: Path | None, models: list[OwnModel]) -> list[BoardTable]:
    """A table per task: contributions and our models, with quoted figures where nothing can be scored again.

    Args:
        tasks: which ones.
        folder: with data sets, and perhaps a checkout of Matbench's repository; None without.
        models: ours; need not be there where the folder has no data set.
    """
    paths = {task: None if folder is None else data_path(task, folder) for task in tasks}
    # long files, read once for all tasks, and of no use without targets
    results = read_contributions(folder) if folder is not None and any(paths.values()) else []
    tables = []
    for task, path in paths.items():
        # one broken file must not cost the other tables
        try:
            data: MatbenchData | SourceError | None = None if path is None else read_data(task, path)
        except SourceError as error:
            data = error
        tables.append(_table(task, data, results, models))
    return tables


def _table(
    task: MatbenchTask, data: MatbenchData | SourceError | None, results: Contributions, models: list[OwnModel]
) -> BoardTable:
    """The table of one task."""
    rows: list[BoardRow] = []
    notes = ["Our models were trained once, on another split: the second line leaves out rows of formulas they know."]
    if data is None:
        rows.append(
            missing_row(f"{task.name}.json.gz, which matminer fetches, is not in the folder given by --matbench")
        )
    elif isinstance(data, SourceError):
        rows.append(missing_row(f"not scored: {data}"))
    else:
        rows += contribution_rows(task, data, results)
        for model in models:
            rows += our_rows(task, model, data)
        if len(data.target) != task.n_rows:
            notes.append(f"The file has {len(data.target):,} rows, the published one {task.n_rows:,}: other folds.")
    scored = {row.predictor for row in rows if row.origin is Origin.RESCORED}
    rows += [quoted_row(quoted) for quoted in MATBENCH_FIGURES[task.name] if quoted.name not in scored]
    n_rows = len(data.target) if isinstance(data, MatbenchData) else task.n_rows
    split = "test rows of the five official folds"
    return BoardTable(
        Section.MATBENCH, task.name, task.title, task.unit, split, n_rows, COLUMNS, tuple(rows), MATBENCH_SOURCE,
        tuple(notes),
    ).ordered()  # fmt: skip


def our_rows(task: MatbenchTask, model: OwnModel, data: MatbenchData) -> list[BoardRow]:
    """One model on all rows, and on those of formulas that it never saw."""
    numbers: OwnNumbers = predict_numbers(model, data.crystals, (task.wanted,))
    predicted = np.full(len(data.target), np.nan)
    values = numbers.values[task.wanted]
    if task.logarithm:
        values = np.log10(values, out=np.full_like(values, np.nan), where=values > 0)
    predicted[data.rows] = values
    rows = []
    for subset, of_crystals in numbers.subsets():
        chosen = np.zeros(len(data.target), dtype=bool)
        chosen[data.rows[of_crystals]] = True
        figures, n_scored = fold_figures(predicted, data.target, chosen)
        note = f"{int(chosen.sum()) - n_scored:,} of {int(chosen.sum()):,} without a number (refused or unstable)"
        rows.append(model.row(figures, subset, n_scored, note))
    return rows


def fold_figures(predicted: Floats, target: Floats, chosen: NDArray[np.bool_]) -> tuple[dict[str, Figure], int]:
    """Mean and standard deviation over folds of the errors on the test rows, and how many rows were scored.

    Args:
        predicted: NaN where there is no number, [n_rows].
        target: [n_rows].
        chosen: rows that count, [n_rows].
    """
    error = np.where(chosen, np.abs(predicted - target), np.nan)
    scored = [error[rows][np.isfinite(error[rows])] for rows in folds(len(target))]
    scored = [of_fold for of_fold in scored if len(of_fold)]
    if not scored:
        return {name: Figure(math.nan) for name in COLUMNS}, 0
    means = np.array([of_fold.mean() for of_fold in scored])
    squares = np.array([np.sqrt((of_fold**2).mean()) for of_fold in scored])
    values = float(means.mean()), float(means.std()), float(squares.mean())
    return dict(zip(COLUMNS, map(Figure, values), strict=True)), sum(map(len, scored))


def quoted_row(quoted: QuotedMatbench) -> BoardRow:
    """A figure of Matbench's own leaderboard."""
    figures = dict(zip(COLUMNS, map(Figure, (quoted.mae, quoted.spread, quoted.rmse)), strict=True))
    return BoardRow(quoted.name, Origin.QUOTED, figures)


def contribution_rows(task: MatbenchTask, data: MatbenchData, results: Contributions) -> Iterator[BoardRow]:
    """Contributions to a task, scored again; those whose file cannot be read with what is wrong with it."""
    place = {name: row for row, name in enumerate(row_ids(task, len(data.target)))}
    for name, by_task in results:
        if isinstance(by_task, SourceError):
            yield missing_row(f"not scored: {by_task}", name)
        elif task.name in by_task:
            yield _contribution_row(name, by_task[task.name], place, data)


def _contribution_row(name: str, by_fold: list[dict[str, Any]], place: dict[str, int], data: MatbenchData) -> BoardRow:
    """Scores the numbers that each fold gives for its own test rows; numbers for other rows are counted only."""
    predicted = np.full(len(data.target), np.nan)
    n_foreign = 0
    for rows, numbers in zip(folds(len(data.target)), by_fold, strict=True):
        own = set(rows.tolist())
        for name_of_row, value in numbers.items():
            row = place.get(name_of_row)
            if row is None or row not in own:
                n_foreign += 1
            else:
                predicted[row] = number_of(value)
    figures, n_scored = fold_figures(predicted, data.target, np.ones(len(predicted), dtype=bool))
    notes = [f"{len(predicted) - n_scored:,} rows without a number"] if n_scored < len(predicted) else []
    notes += [f"{n_foreign:,} numbers for rows outside of their fold"] if n_foreign else []
    return BoardRow(name, Origin.RESCORED, figures, "", n_scored, "; ".join(notes))


def read_contributions(folder: Path) -> Contributions:
    """Predictions of every contribution of a checkout with its name, or why they cannot be read.

    Of several with one name the later ones, in the order of their paths, are called after their folder, too.
    """
    results: Contributions = []
    for path in sorted(folder.rglob("results.json.gz")):
        own = path.parent.name.removeprefix("matbench_v0.1_")
        name = MATBENCH_FOLDERS.get(own, printable(own))
        if name in {other for other, _ in results}:
            name = f"{name} ({printable(path.parent.relative_to(folder).as_posix())})"
        try:
            results.append((name, _read_contribution(path)))
        except SourceError as error:
            results.append((name, error))
    return results


def _read_contribution(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Predictions of each fold by id, for those of our tasks that a contribution has.

    Raises:
        SourceError: the file is no contribution, or has absurd predictions.
    """
    try:
        tasks = load_json(plain_or_gzipped_text(path, MAX_RESULTS_BYTES))["tasks"]
        by_task = {}
        for name in [task.name for task in TASKS if task.name in tasks]:
            folds_of_task = tasks[name]["results"]
            by_task[name] = [folds_of_task[f"fold_{fold}"]["data"] for fold in range(N_FOLDS)]
    except RefusedInputError as error:
        raise SourceError(f"{path.name}: {error.detail}") from error
    except (KeyError, TypeError) as error:
        raise SourceError(f"{path.name} is no contribution to Matbench: {error}") from error
    if not all(isinstance(numbers, dict) for by_fold in by_task.values() for numbers in by_fold):
        raise SourceError(f"{path.name} holds no numbers by id")
    for by_fold in by_task.values():
        for numbers in by_fold:
            refuse_absurd(numbers.values(), path)
    return by_task
