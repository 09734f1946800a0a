"""The client waits, repeats, bounds, resumes, names itself, and goes nowhere that it was not sent."""

import socket
import time
from pathlib import Path

import pytest

from gmt_tasks.settings import RemoteSettings
from gmt_tasks.sources.remote import http_client
from gmt_tasks.sources.remote.http_client import HttpClient, RateLimits, UnreachableError
from gmt_tasks.sources.remote.resumable_download import CHUNK, download
from models.errors import SourceError
from tests.gmt_tasks.sources.remote.local_server import BAD_GATEWAY, BUSY, Answer, LocalServer, Request, serving

FAST = RateLimits(requests_per_s=1000, retry_wait_s=0, attempts=3)
CONTENT = bytes(range(256)) * 4000
KEPT = 300_000 // CHUNK * CHUNK


def ok(_: Request) -> Answer:
    return Answer.json({"data": [1, 2, 3]})


def client(server: LocalServer, rate_limits: RateLimits = FAST) -> HttpClient:
    return HttpClient(server.url, rate_limits)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(BUSY, id="429"),
        pytest.param(BAD_GATEWAY, id="502"),
        pytest.param(Answer(b"", 503, headers={"Retry-After": "0"}), id="503"),
        pytest.param(Answer(b"", 504), id="504"),
        pytest.param(Answer.json({"data": [1, 2, 3]}, cut_at=9), id="body shorter than its length"),
        pytest.param(Answer(b'{"data": [1,', without_length=True), id="JSON that ends in the middle"),
        pytest.param(Answer.json({}, cut_at=0), id="no body"),
    ],
)
def test_a_fault_that_passes_is_asked_over(fault: Answer) -> None:
    with serving(ok) as server:
        server.faults = [fault, fault]
        assert client(server).get_json(f"{server.url}/x") == {"data": [1, 2, 3]}
        assert len(server.requests) == 3


@pytest.mark.parametrize("fault", [BUSY, BAD_GATEWAY, Answer.json({"data": [1]}, cut_at=5)])
def test_a_fault_that_stays_is_an_error_that_says_where_and_how_often(fault: Answer) -> None:
    with serving(lambda _: fault) as server, pytest.raises(UnreachableError, match=r"http://127.*/x .*Try again later"):
        client(server).get_json(f"{server.url}/x?secret=1")


def test_a_server_that_is_away_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UnreachableError, match="no whole answer"):
            HttpClient(url, FAST).get_json(url)


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the client would have slept, in seconds; it does not."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def test_retry_after_is_waited_for_and_bounded(naps: list[float]) -> None:
    with serving(ok) as server:
        server.faults = [Answer(b"{}", 429, headers={"Retry-After": text}) for text in ("7", "86400")]
        client(server).get_json(server.url)
    assert [nap for nap in naps if nap >= 1] == [7, http_client.LONGEST_WAIT_S]


def test_waits_double_with_jitter_and_are_bounded() -> None:
    rules = RateLimits(retry_wait_s=1.0, attempts=50).retries()
    waits = []
    for _ in range(12):
        rules = rules.increment("GET", "/", error=http_client.ProtocolError("x"))
        waits.append(rules.get_backoff_time())
    assert all(2**k <= wait <= 2**k + 0.5 for k, wait in enumerate(waits[1:6], start=1))
    assert max(waits) <= http_client.LONGEST_WAIT_S
    assert len({wait % 1 for wait in waits[1:6]}) == 5


def test_a_host_is_asked_no_more_often_than_agreed(naps: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    with serving(ok) as server:
        limited = client(server, RateLimits(requests_per_s=20, retry_wait_s=0))
        for _ in range(4):
            limited.session.get(server.url)
    assert [round(nap, 6) for nap in naps if nap] == [0.05, 0.1, 0.15]


def test_the_client_names_itself_and_whoever_runs_it() -> None:
    with serving(ok) as server:
        client(server, RateLimits.of(RemoteSettings(contact="me@example.org"))).get_json(server.url)
        assert server.requests[0].headers["user-agent"].startswith("gmtscreen/")
        assert "(me@example.org)" in server.requests[0].headers["user-agent"]


def test_an_error_of_the_server_is_reported_in_its_own_words() -> None:
    said = {"errors": [{"status": "400", "detail": "filter: unknown property frob"}]}
    with serving(lambda _: Answer.json(said, status=400)) as server, pytest.raises(SourceError, match="property frob"):
        client(server).get_json(server.url)
    with serving(lambda _: Answer.json({"detail": "no such key"}, status=403)) as server:
        with pytest.raises(SourceError, match="403.*no such key") as caught:
            client(server).get_json(server.url)
        assert not isinstance(caught.value, UnreachableError)
        assert len(server.requests) == 1


def test_a_page_that_is_no_json_is_named_by_its_kind() -> None:
    page = Answer(b"<html>please log in</html>", content_type="text/html")
    with serving(lambda _: page) as server, pytest.raises(SourceError, match="text/html.*<html>please"):
        client(server).get_json(server.url)


def test_an_answer_without_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "MAX_BODY_BYTES", 1 << 20)
    with serving(lambda _: Answer.json("x" * (1 << 20))) as server, pytest.raises(SourceError, match="more than 1 MiB"):
        client(server).get_json(server.url)
    with serving(lambda _: Answer.json("x" * 1000)) as server:
        assert client(server).get_json(server.url) == "x" * 1000


