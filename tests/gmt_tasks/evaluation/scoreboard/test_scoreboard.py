"""The whole board: which sections come from which folders, and what is kept of it."""

import json
import math
from collections import Counter
from pathlib import Path

import pytest

from gmt_tasks.evaluation.scoreboard import scoreboard as module
from gmt_tasks.evaluation.scoreboard.board import BoardRow, BoardTable, Figure, Origin, Scoreboard, Section, missing_row
from gmt_tasks.evaluation.scoreboard.number_scores import MAE
from gmt_tasks.evaluation.scoreboard.own_models import OwnModel
from gmt_tasks.evaluation.scoreboard.scoreboard import BoardInputs, make_scoreboard, with_figures
from gmt_tasks.evaluation.scoreboard.stored import STORED, read_stored, write_stored
from models.errors import ModelError, SourceError
from models.gmtnet.card import card_paths, find_checkpoint, read_card
from tests.gmt_tasks.evaluation.scoreboard.leaderboard_files import KV, TASKS, write_benchmark, write_contribution
from tests.gmt_tasks.evaluation.scoreboard.own_toy import toy_model

TEST = {f"JVASP-{k}": 10.0 * k for k in range(1, 9)}


def silent(_: str) -> None:
    """Reports nothing."""


@pytest.fixture
def leaderboard(tmp_path: Path) -> Path:
    write_benchmark(tmp_path, TEST)
    write_contribution(tmp_path, "one", [(name, value + 1) for name, value in TEST.items()])
    return tmp_path


def test_a_folder_with_one_benchmark_gives_one_table_without_loading_a_model(
    leaderboard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OwnModel, "load", lambda *_: pytest.fail("nothing to predict: no structures"))
    board = make_scoreboard(BoardInputs((Section.JARVIS,), jarvis=leaderboard), silent)
    [table] = board.tables
    assert table.task == KV.name
    assert [(row.predictor, row.origin) for row in table.rows] == [
        ("one (2023)", Origin.RESCORED),
        ("our models", Origin.MISSING),
    ]
    assert table.rows[0].figures[MAE].value == pytest.approx(1.0)


def test_without_folders_every_section_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OwnModel, "load", lambda *_: toy_model())
    sections = (Section.JARVIS, Section.BINARIES, Section.PAPER, Section.MATBENCH)
    board = make_scoreboard(BoardInputs(sections, models=("gmtnet",)), silent)
    assert Counter(table.section for table in board.tables).keys() == set(sections)
    for table in board.tables:
        if not table.task.startswith("our split"):
            assert [row.note for row in table.rows if row.origin is Origin.MISSING] != [], table.task
            assert not any(row.origin is Origin.OURS for row in table.rows)
    assert {table.section for table in with_figures(board).tables} == set(sections) - {Section.JARVIS}


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        (BoardInputs(jarvis=Path("nowhere")), "no folder nowhere"),
        (BoardInputs(tasks=("zork",)), "no task 'zork'"),
    ],
)
def test_a_folder_or_task_that_there_is_not_is_named(inputs: BoardInputs, problem: str) -> None:
    with pytest.raises(SourceError, match=problem):
        make_scoreboard(inputs, silent)


def test_one_broken_benchmark_is_a_line_and_costs_no_other_table(leaderboard: Path) -> None:
    shear = next(task for task in TASKS if task.key == "shear_modulus_gv")
    path = write_benchmark(leaderboard, TEST, task=shear)
    path.write_bytes(path.read_bytes()[:40])
    bent = next(task for task in TASKS if task.key == "epsx" and task.category == "AI")
    write_benchmark(leaderboard, TEST, task=bent).unlink()
    (path.parent / bent.benchmark_file).mkdir()
    said: list[str] = []
    board = make_scoreboard(BoardInputs((Section.JARVIS,), jarvis=leaderboard), said.append)
    assert [table.task for table in board.tables] == [KV.name, shear.name, bent.name]
    assert sum("not scored" in line for line in said) == 2
    assert all("not scored" in table.rows[0].note for table in board.tables[1:])
    assert [table.task for table in with_figures(board).tables] == [KV.name], "they replace nothing"


def test_a_folder_without_any_benchmark_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no benchmark"):
        make_scoreboard(BoardInputs((Section.JARVIS,), jarvis=tmp_path), silent)


def test_what_is_kept_comes_back_and_nothing_is_an_empty_board(tmp_path: Path) -> None:
    row = BoardRow("a", Origin.RESCORED, {"MAE": Figure(1.0 / 3.0)})
    table = BoardTable(Section.JARVIS, "t", "t", "GPa", "test", 1, ("MAE",), (row, missing_row("why")), "made up")
    path = tmp_path / "scoreboard.json"
    assert read_stored(path) == Scoreboard()
    write_stored(Scoreboard((table,)), path)
    assert read_stored(path).to_json() == Scoreboard((table,)).to_json()
    assert [entry.name for entry in tmp_path.iterdir()] == ["scoreboard.json"]
    for text in ("{", "[]", '{"scoreboard": 2}'):
        path.write_text(text)
        with pytest.raises(ModelError):
            read_stored(path)


def test_the_kept_board_is_no_card_and_its_figures_are_of_the_shipped_weights() -> None:
    board = read_stored()
    assert board.tables and STORED not in card_paths(STORED.parent)
    known = {row.predictor: row.sha256 for table in board.tables for row in table.rows if row.sha256}
    assert known
    for name, sha256 in known.items():
        card = read_card(find_checkpoint(name.partition("@")[0]))
        assert (name, sha256) == (f"{card.name}@{card.version}", card.sha256), (
            f"the figures of {name} are of other weights: gmtscreen scoreboard --write docs --into-explorer"
        )


def test_the_kept_board_reproduces_what_the_leaderboard_prints() -> None:
    published = {"bulk_modulus_kv": (8.7022, 8.992), "shear_modulus_gv": (8.4881, 8.6612)}
    tables = {table.task: table for table in read_stored().tables}
    for key, figures in published.items():
        rows = {row.predictor: row for row in tables[f"AI-SinglePropertyPrediction-{key}-dft_3d-test-mae"].rows}
        for name, figure in zip(("kgcnn_coNGN (2023)", "kgcnn_coGN (2023)"), figures, strict=True):
            assert rows[name].figures[MAE].value == pytest.approx(figure, abs=5e-5)
            assert rows[name].n == 1968


def test_every_figure_that_was_measured_here_says_on_how_many_crystals() -> None:
    measured = (Origin.OURS, Origin.RESCORED, Origin.BASELINE)
    for table in read_stored().tables:
        for row in table.rows:
            has_figure = any(math.isfinite(figure.value) for figure in row.figures.values())
            assert row.origin not in measured or not has_figure or (row.n or 0) > 0, (table.task, row.predictor)
            assert has_figure or row.note, (table.task, row.predictor)
        assert table.source and table.split
    json.dumps(read_stored().to_json(), allow_nan=False)


def test_sections_are_made_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[str] = []
    monkeypatch.setattr(module, "configurations_table", lambda *_: pytest.fail("not asked for"))
    monkeypatch.setattr(OwnModel, "load", lambda *_: toy_model())
    make_scoreboard(BoardInputs((Section.MATBENCH, Section.JARVIS)), reports.append)
    assert reports == ["scoreboard: jarvis", "scoreboard: matbench"]
