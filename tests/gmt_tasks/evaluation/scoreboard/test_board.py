"""The board as data: what is written comes back, sections replace each other, tables are ordered."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmt_tasks.evaluation.scoreboard.board import NAN, BoardRow, BoardTable, Figure, Origin, Scoreboard, Section
from models.errors import ModelError

NUMBERS = st.floats(allow_infinity=False)
FIGURES = st.builds(Figure, NUMBERS, NUMBERS, NUMBERS)
ROWS = st.builds(
    BoardRow,
    st.text(max_size=5),
    st.sampled_from(Origin),
    st.dictionaries(st.sampled_from(["MAE", "RMSE"]), FIGURES),
    st.text(max_size=5),
    st.none() | st.integers(0, 9),
    st.text(max_size=5),
    st.text(max_size=5),
)
TABLES = st.builds(
    BoardTable,
    st.sampled_from(Section),
    st.text(max_size=5),
    st.text(max_size=5),
    st.text(max_size=5),
    st.text(max_size=5),
    st.none() | st.integers(0, 9),
    st.just(("MAE", "RMSE")),
    st.lists(ROWS, max_size=4).map(tuple),
    st.text(max_size=5),
    st.lists(st.text(max_size=5), max_size=2).map(tuple),
)


def row(name: str, value: float) -> BoardRow:
    return BoardRow(name, Origin.RESCORED, {"MAE": Figure(value)})


def table(section: Section, task: str, *rows: BoardRow) -> BoardTable:
    return BoardTable(section, task, task, "GPa", "test", 3, ("MAE",), rows, "made up")


@settings(max_examples=25)
@given(st.lists(TABLES, max_size=2))
def test_a_board_comes_back_from_its_json(tables: list[BoardTable]) -> None:
    board = Scoreboard(tuple(tables))
    text = json.dumps(board.to_json(), allow_nan=False)
    # NaN is not equal to itself: the written forms are compared
    assert Scoreboard.from_json(json.loads(text)).to_json() == board.to_json()


@pytest.mark.parametrize(
    "data", [None, [], {}, {"scoreboard": 0}, {"scoreboard": 1}, {"scoreboard": 1, "tables": [{"rows": []}]}]
)
def test_what_is_no_board_is_refused(data: object) -> None:
    with pytest.raises(ModelError):
        Scoreboard.from_json(data)


@given(st.lists(st.floats(-5, 5) | st.just(NAN), max_size=6), st.booleans())
def test_the_best_row_comes_first_and_rows_without_the_figure_last(values: list[float], largest_first: bool) -> None:
    rows = [row(str(k), value) for k, value in enumerate(values)] + [BoardRow("none", Origin.MISSING, {})]
    ordered = table(Section.JARVIS, "t", *rows).ordered(largest_first=largest_first)
    found = [each.figures["MAE"].value for each in ordered.rows if "MAE" in each.figures]
    finite = [value for value in found if not math.isnan(value)]
    assert finite == sorted((value for value in values if not math.isnan(value)), reverse=largest_first)
    assert all(math.isnan(value) for value in found[len(finite) :])
    assert len(ordered.rows) == len(rows)


def test_a_new_table_replaces_the_one_of_its_task_in_its_place_and_no_other() -> None:
    old = Scoreboard((table(Section.JARVIS, "a"), table(Section.JARVIS, "b"), table(Section.MATBENCH, "a")))
    renewed = table(Section.JARVIS, "a", row("new", 1.0))
    new = Scoreboard((table(Section.BINARIES, "d"), table(Section.JARVIS, "e"), renewed))
    merged = old.replaced(new).tables
    assert [each.task for each in merged] == ["a", "b", "e", "d", "a"]
    assert merged[0] == renewed
    assert merged[-1] == old.tables[-1], "negative control: the same name in another section"
    assert old.replaced(Scoreboard()) == old
