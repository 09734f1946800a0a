"""Schedules on a real Prefect server: one run at a time; what passes is tried again, what is killed goes on."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import sqlalchemy
import yaml
from sqlalchemy import make_url

from db.store import ResultStore
from gmt_tasks.settings import load_settings
from tests.architecture.source_tree import ROOT
from tests.db.postgres_server import NOT_INSTALLED, PostgresServer, find_program, fresh_database
from tests.flows.prefect_server import PrefectServer, Row, prefect_server
from tests.gmt_tasks.labels.planted_faults import good_rows, write_rows, wrong_voigt_order
from tests.gmt_tasks.retraining.tiny import bring, label_batches

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        sqlalchemy.__version__ >= "2.1", reason="with SQLAlchemy 2.1 Prefect 3.8 cannot store the runs of a schedule"
    ),
]

ENDS = ("Completed", "Failed", "Refused", "Crashed", "Cancelled")
LIMIT = "Deployment concurrency limit reached."
RECIPE = 'name = "tiny"\nbatch_crystals = 8\naverage = 0.8\nlearning_rate = 5e-3\npiezo_repeat = 1\n'


def recipe(folder: Path, text: str) -> Path:
    """A training configuration."""
    path = folder / "tiny.toml"
    path.write_text(RECIPE + text, encoding="utf-8")
    return path


def log_of(runs: Path) -> str:
    """What the first network's training has printed so far."""
    return "".join(path.read_text(encoding="utf-8") for path in runs.glob("*/member-1/training.log"))


def test_a_served_retraining_fires_alone_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    settings, runs = load_settings(db=str(tmp_path / "a.db")), tmp_path / "runs"
    ResultStore(settings.database).close()
    assert bring(settings, tmp_path / "labels", label_batches()[0]) > 50
    config = recipe(tmp_path, "epochs = 5000\nlimit = 8\n")
    words = ["gmtscreen", "retrain", "--serve", "--cron", "* * * * *", "--db", settings.database]
    words += ["--config", str(config), "--members", "1", "--runs", str(runs), "--device", "cpu"]
    with prefect_server(tmp_path, {}) as server:
        server.started.start("serve", words)
        server.started.wait_for("serve", lambda: "until this is stopped" in server.started.log("serve"))
        deployment = wait_for_deployment(server, "retrain/scheduled")
        first = first_of_schedule(server, deployment, "serve")
        server.wait_until(lambda: "epoch 2/" in log_of(runs), lambda: server.started.log("serve"))

        second = server.run(deployment)
        assert server.wait_for_state(second, *ENDS)["message"] == LIMIT
        assert (server.state(second), server.state(first)) == ("Cancelled", "Running")

        assert len(server.started.kill_children("serve", "spawn_main")) == 1
        crashed = server.wait_for_state(first, "Crashed")
        assert "-9" in crashed["message"]
        third = server.run(deployment)
        server.wait_until(lambda: "going on after epoch" in log_of(runs), lambda: server.flow_run(third)["state"])
        assert server.state(third) == "Running"


def wait_for_deployment(server: PrefectServer, name: str) -> Row:
    """A deployment as soon as it is registered."""
    server.wait_until(
        lambda: [each for each in server.ask("/deployments/filter") if name.endswith(f"/{each['name']}")],
        lambda: server.started.log("serve"),
    )
    return server.deployment(name)


def first_of_schedule(server: PrefectServer, deployment: Row, runner: str) -> str:
    """The run that the schedule starts next, the only one: the schedule is paused behind it."""
    server.wait_until(lambda: server.started_by_schedule(deployment), lambda: server.started.log(runner))
    server.pause(deployment)
    return server.started_by_schedule(deployment)[0]


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    if find_program("initdb") is None:
        pytest.skip(NOT_INSTALLED)
    server = PostgresServer()
    try:
        yield server
    finally:
        server.remove()


