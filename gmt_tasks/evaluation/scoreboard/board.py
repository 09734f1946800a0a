"""The scoreboard as data: tables of figures, every one with its number of crystals, its interval and where it is from.

It is written as JSON, so that documents, terminal and explorer show the same figures. NaN is a figure that cannot be
had; the row's note says why.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from models.errors import ModelError

NAN = math.nan
SCHEMA = 1


class Section(StrEnum):
    """A benchmark, or what is compared."""

    JARVIS = "jarvis"
    BINARIES = "binaries"
    PAPER = "paper"
    MATBENCH = "matbench"
    CONFIGURATIONS = "configurations"


class Origin(StrEnum):
    """Who predicted, and who computed the figures."""

    OURS = "ours"  # a model of gmtscreen, scored here
    RESCORED = "re-scored"  # predictions that others published, scored here
    QUOTED = "quoted"  # a figure as it was published
    BASELINE = "baseline"  # a constant, scored here
    MISSING = "missing"  # could not be had; the note says why


@dataclass(frozen=True)
class Figure:
    """A number with the ends of its 90 % bootstrap interval over crystals, NaN where there is none."""

    value: float
    low: float = NAN
    high: float = NAN

    @staticmethod
    def from_json(data: dict[str, Any]) -> "Figure":
        """A figure from its plain data, in which null stands for NaN."""
        return Figure(**{name: NAN if value is None else float(value) for name, value in data.items()})


@dataclass(frozen=True)
class BoardRow:
    """What one predictor reaches on one set of crystals.

    Attributes:
        predictor: `name@version` of a model of ours, the name of a contribution otherwise.
        origin: see `Origin`.
        figures: by the names of the table's columns.
        subset: which crystals of the split; empty for all of them.
        n: crystals scored; None where a quoted source does not say.
        note: what limits the comparison; empty if nothing does.
        sha256: of the weights of a model of ours.
    """

    predictor: str
    origin: Origin
    figures: Mapping[str, Figure]
    subset: str = ""
    n: int | None = None
    note: str = ""
    sha256: str = ""


def missing_row(note: str, predictor: str = "our models") -> BoardRow:
    """A row without figures; the note says why there are none."""
    return BoardRow(predictor, Origin.MISSING, {}, note=note)


@dataclass(frozen=True)
class BoardTable:
    """Predictors on one task.

    Attributes:
        section: see `Section`.
        task: name of the task in its benchmark.
        title: for readers.
        unit: of the figures that have one.
        split: which crystals, in words.
        n_split: how many crystals the split has; None where that is not known.
        columns: names of the figures; the first one orders the rows.
        rows: best first.
        source: where labels and predictions come from, with the licence.
        notes: sentences about the whole table.
    """

    section: Section
    task: str
    title: str
    unit: str
    split: str
    n_split: int | None
    columns: tuple[str, ...]
    rows: tuple[BoardRow, ...]
    source: str
    notes: tuple[str, ...] = ()

    @property
    def has_figures(self) -> bool:
        """Whether any row has a figure."""
        return any(row.figures for row in self.rows)

    def ordered(self, *, largest_first: bool = False) -> "BoardTable":
        """The same table with the best row first; rows without the figure come last."""
        sign, name = (-1.0 if largest_first else 1.0), self.columns[0]

        def place(row: BoardRow) -> tuple[bool, float, str, str]:
            value = row.figures[name].value if name in row.figures else NAN
            return math.isnan(value), sign * value, row.predictor, row.subset

        rows = sorted(self.rows, key=place)
        return replace(self, rows=tuple(rows))


@dataclass(frozen=True)
class Scoreboard:
    """All tables, in the order of `Section`."""

    tables: tuple[BoardTable, ...] = ()

    def replaced(self, other: "Scoreboard") -> "Scoreboard":
        """This board with the tables of another one in the place of its own of the same task; the others stay.

        Tables of tasks that this board has not come last in their section.
        """
        renewed = {(table.section, table.task): table for table in other.tables}
        tables = [renewed.pop((table.section, table.task), table) for table in self.tables] + list(renewed.values())
        order = list(Section)
        return Scoreboard(tuple(sorted(tables, key=lambda table: order.index(table.section))))

    def as_kept(self) -> "Scoreboard":
        """The board as it comes back from its JSON: rounded, so that what is shown does not depend on the way there."""
        return Scoreboard.from_json(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Plain data; numbers that JSON does not have become null."""
        return {"scoreboard": SCHEMA, "tables": [_without_nan(asdict(table)) for table in self.tables]}

    @staticmethod
    def from_json(data: Any) -> "Scoreboard":
        """Reads plain data.

        Raises:
            ModelError: it is no scoreboard, or one of another version.
        """
        written = data.get("scoreboard") if isinstance(data, dict) else None
        if written != SCHEMA:
            raise ModelError(f"No scoreboard of version {SCHEMA} (it says {written!r}). Make it: gmtscreen scoreboard.")
        try:
            return Scoreboard(tuple(_table(table) for table in data["tables"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"Not a complete scoreboard: {error}. Make it: gmtscreen scoreboard.") from error


def _table(data: dict[str, Any]) -> BoardTable:
    """A table from its plain data."""
    rows = []
    for row in data["rows"]:
        figures = {name: Figure.from_json(figure) for name, figure in row["figures"].items()}
        rows.append(BoardRow(**(row | {"origin": Origin(row["origin"]), "figures": figures})))
    lists = {"rows": tuple(rows), "columns": tuple(data["columns"]), "notes": tuple(data["notes"])}
    return BoardTable(**(data | lists | {"section": Section(data["section"])}))


def _without_nan(value: Any) -> Any:
    """Plain data without numbers that are not finite, rounded."""
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(entry) for entry in value]
    if isinstance(value, float):
        # seven digits are more than any figure is sure of, and do not change with the last bit of a sum
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value
