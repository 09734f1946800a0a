"""Commands about results: searches with names, files, pictures, one crystal in the frame of handbooks."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
from typer.testing import CliRunner

from db.query.analysis.pareto import Sense
from db.query.presets import PRESETS
from flows.cli.app import app
from flows.reports.hits.plot_hits import HitsPlot, draw_hits, plot_columns
from models.errors import GmtError

runner = CliRunner()


def run(*words: str) -> Any:
    return runner.invoke(app, list(words))


def test_a_preset_prints_the_filter_that_it_stands_for(db: str) -> None:
    result = run("query", "preset:piezo", "--db", db)
    assert result.exit_code == 0
    assert f"{PRESETS['piezo'].title}: {PRESETS['piezo'].filter}, by -d_max_pc_per_n" in result.stderr
    assert "e_max_c" in result.stdout, "its own columns are shown"


def test_an_empty_answer_says_which_term_emptied_it(db: str) -> None:
    result = run("query", "k_vrh_gpa > 900 AND n_atoms > 0", "--db", db)
    assert result.exit_code == 0
    assert "No crystal of 30 passes k_vrh_gpa > 900." in result.stderr
    assert "n_atoms" not in result.stderr
    drawn = run("plot", "k_vrh_gpa > 900", "--x", "k_vrh_gpa", "--y", "g_vrh_gpa", "--db", db)
    assert drawn.exit_code == 2
    assert "No crystal of 30 passes k_vrh_gpa > 900." in drawn.stderr


def test_diverse_hits_need_a_limit_and_are_in_the_order_of_the_ranking(db: str) -> None:
    rows = json.loads(run("query", "", "--sort=-k_vrh_gpa", "--limit", "5", "--diverse", "--json", "--db", db).stdout)
    assert len(rows) == 5
    assert [row["k_vrh_gpa"] for row in rows] == sorted((row["k_vrh_gpa"] for row in rows), reverse=True)
    refused = run("query", "", "--limit", "0", "--diverse", "--db", db)
    assert (refused.exit_code, "need a limit" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["export", "", "--to", "hits"], "says no format"),
        (["export", "", "--to", "hits", "--format", "pdb"], "there is no format pdb"),
        (["export", "ood", "--to", "all", "--database"], "leave out the filter"),
        (["export", "zork", "--to", "a.csv"], "no property 'zork'"),
        (["export", "zork", "--to", "a.parquet"], "no property 'zork'"),
        (["query", "zork", "--format", "csv", "--out", "a.csv"], "no property 'zork'"),
        (["query", "zork", "--format", "parquet", "--out", "a.parquet"], "no property 'zork'"),
        (["plot", "", "--x", "formula", "--y", "k_vrh_gpa"], "Plot numbers"),
        (["plot", "", "--x", "k_vrh_gpa", "--y", "g_vrh_gpa", "--out", "a.gif"], "is no picture"),
        (["plot", "", "--x", "k_vrh_gpa", "--y", "g_vrh_gpa", "--pareto", "--senses", "up"], "not understood"),
        (["surface", "made-0", "--property", "zork"], "choose young"),
    ],
)
def test_what_cannot_be_done_is_one_line_that_says_what_to_do_and_leaves_no_file(
    db: str, words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*words, "--db", db)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_crystal_is_shown_in_the_ieee_frame_with_the_rotation_to_it(db: str) -> None:
    result = run("show", "made-0", "--ieee", "--db", db)
    assert result.exit_code == 0, result.stderr
    assert "tensors in the IEEE frame: IEEE Std 176 axes of point group" in result.stdout
    facts = json.loads(run("show", "made-0", "--ieee", "--json", "--db", db).stdout)
    assert facts["results"][0]["frame"] == "ieee"
    assert len(facts["results"][0]["rotation"]) == 3


def test_a_surface_says_its_extremes_and_where_they_are(db: str, tmp_path: Path) -> None:
    page = tmp_path / "young.html"
    result = run("surface", "made-0", "--out", str(page), "--json", "--db", db)
    assert result.exit_code == 0, result.stderr
    extremes = json.loads(result.stdout)
    assert extremes["min"] < extremes["max"]
    assert len(extremes["max_direction"]) == 3
    assert f"{extremes['max']:.4g} GPa" in page.read_text(encoding="utf-8")
    picture = tmp_path / "young.svg"
    assert run("surface", "made-0", "--out", str(picture), "--db", db).exit_code == 0
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")  # noqa: S314  written by ourselves


def hits(n: int = 3) -> pd.DataFrame:
    rows = {"id": [f"gx-{k}" for k in range(n)], "formula": ["Al2O3", "O2Si", "AlN"][:n], "spacegroup": [167, 152, 186]}
    numbers = {"k_vrh_gpa": [250.0, 40.0, 0.1], "g_vrh_gpa": [1.0, 2.0, 0.5]}
    ends = {f"{name}_{end}": values for name, values in numbers.items() for end in ("lo", "hi")}
    return pd.DataFrame(rows | numbers | ends)


def test_a_page_needs_nothing_from_elsewhere_and_no_text_becomes_script(tmp_path: Path) -> None:
    hostile = 'formula = "</script><script>alert(1)</script>"'
    table = hits()
    table.loc[2, "formula"] = "</script><script>alert(1)</script>"
    plot = HitsPlot(table, "k_vrh_gpa", "g_vrh_gpa", None, (Sense.MAX, Sense.MAX), hostile)
    text = draw_hits(plot, tmp_path / "hits.html").read_text(encoding="utf-8")
    assert re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=", text) == []
    assert "alert(1)</script>" not in text
    picture = json.loads(re.findall(r"const picture = (.*);\n", text)[-1])
    points = next(trace for trace in picture["data"] if trace["name"] == "crystals")
    assert points["x"] == [250.0, 40.0, 0.1]
    assert "gx-1" in points["text"][1]
    front = next(trace for trace in picture["data"] if trace["name"] == "Pareto front")
    assert (front["x"], front["text"]) == ([250.0, 40.0], ["Al2O3", "O2Si"])
    assert picture["layout"]["xaxis"]["type"] == "log"
    assert picture["layout"]["yaxis"]["type"] == "linear"


def test_a_picture_has_axes_with_units_and_the_front_with_names(tmp_path: Path) -> None:
    plot = HitsPlot(hits(), "k_vrh_gpa", "g_vrh_gpa", "g_vrh_gpa", (Sense.MIN, Sense.MAX), "")
    assert plot.front().tolist() == [2, 1]
    drawn = draw_hits(plot, tmp_path / "hits.svg").read_text(encoding="utf-8")
    assert "bulk modulus, Hill average (GPa)" in drawn
    assert "Pareto front" in drawn


def test_only_numbers_are_drawn_and_their_intervals_come_along() -> None:
    wanted = ["id", "formula", "spacegroup", "k_vrh_gpa", "ood", "k_vrh_gpa_lo", "k_vrh_gpa_hi"]
    assert plot_columns("k_vrh_gpa", "ood", None) == wanted
    with pytest.raises(GmtError, match="point_group is a text"):
        plot_columns("k_vrh_gpa", "point_group", None)
