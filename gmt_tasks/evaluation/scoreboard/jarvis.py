"""The JARVIS leaderboard, scored again from its files: a checkout of the repository, or a folder with its zip files.

A benchmark is a zip with one JSON object: ids and values by split. A contribution is a folder with one zipped table per
task, columns `id`, `prediction` and often `target`, and a `metadata.json`. The leaderboard's own rule joins the table
with the test part on the ids and takes the mean over every row of the join: an id that occurs twice counts twice, one
that is missing does not count. Here every test id counts once, with the first number that is given for it, and what is
missing is counted beside the figure; where both rules differ, both figures are shown. The `target` of a contribution is
never read: the truth is the benchmark's.

Source: github.com/usnistgov/jarvis_leaderboard, rebuild.py; Choudhary et al., npj Comput. Mater. 10, 93 (2024).
"""

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gmt_tasks.evaluation.scoreboard.board import BoardRow, BoardTable, Figure, Origin, Section
from gmt_tasks.evaluation.scoreboard.jarvis_tasks import JarvisTask
from gmt_tasks.evaluation.scoreboard.number_scores import MAE, NUMBER_COLUMNS, Floats, number_figures
from gmt_tasks.sources.json_records import load_json
from gmt_tasks.sources.packed_texts import plain_or_gzipped_text, zipped_text
from gmt_tasks.sources.parsed import RefusedInputError
from models.errors import SourceError

SOURCE = (
    "JARVIS leaderboard, github.com/usnistgov/jarvis_leaderboard (NIST, public domain in the United States, free use "
    "with notice elsewhere); figures computed here from its files"
)
THEIR_RULE = "leaderboard's rule"
SAME = 5e-5
"""The leaderboard prints four decimals: figures closer than this agree."""

MAX_METADATA_BYTES = 1 << 20
LARGEST = 1e100
"""Predictions beyond it are absurd, and their squares no numbers."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_DATE = re.compile(r"\d{1,2}-\d{1,2}-\d{4}")


@dataclass(frozen=True)
class Benchmark:
    """Values of a task.

    Attributes:
        test: finite value by id, in the order of the file.
        n_test: ids of the test part, also those without a finite value.
        train_mean: mean of the training values; NaN where there are none.
    """

    test: dict[str, float]
    n_test: int
    train_mean: float


@dataclass(frozen=True)
class Contribution:
    """Predictions of one contribution.

    Attributes:
        name: of its folder.
        rows: every row as it stands, an id with its number; NaN for one that cannot be read.
        submitted: date as its metadata give it; empty where they do not.
    """

    name: str
    rows: list[tuple[str, float]]
    submitted: str = ""

    def first_numbers(self) -> dict[str, float]:
        """The first finite number of each id."""
        numbers: dict[str, float] = {}
        for name, value in self.rows:
            if math.isfinite(value):
                numbers.setdefault(name, value)
        return numbers


def read_benchmark(path: Path) -> Benchmark:
    """Reads the zip with ids and values by split.

    Raises:
        SourceError: no such zip, or it holds something else.
    """
    try:
        parts = load_json(zipped_text(path, ".json"))
    except RefusedInputError as error:
        raise SourceError(f"{path.name}: {error.detail}. Take the file as published.") from error
    test = parts.get("test") if isinstance(parts, dict) else None
    if not isinstance(test, dict) or not test:
        raise SourceError(f"{path.name} holds no values of a test part. Take the file as published.")
    train = parts.get("train")
    trained = [number_of(value) for value in train.values()] if isinstance(train, dict) else []
    finite = [value for value in trained if math.isfinite(value)]
    values = {name: number_of(value) for name, value in test.items()}
    known = {name: value for name, value in values.items() if math.isfinite(value)}
    return Benchmark(known, len(test), float(np.mean(finite)) if finite else math.nan)


def read_contribution(path: Path) -> Contribution:
    """Reads the zipped table of a contribution.

    Raises:
        SourceError: no such zip, no table with the columns `id` and `prediction`, or absurd predictions.
    """
    try:
        table = csv.reader(io.StringIO(zipped_text(path, ".csv"), newline=""), strict=True)
        head = [name.strip() for name in next(table, [])]
        if not {"id", "prediction"} <= set(head):
            raise SourceError(f"{printable(path.name)} has the columns {', '.join(head)[:200]}, not id and prediction.")
        place_of_id, place_of_number = head.index("id"), head.index("prediction")
        whole = [cells for cells in table if len(cells) > max(place_of_id, place_of_number)]
        refuse_absurd([cells[place_of_number] for cells in whole], path)
        rows = [(cells[place_of_id].strip(), number_of(cells[place_of_number])) for cells in whole]
    except csv.Error as error:
        raise SourceError(f"{printable(path.name)} is no table: {error}. Take the file as published.") from error
    return Contribution(path.parent.name, rows, _submitted(path.with_name("metadata.json")))


def jarvis_table(task: JarvisTask, benchmark: Benchmark, folder: Path) -> BoardTable:
    """Every contribution to a task, scored from its file in the folder or below it."""
    rows, unreadable = [], []
    for contribution in sorted(folder.rglob(task.contribution_file)):
        try:
            rows.append(contribution_row(benchmark, read_contribution(contribution)))
        except SourceError as error:
            place = contribution.parent.relative_to(folder).as_posix()
            unreadable.append(f"Not scored: {printable(place)}: {printable(str(error))}")
    if math.isfinite(benchmark.train_mean):
        truth = np.array(list(benchmark.test.values()))
        figures = number_figures(np.full(len(truth), benchmark.train_mean), truth)
        rows.append(BoardRow("mean of the training part", Origin.BASELINE, figures, "", len(truth)))
    differ = any(THEIR_RULE in row.figures for row in rows)
    columns = (*NUMBER_COLUMNS, *([THEIR_RULE] if differ else []))
    same = f"The leaderboard's rule gives the same mean absolute errors to {SAME:.5f}." if rows and not differ else ""
    notes = tuple(note for note in (same, *unreadable) if note)
    split = "test part of the leaderboard"
    table = BoardTable(
        Section.JARVIS, task.name, task.title, task.unit, split, benchmark.n_test, columns, tuple(rows), SOURCE, notes
    )
    return table.ordered()


def best_contribution(task: JarvisTask, benchmark: Benchmark, folder: Path) -> Contribution | None:
    """The contribution with the smallest mean absolute error among those that can be read; None without any."""
    scored: list[tuple[float, Contribution]] = []
    for path in sorted(folder.rglob(task.contribution_file)):
        with suppress(SourceError):
            contribution = read_contribution(path)
            scored.append((contribution_row(benchmark, contribution).figures[MAE].value, contribution))
    finite = [entry for entry in scored if math.isfinite(entry[0])]
    return min(finite, key=lambda entry: entry[0])[1] if finite else None


def contribution_row(benchmark: Benchmark, contribution: Contribution) -> BoardRow:
    """Scores a contribution by our rule, and by the leaderboard's where that gives another figure."""
    numbers = contribution.first_numbers()
    ids = [name for name in benchmark.test if name in numbers]
    predicted, truth = _arrays(numbers, ids), _arrays(benchmark.test, ids)
    figures = number_figures(predicted, truth)
    theirs = leaderboard_rule(benchmark, contribution)
    if not abs(theirs - figures[MAE].value) <= SAME:  # NaN on one side is a difference, too
        figures[THEIR_RULE] = Figure(theirs)
    note = "; ".join(_faults(benchmark, contribution, len(ids)))
    year = contribution.submitted[-4:]
    name = printable(contribution.name) + (f" ({year})" if year else "")
    return BoardRow(name, Origin.RESCORED, figures, "", len(ids), note)


