"""`gmtscreen screen --ray-address` as a command, against a cluster of two nodes started by `ray start` with a token."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from db.store import ResultStore
from flows.cli.open_ports import listeners_of
from gmt_tasks.import_guard import REPOSITORY_ROOT
from gmt_tasks.settings import load_settings
from tests.flows.conftest import write_crystals
from tests.flows.test_chaos import dump, n_done
from tests.gmt_tasks.retraining.tiny import bring, label_batches

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc"),
]

N_CRYSTALS = 240
PATIENCE_S = 300.0
WORKER = "ray::WorkerProcess"
PROC = Path("/proc")

FAKE = "tests.flows.cli.fake_cli"


@dataclass(frozen=True)
class Node:
    """A node of the cluster, known by a variable in the environment of its processes."""

    mark: str

    def pids(self, name: str = "") -> list[int]:
        """Its living processes; only those with `name` in their command line."""
        found = []
        for entry in PROC.glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self.mark.encode() in (entry / "environ").read_bytes():
                    found += [int(entry.name)] if name in (entry / "cmdline").read_text() else []
        return found

    def kill(self) -> None:
        """Ends all of it at once, as a power cut does."""
        while pids := self.pids():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.2)


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@dataclass(frozen=True)
class RayCluster:
    """Two nodes and what a driver needs to use them."""

    address: str
    environment: dict[str, str]
    nodes: tuple[Node, Node]


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[RayCluster]:
    """A head and a second node, each with room for two workers."""
    with tempfile.TemporaryDirectory(prefix="gmt", ignore_cleanup_errors=True) as folder:
        token = Path(folder, "token")
        token.touch(0o600)
        token.write_text(secrets.token_hex(32), encoding="ascii")
        names = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "PYTHONPATH": str(REPOSITORY_ROOT)}
        environment = os.environ | names | {"RAY_TMPDIR": folder}
        environment.pop("RAY_AUTH_TOKEN", None)
        port = free_port()
        head, second = (Node(f"GMTSCREEN_TEST_NODE={folder}-{k}-") for k in range(2))
        try:
            start_node(head, environment, "--head", f"--port={port}", "--include-dashboard=false")
            start_node(second, environment, f"--address=127.0.0.1:{port}")
            own = environment | {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
            yield RayCluster(f"127.0.0.1:{port}", own, (head, second))
        finally:
            head.kill()
            second.kill()


def start_node(node: Node, environment: dict[str, str], *way: str, tries: int = 5) -> None:
    """`ray start`, again when a busy machine was too slow for Ray's own 30 seconds."""
    command = [sys.executable, "-m", "tests.flows.loopback_node", "start", *way, "--node-ip-address=127.0.0.1"]
    command += ["--num-cpus=2", "--object-store-memory=100000000", "--disable-usage-stats"]
    name, _, value = node.mark.partition("=")
    done = subprocess.run(command, cwd=REPOSITORY_ROOT, env=environment | {name: value}, capture_output=True, text=True)
    if done.returncode:
        node.kill()
        assert tries > 1 and "timed out" in done.stderr, done.stdout + done.stderr
        start_node(node, environment, *way, tries=tries - 1)


