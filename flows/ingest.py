"""The flow that brings crystals into the database, and the task that every flow with sources shares."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from flows.orchestration import current_session, session_for
from gmt_tasks.process import stop_on_signals
from models.errors import GmtError


def is_worth_a_retry(_task: Task[..., object], _run: TaskRun, state: State[object]) -> bool:
    """True for faults that may pass (network, disk); our own errors say what a person has to do first."""
    try:
        state.result()
    except GmtError:
        return False
    except Exception:  # noqa: BLE001  whatever else it is, reading once more is cheap: the cursor knows where
        return True
    return False


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


@flow(name="ingest", validate_parameters=False, persist_result=False)
def ingest(sources: list[str], limit: int | None = None) -> dict[str, int]:
    """Brings crystals into the database without computing anything; `screen` with the same sources goes on from here.

    Args:
        sources: paths or named sources.
        limit: inputs to take from all sources together.

    Returns:
        Number of inputs by source.
    """
    with session_for(sources, limit) as session, stop_on_signals() as stop:
        session.stop = stop
        open_run()
        return {source.name: ingest_source(index, source.name) for index, source in enumerate(session.sources)}