def leaderboard_rule(benchmark: Benchmark, contribution: Contribution) -> float:
    """Mean absolute error over every row of the join on the ids; NaN where a number of the join is none."""
    joined = [(value, benchmark.test[name]) for name, value in contribution.rows if name in benchmark.test]
    if not joined:
        return math.nan
    predicted, truth = np.array(joined).T
    return float(np.abs(predicted - truth).mean())


def _faults(benchmark: Benchmark, contribution: Contribution, n_scored: int) -> Iterator[str]:
    """What is odd about a contribution, counted."""
    names = [name for name, _ in contribution.rows]
    counts = {
        "test ids without a number": len(benchmark.test) - n_scored,
        "ids repeated": len(names) - len(set(names)),
        "ids of no test crystal": len(set(names) - set(benchmark.test)),
        "numbers not readable": sum(not math.isfinite(value) for _, value in contribution.rows),
        "test values not readable": benchmark.n_test - len(benchmark.test),
    }
    yield from (f"{count:,} {what}" for what, count in counts.items() if count)


def benchmark_path(task: JarvisTask, folder: Path) -> Path | None:
    """The benchmark's file of a task, None where the folder has none.

    In a checkout AI and ES have files of the same name in folders of their own.
    """
    paths = sorted(folder.rglob(task.benchmark_file))
    of_category = [path for path in paths if task.category in path.parts]
    if of_category:
        return of_category[0]
    # a folder of loose files has one category, that of predictions
    loose = [path for path in paths if not {"AI", "ES"} & set(path.parts)]
    return loose[0] if loose and task.category == "AI" else None


def _submitted(path: Path) -> str:
    """The date in a contribution's metadata; empty where there is none that can be read."""
    try:
        facts: Any = load_json(plain_or_gzipped_text(path, MAX_METADATA_BYTES))
    except (OSError, SourceError, RefusedInputError):
        return ""
    date = facts.get("date_submitted") if isinstance(facts, dict) else None
    return date if isinstance(date, str) and _DATE.fullmatch(date) else ""


def number_of(value: Any) -> float:
    """A number up to `LARGEST` as JSON has it or as a text of ASCII digits; NaN for everything else."""
    if isinstance(value, bool) or (isinstance(value, str) and not _NUMBER.fullmatch(value.strip())):
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return number if abs(number) <= LARGEST else math.nan


def refuse_absurd(values: Iterable[Any], path: Path) -> None:
    """Refuses predictions that Python's own reading would take, but that nobody can have meant.

    Raises:
        SourceError: digits of other scripts or with `_` between them, or numbers beyond `LARGEST`.
    """
    absurd = [value for value in values if _is_absurd(value)]
    if absurd:
        raise SourceError(
            f"{printable(path.name)} has {len(absurd):,} predictions such as {printable(str(absurd[0]))[:40]!r}: "
            f"write them with the digits 0 to 9, none beyond {LARGEST:.0e}."
        )


def _is_absurd(value: Any) -> bool:
    """Whether a value is a number to Python, but none to `number_of`; "nan" and "inf" are no numbers to either."""
    if isinstance(value, bool):
        return False
    try:
        number = float(value)
    except OverflowError:
        return True  # an integer of hundreds of digits
    except (TypeError, ValueError):
        return False
    # a text of too large a number is read as infinity
    has_digits = isinstance(value, str) and any(character.isdigit() for character in value)
    return (math.isfinite(number) or has_digits) and math.isnan(number_of(value))


def _arrays(numbers: Mapping[str, float], ids: list[str]) -> Floats:
    return np.array([numbers[name] for name in ids], dtype=np.float64)


def printable(text: str) -> str:
    """The text without what would steer a terminal or break a table."""
    return "".join(character if character.isprintable() else "?" for character in text)
