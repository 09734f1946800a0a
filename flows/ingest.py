"""The flow that brings crystals into the database, and the task that every flow with sources shares."""

from functools import partial
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.runtime import deployment
from prefect.tasks import Task

from flows.endings import ON_FAULT
from flows.orchestration import current_session, session_for
from gmt_tasks.process import stop_on_signals
from gmt_tasks.runs.session import ScreenSession
from models.errors import GmtError

UNKNOWN_FAULT_RETRIES = 2


def is_worth_a_retry(_task: Task[..., object], run: TaskRun, state: State[object]) -> bool:
    """True for transient faults; most of our own errors say what a person has to do first.

    A database or a server that is away is waited for where nobody watches, and reported at once to a person at a
    terminal.
    """
    try:
        state.result()
    except GmtError as error:
        return error.may_pass and deployment.id is not None
    except Exception:  # noqa: BLE001  whatever else it is, once more is cheap: what is done is found again
        return run.run_count <= UNKNOWN_FAULT_RETRIES
    return False


PATIENT: dict[str, Any] = {
    "cache_policy": NO_CACHE,
    "persist_result": False,
    "retries": 5,
    "retry_delay_seconds": [10, 30, 60, 120, 300],
    "retry_condition_fn": is_worth_a_retry,
}
"""Options of tasks that a schedule may start while the database or a source's server restarts."""


@task(name="connect", task_run_name="open database and sources", **PATIENT)
def open_session(sources: list[str], limit: int | None) -> ScreenSession:
    """A session from the environment's settings; this reaches the database and the servers of sources."""
    from gmt_tasks.runs.session import open_sources
    from gmt_tasks.settings import load_settings

    # From the environment alone: where a schedule starts the flow, there is no command line.
    settings = load_settings()
    opened = open_sources(sources, max_atoms=settings.max_atoms, database=settings.database)
    return ScreenSession.open(settings, opened, limit=limit)


@task(
    name="open",
    task_run_name="open run",
    cache_policy=NO_CACHE,
    persist_result=False,
)
def open_run() -> int:
    """The number of the run; model, specification and database are in the session."""
    return current_session().run.id


@task(
    name="ingest",
    task_run_name="ingest {source}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=is_worth_a_retry,
)
def ingest_source(index: int, source: str) -> int:  # noqa: ARG001  Prefect shows the source in the name
    """Brings one source in from where an earlier call stopped; returns the number of its inputs."""
    return current_session().ingest(index)


@flow(name="ingest", validate_parameters=False, persist_result=False, **ON_FAULT)
def ingest(sources: list[str], limit: int | None = None) -> dict[str, int]:
    """Brings crystals into the database without computing anything; `screen` with the same sources goes on from here.

    Args:
        sources: paths or named sources.
        limit: inputs to take from all sources together.

    Returns:
        Number of inputs by source.
    """
    with session_for(ScreenSession, partial(open_session, sources, limit)) as session, stop_on_signals() as stop:
        session.stop = stop
        open_run()
        return {source.name: ingest_source(index, source.name) for index, source in enumerate(session.sources)}
