"""The command lines of deploy/compose.yaml, started one by one on loopback: a whole installation screens crystals."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.store import ResultStore
from tests.architecture.source_tree import ROOT
from tests.db.postgres_server import NOT_INSTALLED, PostgresServer, find_program, free_port, fresh_database
from tests.deploy.compose_file import Service, service
from tests.deploy.processes import Processes, processes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

N_CRYSTALS = 6


@pytest.fixture
def database() -> Iterator[str]:
    if find_program("initdb") is None:
        pytest.skip(NOT_INSTALLED)
    server = PostgresServer()
    try:
        with fresh_database(server.url) as url:
            yield url
    finally:
        server.remove()


class Installation:
    """The services of the compose file with addresses of this machine."""

    def __init__(self, started: Processes, database: str, folder: Path) -> None:
        self.started = started
        self.ray, self.prefect = free_port(), free_port()
        self.variables = {
            "POSTGRES_PASSWORD": secrets.token_hex(8),
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "PREFECT_AUTH_STRING": f"gmtscreen:{secrets.token_hex(16)}",
        }
        host_and_name = f"gmtscreen:{self.variables['POSTGRES_PASSWORD']}@postgres:5432/gmtscreen"
        self.elsewhere = {
            f"postgresql://{host_and_name}": database,
            "ray-head:6379": f"127.0.0.1:{self.ray}",
            "127.0.0.1:6379": f"127.0.0.1:{self.ray}",
            "--port=6379": f"--port={self.ray}",
            "prefect-server:4200": f"127.0.0.1:{self.prefect}",
            "127.0.0.1:4200": f"127.0.0.1:{self.prefect}",
            "--port=4200": f"--port={self.prefect}",
            "0.0.0.0": "127.0.0.1",  # noqa: S104  what is replaced
            "/opt/gmtscreen": str(ROOT),
            "/var/lib/gmtscreen": str(folder / "lib"),
        }

    def of(self, name: str) -> Service:
        return service(name, self.variables, self.elsewhere)

    def start(self, name: str) -> None:
        """Starts a service and waits until its own health check passes."""
        found = self.of(name)
        again = ["sh", "-c", 'until "$@"; do sleep 1; done', name] if found.restarts else []
        self.started.start(name, [*again, *found.words], found.environment)
        if "--block" in found.words:
            # The health check asks Ray's store, which answers before the node stands.
            self.started.wait_for(name, lambda: "will now block" in self.started.log(name))
        if found.check:
            self.started.wait_for(name, lambda: self.started.healthy(found.check, found.environment))


@pytest.fixture
def installation(tmp_path: Path, database: str) -> Iterator[Installation]:
    variables = {"PREFECT_HOME": str(tmp_path / "prefect"), "DO_NOT_TRACK": "1", "RAY_AUTH_MODE": "token"}
    with processes(tmp_path, variables) as started:
        yield Installation(started, database, tmp_path)


def test_the_services_of_the_compose_file_screen_crystals_into_postgresql(
    installation: Installation, database: str
) -> None:
    started = installation.started
    for name in ("ray-head", "ray-worker"):
        installation.start(name)
    check = installation.of("ray-worker").check
    foreign = {"RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_AUTH_MODE": "token"}
    assert not started.healthy(check, foreign), "another token opens the cluster"

    job = installation.of("screen")
    words = [*job.words, "--limit", str(N_CRYSTALS), "--workers", "1", "--json"]
    done = started.run("screen", words, job.environment)
    assert done.returncode == 0, done.stdout[-3000:]
    with ResultStore(database) as store:
        (run,) = store.runs()
    assert (run["state"], run["in"], run["done"]) == ("finished", N_CRYSTALS, N_CRYSTALS)
    assert not [secret for secret in installation.variables.values() if secret in done.stdout]


def test_the_prefect_services_register_and_run_what_the_deployment_file_says(
    installation: Installation, database: str
) -> None:
    started = installation.started
    installation.start("prefect-server")
    server = installation.of("prefect-server")
    closed = {"PREFECT_API_AUTH_STRING": "gmtscreen:guess"}
    assert not started.healthy(server.check, server.environment | closed), "the server answers whoever guesses"

    registered = installation.of("deployments")
    done = started.run("deployments", registered.words, registered.environment)
    assert done.returncode == 0, done.stdout[-3000:]

    # A worker without a cluster: what is run here needs none.
    worker = installation.of("prefect-worker")
    environment = {name: value for name, value in worker.environment.items() if name != "GMTSCREEN_RAY_ADDRESS"}
    started.start("prefect-worker", worker.words[worker.words.index("prefect") :], environment)
    words = ["prefect", "--no-prompt", "deployment", "run", "ingest/nightly", "--watch", "--watch-timeout", "200"]
    words += ["--param", json.dumps({"limit": 3})[1:-1].replace('"', "").replace(": ", "=")]
    done = started.run("run", words, worker.environment)
    assert done.returncode == 0, done.stdout[-2000:] + started.log("prefect-worker")[-3000:]
    with ResultStore(database) as store:
        (run,) = store.runs()
    assert run["in"] == 3 and run["sources"] == ["reference"]
