"""The flow that asks for second opinions: open, enter the chosen crystals, drive, evaluate competitors, close.

The ledger, the driving task and the balance are those of `flows.screen`; only what a worker holds differs.
"""

from functools import partial

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.endings import ON_FAULT
from flows.ingest import PATIENT, ingest_source, open_run
from flows.orchestration import current_session, session_for
from flows.screen import drive_shards, finish_run
from gmt_tasks.process import stop_on_signals
from gmt_tasks.refinement.choice import RefineRequest
from gmt_tasks.refinement.defaults import DEFAULT_MAX_ATOMS, DEFAULT_REFERENCES, DEFAULT_TOP
from gmt_tasks.refinement.session import RefineSession
from models.errors import GmtError


@task(name="connect", task_run_name="choose crystals", **PATIENT)
def open_session(request: RefineRequest) -> RefineSession:
    """A session from the environment's settings for the crystals that the request chooses now."""
    from gmt_tasks.refinement.session import choose_crystals
    from gmt_tasks.settings import load_settings

    return RefineSession.open(choose_crystals(load_settings(), request))


def refine_session() -> RefineSession:
    """The session in use.

    Raises:
        GmtError: it is none of a refine run.
    """
    session = current_session()
    if not isinstance(session, RefineSession):
        raise GmtError("the session in use is none of a refine run: call the flow `refine`, not its tasks")
    return session


@task(name="references", task_run_name="competing crystals of run {run}", cache_policy=NO_CACHE, persist_result=False)
def evaluate_references(run: int) -> int:  # noqa: ARG001  Prefect shows the number in the name
    """Computes energies of competing crystals that are missing; returns how many this call computed."""
    return refine_session().evaluate_references()


@task(name="hull", task_run_name="hulls of run {run}", cache_policy=NO_CACHE, persist_result=False)
def store_hull(run: int) -> int:  # noqa: ARG001  as above
    """Stores energies above the hull; returns how many crystals have one."""
    return refine_session().store_hull()


@flow(name="refine", validate_parameters=False, persist_result=False, **ON_FAULT)
def refine(
    filter: str,
    sort: str | None = None,
    top: int = DEFAULT_TOP,
    references: int = DEFAULT_REFERENCES,
    max_atoms: int = DEFAULT_MAX_ATOMS,
) -> dict[str, int]:
    """Second opinions of stored crystals by a universal potential. May be stopped and called again at any time.

    Database, model and workers come from the session of the command line or, in a deployment, from the environment
    (`GMTSCREEN_DB` and so on), so that no secret becomes a parameter.

    Args:
        filter: which crystals, such as "d_max_pc_per_n > 20 AND NOT refined".
        sort: a property, with "-" in front for descending.
        top: the first so many of that order.
        references: competing crystals of each whose energies are computed, at most.
        max_atoms: of a primitive cell; larger crystals are rejected.

    Returns:
        The closed balance: n_in, done, duplicate, rejected, quarantined, pending.
    """
    request = RefineRequest(filter, sort, top, references, max_atoms)
    with session_for(RefineSession, partial(open_session, request)) as session, stop_on_signals() as stop:
        # A signal becomes a request that is answered between two shards: nothing is cut off half written.
        session.stop = stop
        run = open_run()
        ingest_source(0, session.choice.request.source)
        drive_shards(run)
        evaluate_references(run)
        store_hull(run)
        return finish_run(run)
