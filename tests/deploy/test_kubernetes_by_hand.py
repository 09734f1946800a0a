"""The command lines of deploy/kubernetes/, started one by one on loopback, and what the probes of Kubernetes get."""

import os
import secrets
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from db.records import ModelVersion
from db.store import ResultStore
from tests.architecture.source_tree import ROOT
from tests.db.postgres_server import NOT_INSTALLED, PostgresServer, find_program, fresh_database
from tests.deploy.kubernetes_files import KUBERNETES, named, pods, ray_start
from tests.deploy.processes import Processes, processes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

N_CRYSTALS = 6


@dataclass(frozen=True)
class Container:
    """A container of a manifest on this machine.

    Attributes:
        words: its command line.
        environment: its variables; secrets are filled in.
        probes: what the kubelet would ask, by name of the probe.
    """

    words: list[str]
    environment: dict[str, str]
    probes: dict[str, dict[str, Any]]


def quiet_ports(n_ports: int) -> list[int]:
    """Free ports below those that the system gives away: Ray takes many of these before we listen."""
    found: list[int] = []
    while len(found) < n_ports:
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as probe:
            if port not in found and probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
    return found


class Cluster:
    """The pods of the manifests, with addresses of this machine."""

    def __init__(self, started: Processes, database: str, folder: Path) -> None:
        self.started = started
        names = ("6379", "8265", "4200", "8080", "head-agent", "gpu-agent", "52365")
        self.ports = dict(zip(names, quiet_ports(len(names)), strict=True))
        ray, prefect, dashboard = (f"127.0.0.1:{self.ports[name]}" for name in ("6379", "4200", "8265"))
        self.dashboard = f"http://{dashboard}"
        self.secrets = {
            "gmtscreen-ray-token": secrets.token_hex(32),
            "gmtscreen-prefect": f"gmtscreen:{secrets.token_hex(16)}",
            "gmtscreen-database": database,
            "gmtscreen-sources": "",
        }
        self.elsewhere = {
            "gmtscreen-head-svc:6379": ray,
            "prefect-server:4200": prefect,
            "127.0.0.1:4200": prefect,
            "--port=4200": f"--port={self.ports['4200']}",
            "0.0.0.0": "127.0.0.1",  # noqa: S104  what is replaced
            "/opt/gmtscreen": str(ROOT),
            "/var/lib/gmtscreen": str(folder / "lib"),
            "/var/lib/prefect": str(folder / "prefect"),
        }

    def container(self, pod: str, *, init: bool = False) -> Container:
        """The first container of a pod."""
        (spec,) = (each.spec for each in pods() if each.name == pod)
        found = spec["initContainers" if init else "containers"][0]
        environment = {}
        for variable in found.get("env", []):
            secret = variable.get("valueFrom", {}).get("secretKeyRef", {}).get("name")
            environment[variable["name"]] = self.secrets[secret] if secret else self._here(variable["value"])
        names = ("startupProbe", "readinessProbe", "livenessProbe")
        probes = {name: found[name] for name in names if name in found}
        words = [self._here(word) for word in [*found.get("command", []), *found.get("args", [])]]
        return Container(words, environment, probes)

    def _here(self, text: str) -> str:
        for old, new in self.elsewhere.items():
            text = text.replace(old, new)
        return text

    def passes(self, pod: str, ports: dict[str, str]) -> bool:
        """Whether all probes of a pod pass.

        Args:
            pod: its name.
            ports: on this machine, by the name of the container's port.
        """
        container = self.container(pod)
        assert len(container.probes) == 3
        for probe in container.probes.values():
            if "exec" in probe:
                words = [self._here(word) for word in probe["exec"]["command"]]
                if not self.started.healthy(words, container.environment):
                    return False
                continue
            address = f"http://127.0.0.1:{ports[probe['httpGet']['port']]}{probe['httpGet']['path']}"
            try:
                with urllib.request.urlopen(address, timeout=probe["timeoutSeconds"]) as answer:
                    if answer.status != 200:
                        return False
            except (OSError, HTTPException):
                return False
        return True

    def start_ray(self) -> None:
        """The head and one worker as the operator starts them, without the GPU that is not here."""
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.secrets["gmtscreen-ray-token"]}
        for group in ("head", "gpu"):
            words = [self._here(word) for word in ray_start(named("RayCluster", "gmtscreen"), group)]
            elsewhere = ("--num-gpus", "--metrics-export", "--dashboard-agent")
            words = [word for word in words if not word.startswith(elsewhere)]
            if group == "head":
                # The operator's defaults, given here because another process of this machine may have them.
                words += [f"--port={self.ports['6379']}", f"--dashboard-port={self.ports['8265']}"]
            environment = self.container(f"gmtscreen-{group}").environment | token
            if group == "head":
                # The agent that takes jobs connects to the head by itself: it would look for it beyond loopback.
                environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
            port = self.ports[f"{group}-agent"]
            self.started.start(group, words, environment | {"AGENT_PORT": str(port)})
            ready = f"gmtscreen-{group}"
            self.started.wait_for(group, lambda ready=ready, port=port: self.passes(ready, {"ray-agent": str(port)}))


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


@pytest.fixture
def cluster(tmp_path: Path, database: str) -> Iterator[Cluster]:
    pytest.importorskip("aiohttp_cors", reason="the extra `cluster` is not installed")
    with processes(tmp_path, {"DO_NOT_TRACK": "1"}) as started:
        yield Cluster(started, database, tmp_path)


