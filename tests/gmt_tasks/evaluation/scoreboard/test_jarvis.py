"""The JARVIS leaderboard from made-up files: figures against an oracle in plain Python, and hostile contributions."""

import json
import math
import random
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmt_tasks.evaluation.scoreboard.board import BoardRow, Origin
from gmt_tasks.evaluation.scoreboard.jarvis import (
    SAME,
    THEIR_RULE,
    Benchmark,
    Contribution,
    benchmark_path,
    contribution_row,
    jarvis_table,
    read_benchmark,
    read_contribution,
)
from gmt_tasks.evaluation.scoreboard.jarvis_tasks import TASKS
from gmt_tasks.evaluation.scoreboard.number_scores import MAE, RMSE, SPEARMAN
from models.errors import SourceError
from tests.gmt_tasks.evaluation.scoreboard.leaderboard_files import KV, write_benchmark, write_contribution, write_zip

TEST = {f"JVASP-{k}": 10.0 * k for k in range(1, 9)}
NUMBERS = st.floats(-1e3, 1e3) | st.just(math.nan)


def oracle(test: dict[str, float], rows: list[tuple[str, float]]) -> tuple[float, int]:
    """Mean absolute error over test ids, each with the first number given for it, and how many have one."""
    errors = []
    for name, truth in test.items():
        given_numbers = [value for other, value in rows if other == name and not math.isnan(value)]
        errors += [abs(value - truth) for value in given_numbers[:1]]
    return (statistics.fmean(errors) if errors else math.nan), len(errors)


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-1e3, 1e3), min_size=1),
    st.lists(st.tuples(st.sampled_from("abcdefghxyz"), NUMBERS), max_size=20),
)
def test_the_figure_is_that_of_plain_arithmetic(test: dict[str, float], rows: list[tuple[str, float]]) -> None:
    row = contribution_row(Benchmark(test, len(test), math.nan), Contribution("c", rows))
    expected, n = oracle(test, rows)
    assert row.n == n
    assert row.figures[MAE].value == pytest.approx(expected, abs=1e-9, nan_ok=True)
    joined = [abs(value - test[name]) for name, value in rows if name in test]
    theirs = statistics.fmean(joined) if joined else math.nan
    if THEIR_RULE in row.figures:
        assert row.figures[THEIR_RULE].value == pytest.approx(theirs, abs=1e-9, nan_ok=True)
    else:
        assert abs(theirs - expected) <= SAME * 1.001


def scored(tmp_path: Path, rows: list[tuple[str, Any]], **options: Any) -> BoardRow:
    """The row of one contribution, through its file."""
    path = write_contribution(tmp_path, "made", rows, **options)
    return contribution_row(read_benchmark(write_benchmark(tmp_path, TEST)), read_contribution(path))


def test_a_complete_contribution_has_every_figure_and_no_fault(tmp_path: Path) -> None:
    row = scored(tmp_path, [(name, value + 2 * (-1) ** k) for k, (name, value) in enumerate(TEST.items())])
    assert (row.origin, row.n, row.note) == (Origin.RESCORED, 8, "")
    assert row.figures[MAE].value == row.figures[MAE].low == row.figures[MAE].high == pytest.approx(2.0)
    assert row.figures[RMSE].value == pytest.approx(2.0) and row.figures[SPEARMAN].value == pytest.approx(1.0)
    assert THEIR_RULE not in row.figures


def test_the_target_of_a_contribution_is_not_believed(tmp_path: Path) -> None:
    rows = [(name, f"{value + 5},{value + 5}") for name, value in TEST.items()]
    assert scored(tmp_path, rows, head="id,target,prediction").figures[MAE].value == pytest.approx(5.0)


def test_order_and_further_columns_do_not_matter(tmp_path: Path) -> None:
    rows = [(name, f"{value + 1}") for name, value in TEST.items()]
    random.Random(1).shuffle(rows)
    straight = scored(tmp_path, rows).figures
    turned = scored(tmp_path, [(value, f"x,{name}") for name, value in rows], head=" prediction ,note,id").figures
    assert straight == turned


def test_what_is_missing_repeated_foreign_or_unreadable_is_counted(tmp_path: Path) -> None:
    rows: list[tuple[str, Any]] = [(name, value + 1.0) for name, value in TEST.items()][2:]
    rows += [("JVASP-8", 0.0), ("JVASP-1", "nan"), ("JVASP-2", "two"), ("JVASP-99", 1.0)]
    row = scored(tmp_path, rows)
    assert row.n == 6 and row.figures[MAE].value == pytest.approx(1.0), "the first number of JVASP-8 counts"
    for fault in ("2 test ids without", "1 ids repeated", "1 ids of no test crystal", "2 numbers not readable"):
        assert fault in row.note
    assert math.isnan(row.figures[THEIR_RULE].value), "their mean over a join with NaN is none"


def test_a_repeated_id_shows_both_rules(tmp_path: Path) -> None:
    rows = [*TEST.items(), ("JVASP-8", 0.0)]
    row = scored(tmp_path, rows)
    assert row.figures[MAE].value == 0.0
    assert row.figures[THEIR_RULE].value == pytest.approx(80.0 / 9)


