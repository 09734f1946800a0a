"""docs/scoreboard.md is what the kept board says, marks who measured what, and has no table that breaks."""

import re

from flows.reports.scoreboard.document import figure_text, model_lines, scoreboard_document
from gmt_tasks.evaluation.scoreboard.board import BoardRow, BoardTable, Figure, Origin, Scoreboard, Section
from gmt_tasks.evaluation.scoreboard.stored import read_stored
from tests.architecture.source_tree import ROOT


def board(*rows: BoardRow) -> Scoreboard:
    table = BoardTable(
        Section.JARVIS, "task", "K", "GPa", "test part", 1234, ("MAE",), rows, "made up", ("A sentence.",)
    )
    return Scoreboard((table,))


def test_the_document_in_docs_is_the_one_of_the_kept_board() -> None:
    text = (ROOT / "docs" / "scoreboard.md").read_text(encoding="utf-8")
    assert text == scoreboard_document(read_stored()), "make it: gmtscreen scoreboard --write docs --into-explorer"


def test_every_table_of_it_is_rectangular() -> None:
    text = scoreboard_document(read_stored())
    tables = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    assert len(tables) > 10
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, table


def test_ours_quoted_and_scored_rows_look_different_and_notes_are_numbered_once() -> None:
    ours = BoardRow("a@1", Origin.OURS, {"MAE": Figure(1.23456, 1.0, 1.5)}, "never seen", 7, "why", "d" * 64)
    rows = (
        ours,
        BoardRow("b", Origin.QUOTED, {"MAE": Figure(2.0)}, note="why"),
        BoardRow("c|d", Origin.RESCORED, {"MAE": Figure(8.70219)}, n=1968, note="other"),
        BoardRow("our models", Origin.MISSING, {}, note="no file"),
    )
    text = scoreboard_document(board(*rows))
    assert "| **a@1** [1] | never seen | 7 | 1.235 (1.00–1.50) |" in text
    assert "| *b* [1] | all | - | 2 |" in text
    assert "| c\\|d [2] | all | 1968 | 8.702 |" in text
    assert "| our models [3] | all | - | - |" in text
    assert "[1] why; [2] other; [3] no file." in text
    assert "### K (GPa)" in text and "test part, 1,234 crystals." in text and "A sentence." in text
    assert model_lines(board(*rows)) == ["a@1 (sha256 dddddddddddd)"]


def test_a_quoted_figure_stands_as_it_was_published() -> None:
    assert figure_text(Figure(0.0006), quoted=True) == "0.0006"
    assert figure_text(Figure(0.0006), quoted=False) == "0.0006000"
    assert figure_text(Figure(float("nan")), quoted=True) == "-"
    assert figure_text(Figure(4.0), quoted=False) == "4"
