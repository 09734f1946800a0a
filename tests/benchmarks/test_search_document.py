"""The document that says how many labels the rule of `gmtscreen suggest` saves."""

from pathlib import Path

import numpy as np

from benchmarks.search_curves import OURS, PREDICTION, RANDOM, UNCERTAINTY, SearchCurve
from benchmarks.search_document import conclusion, search_table, write_active_learning


def curves(split: str, needed: float) -> list[SearchCurve]:
    """All rules of one property; ours needs so many labels, chance 100."""
    found = np.linspace(0, 1, 200).tolist()
    spent = {OURS: needed, PREDICTION: 20.0, UNCERTAINTY: 90.0, RANDOM: 100.0}
    return [
        SearchCurve("k_vrh_gpa", split, rule, 200, 10, found, {0.5: n, 0.8: n}, found, found)
        for rule, n in spent.items()
    ]


def test_the_document_says_where_the_rule_saves_too_little(tmp_path: Path) -> None:
    table = search_table(curves("test", 25.0))
    assert "| `k_vrh_gpa` | 10 of 200 | 25 / 25 | 20 / 20 | 90 / 90 | 100 / 100 | 4.00 | 4.00 |" in table
    assert conclusion(curves("test", 25.0)) == "At least 3 times fewer labels than by chance everywhere."
    assert "`k_vrh_gpa` (80 %: 2.00)" in conclusion(curves("test", 50.0))
    document, picture = write_active_learning([*curves("test", 25.0), *curves("val", 50.0)], "toy@1", tmp_path)
    text = document.read_text(encoding="utf-8")
    assert text.index("### Test") < text.index("### Val") and "figures/active-learning.png" in text
    first = picture.read_bytes()
    assert first.startswith(b"\x89PNG")
    write_active_learning([*curves("test", 25.0), *curves("val", 50.0)], "toy@1", tmp_path)
    assert picture.read_bytes() == first and document.read_text(encoding="utf-8") == text
