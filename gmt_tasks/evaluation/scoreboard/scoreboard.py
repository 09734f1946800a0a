"""The whole scoreboard: which sections, from which folders, with which models."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gmt_tasks.evaluation.scoreboard.binaries import binaries_table
from gmt_tasks.evaluation.scoreboard.board import BoardTable, Scoreboard, Section, missing_row
from gmt_tasks.evaluation.scoreboard.configurations import configurations_table
from gmt_tasks.evaluation.scoreboard.jarvis import (
    SOURCE,
    Benchmark,
    benchmark_path,
    best_contribution,
    jarvis_table,
    read_benchmark,
)
from gmt_tasks.evaluation.scoreboard.jarvis_models import find_list, read_crystals, with_our_models
from gmt_tasks.evaluation.scoreboard.jarvis_tasks import JarvisTask, tasks_named
from gmt_tasks.evaluation.scoreboard.matbench import TASKS as MATBENCH_TASKS
from gmt_tasks.evaluation.scoreboard.matbench import data_path, matbench_tables
from gmt_tasks.evaluation.scoreboard.own_models import SHIPPED, OwnModel
from gmt_tasks.evaluation.scoreboard.paper import paper_tables
from models.errors import SourceError

NO_FOLDER = "no files: git clone https://github.com/usnistgov/jarvis_leaderboard, then name the folder with --jarvis"
Report = Callable[[str], None]


@dataclass(frozen=True)
class BoardInputs:
    """What a scoreboard is made from.

    Attributes:
        sections: which ones.
        models: shipped names or checkpoints.
        tasks: keys of JARVIS tasks and data sets of Matbench; empty for all.
        jarvis: folder of the JARVIS leaderboard; None without.
        matbench: folder with data sets of Matbench, or a checkout of its repository; None without.
        data: folder of label files.
    """

    sections: tuple[Section, ...] = tuple(Section)
    models: tuple[str, ...] = SHIPPED
    tasks: tuple[str, ...] = ()
    jarvis: Path | None = None
    matbench: Path | None = None
    data: Path | None = None


def make_scoreboard(inputs: BoardInputs, report: Report) -> Scoreboard:
    """Computes the sections that are asked for, in the order of `Section`.

    Raises:
        SourceError: a folder or a task that there is not; a folder without any benchmark.
    """
    for folder in (inputs.jarvis, inputs.matbench):
        if folder is not None and not folder.is_dir():
            raise SourceError(f"There is no folder {folder}. Name the one with the benchmark's files.")
    known = [task.key for task in tasks_named(())] + [task.name for task in MATBENCH_TASKS]
    unknown = sorted(set(inputs.tasks) - set(known))
    if unknown:
        raise SourceError(f"There is no task {unknown[0]!r}. There are: {', '.join(dict.fromkeys(known))}.")
    makers: dict[Section, Callable[[BoardInputs, Report], list[BoardTable]]] = {
        Section.JARVIS: _jarvis,
        Section.BINARIES: lambda inputs, _: [binaries_table(inputs.data, _loaded(inputs))],
        Section.PAPER: lambda inputs, _: paper_tables(
            [folder for folder in (inputs.jarvis, inputs.data) if folder is not None], list(inputs.models)
        ),
        Section.MATBENCH: _matbench,
        Section.CONFIGURATIONS: lambda inputs, report: [configurations_table(list(inputs.models), report)],
    }
    tables: list[BoardTable] = []
    for section in Section:
        if section in inputs.sections:
            report(f"scoreboard: {section.value}")
            tables += makers[section](inputs, report)
    return Scoreboard(tuple(tables))


def with_figures(board: Scoreboard) -> Scoreboard:
    """The tables that hold any figure: what could not be had must not replace what was had before."""
    return Scoreboard(tuple(table for table in board.tables if table.has_figures))


def _loaded(inputs: BoardInputs) -> list[OwnModel]:
    return [OwnModel.load(name) for name in inputs.models]


def _jarvis(inputs: BoardInputs, report: Report) -> list[BoardTable]:
    """A table per task of the leaderboard whose benchmark is in the folder."""
    tasks = tasks_named(inputs.tasks)
    if inputs.jarvis is None:
        return [missing_table(task, NO_FOLDER) for task in tasks]
    paths = {task: path for task in tasks if (path := benchmark_path(task, inputs.jarvis)) is not None}
    if not paths:
        raise SourceError(f"{inputs.jarvis} has no benchmark of the JARVIS leaderboard (dft_3d_*.json.zip) in it.")
    benchmarks: dict[JarvisTask, Benchmark | SourceError] = {}
    for task, path in paths.items():
        # one broken file must not cost the other tables
        try:
            benchmarks[task] = read_benchmark(path)
        except SourceError as error:
            benchmarks[task] = error
    readable = [benchmark for benchmark in benchmarks.values() if isinstance(benchmark, Benchmark)]
    structures = find_list(inputs.jarvis)
    crystals = None
    if structures is not None and readable:
        report(f"reading the test crystals in {structures.name}")
        wanted = {name for benchmark in readable for name in benchmark.test}
        crystals = read_crystals(structures, wanted)
    models = [] if crystals is None else _loaded(inputs)
    tables = []
    for task, benchmark in benchmarks.items():
        if isinstance(benchmark, SourceError):
            report(f"{task.name}: not scored: {benchmark}")
            tables.append(missing_table(task, f"not scored: {benchmark}"))
            continue
        report(f"{task.name}: {benchmark.n_test:,} test ids")
        table = jarvis_table(task, benchmark, inputs.jarvis)
        best = None if crystals is None else best_contribution(task, benchmark, inputs.jarvis)
        tables.append(with_our_models(table, task, benchmark, models, crystals, best))
    return tables


def missing_table(task: JarvisTask, why: str) -> BoardTable:
    """A task of the leaderboard without its files."""
    row = missing_row(why, "contributions and our models")
    return BoardTable(Section.JARVIS, task.name, task.title, task.unit, "test part", None, ("MAE",), (row,), SOURCE)


def _matbench(inputs: BoardInputs, _: Report) -> list[BoardTable]:
    """A table per task of Matbench."""
    tasks = [task for task in MATBENCH_TASKS if not inputs.tasks or task.name in inputs.tasks]
    has_data = inputs.matbench is not None and any(data_path(task, inputs.matbench) for task in tasks)
    models = _loaded(inputs) if has_data else []
    return matbench_tables(tasks, inputs.matbench, models)
