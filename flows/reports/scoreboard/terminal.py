"""The scoreboard's tables in a terminal."""

from typing import TYPE_CHECKING

from flows.reports.scoreboard.document import TITLES, cells, heading, note_numbers, split_sentence
from flows.reports.tables import console, new_table

if TYPE_CHECKING:
    from gmt_tasks.evaluation.scoreboard.board import Scoreboard

MOST_COLUMNS = 3
"""Figures side by side."""


def print_scoreboard(board: "Scoreboard") -> None:
    """The tables in the terminal; notes stand below their table, numbered."""
    out = console()
    for table in board.tables:
        title = f"\n{TITLES[table.section.value]}: {heading(table)} [{table.task}]"
        numbers = note_numbers(table)
        # a wide table is printed in parts, each with the predictors
        for start in range(0, len(table.columns), MOST_COLUMNS):
            columns = table.columns[start : start + MOST_COLUMNS]
            heads = ["predictor", "origin", "crystals", "n", *columns]
            shown = new_table(*heads, title=None if start else title, numbers=heads[3:])
            for row in table.rows:
                mark = f"[{numbers[row.note]}]" if row.note else ""
                shown.add_row(f"{row.predictor} {mark}".rstrip(), row.origin.value, *cells(row, columns))
            out.print(shown)
        out.print(f"{split_sentence(table)}. {table.source}.")
        for note, number in numbers.items():
            out.print(f"[{number}] {note}")
        for sentence in table.notes:
            out.print(sentence)
