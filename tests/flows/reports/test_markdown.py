"""Numbers and tables of documents."""

import math

import pytest

from flows.reports.markdown import figures, markdown_table, percent, with_spread


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
    assert markdown_table(("name", "n"), [["|e14|", "3"]]) == ["| name | n |", "|---|---:|", "| \\|e14\\| | 3 |"]
    with pytest.raises(ValueError, match="A row has 1 cells, the head 2"):
        markdown_table(("name", "n"), [["x"]])
