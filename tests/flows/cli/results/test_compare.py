"""Crystals side by side: the numbers are those of show, marks say what they mean, every width holds them."""

import io
import json
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from db.store import ResultStore
from flows.reports.comparison_table import print_comparison
from gmt_tasks.export.comparison import ComparedRow, compare_crystals
from models.errors import MissingError
from tests.flows.cli.results.test_results import run

IDS = [f"made-{number}" for number in range(6)]


@pytest.fixture(scope="module")
def facts(db: str) -> list[dict[str, Any]]:
    """Everything about six crystals."""
    with ResultStore(db) as store:
        return [store.show(name) for name in IDS]


def by_name(rows: list[ComparedRow]) -> dict[str, ComparedRow]:
    return {row.name: row for row in rows}


def test_values_and_intervals_are_those_of_the_crystals_and_the_largest_is_the_largest(
    facts: list[dict[str, Any]],
) -> None:
    comparison = compare_crystals(facts, smallest=["g_vrh_gpa"])
    rows = by_name(comparison.rows)
    bulk = [each["results"][0]["derived"]["k_vrh_gpa"] for each in facts]
    assert rows["k_vrh_gpa"].values == bulk
    assert rows["k_vrh_gpa"].best == int(np.argmax(bulk))
    assert rows["k_vrh_gpa"].unit == "GPa"
    assert rows["g_vrh_gpa"].best == int(np.argmin(rows["g_vrh_gpa"].values))
    assert rows["spacegroup"].best is rows["mechanically_stable"].best is None
    assert [crystal.id for crystal in comparison.crystals] == [each["id"] for each in facts]


@pytest.mark.parametrize(
    ("numbers", "ends", "smallest", "best", "certain"),
    [
        ([1.0, 2.0], [[0.9, 1.1], [1.9, 2.1]], False, 1, True),
        ([1.0, 2.0], [[0.9, 1.95], [1.9, 2.1]], False, 1, False),
        ([1.0, 2.0], [None, [1.9, 2.1]], False, 1, False),
        ([1.0, 2.0], [[0.9, 1.1], [1.9, 2.1]], True, 0, True),
        ([1.0, 1.0], [[0.9, 1.1], [0.9, 1.1]], False, None, False),
        ([None, 1.0], [None, [0.9, 1.1]], False, None, False),
        ([None, 1.0, 3.0], [None, [0.9, 1.1], [2.9, 3.1]], False, 2, True),
    ],
)
def test_a_value_is_the_largest_for_certain_where_no_interval_reaches_it(
    numbers: list[Any], ends: list[Any], smallest: bool, best: int | None, certain: bool
) -> None:
    results = [
        {"derived": {"k_vrh_gpa": number}, "uncertainty": {"k_vrh_gpa": pair} if pair else {}, "trust": {}}
        | {"model": "m@1", "model_state": "current", "tensors": {}}
        for number, pair in zip(numbers, ends, strict=True)
    ]
    crystals = [{"id": str(place), "formula": "X", "results": [each]} for place, each in enumerate(results)]
    (row,) = compare_crystals(crystals, ["k_vrh_gpa"], smallest=["k_vrh_gpa"] if smallest else []).rows
    assert (row.best, row.certain) == (best, certain)


@pytest.mark.parametrize("width", [80, 100, 160])
def test_every_value_is_printed_at_every_width_and_no_line_is_wider(facts: list[dict[str, Any]], width: int) -> None:
    stream = io.StringIO()
    comparison = compare_crystals(facts, ["k_vrh_gpa", "eps_total_mean", "thermal_conductivity_min_clarke_w_per_m_k"])
    print_comparison(Console(file=stream, width=width), comparison)
    table, _, _ = stream.getvalue().partition("* largest")
    assert max(map(len, table.splitlines())) <= width
    for row in comparison.rows:
        for value in row.values:
            assert f"{value:.4g}" in table
    assert table.count("thermal_conductivity_min_") == table.count("clarke_w_per_m_k") == {80: 2, 100: 2, 160: 1}[width]
    assert stream.getvalue().count("(*)") + table.count(" *") >= 3


def test_components_are_those_of_the_ieee_frame(db: str) -> None:
    answer = json.loads(run("compare", *IDS[:2], "--ieee", "--json", "--fields", "k_vrh_gpa", "--db", db).stdout)
    shown = [json.loads(run("show", name, "--ieee", "--json", "--db", db).stdout)["results"][0] for name in IDS[:2]]
    rows = {row["name"]: row["values"] for row in answer["rows"]}
    assert rows["C12"] == [result["tensors"]["elastic_voigt"][0][1] for result in shown]
    assert all(crystal["axes"].startswith("IEEE Std 176") for crystal in answer["crystals"])


def test_what_cannot_be_compared_is_said(db: str, facts: list[dict[str, Any]]) -> None:
    for words, sentence in (
        ((IDS[0],), "name two to 6"),
        ((*IDS, "made-6"), "name two to 6"),
        ((IDS[0], "zork"), "No crystal has the id or source id 'zork'"),
        ((*IDS[:2], "--fields", "zork"), "no property 'zork'"),
        ((*IDS[:2], "--model", "zork"), "has no result of zork"),
    ):
        result = run("compare", *words, "--db", db)
        assert (result.exit_code, result.stdout) == (2, "")
        assert sentence in result.stderr
    with pytest.raises(MissingError):
        compare_crystals(facts, model="zork@1")


@pytest.mark.slow
def test_the_former_comparison_of_two_versions_still_works(db: str) -> None:
    with ResultStore(db) as store:
        name = f"{store.list_models()[0]['name']}@{store.list_models()[0]['version']}"
    result = run("compare", name, name, "--top", "2", "--db", db)
    assert (result.exit_code, "rank correlation 1.000" in result.stderr + result.stdout) == (0, True)
    assert "gmtscreen models compare" in result.stderr
