"""What a hostile page, a hostile question or a crowd can do to the server: nothing."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Scope

from db.explorer.limits import ServerSettings
from db.explorer.queue import QueryQueue
from db.explorer.security import CONTENT_SECURITY_POLICY, SECURITY_HEADERS, without_port
from db.store import ResultStore
from tests.db.explorer.served import asking
from tests.db.test_read_only import endless_question

PATHS = ("/", "/static/js/core/format.js", "/api/v1/count", "/api/v1/nope", "/optimade/v1/info", "/nope")


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_carries_the_security_headers_and_no_cookie(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert {name: headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert "set-cookie" not in headers
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("path", ["/api/v1/properties", "/", "/static/js/core/format.js", "/optimade/v1/structures"])
def test_answers_are_compressed_and_one_weak_tag_stands_for_both_forms(client: TestClient, path: str) -> None:
    plain = client.get(path, headers={"accept-encoding": "identity"})
    packed = client.get(path, headers={"accept-encoding": "gzip"})
    assert ("content-encoding" in plain.headers, packed.headers["content-encoding"]) == (False, "gzip")
    assert int(packed.headers["content-length"]) < len(plain.content) / 1.5
    assert "Accept-Encoding" in plain.headers["vary"]
    tag = packed.headers.get("etag")
    assert tag == plain.headers.get("etag")
    if path != "/":
        assert tag.startswith('W/"')
        assert client.get(path, headers={"if-none-match": tag}).status_code == 304


def test_a_file_that_is_compressed_already_is_sent_as_it_is_and_parts_of_files_too(client: TestClient) -> None:
    packed = {"accept-encoding": "gzip"}
    assert "content-encoding" not in client.get("/api/v1/export?format=parquet", headers=packed).headers
    part = client.get("/static/js/core/format.js", headers=packed | {"range": "bytes=0-99"})
    assert (part.status_code, len(part.content), "content-encoding" in part.headers) == (206, 100, False)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/crystals/made-1", 200),
        ("/crystals/nope", 404),
        ("/runs/1", 200),
        ("/runs/99", 404),
        ("/designs", 200),
        ("/scoreboard", 200),
        ("/designs/1", 200),
        ("/designs/99", 404),
        ("/models/nope", 404),
    ],
)
def test_the_page_of_something_that_is_not_there_is_a_page_with_status_404(
    client: TestClient, path: str, status: int
) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert 'src="/static/js/' in answer.text, "its scripts say what is missing"


def test_scripts_come_from_the_server_itself() -> None:
    rules = dict(rule.split(" ", 1) for rule in CONTENT_SECURITY_POLICY.split("; "))
    assert rules["script-src"] == rules["default-src"] == "'self'"
    assert rules["object-src"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"


@pytest.mark.parametrize("path", ["/api/v1/count", "/optimade/v1/structures", "/"])
def test_only_reading_methods_are_answered(client: TestClient, path: str) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        answer = client.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD"), method
    assert client.head(path).status_code == 200


@pytest.mark.parametrize(
    "refused", [("POST", "", {}), ("GET", f"?filter={'a' * 17_000}", {}), ("GET", "", {"host": "a.example"})]
)
def test_a_refusal_is_an_error_in_the_words_of_its_interface(
    client: TestClient, refused: tuple[str, str, dict[str, str]]
) -> None:
    method, query, headers = refused
    ours = client.request(method, f"/api/v1/crystals{query}", headers=headers)
    assert ours.json()["error"]["message"]
    theirs = client.request(method, f"/optimade/v1/structures{query}", headers=headers)
    assert theirs.status_code == ours.status_code
    assert theirs.json()["errors"][0]["status"] == str(ours.status_code)
    assert theirs.json()["meta"]["api_version"]
    assert theirs.headers["content-type"] == "application/vnd.api+json"


def test_a_person_is_shown_a_page_where_nothing_is_and_a_program_an_error(client: TestClient) -> None:
    for path in ("/nope", "/runs/abc", "/static"):
        shown = client.get(path, headers={"accept": "text/html,*/*;q=0.8"}, follow_redirects=False)
        if path != "/static":
            assert shown.headers["content-type"].startswith("text/html"), path
            assert shown.status_code in (400, 404)
            assert 'href="/help"' in shown.text
        assert "error" in client.get(path).json()
    for path in ("/api/v1/nope", "/optimade/v1/nope", "/static/nope"):
        assert "json" in client.get(path, headers={"accept": "text/html"}).headers["content-type"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080", ""])
def test_a_page_whose_name_was_rebound_to_this_machine_is_turned_away(client: TestClient, host: str) -> None:
    assert client.get("/api/v1/count", headers={"host": host}).status_code == 421
    assert client.get("/api/v1/count", headers={"host": "localhost:8080"}).status_code == 200


def test_a_host_is_its_name_without_the_port() -> None:
    hosts = {"A.example:80": "a.example", "[::1]:8080": "[::1]", "[::1]": "[::1]", "localhost": "localhost"}
    assert {host: without_port(host) for host in hosts} == hosts


def test_other_pages_read_answers_only_where_they_are_allowed(served_db: Path) -> None:
    with asking(served_db, origins=("https://a.example",)) as client:
        allowed = client.get("/api/v1/count", headers={"origin": "https://a.example"})
        assert allowed.headers["access-control-allow-origin"] == "https://a.example"
        assert "access-control-allow-origin" not in client.get("/", headers={"origin": "https://b.example"}).headers


@pytest.mark.parametrize("path", ["/api/v1/crystals?limit=3", "/optimade/v1/structures?page_limit=2"])
def test_what_has_not_changed_is_not_sent_again(client: TestClient, path: str) -> None:
    first = client.get(path)
    again = client.get(path, headers={"if-none-match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    other = client.get(path.replace("=", "=1"), headers={"if-none-match": first.headers["etag"]})
    assert other.status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/count", "/optimade/v1/structures"])
def test_a_stopped_question_is_answered_with_what_to_do(
    served_db: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asking(served_db, query_timeout_s=0.2) as client:
        monkeypatch.setattr("db.query.counts.count", lambda connection, _request: endless_question(connection))
        monkeypatch.setattr(
            "db.explorer.optimade.routes.count", lambda connection, _request: endless_question(connection)
        )
        answer = client.get(path)
        assert answer.status_code == 504
        assert "narrower" in answer.text


def test_a_failure_says_nothing_about_the_inside(served_db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret of the inside")

    with asking(served_db) as client:
        monkeypatch.setattr(ResultStore, "quick_count", broken)
        answer = client.get("/api/v1/count")
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY


@pytest.mark.parametrize("path", ["/api/v1/count", "/optimade/v1/structures"])
def test_trouble_of_the_database_is_the_servers_and_its_address_stays_secret(
    served_db: Path, tmp_path: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    moved = tmp_path / "moved.db"
    shutil.copy(served_db, moved)
    with asking(moved) as client:
        assert client.get(path).status_code == 200
        moved.rename(tmp_path / "elsewhere.db")
        answer = client.get(path)
        assert answer.status_code == 503
        assert str(tmp_path) not in answer.text
        assert "moved.db was deleted" in caplog.text
        assert not moved.exists()
        (tmp_path / "elsewhere.db").rename(moved)
        assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/count", "/optimade/v1/structures"])
def test_a_crowd_waits_and_is_then_asked_to_come_again(path: str) -> None:
    running, most = 0, 0
    gone = asyncio.Event()

    async def app(_scope: Scope, _receive: Any, send: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gone.wait()
        running -= 1
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def crowd() -> list[int]:
        queue = QueryQueue(app, ServerSettings(concurrent_queries=2, queue_timeout_s=0.05))
        statuses: list[int] = []

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        async def ask() -> None:
            await queue({"type": "http", "path": path, "method": "GET", "headers": []}, None, send)  # type: ignore[arg-type]

        questions = [asyncio.create_task(ask()) for _ in range(5)]
        while len(statuses) < 3:
            await asyncio.sleep(0.01)
        gone.set()
        await asyncio.gather(*questions)
        await ask()
        return statuses

    assert asyncio.run(crowd()) == [503, 503, 503, 200, 200, 200]
    assert most == 2


def test_a_long_query_is_refused(client: TestClient) -> None:
    assert client.get("/api/v1/count", params={"filter": "a" * 17_000}).status_code == 414
