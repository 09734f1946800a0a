"""Secrets stay where they belong: planted ones are looked for in all that a command prints, writes and starts."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from db.engine import parse_url
from db.store import ResultStore
from flows.cli import app as cli
from flows.cli.app import app
from flows.cli.open_ports import PROC, Listener, listeners_of, process_tree
from flows.orchestration import is_loopback, refuse_open_server
from gmt_tasks.import_guard import REPOSITORY_ROOT
from gmt_tasks.settings import load_settings
from models.errors import GmtError, StoreError
from tests.db.postgres_server import PostgresServer, find_program
from tests.flows.conftest import write_crystals

MARK = "Kq7planted"
"""In every planted secret and nowhere else."""

DECOY = "Zw4decoy"
"""No secret: it shows that a word would be found."""

PLANTED = {
    "MP_API_KEY": f"{MARK}-mp-key",
    "PREFECT_API_AUTH_STRING": f"admin:{MARK}-prefect",
    "PREFECT_SERVER_API_AUTH_STRING": f"admin:{MARK}-prefect",
    "PREFECT_API_KEY": f"{MARK}-prefect-key",
    "RAY_AUTH_TOKEN": f"{MARK}-ray-{'0' * 32}",
}
PASSWORD = f"{MARK}-password"

# Nothing listens on port 1.
WITH_PASSWORD = (
    f"postgresql://ana:{PASSWORD}@127.0.0.1:1/gmt",
    f"postgresql://ana@127.0.0.1:1/gmt?password={PASSWORD}",
    f"postgresql://127.0.0.1:1/gmt?user=ana&password={PASSWORD}&connect_timeout=1",
    f"postgresql://:{PASSWORD}@127.0.0.1:1/gmt",
    f"postgresql://ana:{PASSWORD} with a blank@127.0.0.1:1/gmt",
    f"postgresql://ana:{PASSWORD}/slash@127.0.0.1:1/gmt",
    f"postgresql://ana:{PASSWORD}@sign@127.0.0.1:1/gmt",
    f"postgresql://ana:{PASSWORD}@127.0.0.1:port/gmt",
    f"mysql://ana:{PASSWORD}@127.0.0.1:1/gmt",
    f"host=127.0.0.1 port=1 password={PASSWORD}",
    f"postgresql:/ana:{PASSWORD}@127.0.0.1:1/gmt",
    f"ana:{PASSWORD}@127.0.0.1/gmt",
)


@pytest.mark.parametrize("url", WITH_PASSWORD)
def test_no_message_and_no_name_of_a_database_holds_its_password(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        ResultStore.open_existing(url)
    assert MARK not in str(caught.value) + repr(caught.value)
    assert MARK not in repr(load_settings(db=url))
    if "://" in url:
        assert MARK not in load_settings(db=url).shown_database


def test_a_password_among_the_parameters_of_a_url_is_used_and_not_printed() -> None:
    url = parse_url(f"postgresql://ana@h/gmt?password={PASSWORD}&sslmode=require")
    assert (url.password, dict(url.query)) == (PASSWORD, {"sslmode": "require"})
    assert url.render_as_string(hide_password=True) == "postgresql+psycopg://ana:***@h/gmt?sslmode=require"


@pytest.mark.parametrize(
    "arguments",
    [("status",), ("rejects",), ("query", ""), ("show", "x"), ("models", "list"), ("doctor", "--quick")],
    ids=" ".join,
)
@pytest.mark.parametrize("url", [WITH_PASSWORD[1], WITH_PASSWORD[-1]])
def test_no_command_prints_a_secret_when_the_database_refuses(
    arguments: tuple[str, ...], url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in {**PLANTED, "GMTSCREEN_DB": url}.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code or arguments == ("models", "list"), "which lists what is shipped without a database"
    assert MARK not in result.output + result.stderr + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("words", "rest"),
    [
        (
            ["-m", "flows.cli.app", "status", "--db", WITH_PASSWORD[0], "--json"],
            ["-m", "flows.cli.app", "status", "--json"],
        ),
        (["gmtscreen", "screen", "reference", f"--db={WITH_PASSWORD[1]}"], ["gmtscreen", "screen", "reference"]),
    ],
)
def test_a_password_on_the_command_line_moves_into_the_environment(
    words: list[str], rest: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr(sys, "orig_argv", ["python", *words])
    monkeypatch.setattr(os, "execve", lambda *call: started.append(call))
    cli.hide_password()
    ((program, argv, environment),) = started
    assert (program, argv) == (sys.executable, [sys.executable, *rest])
    assert environment["GMTSCREEN_DB"] in WITH_PASSWORD
    assert MARK not in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["status", "--db", "hits.db"], ["status", "--db"], ["query", "a=b", "--db=x.db"], []]
)
def test_a_command_line_without_a_password_stays_as_it_is(words: list[str]) -> None:
    assert cli.without_password(words) == (words, None)


def test_a_prefect_server_beyond_this_machine_needs_credentials() -> None:
    for url in ("http://prefect:4200/api", "https://10.0.0.5/api", "http://[2001:db8::1]:4200/api"):
        with pytest.raises(GmtError, match="PREFECT_API_AUTH_STRING"):
            refuse_open_server(url, has_credentials=False)
        refuse_open_server(url, has_credentials=True)
    for url in ("http://127.0.0.1:4200/api", "http://localhost:4200/api", "http://[::1]:4200/api"):
        refuse_open_server(url, has_credentials=False)
    assert not is_loopback("localhost.example.org") and not is_loopback("127.0.0.1.example.org") and not is_loopback("")


def watched(
    arguments: list[str], folder: Path, environment: dict[str, str]
) -> Iterator[tuple[set[str], set[Listener]]]:
    """Runs the command line with arithmetic for a model; yields argument lists and listeners of its descendants."""
    with (folder / "stdout").open("w") as out, (folder / "stderr").open("w") as err:
        command = [sys.executable, "-m", "tests.flows.cli.fake_cli", *arguments]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=err)
        while process.poll() is None:
            tree = process_tree(process.pid)
            yield {_arguments(pid) for pid in tree}, set(listeners_of(tree))
            time.sleep(0.2)
    assert process.returncode == 0, (folder / "stderr").read_text()


def _arguments(pid: int) -> str:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:  # it ended while we looked
        return ""


def holders(folder: Path, words: Iterable[str]) -> set[Path]:
    """Files below a folder that hold one of the words, or have it in their name; paths within the folder."""
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return {
        path
        for path in files
        if any(word in str(path) or word.encode() in (folder / path).read_bytes() for word in words)
    }


@pytest.fixture
def database_with_password() -> Iterator[tuple[str, str]]:
    """The URL of a real database that asks for a password, and the password; SQLite has none and stands in."""
    if find_program("initdb") is None:
        yield "", MARK
        return
    server = PostgresServer()
    try:
        yield server.url, str(parse_url(server.url).password)
    finally:
        server.remove()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
def test_a_whole_run_leaves_no_secret_anywhere_and_listens_on_loopback_only(
    short_folder: Path, database_with_password: tuple[str, str]
) -> None:
    """Standard output and error, Prefect's database, Ray's logs, arguments of every process, every port.

    The name of the source is no secret: as the control it must be found wherever a secret would be.
    """
    url, password = database_with_password
    source = write_crystals(short_folder / f"{DECOY}.jsonl", ["Al", "flat", "N", "Og", "Ts"])
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    home = {name: str(short_folder) for name in ("HOME", "TMPDIR", "RAY_TMPDIR")}
    environment = {
        **kept, **home, **PLANTED, "PYTHONPATH": str(REPOSITORY_ROOT), "PREFECT_HOME": str(short_folder / "prefect"),
        "GMTSCREEN_DB": url or f"sqlite:///{short_folder}/hits.db", "GMTSCREEN_TEST_SAYS": DECOY,
        "RAY_AUTH_MODE": "token", "GMTSCREEN_DEBUG": "1", "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "600",
    }  # fmt: skip
    arguments, listeners = set(), set()
    for some, more in watched(["screen", str(source), "--workers", "1", "--verbose"], short_folder, environment):
        arguments |= some
        listeners |= more
    assert [text for text in arguments if MARK in text or password in text] == []
    assert len(listeners) >= 3 and [str(each) for each in listeners if not each.loopback] == []
    assert holders(short_folder, [MARK, password]) == set()

    assert any(DECOY in text for text in arguments)
    leaked = holders(short_folder, [DECOY])
    for place in ("stderr", "prefect/prefect.db*", "ray/session_*/logs/worker-*"):
        assert any(path.match(place) for path in leaked), f"control: nothing is found in {place}"
