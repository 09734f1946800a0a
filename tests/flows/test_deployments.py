"""Retraining on a schedule: what is refused at once, what the runs are given, and what is tried again."""

import json
from pathlib import Path

import pytest

from db.failures import StoreUnavailableError
from db.store import ResultStore
from flows.deployments import check_schedule, environment_of, serve_retrain
from flows.parameters import from_parameters, to_parameters
from gmt_tasks.process import StoppedError
from gmt_tasks.retraining.options import Placement, RetrainOptions
from gmt_tasks.settings import load_settings
from gmt_tasks.sources.remote.http_client import UnreachableError
from models.errors import GmtError, ModelError, SourceError, StoreError


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
    settings = load_settings(db="a.db", ray_address="head:6379", user="cron@lab", notify="slack-webhook/lab")
    more = environment_of(settings)
    assert more["GMTSCREEN_RAY_ADDRESS"] == "head:6379", "its runs train on the cluster of the one that serves them"
    assert (more["GMTSCREEN_USER"], more["GMTSCREEN_NOTIFY"]) == ("cron@lab", "slack-webhook/lab")
    options = RetrainOptions("mine", 3, 2, from_scratch=True, promote=False)
    parameters = to_parameters(options)
    expected = {"config": "mine", "epochs": 3, "members": 2, "from_scratch": True, "promote": False}
    assert {name: parameters[name] for name in expected} == expected
    assert json.loads(json.dumps(parameters)) == parameters


def test_what_is_asked_for_reaches_the_runs_wherever_they_begin(tmp_path: Path) -> None:
    """A run begins in the folder of the code: a path that is relative to the terminal's folder would name nothing."""
    options = RetrainOptions("mine.toml", where=Placement(3, "head:6379", Path("here"), "cpu"))
    parameters = to_parameters(options.absolute())
    assert parameters["config"] == str(Path("mine.toml").absolute())
    here = str(Path("here").absolute())
    assert parameters["where"] == {"workers": 3, "ray_address": "head:6379", "device": "cpu", "runs": here}
    assert from_parameters(RetrainOptions, parameters) == options.absolute()


def test_a_flow_has_a_parameter_per_option_and_refuses_what_is_none() -> None:
    from flows.retrain import retrain

    properties = retrain.parameters.properties
    assert list(properties) == ["config", "epochs", "members", "from_scratch", "promote", "where"]
    assert all(each["description"] for each in properties.values())
    assert [properties[name]["default"] for name in ("config", "members", "promote")] == ["gmtnet", None, True]
    assert from_parameters(RetrainOptions, {"where": None}) == RetrainOptions()
    with pytest.raises(ValueError, match="folder"):
        from_parameters(RetrainOptions, {"where": {"folder": "runs"}})


@pytest.mark.parametrize(
    ("db", "config", "said"),
    [
        ("absent.db", "gmtnet", "There is no database"),
        ("a.db", "absent", "There is no training configuration absent"),
        ("postgresql://user:s3cret@127.0.0.1:9/a", "gmtnet", "does not answer"),
    ],
)
def test_what_every_run_would_stumble_over_is_said_before_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, db: str, config: str, said: str
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    ResultStore(tmp_path / "a.db").close()
    settings = load_settings(db=db if "://" in db else str(tmp_path / db), models=tmp_path / "models")
    with pytest.raises(GmtError, match=said) as caught:
        serve_retrain(settings, RetrainOptions(config), "0 3 * * 6")
    assert "s3cret" not in str(caught.value)


PASSING = [StoreUnavailableError("the database is away"), UnreachableError("the server says 502")]
LASTING = [StoreError("refused"), ModelError("no label was accepted"), SourceError("no such file"), StoppedError()]


@pytest.mark.parametrize("error", [*PASSING, *LASTING, OSError("disk")], ids=repr)
def test_only_what_may_pass_is_tried_again_and_a_person_at_a_terminal_sees_it_at_once(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.client.schemas.objects import TaskRun
    from prefect.states import Failed

    from flows.ingest import is_worth_a_retry
    from flows.retrain import freeze_labels

    def again(n_attempts: int) -> bool:
        run = TaskRun(task_key="freeze", dynamic_key="0", run_count=n_attempts)
        return is_worth_a_retry(freeze_labels, run, Failed(data=error))

    unknown = not isinstance(error, GmtError)
    assert again(1) is again(2) is unknown
    assert again(3) is False
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "of-a-schedule")
    assert again(1) is (error in PASSING or unknown)
    assert again(3) is (error in PASSING)