def test_ids_that_have_nothing_in_common_give_no_figure(tmp_path: Path) -> None:
    row = scored(tmp_path, [("mp-1", 1.0)])
    assert row.n == 0 and math.isnan(row.figures[MAE].value) and "8 test ids without" in row.note


def test_a_table_orders_contributions_and_shows_the_training_mean(tmp_path: Path) -> None:
    write_benchmark(tmp_path, TEST, {"JVASP-100": 40.0, "JVASP-101": 50.0, "JVASP-102": "na"})
    for name, error in (("worse", 7.0), ("better", 1.0)):
        write_contribution(tmp_path, name, [(each, value + error) for each, value in TEST.items()])
    write_zip(tmp_path / "contributions" / "broken" / KV.contribution_file, "name,number\n")
    path = benchmark_path(KV, tmp_path)
    assert path is not None
    table = jarvis_table(KV, read_benchmark(path), tmp_path)
    assert [row.predictor for row in table.rows] == ["better (2023)", "worse (2023)", "mean of the training part"]
    assert table.rows[2].figures[MAE].value == pytest.approx(20.0)
    assert table.n_split == 8 and THEIR_RULE not in table.columns
    assert [note for note in table.notes if "broken" in note and "not id and prediction" in note]


@pytest.mark.parametrize("value", ["1_00", "１００", "1e200", "-1e101", "1e999", "1" * 400])
def test_a_contribution_with_absurd_numbers_is_refused(tmp_path: Path, value: str) -> None:
    rows = [*TEST.items(), ("JVASP-9", value)]
    with pytest.raises(SourceError, match="has 1 predictions such as .*digits 0 to 9, none beyond 1e"):
        read_contribution(write_contribution(tmp_path, "made", rows))


def test_numbers_are_read_as_tables_write_them(tmp_path: Path) -> None:
    """Negative control of the refusals."""
    texts = {"1": 1.0, " -2.5 ": -2.5, "+.5": 0.5, "3.": 3.0, "1E-3": 1e-3, "1e+100": 1e100}
    rows = read_contribution(write_contribution(tmp_path, "made", [("a", text) for text in texts])).rows
    assert [value for _, value in rows] == list(texts.values())
    unread = read_contribution(write_contribution(tmp_path, "other", [("a", "inf"), ("a", "1;5"), ("a", "nan")])).rows
    assert all(math.isnan(value) for _, value in unread)


def test_contributions_that_are_no_files_are_lines_with_their_folders(tmp_path: Path) -> None:
    write_contribution(tmp_path, "good", TEST.items())
    (tmp_path / "contributions" / "folder" / KV.contribution_file).mkdir(parents=True)
    write_zip(tmp_path / "contributions" / "two" / "inner" / KV.contribution_file, "")
    table = jarvis_table(KV, read_benchmark(write_benchmark(tmp_path, TEST)), tmp_path)
    assert [row.predictor for row in table.rows] == ["good (2023)"]
    faults = [note.split(": ")[1] for note in table.notes if note.startswith("Not scored: ")]
    assert faults == ["contributions/folder", "contributions/two/inner"]


def test_folders_of_calculations_and_of_predictions_are_kept_apart(tmp_path: Path) -> None:
    tasks = {task.category: task for task in TASKS if task.key == "epsx"}
    for task in tasks.values():
        write_benchmark(tmp_path, TEST, task=task)
    assert [path.parts[-3] for task in tasks.values() if (path := benchmark_path(task, tmp_path))] == ["AI", "ES"]
    loose = tmp_path / "loose"
    write_zip(loose / tasks["AI"].benchmark_file, json.dumps({"test": TEST}))
    assert benchmark_path(tasks["AI"], loose) and benchmark_path(tasks["ES"], loose) is None
    assert benchmark_path(KV, loose) is None


@pytest.mark.parametrize("text", ['{"train": {}}', "[1]", "{", '{"test": {"a": 1, "a": 2}}', '{"test": []}', ""])
def test_a_benchmark_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    write_zip(tmp_path / "b.json.zip", text)
    with pytest.raises(SourceError, match="b.json.zip"):
        read_benchmark(tmp_path / "b.json.zip")


def test_test_values_that_are_no_numbers_are_left_out_and_counted(tmp_path: Path) -> None:
    benchmark = read_benchmark(write_benchmark(tmp_path, {**TEST, "JVASP-9": "na", "JVASP-10": math.nan, "x": True}))
    assert benchmark.test == TEST and benchmark.n_test == 11
    row = contribution_row(benchmark, Contribution("c", list(TEST.items())))
    assert row.n == 8 and "3 test values not readable" in row.note


def test_control_characters_of_a_name_reach_no_terminal() -> None:
    row = contribution_row(Benchmark(TEST, 8, math.nan), Contribution("a\x1b[31m\nb", list(TEST.items())))
    assert row.predictor == "a?[31m?b"


@pytest.mark.parametrize("metadata", ["", "[", '{"date_submitted": "<b>today</b>"}', '{"date_submitted": 3}', "[1]"])
def test_metadata_that_cannot_be_read_cost_the_date_only(tmp_path: Path, metadata: str) -> None:
    path = write_contribution(tmp_path, "made", TEST.items())
    path.with_name("metadata.json").write_text(metadata, encoding="utf-8")
    assert read_contribution(path).submitted == ""
