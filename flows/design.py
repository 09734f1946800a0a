"""The flow that designs: each round a screening of what the generator writes, then a shift of the generator.

A round is the flow `screen` with its ledger and its balance; between two rounds one task judges what came and shifts
the generator.
"""

import time
from functools import partial

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.endings import ON_FAULT
from flows.orchestration import design_session, session_for, session_in_use
from flows.reports.designs.tables import rounds_as_markdown
from flows.screen import screen
from gmt_tasks.design.request import DesignRequest
from gmt_tasks.design.session import DesignSession
from gmt_tasks.process import stop_on_signals


@task(name="connect", task_run_name="open design", cache_policy=NO_CACHE, persist_result=False)
def open_session(request: DesignRequest) -> DesignSession:
    """A session from the environment's settings."""
    from gmt_tasks.settings import load_settings

    return DesignSession.open(load_settings(), request)


@task(name="judge", task_run_name="judge round {number}", cache_policy=NO_CACHE, persist_result=False)
def judge_round(number: int, run: int, seconds: float) -> None:
    """Judges what a round wrote, shifts the generator, and shows all rounds so far."""
    session = design_session()
    session.close_round(number, run, seconds)
    create_markdown_artifact(
        key=f"gmtscreen-design-{session.design.id}",
        markdown=rounds_as_markdown(session.design.spec, session.rounds()),
        description=f"Rounds of design {session.design.id}",
    )


@task(name="propose", task_run_name="propose crystals", cache_policy=NO_CACHE, persist_result=False)
def store_proposals() -> int:
    """Stores the crystals to calculate next; returns their number."""
    return design_session().propose()


@flow(name="design", validate_parameters=False, persist_result=False, **ON_FAULT)
def design(  # noqa: PLR0913  Prefect shows one field each
    *,
    filter: str = "",
    sort: str = DesignRequest.sort,
    rounds: int = DesignRequest.rounds,
    per_round: int = DesignRequest.per_round,
    propose: int = DesignRequest.propose,
    generate: str = "",
    bound: float = DesignRequest.bound,
    above_hull: float = DesignRequest.above_hull,
    seed: int = 0,
) -> dict[str, int]:
    """Searches for new crystals with wanted properties. May be stopped and called again at any time.

    Database, model and workers come from the session of the command line or, in a deployment, from the environment
    (`GMTSCREEN_DB` and so on), so that no secret becomes a parameter.

    Args:
        filter: which crystals are wanted, such as "eps_total_mean < 30 AND NOT metal AND NOT ood".
        sort: the number to make large, with "-" in front, or small.
        rounds: how many there are to be.
        per_round: crystals that are begun in each.
        propose: crystals to propose at the end.
        generate: further parameters of the source `generated`, such as "elements=Ba+Ti+O,max_atoms=20".
        bound: divergence of the generator from its start at most, nats per crystal; 0 leaves it as it is.
        above_hull: what is farther above the hull of known crystals is not proposed, in eV per atom; 0 asks nobody.
        seed: of all random numbers.

    Returns:
        Number of the design, of its rounds and of its proposals.
    """
    request = DesignRequest(filter, sort, rounds, per_round, propose, generate, bound, above_hull, seed)
    with session_for(DesignSession, partial(open_session, request)) as session, stop_on_signals() as stop:
        # A signal becomes a request that is answered between two steps: nothing is cut off half written.
        session.stop = stop
        while (number := session.next_round()) is not None:
            began = time.monotonic()
            screening = session.open_round(number)
            if not screening.finished:
                with session_in_use(screening):
                    screen([source.name for source in screening.sources])
            # a signal that came during the screening went to its session
            for one in (screening, session):
                one.stop.check()
            judge_round(number, screening.run.id, time.monotonic() - began)
        return {"design": session.design.id, "rounds": len(session.rounds()), "proposals": store_proposals()}
