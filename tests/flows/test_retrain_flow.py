"""`gmtscreen retrain` through the real Prefect: order of steps, artifacts for people, no secret in parameters."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from gmt_tasks.retraining import retraining as module
from gmt_tasks.retraining.gate.paired_comparison import Comparison, MeasureOutcome
from gmt_tasks.retraining.gate.report import Check, Finding, GateReport
from gmt_tasks.retraining.outcome import Ending, Outcome
from gmt_tasks.retraining.retraining import GATE, PAGE, Retraining

pytestmark = pytest.mark.usefixtures("prefect_server")


class Plan:
    """Where the report of the made-up retraining lies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The steps in the order in which they were called; nothing is trained, C became worse."""
    calls: list[str] = []
    worse = Comparison("C error", "all", 400, 50.123456789, 60.0, 1.5, 0.5, 0.0, MeasureOutcome.WORSE)
    finding = Finding(Check.DATA, "finite losses", holds=True, detail="4 losses")
    report = GateReport("gmtnet@2", "gmtnet@1", "5eed" * 16, 400, [finding], [worse], 0.05)
    plain = report.to_json() | {"summary": report.summary, "key": "k"}
    (tmp_path / PAGE).write_text(report.to_markdown(), encoding="utf-8")
    (tmp_path / GATE).write_text(json.dumps(plain), encoding="utf-8")

    def step(name: str, value: Any) -> Any:
        def called(self: Retraining, *_: object) -> Any:
            calls.append(name)
            if name == "train":
                self.progress(0.5)
            return value

        return called

    outcome = Outcome(Ending.REFUSED, "gmtnet@2", "gmtnet@1", report.summary, plain, str(tmp_path))
    for name, value in {
        "freeze": None,
        "train": [tmp_path / "a.json"],
        "calibrate": tmp_path / "c.json",
        "evaluate": {"tensors": []},
        "run_gate": plain,
        "decide": outcome,
    }.items():
        monkeypatch.setattr(module.Retraining, name, step(name, value))
    monkeypatch.setattr(module.Retraining, "plan", Plan(tmp_path), raising=False)
    return calls


def test_a_refused_candidate_ends_with_1_and_leaves_what_a_person_can_read(done: list[str], tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client

    from db.store import ResultStore

    ResultStore(tmp_path / "named.db").close()
    result = CliRunner().invoke(app, ["retrain", "--db", str(tmp_path / "named.db"), "--no-promote"])
    assert result.exit_code == 1, result.stderr
    assert done == ["freeze", "train", "calibrate", "evaluate", "run_gate", "decide"]
    assert "C error" in result.stdout and "worse" in result.stdout
    assert "gmtnet@2 stays a candidate: refused for 1 reason: " in result.stderr.splitlines()[-1]
    with get_client(sync_client=True) as client:
        flow_run = max(client.read_flow_runs(), key=lambda run: str(run.created))
        artifacts = client.request("POST", "/artifacts/filter", json={}).json()
    assert "named.db" not in flow_run.model_dump_json()
    state = flow_run.state
    assert state is not None and (state.name, state.type.name) == ("Refused", "FAILED"), "nobody takes it for done"
    assert state.message is not None and state.message.startswith("gmtnet@2 stays a candidate: refused for 1 reason")
    mine = {each["key"]: each for each in artifacts if each["flow_run_id"] == str(flow_run.id)}
    assert set(mine) == {
        "gmtscreen-gate",
        "gmtscreen-gate-measures",
        "gmtscreen-retrain-folder",
        "gmtscreen-retrain-progress",
    }
    assert "# Gate: refuse gmtnet@2" in mine["gmtscreen-gate"]["data"]
    (row,) = json.loads(mine["gmtscreen-gate-measures"]["data"])
    assert (row["measure"], row["verdict"], row["current"]) == ("C error", "worse", 50.12)
    assert all(each["description"] for each in mine.values())
    assert float(mine["gmtscreen-retrain-progress"]["data"]) == 100.0


def test_nothing_new_ends_the_flow_before_the_training(
    done: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from db.store import ResultStore

    ResultStore(tmp_path / "named.db").close()
    ending = Outcome(
        Ending.NOTHING_NEW, "gmtnet@1", "gmtnet@1", "no label was accepted since", None, str(tmp_path / "x")
    )
    monkeypatch.setattr(module.Retraining, "freeze", lambda self: ending)
    result = CliRunner().invoke(app, ["retrain", "--db", str(tmp_path / "named.db"), "--json"])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["ending"] == "nothing new"
    assert done == []
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        state = max(client.read_flow_runs(), key=lambda run: str(run.created)).state
    assert state is not None and state.name == "Completed" and state.message is not None
    assert state.message.startswith("nothing new: gmtnet@1")
