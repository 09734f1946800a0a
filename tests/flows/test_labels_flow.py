"""The flow `labels` through the real Prefect: a refusal is seen on its page, sent to people, and costs nothing else."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from db.store import ResultStore
from flows.endings import REFUSED, RefusedResultError, notify
from gmt_tasks.settings import SettingsError, load_settings
from tests.gmt_tasks.labels.planted_faults import good_rows, write_rows, wrong_voigt_order


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment of a worker: a deployment takes the database from there."""
    monkeypatch.setenv("GMTSCREEN_DB", str(tmp_path / "named.db"))
    return str(tmp_path / "named.db")


@pytest.mark.usefixtures("prefect_server")
def test_a_refused_batch_ends_the_run_as_refused_and_what_is_good_stays(tmp_path: Path, environment: str) -> None:
    from prefect.client.orchestration import get_client

    from flows.labels import labels

    good = str(write_rows(tmp_path / "good.jsonl", good_rows(12)))
    bad = str(write_rows(tmp_path / "bad.jsonl", wrong_voigt_order(good_rows(24)[12:])))
    with pytest.raises(RefusedResultError, match=r"1 of 2 label batches refused: .*bad.jsonl") as caught:
        labels([good, bad], compare=False)
    assert next(report["accepted"] for report in caught.value.facts) == 12
    with ResultStore(environment) as store:
        assert len(store.labels.of_ingest(1)) == 12, "the other batch is in"
    assert [report["verdict"] for report in labels([good], compare=False)] == ["repeated"]
    with get_client(sync_client=True) as client:
        runs = sorted(client.read_flow_runs(), key=lambda run: str(run.created))[-2:]
        artifacts = client.request("POST", "/artifacts/filter", json={}).json()
    assert [(run.state_name, run.state_type.name) for run in runs] == [(REFUSED, "FAILED"), ("Completed", "COMPLETED")]
    assert runs[0].run_count == 1, "a refusal is not tried again"
    assert "named.db" not in runs[0].model_dump_json(), "the database is no parameter"
    mine = [each for each in artifacts if each["flow_run_id"] == str(runs[0].id)]
    pages = {each["key"]: each["data"] for each in mine}
    assert set(pages) == {"gmtscreen-labels-1", "gmtscreen-labels-2"}
    assert "**elastic_stiffness refused: voigt_order.**" in pages["gmtscreen-labels-2"]
    assert "Bring it to the order" in pages["gmtscreen-labels-2"] and "| 12 |" in pages["gmtscreen-labels-1"]


class Run:
    """A run of a deployment, or of a terminal."""

    def __init__(self, *, deployed: bool) -> None:
        self.name, self.deployment_id = "late-toad", uuid4() if deployed else None


def test_how_runs_of_deployments_end_is_sent_and_what_a_terminal_shows_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from prefect.blocks.core import Block
    from prefect.states import Failed

    from flows.retrain import retrain

    sent: list[tuple[str, str, str]] = []

    def load(name: str) -> Any:
        class Recipient:
            def notify(self, body: str, subject: str) -> None:
                sent.append((name, subject, body))

        return Recipient()

    monkeypatch.setattr(Block, "load", staticmethod(load))
    state = Failed(name=REFUSED, message="gmtnet@2 stays a candidate: postgresql://u:s3cret@h/a is worse")
    for block, deployed in ((None, True), ("slack-webhook/labels", False), ("slack-webhook/labels", True)):
        monkeypatch.delenv("GMTSCREEN_NOTIFY", raising=False)
        if block is not None:
            monkeypatch.setenv("GMTSCREEN_NOTIFY", block)
        notify(retrain, Run(deployed=deployed), state)  # type: ignore[arg-type]
    ((name, subject, body),) = sent
    assert (name, subject) == ("slack-webhook/labels", "gmtscreen retrain: Refused")
    assert body.startswith("late-toad: gmtnet@2 stays a candidate") and "s3cret" not in body


def test_every_flow_tells_of_its_faults_and_the_retraining_of_its_success_too() -> None:
    from flows.ingest import ingest
    from flows.labels import labels
    from flows.retrain import retrain
    from flows.screen import screen

    for each in (ingest, screen, labels, retrain):
        assert notify in each.on_failure_hooks and notify in each.on_crashed_hooks and each.retries == 0
        assert (notify in each.on_completion_hooks) is (each is retrain)


@pytest.mark.parametrize("name", ["labels", "slack/", "a/b/c", "Slack-Webhook/labels", "https://hooks.example/x"])
def test_a_setting_that_names_no_block_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="GMTSCREEN_NOTIFY"):
        load_settings(notify=name)