def test_ray_comes_up_answers_its_probes_and_takes_the_entrypoint_of_the_job(cluster: Cluster, database: str) -> None:
    started = cluster.started
    cluster.start_ray()
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": cluster.secrets["gmtscreen-ray-token"]}
    check = ["ray", "health-check", f"--address=127.0.0.1:{cluster.ports['6379']}"]
    assert started.healthy(check, token) and not started.healthy(check, token | {"RAY_AUTH_TOKEN": "0" * 64})
    # What the submitter's pod runs, in the operator's words; the entrypoint begins with its own variables.
    entrypoint = named("RayJob", "screen")["spec"]["entrypoint"].split()
    sizes = {"prototypes:n=100000": "prototypes:n=1", "32": "1", "auto": f"127.0.0.1:{cluster.ports['6379']}"}
    words = [sizes.get(word, word) for word in entrypoint] + ["--limit", str(N_CRYSTALS)]
    environment = cluster.container("screen-head").environment
    submit = ["ray", "job", "submit", "--address", cluster.dashboard, "--submission-id", "screen-1", "--"]
    assigned = [f"{name}={environment[name]}" for name in ("GMTSCREEN_DB", "GMTSCREEN_MODELS")]
    done = started.run("submit", [*submit, "env", *assigned, "GMTSCREEN_GPUS_PER_WORKER=0", *words], token)
    assert done.returncode == 0, done.stdout[-3000:]
    with ResultStore(database) as store:
        (run,) = store.runs()
    assert (run["state"], run["in"], run["done"]) == ("finished", N_CRYSTALS, N_CRYSTALS)


def test_prefect_comes_up_and_its_worker_joins_ray_and_runs_a_deployment(cluster: Cluster, database: str) -> None:
    started = cluster.started
    server = cluster.container("prefect-server")
    started.start("server", server.words, server.environment)
    started.wait_for("server", lambda: cluster.passes("prefect-server", {"http": str(cluster.ports["4200"])}))
    register = cluster.container("deployments")
    done = started.run("register", register.words, register.environment)
    assert done.returncode == 0, done.stdout[-3000:]
    cluster.start_ray()

    folders = cluster.container("prefect-worker", init=True)
    assert started.run("folders", folders.words).returncode == 0
    worker = cluster.container("prefect-worker")
    health = {"PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1", "PREFECT_WORKER_WEBSERVER_PORT": str(cluster.ports["8080"])}
    agent = {"AGENT_PORT": str(cluster.ports["52365"])}
    here = {"GMTSCREEN_GPUS_PER_WORKER": "0", "GMTSCREEN_WORKERS": "1"}
    started.start("worker", worker.words, worker.environment | health | agent | here)
    ports = {"health": str(cluster.ports["8080"]), "ray-agent": str(cluster.ports["52365"])}
    started.wait_for("worker", lambda: cluster.passes("prefect-worker", ports))

    # A run that needs no worker of Ray: the process that Prefect starts for it would look for the head beyond loopback.
    words = ["prefect", "--no-prompt", "deployment", "run", "ingest/nightly", "--watch", "--watch-timeout", "300"]
    words += ["--param", f"limit={N_CRYSTALS}"]
    done = started.run("run", words, worker.environment)
    assert done.returncode == 0, done.stdout[-2000:] + started.log("worker")[-3000:]
    with ResultStore(database) as store:
        (run,) = store.runs()
    assert run["in"] == N_CRYSTALS and run["sources"] == ["reference"]


def test_a_dump_restores_what_was_in_the_database(tmp_path: Path) -> None:
    if find_program("initdb") is None:
        pytest.skip(NOT_INSTALLED)
    server = PostgresServer()
    programs = {"PATH": f"{Path(str(find_program('initdb'))).parent}{os.pathsep}{os.environ['PATH']}"}
    script = ["sh", str(KUBERNETES / "base" / "backup.sh")]
    try:
        with fresh_database(server.url) as first, fresh_database(server.url) as second:
            with ResultStore(first) as store:
                store.register_model(ModelVersion("toy", "1", "1" * 64), {"error": 0.5})
                before = store.list_models()
            connection = libpq_variables(first)
            environment = os.environ | programs | connection | {"BACKUPS": str(tmp_path)}
            old = tmp_path / f"{connection['PGDATABASE']}-old.dump"
            old.touch()
            os.utime(old, (0, 0))
            done = subprocess.run(script, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            (dump,) = tmp_path.iterdir()
            assert dump.suffix == ".dump" and not old.exists()
            # What the Job of a restore runs, into a database that holds something else already.
            with ResultStore(second) as store:
                store.register_model(ModelVersion("other", "1", "2" * 64), {})
            restore = next(pod.spec["containers"][0] for pod in pods() if pod.name == "postgres-restore")["command"]
            words = [*restore[:-1], restore[-1].replace("/backups", str(tmp_path))]
            done = subprocess.run(words, env=environment | libpq_variables(second), capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            with ResultStore.open_existing(second) as store:
                assert store.list_models() == before != []
            broken = environment | {"PGDATABASE": "nothing_of_this_name"}
            assert subprocess.run(script, env=broken, capture_output=True).returncode != 0
            assert list(tmp_path.iterdir()) == [dump]
    finally:
        server.remove()


def libpq_variables(url: str) -> dict[str, str]:
    """The variables of PostgreSQL's own programs for a database URL."""
    from sqlalchemy import make_url

    parts = make_url(url)
    return {
        "PGHOST": str(parts.host),
        "PGPORT": str(parts.port),
        "PGUSER": str(parts.username),
        "PGPASSWORD": str(parts.password),
        "PGDATABASE": str(parts.database),
    }