def test_an_answer_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "BODY_TIMEOUT_S", 0.0)
    with serving(ok) as server, pytest.raises(UnreachableError, match="no whole answer within"):
        client(server).get_json(server.url)


def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "READ_TIMEOUT_S", 0.1)
    with serving(lambda _: Answer.json({}, delay_s=0.4)) as server, pytest.raises(UnreachableError):
        client(server, RateLimits(1000, 0, attempts=1)).get_json(server.url)


@pytest.mark.parametrize("target", ["http://169.254.169.254/secret", "https://127.0.0.1:1/x", "https://localhost/x"])
def test_a_redirect_to_a_private_host_is_not_followed(target: str) -> None:
    with serving(lambda _: Answer(b"", 302, headers={"Location": target})) as server:
        with pytest.raises(SourceError, match="not followed"):
            client(server).get_json(server.url)
        assert len(server.requests) == 1


def test_a_redirect_on_the_same_server_is_followed() -> None:
    def respond(request: Request) -> Answer:
        return ok(request) if request.path == "/new" else Answer(b"", 301, headers={"Location": "/new"})

    with serving(respond) as server:
        assert client(server).get_json(f"{server.url}/old") == {"data": [1, 2, 3]}


def test_a_client_with_a_secret_never_leaves_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "is_public", lambda host: True)
    redirect = Answer(b"", 302, headers={"Location": "https://elsewhere.example/x"})
    with serving(lambda _: redirect) as server:
        stays = HttpClient(server.url, FAST, follow_hosts=False)
        with pytest.raises(SourceError, match="only the same server is"):
            stays.get_json(server.url)


def file_server(request: Request) -> Answer:
    """A file with an etag, in ranges where they are asked for."""
    etag = {"ETag": '"v1"'}
    if request.headers.get("if-none-match") == '"v1"':
        return Answer(b"", 304, headers=etag)
    wanted = request.headers.get("range", "")
    if (
        wanted and request.headers.get("if-range", '"v1"') == '"v1"'
    ):  # who does not ask gets a range of whatever is there
        start = int(wanted.removeprefix("bytes=").partition("-")[0])
        if start == len(CONTENT):
            return Answer(b"", 416, headers=etag | {"Content-Range": f"bytes */{len(CONTENT)}"})
        headers = etag | {"Content-Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"}
        return Answer(CONTENT[start:], 206, "application/zip", headers)
    return Answer(CONTENT, content_type="application/zip", headers=etag)


def test_a_download_that_breaks_off_goes_on_at_the_byte_where_it_stopped(tmp_path: Path) -> None:
    with serving(file_server) as server:
        server.faults = [Answer(CONTENT, 200, "application/zip", {"ETag": '"v1"'}, cut_at=300_000)]
        assert download(client(server), f"{server.url}/f", tmp_path / "f") == '"v1"'
        assert (tmp_path / "f").read_bytes() == CONTENT
        assert [request.headers.get("range") for request in server.requests] == [None, f"bytes={KEPT}-"]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["f"]


def test_a_download_that_was_given_up_goes_on_in_the_next_call(tmp_path: Path) -> None:
    cut = Answer(CONTENT, 200, "application/zip", {"ETag": '"v1"'}, cut_at=300_000)
    with serving(lambda _: cut) as server, pytest.raises(UnreachableError, match=f"{KEPT:,} bytes are kept"):
        download(client(server, RateLimits(1000, 0, attempts=0)), f"{server.url}/f", tmp_path / "f")
    assert not (tmp_path / "f").exists()
    with serving(file_server) as server:
        download(client(server), f"{server.url}/f", tmp_path / "f")
        assert server.requests[0].headers["range"] == f"bytes={KEPT}-"
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_halves_of_two_versions_are_never_joined(tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(b"old half")
    (tmp_path / "f.part.etag").write_text('"v0"')
    with serving(file_server) as server:
        assert download(client(server), f"{server.url}/f", tmp_path / "f") == '"v1"'
    assert (tmp_path / "f").read_bytes() == CONTENT


@pytest.mark.parametrize("part", [CONTENT, CONTENT + b"x"])
def test_a_part_that_reaches_the_end_is_taken_only_if_it_has_the_right_length(tmp_path: Path, part: bytes) -> None:
    (tmp_path / "f.part").write_bytes(part)
    (tmp_path / "f.part.etag").write_text('"v1"')

    def respond(request: Request) -> Answer:
        beyond = request.headers.get("range") == f"bytes={len(CONTENT) + 1}-"
        size = {"Content-Range": f"bytes */{len(CONTENT)}"}
        return Answer(b"", 416, headers=size) if beyond else file_server(request)

    with serving(respond) as server:
        download(client(server), f"{server.url}/f", tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_file_that_did_not_change_is_not_fetched_again(tmp_path: Path) -> None:
    with serving(file_server) as server:
        assert download(client(server), f"{server.url}/f", tmp_path / "f", '"v1"') is None
        assert download(client(server), f"{server.url}/f", tmp_path / "f", '"v0"') == '"v1"'
