"""`gmtscreen screen` end to end: real worker processes, the real flow, the real database; only the physics is fake."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from db.store import ResultStore
from flows.cli.app import app
from tests.flows.conftest import write_crystals

# The first test waits for Ray and for Prefect to start, which takes minutes on a busy machine.
pytestmark = [pytest.mark.usefixtures("prefect_server", "fake_model"), pytest.mark.timeout(900)]


def screen(source: Path, db: Path, *more: str) -> dict[str, Any]:
    """The facts that the command prints."""
    arguments = ["screen", str(source), "--db", str(db), "--workers", "2", "--json", *more]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


def test_screen_accounts_for_every_input_and_a_second_call_computes_nothing(tmp_path: Path) -> None:
    source = write_crystals(tmp_path / "c.jsonl", ["Al", "N", "Og", "C", "flat", "Si", "Ts"])
    facts = screen(source, tmp_path / "a.db")
    ends = {key: facts[key] for key in ("in", "done", "duplicate", "rejected", "quarantined", "pending")}
    assert ends == {"in": 7, "done": 4, "duplicate": 0, "rejected": 1, "quarantined": 2, "pending": 0}
    assert (facts["state"], facts["computed"]) == ("finished", 6)
    with ResultStore(tmp_path / "a.db") as store:
        reasons = {row["source_id"]: row["reason"] for row in store.rejects()}
        before = list(store.dump())
    assert reasons == {"c2": "worker_died", "c4": "degenerate_cell", "c6": "model_failed"}

    again = screen(source, tmp_path / "a.db")
    assert (again["run"], again["computed"]) == (facts["run"], 0)
    with ResultStore(tmp_path / "a.db") as store:
        assert list(store.dump()) == before


@pytest.mark.slow
def test_a_limited_run_is_another_run_and_known_crystals_are_not_computed_again(tmp_path: Path) -> None:
    source = write_crystals(tmp_path / "c.jsonl", ["Al", "N", "C", "Si"])
    assert screen(source, tmp_path / "a.db", "--limit", "3")["computed"] == 3
    rest = screen(source, tmp_path / "a.db")
    assert (rest["run"], rest["done"], rest["computed"]) == (2, 4, 1)


@pytest.mark.slow
def test_the_flow_leaves_an_artifact_with_the_balance_and_no_secret_in_its_parameters(tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client

    source = write_crystals(tmp_path / "c.jsonl", ["Al", "N"])
    facts = screen(source, tmp_path / "named.db")
    with get_client(sync_client=True) as client:
        flow_run = max(client.read_flow_runs(), key=lambda run: str(run.created))
        artifacts = client.request("POST", "/artifacts/filter", json={}).json()
    assert flow_run.parameters == {"sources": [str(source)], "limit": None}
    assert "named.db" not in flow_run.model_dump_json()
    (text,) = [a["data"] for a in artifacts if a["flow_run_id"] == str(flow_run.id)]
    assert f"Run {facts['run']}" in text and "| done | 2 |" in text and "accounted for" in text


@pytest.mark.slow
def test_a_failing_flow_ends_with_one_line_and_exit_code_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gmt_tasks.runs.session import ScreenSession
    from models.errors import ModelError

    def broken(self: ScreenSession) -> int:
        raise ModelError("50 workers in a row died. Run `gmtscreen doctor`.")

    monkeypatch.setattr(ScreenSession, "drive", broken)
    source = write_crystals(tmp_path / "c.jsonl", ["Al"])
    result = CliRunner().invoke(app, ["screen", str(source), "--db", str(tmp_path / "a.db"), "--workers", "2"])
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "gmtscreen: 50 workers in a row died. Run `gmtscreen doctor`."
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_ingest_stops_before_computing_and_screen_goes_on_from_there(tmp_path: Path) -> None:
    from flows.ingest import ingest
    from flows.orchestration import session_in_use
    from gmt_tasks.runs.session import ScreenSession, open_sources
    from gmt_tasks.settings import load_settings

    source = write_crystals(tmp_path / "c.jsonl", ["Al", "N", "C"])
    settings = load_settings(db=str(tmp_path / "a.db"))
    sources = open_sources([str(source)], max_atoms=settings.max_atoms)
    with ScreenSession.open(settings, sources) as session, session_in_use(session):
        assert ingest([str(source)]) == {str(source): 3}
        assert session.balance().pending == 3
        run = session.run.id
    facts = screen(source, tmp_path / "a.db")
    assert (facts["run"], facts["computed"]) == (run, 3)
