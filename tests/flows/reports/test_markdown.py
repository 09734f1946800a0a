"""Numbers and tables of documents."""

import math

import pytest
from jinja2 import UndefinedError

from db.records import Balance
from flows.reports.markdown import MEANINGS, figures, markdown_table, percent, render, with_spread
from tests.architecture.source_tree import ROOT, project


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234.5, "1230"), (105.9, "106"), (99.96, "100"), (9.996, "10.0"), (1.3, "1.30"), (0.0123456, "0.0123"),
     (-0.6, "−0.600"), (0.0, "0"), (math.nan, "-"), (math.inf, "∞")],
)  # fmt: skip
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert figures(value) == text


def test_a_spread_has_the_decimals_of_its_number() -> None:
    assert with_spread(70.66, 1.234) == "70.7 ± 1.2"
    assert with_spread(70.66, None) == "70.7"
    assert with_spread(math.nan, math.nan) == "-"


def test_percentages_of_nothing_are_a_dash() -> None:
    assert (percent(85.04), percent(math.nan), percent(50.0, 0)) == ("85.0", "-", "50")


def test_tables_align_numbers_right_and_keep_bars_inside_cells() -> None:
    assert markdown_table(("name", "n"), [["|e14|", "3"]]) == "| name | n |\n|---|---:|\n| \\|e14\\| | 3 |"
    with pytest.raises(ValueError, match="A row has 1 cells, the head 2"):
        markdown_table(("name", "n"), [["x"]])


def test_a_template_gets_every_value_that_it_asks_for_or_fails() -> None:
    balance = Balance(5, 2, 1, 1, 1, 0)
    text = render("balance.md", run=1, balance=balance, meanings=MEANINGS)
    assert "### Run 1" in text and "| done | 2 | have results |" in text and text.endswith("for.\n")
    with pytest.raises(UndefinedError, match="meanings"):
        render("balance.md", run=1, balance=balance)


def test_templates_are_part_of_the_installed_package() -> None:
    patterns = project()["tool"]["setuptools"]["package-data"]["flows"]
    packaged = {path for pattern in patterns for path in (ROOT / "flows").glob(pattern)}
    assert set((ROOT / "flows" / "reports" / "templates").iterdir()) <= packaged
