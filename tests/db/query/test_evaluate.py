"""A filter in plain Python: three-valued logic, lists, and tables of pandas."""

import math

import pytest

from db.query.evaluate import evaluate
from db.query.filter_language import parse_filter

ROWS = [
    {"k_vrh_gpa": 200.0, "ood": False, "elements": ["Al", "N"], "source_ids": ["a", "b"], "formula": "AlN"},
    {"k_vrh_gpa": None, "ood": None, "elements": ["Al"], "source_ids": [], "formula": "Al"},
    {"k_vrh_gpa": math.nan, "ood": True, "elements": ["N"], "source_ids": ["b"], "formula": "N"},
]


@pytest.mark.parametrize(
    ("text", "truths"),
    [
        ("k_vrh_gpa > 150", [True, None, None]),
        ("NOT k_vrh_gpa > 150", [False, None, None]),
        ("k_vrh_gpa IS UNKNOWN", [False, True, True]),
        ("ood", [False, None, True]),
        ("ood OR k_vrh_gpa > 150", [True, None, True]),
        ("ood AND k_vrh_gpa > 150", [False, None, None]),
        ("NOT (ood AND k_vrh_gpa > 150)", [True, None, None]),
        ('elements HAS ALL "Al","N"', [True, False, False]),
        ('elements HAS ANY "Al","N"', [True, True, True]),
        ('elements HAS ONLY "Al"', [False, True, False]),
        ('source_ids = "a"', [True, False, False]),
        ('source_ids != "a"', [False, True, True]),
        ('formula STARTS WITH "Al"', [True, True, False]),
    ],
)
def test_unknown_values_follow_three_valued_logic(text: str, truths: list[bool | None]) -> None:
    assert evaluate(parse_filter(text), ROWS) == truths


def test_a_table_of_pandas_can_be_filtered() -> None:
    import pandas as pd

    table = pd.DataFrame(
        {
            "k_vrh_gpa": pd.Series([200.0, None, 100.0]),
            "ood": pd.Series([True, pd.NA, False], dtype="boolean"),
            "spacegroup": pd.Series([1, pd.NA, 3], dtype="Int64"),
        }
    )
    rows = table.to_dict(orient="records")
    assert evaluate(parse_filter("k_vrh_gpa > 150 AND ood"), rows) == [True, None, False]
    assert evaluate(parse_filter("spacegroup = 3 OR NOT ood"), rows) == [False, None, True]
