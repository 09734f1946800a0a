"""Retraining on a schedule: what is refused, and, on a real server, a schedule that fires one run at a time."""

import json
import os
import re
import secrets
from pathlib import Path

import pytest
import sqlalchemy

from db.store import ResultStore
from flows.deployments import check_schedule, environment_of, parameters_of, serve_retrain
from gmt_tasks.retraining.plan import RetrainOptions, Start
from gmt_tasks.settings import load_settings
from models.errors import GmtError
from tests.architecture.source_tree import ROOT
from tests.db.postgres_server import free_port
from tests.deploy.processes import Processes, processes


@pytest.mark.parametrize("cron", ["", "every day", "* * * *", "61 * * * *", "0 3 * * 9x", "* * * * * * * *"])
def test_what_no_calendar_knows_is_no_schedule(cron: str) -> None:
    with pytest.raises(GmtError, match="is no schedule"):
        check_schedule(cron)
    check_schedule("*/5 3 * * 6")


def test_a_schedule_needs_a_server_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with pytest.raises(GmtError, match="needs a Prefect server.*PREFECT_API_URL"):
        serve_retrain(load_settings(db="a.db"), RetrainOptions(), "0 3 * * 6")


def test_a_run_gets_the_database_by_the_environment_and_never_as_a_parameter() -> None:
    url = "postgresql://user:s3cret@127.0.0.1/a"
    assert environment_of(load_settings(db=url))["GMTSCREEN_DB"] == url
    assert Path(environment_of(load_settings(db="a.db"))["GMTSCREEN_DB"]).is_absolute()
    options = RetrainOptions("mine", 3, 2, Start.SCRATCH, promote=False)
    parameters = parameters_of(options)
    expected = {"config": "mine", "epochs": 3, "members": 2, "from_scratch": True, "promote": False}
    assert parameters == expected and json.loads(json.dumps(parameters)) == parameters


def flow_runs(started: Processes, name: str) -> str:
    """The table of flow runs that the server knows."""
    started.run(name, ["prefect", "--no-prompt", "flow-run", "ls", "--limit", "50"])
    return started.log(name)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    sqlalchemy.__version__ >= "2.1", reason="with SQLAlchemy 2.1 Prefect 3.8 cannot store the runs of a schedule"
)
def test_the_schedule_of_a_served_retraining_fires_on_a_real_server(tmp_path: Path) -> None:
    port, secret = free_port(), f"gmtscreen:{secrets.token_hex(16)}"
    variables = {
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_API_AUTH_STRING": secret,
        "PREFECT_SERVER_API_AUTH_STRING": secret,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "COLUMNS": "240",
    }
    database = str(tmp_path / "a.db")
    ResultStore(database).close()
    with processes(tmp_path, variables) as started:
        started.start("server", ["prefect", "server", "start", "--host=127.0.0.1", f"--port={port}"])
        check = ["python", str(ROOT / "deploy" / "answers.py"), f"http://127.0.0.1:{port}/api/health"]
        started.wait_for("server", lambda: started.healthy(check))
        words = ["gmtscreen", "retrain", "--db", database, "--serve", "--cron", "* * * * *"]
        started.start("serve", words, {"PREFECT_LOGGING_LEVEL": "INFO"})
        # The database holds no labels, so a run ends by saying so; what matters here is that it began by itself.
        started.wait_for("serve", lambda: "no label" in started.log("serve").lower())
        table = flow_runs(started, "runs")
        assert re.search(r"retrain", table) and "SCHEDULED" in table.upper(), table
    assert secret.partition(":")[2] not in table and os.sep in database
