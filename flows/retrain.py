"""The flow that retrains: freeze the accepted labels, train, calibrate, evaluate, run the gate, promote or refuse.

Every step may be repeated and finds what an earlier call of it left, so a failed or killed run is simply run again.
"""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from contextvars import ContextVar
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow, task
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.endings import ON_FAULT, notify, refused
from flows.ingest import PATIENT
from flows.parameters import flow_parameters, from_parameters
from gmt_tasks.retraining.options import RetrainOptions
from gmt_tasks.retraining.outcome import Ending, Outcome
from gmt_tasks.retraining.retraining import PAGE, Retraining
from models.errors import GmtError

_RETRAINING: ContextVar[Retraining | None] = ContextVar("gmtscreen_retraining", default=None)


@contextmanager
def retraining_in_use(work: Retraining) -> Iterator[Retraining]:
    """Makes a retraining the one that flow and tasks find; the database is no parameter of theirs."""
    token = _RETRAINING.set(work)
    try:
        yield work
    finally:
        _RETRAINING.reset(token)


@contextmanager
def retraining_for(options: RetrainOptions) -> Iterator[Retraining]:
    """The retraining in use, or, in a deployment, a new one from the environment's settings."""
    work = _RETRAINING.get()
    if work is not None:
        yield work
        return
    # Opening is a task of its own: a schedule may start while the database restarts, and tasks are tried again.
    from gmt_tasks.registry.model_files import datasets_folder
    from gmt_tasks.settings import load_settings

    settings = load_settings()
    # What the deployment does not name, the worker's environment does: its cluster and its device.
    placed = options.placed_by(settings)
    with closing(Retraining(settings, placed, datasets_folder(settings))) as opened, retraining_in_use(opened):
        open_database()
        yield opened


@task(name="connect", task_run_name="open database", **PATIENT)
def open_database() -> None:
    """Opens the database of the retraining in use."""
    current_retraining().open()


def current_retraining() -> Retraining:
    """The retraining in use.

    Raises:
        GmtError: there is none, because a task was called outside its flow.
    """
    work = _RETRAINING.get()
    if work is None:
        raise GmtError("no retraining is open: call the flow `retrain`, not its tasks")
    return work


@task(name="freeze", **PATIENT)
def freeze_labels() -> Outcome | None:
    """Freezes a dataset of the accepted labels; an outcome where the current model was trained on them already."""
    return current_retraining().freeze()


@task(name="train", **PATIENT)
def train_networks() -> list[Path]:
    """Trains the networks, with a progress bar over all epochs."""
    work = current_retraining()
    bar = create_progress_artifact(
        progress=0.0, key="gmtscreen-retrain-progress", description="Training, in percent of all epochs"
    )

    def show(share: float) -> None:
        # Without a server to keep artifacts there is no bar to move.
        if isinstance(bar, UUID):
            update_progress_artifact(bar, progress=round(100.0 * share, 1))

    work.progress = show
    cards = work.train()
    show(1.0)
    return cards


@task(name="calibrate", **PATIENT)
def calibrate_candidate(networks: list[Path]) -> Path:
    """Joins the networks and measures their intervals on val."""
    return current_retraining().calibrate(networks)


@task(name="evaluate", **PATIENT)
def evaluate_candidate() -> int:
    """Measures the candidate on val and test; returns the number of figures."""
    return len(current_retraining().evaluate())


@task(name="gate", **PATIENT)
def ask_gate() -> dict[str, Any]:
    """Runs the gate on the candidate; leaves the report as artifacts."""
    work = current_retraining()
    report = work.run_gate()
    # Pages of the server show no paths of the machine; the one link is where a person goes on reading.
    folder = work.plan.folder
    page = (folder / PAGE).read_text(encoding="utf-8")
    create_markdown_artifact(key="gmtscreen-gate", markdown=page, description=report["summary"])
    if report["comparisons"]:
        create_table_artifact(
            key="gmtscreen-gate-measures",
            table=measure_rows(report),
            description=f"{report['candidate']} against {report['current']}, the smaller the better",
        )
    create_link_artifact(
        key="gmtscreen-retrain-folder",
        link=folder.as_uri(),
        link_text=folder.name,
        description=f"Plan, networks with their logs, candidate and gate, on {socket.gethostname()}",
    )
    return report


def measure_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The compared measures of a report for a table, those that became worse first; numbers have four digits."""
    heads = {"name": "measure", "group": "crystals of", "n": "n", "current": "current", "candidate": "candidate"}
    heads |= {"error": "± of the change", "verdict": "verdict"}
    rows = []
    for comparison in report["comparisons"]:
        row = {head: comparison[name] for name, head in heads.items()}
        rows.append({head: float(f"{v:.4g}") if isinstance(v, float) else v for head, v in row.items()})
    return sorted(rows, key=lambda row: row["verdict"] != "worse")


@task(name="decide", **PATIENT)
def decide_about(report: dict[str, Any]) -> Outcome:
    """Promotes the candidate or records why not."""
    return current_retraining().decide(report)


@flow(name="retrain", validate_parameters=False, persist_result=False, on_completion=[notify], **ON_FAULT)
@flow_parameters(RetrainOptions)
def retrain(**parameters: Any) -> State[Any]:
    """Retrains on the accepted labels and promotes the candidate if the gate lets it pass. May be stopped at any time.

    The run ends as "Refused" when the gate refuses the candidate.

    Database and folders come from the command line or, in a deployment, from the environment (`GMTSCREEN_DB` and so
    on), so that no secret becomes a parameter.

    Returns:
        The outcome as plain data: ending, model, before, why, folder.
    """
    with retraining_for(from_parameters(RetrainOptions, parameters)):
        outcome = freeze_labels()
        if outcome is None:
            calibrate_candidate(train_networks())
            evaluate_candidate()
            outcome = decide_about(ask_gate())
    facts = {name: value for name, value in asdict(outcome).items() if name != "gate"}
    if outcome.ending is Ending.REFUSED:
        return refused(f"{outcome.model} stays a candidate: {outcome.why}", facts)
    return Completed(message=f"{outcome.ending}: {outcome.model}; {outcome.why}", data=facts)