def register_retraining(server: PrefectServer, folder: Path, parameters: Row) -> None:
    """Registers what deploy/prefect.yaml says of ingest and, with toy labels and every minute, of the retraining."""
    by_flow = planned()
    weekly = by_flow["retrain"]
    weekly["entrypoint"] = weekly["entrypoint"].replace("flows/retrain.py", "tests/flows/tiny_retrain.py")
    weekly["parameters"] = parameters
    weekly["schedules"] = [{"cron": "* * * * *", "timezone": "UTC", "active": True}]
    register(server, folder, [by_flow["ingest"], weekly])


def planned() -> dict[str, Row]:
    """The deployments of deploy/prefect.yaml by their flow."""
    return {each["entrypoint"].rpartition(":")[2]: each for each in plan()["deployments"]}


def plan() -> Row:
    """What deploy/prefect.yaml says."""
    content: Row = yaml.safe_load((ROOT / "deploy" / "prefect.yaml").read_text(encoding="utf-8"))
    return content


def register(server: PrefectServer, folder: Path, deployments: list[Row]) -> None:
    """Registers these deployments and their work pool."""
    file = folder / "prefect.yaml"
    file.write_text(yaml.safe_dump(plan() | {"deployments": deployments}), encoding="utf-8")
    pool = ["prefect", "--no-prompt", "work-pool", "create", "gmtscreen", "--type", "process"]
    assert server.started.run("pool", pool).returncode == 0, server.started.log("pool")
    words = ["prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
    assert server.started.run("deploy", words).returncode == 0, server.started.log("deploy")


def wait_for_retry(server: PrefectServer, run: str, task: str) -> None:
    """Waits until a task of a run has failed and is about to be tried again."""
    server.wait_until(
        lambda: server.tasks(run).get(task, {}).get("state_name") == "AwaitingRetry",
        lambda: server.started.log("worker"),
    )


def test_a_scheduled_retraining_outlives_a_database_that_is_away_at_its_start_and_in_its_middle(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    runs = tmp_path / "runs"
    where = {"workers": 1, "device": "cpu", "runs": str(runs)}
    parameters = {"config": str(recipe(tmp_path, "epochs = 30\n")), "members": 2, "where": where}
    with fresh_database(postgres.url) as url:
        first_labels, second_labels = label_batches()
        ResultStore(url).close()
        bring(load_settings(db=url), tmp_path / "a", first_labels)
        variables = {"GMTSCREEN_DB": url, "GMTSCREEN_MODELS": str(tmp_path / "models"), "GMTSCREEN_HOME": str(ROOT)}
        with prefect_server(tmp_path, variables) as server:
            register_retraining(server, tmp_path, parameters)
            weekly, nightly = server.deployment("retrain/weekly"), server.deployment("ingest/nightly")
            postgres.stop()
            server.started.start("worker", ["prefect", "worker", "start", "--pool=gmtscreen", "--type=process"])
            run = first_of_schedule(server, weekly, "worker")
            wait_for_retry(server, run, "open_database")
            rival = server.run(weekly)
            assert server.wait_for_state(rival, *ENDS)["message"] == LIMIT
            assert (server.state(rival), server.state(run)) == ("Cancelled", "Running")
            ingesting = server.run(nightly, limit=3)
            wait_for_retry(server, ingesting, "open_session")
            postgres.start()

            server.wait_until(lambda: "epoch 3/" in log_of(runs), lambda: server.started.log("worker"))
            postgres.stop()
            wait_for_retry(server, run, "ask_gate")
            postgres.start()
            assert server.wait_for_state(run, *ENDS)["name"] == "Completed"
            assert server.wait_for_state(ingesting, *ENDS)["name"] == "Completed"
            for task in ("open_database", "ask_gate"):
                states = server.task_states(run, task)
                assert "AwaitingRetry" in states and states[-1] == "Completed", (task, states)
            can_be_read(server, run, url, tmp_path)
            assert "gmtscreen-gate-measures" not in server.artifacts(run), "there was nothing to compare with"

            hopeless = server.run(weekly, config="absent")
            failed = server.wait_for_state(hopeless, *ENDS)
            assert failed["name"] == "Failed" and "no training configuration absent" in failed["message"]
            assert server.tasks(hopeless)["freeze_labels"]["run_count"] == 1

            bring(load_settings(db=url), tmp_path / "b", second_labels)
            second = server.run(weekly)
            assert server.wait_for_state(second, *ENDS)["name"] == "Completed"
            can_be_read(server, second, url, tmp_path)
            rows = json.loads(server.artifacts(second)["gmtscreen-gate-measures"]["data"])
            assert len(rows) > 20
            assert set(rows[0]) == {"measure", "crystals of", "n", "current", "candidate", "± of the change", "verdict"}
            numbers = [row[name] for row in rows for name in ("current", "candidate", "± of the change")]
            assert all(float(f"{number:.4g}") == number for number in numbers)
        with ResultStore(url) as store:
            assert [each["name"] for each in store.list_models()].count("tiny") == 2
            (ingested,) = store.runs()
        assert ingested["in"] == 3


BLOCK = """
import sys
from prefect.blocks.notifications import CustomWebhookNotificationBlock
text = {"subject": "{{subject}}", "body": "{{body}}"}
CustomWebhookNotificationBlock(name="labels", url=sys.argv[1], json_data=text).save("labels")
"""
"""What a person does on the server's page "Blocks"."""


def test_a_refused_batch_of_a_deployment_is_seen_on_the_page_and_sent_to_people(tmp_path: Path) -> None:
    labels = write_rows(tmp_path / "labels.jsonl", wrong_voigt_order(good_rows(12)))
    variables = {"GMTSCREEN_DB": str(tmp_path / "a.db"), "GMTSCREEN_HOME": str(ROOT)}
    with receiver() as (address, received), prefect_server(tmp_path, variables) as server:
        made = server.started.run("block", ["python", "-c", BLOCK, address])
        assert made.returncode == 0, server.started.log("block")
        register(server, tmp_path, [planned()["labels"]])
        words = ["prefect", "worker", "start", "--pool=gmtscreen", "--type=process"]
        server.started.start("worker", words, {"GMTSCREEN_NOTIFY": "custom-webhook/labels"})
        run = server.run(server.deployment("labels/nightly"), sources=[str(labels)], compare=False)
        state = server.wait_for_state(run, *ENDS)
        assert (state["name"], state["type"]) == ("Refused", "FAILED"), server.started.log("worker")
        assert state["message"] == f"1 of 1 label batches refused: {labels}"
        assert "refused: voigt_order" in server.artifacts(run)["gmtscreen-labels-1"]["data"]
        server.wait_until(lambda: received, lambda: server.started.log("worker"))
        (message,) = received
        assert message["subject"] == "gmtscreen labels: Refused" and str(labels) in message["body"]
        good = write_rows(tmp_path / "good.jsonl", good_rows(12))
        again = server.run(server.deployment("labels/nightly"), sources=[str(good)], compare=False)
        assert server.wait_for_state(again, *ENDS)["name"] == "Completed"
        assert len(received) == 1


@contextmanager
def receiver() -> Iterator[tuple[str, list[Row]]]:
    """A server that takes messages: its address, and what came."""
    received: list[Row] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", received
        server.shutdown()


def can_be_read(server: PrefectServer, run: str, url: str, folder: Path) -> None:
    """What a person finds on the pages of a run: named, explained, without secrets, with paths only as a link."""
    found = server.artifacts(run)
    assert all(each["description"] for each in found.values())
    assert found["gmtscreen-gate"]["data"].startswith("# Gate: ")
    assert "| check | what | holds | found |" in found["gmtscreen-gate"]["data"]
    assert re.match(r"passed: |refused for ", found["gmtscreen-gate"]["description"])
    assert float(found["gmtscreen-retrain-progress"]["data"]) == 100.0
    text, address = re.fullmatch(r"\[(.+)\]\((.+)\)", found["gmtscreen-retrain-folder"]["data"]).groups()  # type: ignore[union-attr]
    assert Path(address.removeprefix("file://")) / "gate.md" in (folder / "runs" / text).iterdir()
    pages = json.dumps([each for key, each in found.items() if key != "gmtscreen-retrain-folder"])
    assert str(folder) not in pages and str(ROOT) not in pages
    password = make_url(url).password
    for place in (json.dumps(found), json.dumps(server.flow_run(run)), server.started.log("worker")):
        assert password and password not in place and server.secret not in place
