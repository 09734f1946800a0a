"""What OPTIMADE asks for and no column holds: properties alike for all crystals, of other providers, and times."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.query.filter_language import parse_filter
from db.query.filter_tree import Decided, Operator
from db.query.pages import Request
from db.query.properties import CRYSTALS
from db.query.times import normalized_time, time_text, whole_seconds
from db.store import ResultStore
from models.errors import FilterError
from tests.db.blocks import block, results, spec

FOREIGN = replace(CRYSTALS, foreign=True)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("nperiodic_dimensions = 3", True),
        ("2 >= nperiodic_dimensions", False),
        ('type = "structures"', True),
        ('type CONTAINS "references"', False),
        ('structure_features HAS "disorder"', False),
        ('structure_features HAS ONLY "disorder"', True),
        ("structure_features LENGTH 0", True),
        ("structure_features IS KNOWN", True),
    ],
)
def test_a_condition_that_is_the_same_for_every_crystal_is_decided_at_once(text: str, outcome: bool) -> None:
    assert parse_filter(text) == Decided(outcome)


@pytest.mark.parametrize("text", ['nperiodic_dimensions = "3"', "type", 'structure_features HAS "Al"', "type = 3"])
def test_it_is_checked_like_any_other(text: str) -> None:
    with pytest.raises(FilterError):
        parse_filter(text)


@pytest.mark.parametrize(
    "text", ["_exmpl_a = 1", '_exmpl_a != "x"', '_exmpl_a HAS "x"', "_exmpl_a LENGTH 3", '_exmpl_a CONTAINS "a"']
)
def test_another_providers_property_is_unknown_where_it_is_admitted(text: str) -> None:
    assert parse_filter(text, FOREIGN) == Decided(None)
    assert parse_filter("_exmpl_a IS UNKNOWN", FOREIGN) == Decided(True)
    with pytest.raises(FilterError):
        parse_filter(text)
    with pytest.raises(FilterError):
        parse_filter(text.replace("_exmpl_a", "_gmt_a"), FOREIGN)


def test_the_outcomes_follow_three_valued_logic_in_sql(
    store: ResultStore, finish: Callable[[ResultStore], None]
) -> None:
    finish(store)
    n = store.count()
    assert n > 0

    def found(text: str) -> int:
        return len(store.page(Request(text, fields=("id",), vocabulary=FOREIGN)).rows)

    assert found("_exmpl_a = 1") == found("NOT _exmpl_a = 1") == found("NOT (_exmpl_a = 1 AND nelements > 0)") == 0
    assert found("nelements > 0 OR _exmpl_a = 1") == found("NOT (_exmpl_a = 1 AND nperiodic_dimensions = 2)") == n


@pytest.fixture
def finish() -> Callable[[ResultStore], None]:
    """Computes a run of some crystals."""

    def compute(store: ResultStore) -> None:
        run = store.open_run(spec())
        store.add_block(run.id, block(0, [0, 1, 2]), 10**6)
        lease = store.lease_shard(run.id, "w")
        assert lease is not None
        assert store.commit_shard(lease, results(lease))

    return compute


def test_times_are_compared_as_they_are_printed(store: ResultStore, finish: Callable[[ResultStore], None]) -> None:
    finish(store)
    (printed,) = {row["last_modified"] for row in store.page(Request(fields=("last_modified",))).rows}
    before, after = time_text(whole_seconds(printed) - 1), time_text(whole_seconds(printed) + 1)
    wanted = {
        Operator.EQUAL: {printed},
        Operator.UNEQUAL: {before, after},
        Operator.LESS: {after},
        Operator.LESS_EQUAL: {printed, after},
        Operator.GREATER: {before},
        Operator.GREATER_EQUAL: {before, printed},
    }
    for operator, holding in wanted.items():
        bounds = [before, printed, after]
        hits = {bound for bound in bounds if store.count(f'last_modified {operator} "{bound}"')}
        assert hits == holding, operator


@given(st.integers(min_value=0, max_value=4_000_000_000))
def test_a_time_is_the_same_after_printing(seconds: int) -> None:
    text = time_text(seconds + 0.75)
    assert whole_seconds(text) == seconds
    assert normalized_time(text) == normalized_time(text.replace("Z", "+00:00")) == text


def test_a_text_that_is_no_time_is_refused() -> None:
    assert normalized_time("2026-01-31T12:00:00.9+01:00") == "2026-01-31T11:00:00Z"
    assert normalized_time("2026-01-31") == "2026-01-31T00:00:00Z"
    with pytest.raises(FilterError, match="is no time"):
        parse_filter('last_modified > "yesterday"')
