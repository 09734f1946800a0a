"""`gmtscreen serve` as people start it: it says where it is, answers on loopback, and ends with Ctrl-C."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from db.store import ResultStore
from flows.cli.results import http_server as http_server_module
from flows.cli.results.http_server import http_server
from flows.cli.results.serve import is_loopback


@pytest.mark.slow
def test_it_says_where_it_is_answers_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    ResultStore(tmp_path / "hits.db").close()
    command = [sys.executable, "-m", "flows.cli.app", "serve", "--db", str(tmp_path / "hits.db"), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            line = server.stderr.readline()  # type: ignore[union-attr]
            address = re.match(r"http://127\.0\.0\.1:(\d+)", line)
            assert address, line
            connection = HTTPConnection("127.0.0.1", int(address[1]), timeout=60)
            connection.request("GET", "/api/v1/count")
            assert json.loads(connection.getresponse().read()) == {"n": 0, "exact": True, "total": 0}
            connection.close()
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("10.0.0.1", False)],  # noqa: S104
)
def test_other_machines_reach_it_only_where_it_is_not_on_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_a_request_that_does_not_arrive_in_time_ends_and_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(_scope: object, _receive: object, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        await asyncio.sleep(0.5)  # longer than a request may take to arrive: an answer may take its time
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    monkeypatch.setattr(http_server_module, "REQUEST_TIMEOUT_S", 0.3)

    async def talk() -> tuple[bool, bytes]:
        server = http_server(app)
        server.config.lifespan = "off"
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            serving = asyncio.create_task(server._serve([listener]))
            while not server.started:
                await asyncio.sleep(0.01)
            half = await asyncio.open_connection("127.0.0.1", port)
            whole = await asyncio.open_connection("127.0.0.1", port)
            whole[1].write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            for letter in b"GET / HTTP/1.1\r\nHost: somebody":  # dripping: every byte is a sign of life
                if half[0].at_eof():
                    break
                half[1].write(bytes([letter]))
                await asyncio.sleep(0.05)
            ended = half[0].at_eof()
            answered = await asyncio.wait_for(whole[0].readuntil(b"ok"), 5)
            server.should_exit = True
            whole[1].close()
            await serving
        return ended, answered

    ended, answered = asyncio.run(talk())
    assert ended
    assert answered.startswith(b"HTTP/1.1 200")
