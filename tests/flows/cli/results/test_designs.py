"""Designs on the command line: the list, one of them, and why a crystal was proposed. Nothing is computed."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from db.designs.records import DesignSpec
from db.store import ResultStore
from flows.cli.app import app
from flows.reports.crystal_view import SHOWN_INPUTS, identity_lines
from tests.db import blocks
from tests.db.designs.made_designs import REFUSED, add_design

FIRST, SECOND = blocks.crystal_id(3), blocks.crystal_id(1)
SOURCE = f"generated:elements=Ba+Ti+O,n=10,seed=2,model=/{'very/' * 20}long/design-1/round-1/wyckoff.json"
runner = CliRunner()


@pytest.fixture(scope="module")
def designed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with a finished design over two runs and one that has just begun."""
    path = tmp_path_factory.mktemp("designs") / "designs.db"
    with ResultStore(path) as store:
        blocks.work_off(store, blocks.filled(store, 6))
        store.add_block(store.open_run(blocks.spec(SOURCE)).id, blocks.block(0, [1], SOURCE), 100)
        add_design(store, [1, 2], [FIRST, SECOND], refused=[blocks.crystal_id(2)])
        store.designs.open(DesignSpec("", "k_vrh_gpa", {}))
    return str(path)


def run(db: str, *words: str) -> Any:
    """What a command prints that must succeed."""
    result = runner.invoke(app, [*words, "--db", db])
    assert result.exit_code == 0, result.stderr
    return result


def test_designs_are_listed_the_newest_first(designed: str) -> None:
    *_, second, first = run(designed, "designs").stdout.splitlines()
    assert second.split() == ["2", "all", "crystals", "k_vrh_gpa", "0", "0"]
    assert first.split() == ["1", "NOT", "metal", "-d_max_pc_per_n", "2", "2"]
    rows = json.loads(run(designed, "designs", "--json").stdout)["designs"]
    assert [(row["design"], row["rounds"], row["proposals"]) for row in rows] == [(2, 0, 0), (1, 2, 2)]


def test_a_design_is_shown_again_with_rounds_and_proposals(designed: str) -> None:
    result = run(designed, "designs", "1")
    assert "design 1: NOT metal, by -d_max_pc_per_n; " in result.stdout
    assert "2 proposals" in result.stdout and FIRST[:11] in result.stdout
    assert f"why the first one: gmtscreen show {FIRST} --db" in result.stderr
    assert "1 more were chosen and refused, e.g. " in result.stderr and REFUSED in result.stderr
    facts = json.loads(run(designed, "designs", "1", "--json").stdout)
    assert [one["refused"] for one in facts["refused"]] == [REFUSED]
    assert [one["run"] for one in facts["rounds"]] == [1, 2]
    assert [one["crystal_id"] for one in facts["proposals"]] == [FIRST, SECOND]


def test_a_design_that_has_just_begun_says_so(designed: str, tmp_path: Path) -> None:
    assert "no finished round yet" in run(designed, "designs", "2").stderr
    ResultStore(tmp_path / "empty.db").close()
    assert "no designs yet; start one" in run(str(tmp_path / "empty.db"), "designs").stderr
    unknown = runner.invoke(app, ["designs", "3", "--db", designed])
    assert (unknown.exit_code, unknown.stderr) == (
        2,
        "gmtscreen: This database has no design 3. gmtscreen designs lists all.\n",
    )


def test_show_says_why_a_crystal_was_proposed(designed: str) -> None:
    reason = "proposed by design 1 (NOT metal, by -d_max_pc_per_n) as number 2, from round 2: d_max_pc_per_n 15.62, "
    shown = run(designed, "show", SECOND).stdout
    assert f"\n  {reason}promise 0.81, uncertainty 0.64, crowding 0.10\n" in shown
    (row,) = json.loads(run(designed, "show", SECOND, "--json").stdout)["proposals"]
    assert row["text"].startswith(reason)
    assert "proposed" not in run(designed, "show", blocks.crystal_id(2)).stdout


def test_of_many_designs_the_newest_are_named(designed: str) -> None:
    with ResultStore(designed) as store:
        facts = store.show(FIRST)
    rows = [{"text": f"proposed by design {number}"} for number in range(9, 0, -1)]
    lines = [line for line in identity_lines(facts | {"proposals": rows}) if "proposed" in line]
    assert lines[0] == "  proposed by design 9"
    assert lines[SHOWN_INPUTS:] == [f"  and proposed by {9 - SHOWN_INPUTS} more designs"]


def test_runs_of_a_design_say_so_and_their_long_sources_stay_whole(designed: str) -> None:
    table = run(designed, "status").stdout
    assert "design 1: 2" in table and max(map(len, table.splitlines())) <= 100
    lines = run(designed, "status", "2").stdout.splitlines()
    assert "design   round 2 of design 1" in lines
    assert f"sources  {SOURCE}" in lines
