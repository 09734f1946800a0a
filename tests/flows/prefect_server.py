"""A real Prefect server on loopback with an auth string, and what a person would read on its pages."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.architecture.source_tree import ROOT
from tests.db.postgres_server import free_port
from tests.deploy.processes import PATIENCE_S, Processes, processes

Row = dict[str, Any]


class PrefectServer:
    """A server that answers, and the processes beside it.

    Attributes:
        started: starts further processes; they know the server by their environment.
        secret: nobody but the server's clients may know it.
    """

    def __init__(self, started: Processes, port: int, auth: str) -> None:
        self.started, self.secret = started, auth.partition(":")[2]
        started.start("server", ["prefect", "server", "start", "--host=127.0.0.1", f"--port={port}"])
        check = ["python", str(ROOT / "deploy" / "answers.py"), f"http://127.0.0.1:{port}/api/health"]
        started.wait_for("server", lambda: started.healthy(check))
        user, _, password = auth.partition(":")
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}/api", auth=(user, password), timeout=60.0)

    def ask(self, path: str, **body: Any) -> Any:
        """What the server answers to a POST."""
        return self._client.post(path, json=body).raise_for_status().json()

    def deployment(self, name: str) -> Row:
        """A deployment by FLOW/NAME."""
        found: Row = self._client.get(f"/deployments/name/{name}").raise_for_status().json()
        return found

    def pause(self, deployment: Row) -> None:
        """Ends a schedule; runs that it has planned are taken back."""
        self._client.post(f"/deployments/{deployment['id']}/pause_deployment").raise_for_status()

    def run(self, deployment: Row, **parameters: Any) -> str:
        """Asks for a run now; returns its id."""
        body = {"state": {"type": "SCHEDULED"}, "parameters": deployment["parameters"] | parameters}
        return str(self.ask(f"/deployments/{deployment['id']}/create_flow_run", **body)["id"])

    def flow_run(self, run: str) -> Row:
        """A run with its state now."""
        found: Row = self._client.get(f"/flow_runs/{run}").raise_for_status().json()
        return found

    def state(self, run: str) -> str:
        """The name of a run's state."""
        return str(self.flow_run(run)["state"]["name"])

    def started_by_schedule(self, deployment: Row) -> list[str]:
        """Runs that the schedule has started or tried to start, the oldest first."""
        wanted = {"deployments": {"id": {"any_": [deployment["id"]]}}, "sort": "EXPECTED_START_TIME_ASC"}
        rows = self.ask("/flow_runs/filter", **wanted)
        return [row["id"] for row in rows if row["auto_scheduled"] and row["state_type"] != "SCHEDULED"]

    def tasks(self, run: str) -> dict[str, Row]:
        """The tasks of a run by their name, which is that of the function and a number."""
        rows = self.ask("/task_runs/filter", flow_runs={"id": {"any_": [run]}})
        return {row["task_key"].partition("-")[0]: row for row in rows}

    def task_states(self, run: str, task: str) -> list[str]:
        """Every state that a task of a run was in, in order."""
        found = self._client.get("/task_run_states/", params={"task_run_id": self.tasks(run)[task]["id"]})
        return [row["name"] for row in sorted(found.raise_for_status().json(), key=lambda row: row["timestamp"])]

    def artifacts(self, run: str) -> dict[str, Row]:
        """The artifacts of a run by key."""
        rows = self.ask("/artifacts/filter", flow_runs={"id": {"any_": [run]}})
        return {row["key"]: row for row in rows}

    def wait_until(self, is_so: Callable[[], object], about: Callable[[], object]) -> None:
        """Waits until something is so; otherwise says what is the case."""
        end = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < end, about()
            time.sleep(0.5)

    def wait_for_state(self, run: str, *names: str) -> Row:
        """Waits until a run is in one of the states; returns that state."""
        self.wait_until(lambda: self.state(run) in names, lambda: self.flow_run(run)["state"])
        state: Row = self.flow_run(run)["state"]
        return state


@contextmanager
def prefect_server(folder: Path, variables: dict[str, str]) -> Iterator[PrefectServer]:
    """A server, and processes with these variables; all end with the block."""
    port, auth = free_port(), f"gmtscreen:{secrets.token_hex(16)}"
    environment = {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_API_AUTH_STRING": auth,
        "PREFECT_SERVER_API_AUTH_STRING": auth,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_LOGGING_LEVEL": "INFO",
        "COLUMNS": "240",
    }
    with processes(folder, environment | variables) as started:
        yield PrefectServer(started, port, auth)
