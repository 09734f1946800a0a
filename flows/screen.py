"""The flow that screens: open, ingest each source and drive the shards at the same time, close the run.

One task drives all shards of a run: a task per crystal would cost more than the crystal. It begins with the first block
that is in, while the next ones are read. Workers start before this module is imported, see `flows.cli.screen`.
"""

from dataclasses import asdict
from functools import partial

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.endings import ON_FAULT
from flows.ingest import ingest_source, open_run, open_session
from flows.orchestration import current_session, session_for
from flows.reports.markdown import balance_as_markdown
from gmt_tasks.process import stop_on_signals
from gmt_tasks.runs.reading import Reading
from gmt_tasks.runs.session import ScreenSession


@task(name="drive", task_run_name="drive shards of run {run}", cache_policy=NO_CACHE, persist_result=False)
def drive_shards(run: int) -> int:  # noqa: ARG001  Prefect shows the number in the name
    """Computes every shard of the run that is pending or comes; returns how many crystals this call committed."""
    return current_session().drive()


@task(name="finish", task_run_name="finish run {run}", cache_policy=NO_CACHE, persist_result=False)
def finish_run(run: int) -> dict[str, int]:
    """Closes the run and shows its balance; fails when inputs are unaccounted for."""
    balance = current_session().finish()
    create_markdown_artifact(
        key=f"gmtscreen-run-{run}",
        markdown=balance_as_markdown(run, balance),
        description=f"Where every input of run {run} ended",
    )
    return asdict(balance)


@flow(name="screen", validate_parameters=False, persist_result=False, **ON_FAULT)
def screen(sources: list[str], limit: int | None = None) -> dict[str, int]:
    """Screens crystals: predict, symmetrize, derive, store. May be stopped and called again at any time.

    Database, model and workers come from the session of the command line or, in a deployment, from the environment
    (`GMTSCREEN_DB` and so on), so that no secret becomes a parameter.

    Args:
        sources: paths or named sources.
        limit: inputs to take from all sources together.

    Returns:
        The closed balance: n_in, done, duplicate, rejected, quarantined, pending.
    """
    with session_for(ScreenSession, partial(open_session, sources, limit)) as session, stop_on_signals() as stop:
        # A signal becomes a request that is answered between two blocks or shards: nothing is cut off half written.
        session.stop = stop
        run = open_run()
        session.reading = Reading()
        driving = drive_shards.submit(run)
        try:
            with session.reading:
                for index, source in enumerate(session.sources):
                    ingest_source(index, source.name)
        finally:
            # Where the driver failed, that is why the reading ended; a reading that failed ends the driver in peace.
            driving.result()
        return finish_run(run)
