"""docs/scoreboard.md: every table of the kept board, who measured what, and why a figure is not there."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flows.reports.markdown import figures, markdown_table, render

if TYPE_CHECKING:
    from gmt_tasks.evaluation.scoreboard.board import BoardRow, BoardTable, Figure, Scoreboard

TITLES: dict[str, str] = {
    "jarvis": "JARVIS leaderboard",
    "binaries": "K and G of binaries, beside potentials",
    "paper": "The protocol of the GMTNet paper",
    "matbench": "Matbench",
    "configurations": "Speed, size and accuracy of every configuration",
}
"""Headings of the sections by their names."""

MARKS = {"ours": "**{}**", "quoted": "*{}*", "baseline": "{}", "re-scored": "{}", "missing": "{}"}
"""How the predictor of a row is set, by its origin: ours bold, quoted figures in italics."""

_SHA_CHARS = 12


def scoreboard_document(board: "Scoreboard") -> str:
    """The whole document as Markdown."""
    sections = {}
    for name, title in TITLES.items():
        tables = [table for table in board.tables if table.section.value == name]
        if tables:
            sections[name] = {"title": title, "tables": [_described(table) for table in tables]}
    return render("scoreboard.md", sections=sections, models=model_lines(board))


def _described(table: "BoardTable") -> dict[str, object]:
    """What the template shows of a table."""
    numbers = note_numbers(table)
    rows = []
    for row in table.rows:
        mark = f" [{numbers[row.note]}]" if row.note else ""
        rows.append([MARKS[row.origin.value].format(row.predictor) + mark, *cells(row, table.columns)])
    return {
        "title": heading(table),
        "task": table.task,
        "text": markdown_table(("predictor", "crystals", "n", *table.columns), rows, texts=2),
        "split": split_sentence(table),
        "source": table.source,
        "footnotes": [f"[{number}] {note}" for note, number in numbers.items()],
        "notes": table.notes,
    }


def note_numbers(table: "BoardTable") -> dict[str, int]:
    """The notes of a table's rows, each once, numbered from 1 in the order of the rows."""
    notes = dict.fromkeys(row.note for row in table.rows if row.note)
    return {note: number for number, note in enumerate(notes, start=1)}


def heading(table: "BoardTable") -> str:
    """Title and unit of a table."""
    return table.title if table.unit in ("", "1") else f"{table.title} ({table.unit.replace('C/m^2', 'C/m²')})"


def split_sentence(table: "BoardTable") -> str:
    """Which crystals, and how many."""
    return table.split if table.n_split is None else f"{table.split}, {table.n_split:,} crystals"


def cells(row: "BoardRow", columns: Sequence[str]) -> Iterator[str]:
    """Which crystals, how many, and the figures of these columns."""
    yield row.subset or "all"
    yield "-" if row.n is None else str(row.n)
    for name in columns:
        quoted = row.origin.value == "quoted"
        yield figure_text(row.figures[name], quoted=quoted) if name in row.figures else "-"


def figure_text(figure: "Figure", *, quoted: bool) -> str:
    """A number with the ends of its interval in brackets; "-" where it is not known, a quoted one as it was published.

    Four digits, as the leaderboards print theirs; whole numbers are counts.
    """
    if math.isnan(figure.value):
        return "-"
    if quoted or (figure.value == round(figure.value) and math.isnan(figure.low)):
        return f"{figure.value:.7g}"
    value = figures(figure.value, 4)
    return value if math.isnan(figure.low) else f"{value} ({figures(figure.low)}–{figures(figure.high)})"


def model_lines(board: "Scoreboard") -> list[str]:
    """Our models with the beginning of their weights' sha256, each once."""
    known = {row.predictor: row.sha256 for table in board.tables for row in table.rows if row.sha256}
    return [f"{name} (sha256 {sha256[:_SHA_CHARS]})" for name, sha256 in sorted(known.items())]
