"""One filter, one answer: SQL, plain Python and HTTP find the same crystals, of 10,000 random filters and 10 tables."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings

from db.explorer.app import create_app
from db.explorer.limits import ServerSettings
from db.query.evaluate import evaluate
from db.query.filter_tree import Filter, to_text
from db.query.pages import Request
from db.store import ResultStore
from flows.explorer_services import ExplorerServices
from tests.db.query.filters import filters
from tests.db.query.test_pages import N_CRYSTALS, fill_at_random, python_rows

Answers = Callable[[Filter], tuple[int, int, int]]


@pytest.fixture
def answers(db: str, request: pytest.FixtureRequest) -> Iterator[Answers]:
    """A random table, and what each way of asking makes of a filter: the number of its hits."""
    with ResultStore(db) as store:
        fill_at_random(store, request.param)
        rows: list[dict[str, Any]] = list(python_rows(store))
        with ResultStore.open_read_only(db, 60.0) as served:
            client = TestClient(create_app(served, ExplorerServices(), ServerSettings()), base_url="http://localhost")

            def ask(tree: Filter) -> tuple[int, int, int]:
                text = to_text(tree)
                hits = [row["id"] for row in store.page(Request(text, fields=("id",), limit=0)).rows]
                found = [row["id"] for row, is_hit in zip(rows, evaluate(tree, rows), strict=True) if is_hit]
                assert hits == sorted(found), text
                answer = client.get("/api/v1/count", params={"filter": text})
                assert answer.status_code == 200, answer.text
                return len(hits), len(found), int(answer.json()["n"])

            yield ask


LAW = settings(
    max_examples=1000, deadline=None, derandomize=False, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("answers", range(10), indirect=True)
def test_every_way_of_asking_finds_the_same_crystals(answers: Answers) -> None:
    seen: set[int] = set()

    @LAW
    @given(filters())
    def check(tree: Filter) -> None:
        by_sql, by_python, by_http = answers(tree)
        assert by_sql == by_python == by_http
        seen.add(by_sql)

    check()
    assert {0, N_CRYSTALS} < seen, "filters of some hits are among them"


@pytest.mark.parametrize("answers", [0], indirect=True)
def test_a_few_of_them_in_every_run(answers: Answers) -> None:
    @settings(LAW, max_examples=10)
    @given(filters())
    def check(tree: Filter) -> None:
        by_sql, by_python, by_http = answers(tree)
        assert by_sql == by_python == by_http

    check()
