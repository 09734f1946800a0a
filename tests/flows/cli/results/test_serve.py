"""`gmtscreen serve` as people start it: it says where it is, answers on loopback, and ends with Ctrl-C."""

import json
import re
import signal
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest

from db.store import ResultStore
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