def wait_for(condition: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    """Waits while a process lives; a test fails when nothing comes of it."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


def start(source: Path, db: Path, environment: dict[str, str], *more: str) -> "subprocess.Popen[str]":
    """The command, with arithmetic for a model and small shards, so that there is a middle."""
    command = [
        sys.executable,
        "-m",
        FAKE,
        "screen",
        str(source),
        "--db",
        str(db),
        "--json",
        *more,
    ]
    own = {"GMTSCREEN_SHARD_ATOMS": "3", "PREFECT_HOME": str(db.parent / "prefect")}
    own_environment = {name: value for name, value in environment.items() if name != "PREFECT_API_URL"} | own
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=REPOSITORY_ROOT, env=own_environment, text=True, stdout=pipe, stderr=pipe)


def test_a_cluster_with_another_token_is_an_error_that_says_what_to_look_at(
    ray_cluster: RayCluster, tmp_path: Path
) -> None:
    source = write_crystals(tmp_path / "c.jsonl", ["Al"])
    other = {name: value for name, value in ray_cluster.environment.items() if name != "RAY_AUTH_TOKEN_PATH"}
    run = start(source, tmp_path / "a.db", other | {"RAY_AUTH_TOKEN": "f" * 64}, "--ray-address", ray_cluster.address)
    _, err = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 1
    assert "RAY_AUTH_TOKEN_PATH" in err.splitlines()[-1]


def test_a_cluster_without_a_token_drops_the_workers_of_a_driver_with_one_and_the_error_says_so(
    short_folder: Path,
) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    common = kept | {"PYTHONPATH": str(REPOSITORY_ROOT), "RAY_TMPDIR": str(short_folder)}
    head, port = Node(f"GMTSCREEN_TEST_NODE={short_folder}-open-"), free_port()
    try:
        start_node(
            head, common | {"RAY_AUTH_MODE": "disabled"}, "--head", f"--port={port}", "--include-dashboard=false"
        )
        source = write_crystals(short_folder / "c.jsonl", ["Al"])
        own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 64, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
        run = start(source, short_folder / "a.db", common | own, "--ray-address", f"127.0.0.1:{port}")
        _, err = run.communicate(timeout=PATIENCE_S)
    finally:
        head.kill()
    assert run.returncode == 1
    assert "started without a token" in err.splitlines()[-1]


def test_the_command_over_a_cluster_loses_and_doubles_nothing_when_a_worker_and_a_node_die(
    ray_cluster: RayCluster, tmp_path: Path
) -> None:
    source = write_crystals(tmp_path / "c.jsonl", ["Al", "N", "Og", "flat", "Ts", *["Si"] * (N_CRYSTALS - 5)], a0=3.0)
    databases = {name: tmp_path / name / "a.db" for name in ("alone", "cluster")}
    for db in databases.values():
        db.parent.mkdir()
    alone = start(source, databases["alone"], dict(os.environ), "--workers", "2")
    said = alone.communicate(timeout=PATIENCE_S)
    assert alone.returncode == 0, said[1]

    head, second = ray_cluster.nodes
    run = start(
        source, databases["cluster"], ray_cluster.environment, "--workers", "4", "--ray-address", ray_cluster.address
    )
    wait_for(lambda: n_done(databases["cluster"]) > N_CRYSTALS // 8, run)
    assert head.pids(WORKER) and second.pids(WORKER), "both nodes work"
    sockets = [each for node in ray_cluster.nodes for each in listeners_of(set(node.pids()))]
    assert len(sockets) >= 6 and [str(each) for each in sockets if not each.loopback] == []
    os.kill(head.pids(WORKER)[0], signal.SIGKILL)
    second.kill()
    assert N_CRYSTALS // 8 < n_done(databases["cluster"]) < N_CRYSTALS - 20, "in the middle"
    out, err = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 0, err
    facts = json.loads(out)
    assert (facts["in"], facts["pending"], facts["state"]) == (N_CRYSTALS, 0, "finished")
    assert dump(databases["cluster"]) == dump(databases["alone"])


RETRAIN = """
import sys
from flows.orchestration import quiet_prefect, start_server
quiet_prefect()
start_server()
from flows.retrain import retrain
config, runs = sys.argv[1:]
retrain(config=config, members=1, where={"runs": runs, "device": "cpu"})
"""
"""What a worker does with a run of the deployment `retrain/weekly`: settings come from its environment."""


def test_a_scheduled_retraining_trains_on_the_cluster_of_its_workers_environment(
    ray_cluster: RayCluster, tmp_path: Path
) -> None:
    settings, runs, config = load_settings(db=str(tmp_path / "a.db")), tmp_path / "runs", tmp_path / "tiny.toml"
    ResultStore(settings.database).close()
    assert bring(settings, tmp_path / "labels", label_batches()[0]) > 50
    config.write_text('name = "tiny"\nepochs = 5000\nlimit = 8\n', encoding="utf-8")
    own = {"GMTSCREEN_DB": settings.database, "GMTSCREEN_RAY_ADDRESS": ray_cluster.address}
    environment = ray_cluster.environment | own | {"PREFECT_HOME": str(tmp_path / "prefect")}
    environment.pop("PREFECT_API_URL", None)
    command = [sys.executable, "-c", RETRAIN, str(config), str(runs)]
    run = subprocess.Popen(command, cwd=REPOSITORY_ROOT, env=environment, text=True, stdout=-1, stderr=-1)
    try:
        wait_for(lambda: [path for path in runs.glob("*/member-1/training.log") if "epoch 1/" in path.read_text()], run)
        trainers = [pid for node in ray_cluster.nodes for pid in node.pids("ray::train_network")]
        assert len(trainers) == 1, "a node of the cluster trains, not the worker's own process"
    finally:
        run.kill()
        run.communicate()
