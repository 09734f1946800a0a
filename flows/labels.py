"""The flow that brings labels into the database: each source is checked as a whole, then accepted or refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State

from flows.endings import ON_FAULT, refused
from flows.ingest import PATIENT
from flows.predictor import predictor_of
from flows.reports.markdown import labels_as_markdown
from gmt_tasks.labels.ingest import IngestOptions
from gmt_tasks.labels.session import LabelSession
from gmt_tasks.process import stop_on_signals
from models.errors import GmtError

_SESSION: ContextVar[LabelSession | None] = ContextVar("gmtscreen_labels", default=None)


@contextmanager
def label_session_in_use(session: LabelSession) -> Iterator[LabelSession]:
    """Makes a session the one that flow and tasks find; the database is no parameter of theirs."""
    token = _SESSION.set(session)
    try:
        yield session
    finally:
        _SESSION.reset(token)


@contextmanager
def label_session_for(sources: list[str], *, compare: bool, replace: bool, again: bool) -> Iterator[LabelSession]:
    """The session in use, or, in a deployment, a new one from the environment's settings."""
    session = _SESSION.get()
    if session is not None:
        yield session
        return
    opened = open_label_session(sources, compare=compare, replace=replace, again=again)
    with opened, label_session_in_use(opened):
        yield opened


def current_label_session() -> LabelSession:
    """The session in use.

    Raises:
        GmtError: there is none, because a task was called outside its flow.
    """
    session = _SESSION.get()
    if session is None:
        raise GmtError("no label session is open: call the flow `labels`, not its tasks")
    return session


@task(name="connect", task_run_name="open database and label sources", **PATIENT)
def open_label_session(sources: list[str], *, compare: bool, replace: bool, again: bool) -> LabelSession:
    """A session from the environment's settings; this reaches the database."""
    from gmt_tasks.registry.current_model import current_split, who_decides
    from gmt_tasks.settings import load_settings

    settings = load_settings()
    expect = predictor_of(settings) if compare else None
    options = IngestOptions(who_decides(settings), replace, again)
    return LabelSession.open(settings, sources, expect, current_split(settings), options)


@task(name="check", task_run_name="check labels of {source}", **PATIENT)
def ingest_label_source(index: int, source: str) -> dict[str, Any]:  # noqa: ARG001  Prefect shows the source in the name
    """Checks the labels of one source and brings them in; leaves the report as an artifact."""
    report = current_label_session().ingest(index)
    create_markdown_artifact(
        key=f"gmtscreen-labels-{report.ingest_id}",
        markdown=labels_as_markdown(report),
        description=f"{report.source}: {report.status}, {report.accepted:,} of {report.brought:,} rows accepted",
    )
    return report.as_json()


@flow(name="labels", validate_parameters=False, persist_result=False, **ON_FAULT)
def labels(
    sources: list[str],
    compare: bool = True,  # noqa: FBT001  of a deployment, as the next two
    replace: bool = False,  # noqa: FBT001
    again: bool = False,  # noqa: FBT001
) -> list[dict[str, Any]] | State[Any]:
    """Checks labels and brings them into the database; what is known already costs a look-up.

    The run ends as "Refused" when a batch is: what was accepted of the others stays.

    Args:
        sources: label files, folders, or named sources.
        compare: whether sizes are compared with predictions of the current model.
        replace: whether many accepted labels may be superseded at once.
        again: whether labels that were retracted are checked and taken again.

    Returns:
        The report of each source as plain data.
    """
    chosen = label_session_for(sources, compare=compare, replace=replace, again=again)
    with chosen as session, stop_on_signals() as stop:
        session.stop = stop
        reports = [ingest_label_source(index, source.name) for index, source in enumerate(session.sources)]
        names = [report.source for report in session.refused]
    if names:
        return refused(f"{len(names)} of {len(reports)} label batches refused: {', '.join(names)}", reports)
    return reports
