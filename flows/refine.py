"""The flow that refines: choose, drive the shards, evaluate competing crystals, find hulls, close the run."""

from functools import partial

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.endings import ON_FAULT
from flows.ingest import PATIENT, ingest_source, open_run
from flows.orchestration import current_session, session_for
from flows.screen import drive_shards, finish_run
from gmt_tasks.process import stop_on_signals
from gmt_tasks.refinement.choice import DEFAULT_REFERENCES, DEFAULT_TOP, RefineRequest
from gmt_tasks.runs.refine_session import RefineSession, open_refine
from models.errors import GmtError


@task(name="connect", task_run_name="open database and choose crystals", **PATIENT)
def open_refine_session(filter_text: str, sort: str | None, top: int, references: int) -> RefineSession:
    """A session from the environment's settings; this reaches the database."""
    from gmt_tasks.settings import load_settings

    return open_refine(load_settings(), RefineRequest(filter_text, sort, top, references))


def refine_session() -> RefineSession:
    """The session in use.

    Raises:
        GmtError: it is none of a refine run.
    """
    session = current_session()
    if not isinstance(session, RefineSession):
        raise GmtError("the session in use is none of a refine run: call the flow `refine`, not its tasks")
    return session


@task(name="references", task_run_name="energies of competing crystals", cache_policy=NO_CACHE, persist_result=False)
def evaluate_references(run: int) -> int:  # noqa: ARG001  Prefect shows the number beside the flow
    """Computes the energies of competing crystals that nobody computed yet; returns their number."""
    return refine_session().evaluate_references()


@task(name="hulls", task_run_name="hull distances of run {run}", cache_policy=NO_CACHE, persist_result=False)
def find_hulls(run: int) -> int:  # noqa: ARG001  Prefect shows the number in the name
    """Stores how far each refined crystal lies above the hull; returns how many are known."""
    return refine_session().find_hulls()


@flow(name="refine", validate_parameters=False, persist_result=False, **ON_FAULT)
def refine(
    filter_text: str, sort: str | None = None, top: int = DEFAULT_TOP, references: int = DEFAULT_REFERENCES
) -> dict[str, int]:
    """Asks a potential for a second opinion about stored crystals. May be stopped and called again at any time.

    Database, model and workers come from the session of the command line or, in a deployment, from the environment.

    Args:
        filter_text: which crystals.
        sort: order of the crystals.
        top: the first so many.
        references: competing crystals of each whose energies are computed, at most.

    Returns:
        The closed balance: n_in, done, duplicate, rejected, quarantined, pending.
    """
    opening = partial(open_refine_session, filter_text, sort, top, references)
    with session_for(opening) as session, stop_on_signals() as stop:
        session.stop = stop
        run = open_run()
        ingest_source(0, refine_session().choice.request.source)
        drive_shards(run)
        evaluate_references(run)
        find_hulls(run)
        return finish_run(run)
