"""The measures of how the code reads stay where they are or get better: `python -m tests.architecture.measures`."""

from functools import cache

import pytest

from tests.architecture.measures import TreeMeasures, measure_source, measure_tree, table
from tests.architecture.source_tree import ROOT

MEDIAN_LINES = 7
"""A function is a paragraph: at least so many code lines in the median, properties and protocols included."""

COMMENTS = 2.0
"""Comments that say why, for every hundred code lines, at least."""

SMALL_HELPERS = 20
"""Private helpers used once that have fewer than six lines, at most: some read better by their name."""


@cache
def now() -> TreeMeasures:
    """The measures of the working tree."""
    return measure_tree(ROOT)


def test_functions_are_paragraphs() -> None:
    assert MEDIAN_LINES <= now().median_function_lines <= 16


def test_comments_say_why() -> None:
    assert COMMENTS <= now().comments_per_100 <= 8


def test_comprehensions_are_not_nested() -> None:
    assert now().product.nested_comprehensions == []


def test_small_helpers_are_read_in_place() -> None:
    places = now().product.small_helpers
    assert len(places) <= SMALL_HELPERS, places


FILE = '''"""A module."""

X = 1  # noqa: E501
"""An attribute."""


def long(values):
    """A function.

    Longer than one line.
    """
    # Because of this.
    total = [
        value
        for value in values
    ]
    return _short(total)  # and of that


def _short(values):
    return values
'''


def test_code_comments_and_functions_are_counted() -> None:
    counted = measure_source(FILE, "m.py")
    assert counted.code_lines == 1 + 6 + 2
    assert counted.comments == 2
    assert sorted(counted.function_lines) == [2, 6]
    assert counted.small_helpers == ["m.py:20 _short"]


@pytest.mark.parametrize(
    ("code", "n_nested"),
    [
        ("[[x for x in y] for y in z]", 1),
        ("{k: sum(x for x in v) for k, v in z}", 1),
        ("[x for x in (y for y in z)]", 1),
        ("[x for y in z for x in y]", 0),
        ("f([x for x in y], [x for x in z])", 0),
    ],
)
def test_nested_comprehensions_are_counted(code: str, n_nested: int) -> None:
    assert len(measure_source(code, "m.py").nested_comprehensions) == n_nested


@pytest.mark.parametrize(
    "code",
    [
        "def _f():\n    return 1\n_f()\n_f()",
        "def f():\n    return 1\nf()",
        "@property\ndef _f():\n    return 1\n_f()",
        "def _f():\n    a = 1\n    a = 2\n    a = 3\n    a = 4\n    a = 5\n    return a\n_f()",
    ],
)
def test_a_helper_that_is_public_long_or_used_twice_is_no_small_one(code: str) -> None:
    assert measure_source(code, "m.py").small_helpers == []


def test_the_table_has_a_column_for_each_tree() -> None:
    lines = table({"before": now(), "now": now()}).splitlines()
    assert lines[0].split() == ["before", "now"]
    assert len(lines) == 1 + len(now().rows())
    assert len(set(map(len, lines))) == 1
