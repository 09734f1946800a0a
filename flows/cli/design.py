"""Command that searches for new crystals with wanted properties: design."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import AsJson, Db, Device, Model
from flows.cli.results.open import filter_shown
from flows.cli.screen import run_flow
from flows.terminal.console import Exit, errors_as_lines, print_json, say, say_command
from gmt_tasks.design.request import DesignRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from db.designs.records import DesignRound, DesignSpec
    from gmt_tasks.design.session import DesignSession


def design(
    goal: Annotated[
        str, typer.Argument(metavar="FILTER", help="Which crystals are wanted: OPTIMADE filter; '' means all.")
    ],
    *,
    sort: Annotated[str, typer.Option(help="The number to make large (-NAME) or small (NAME).")] = DesignRequest.sort,
    db: Db = None,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds.")] = DesignRequest.rounds,
    per_round: Annotated[
        int, typer.Option(min=10, max=1_000_000, help="Crystals that are begun per round.")
    ] = DesignRequest.per_round,
    propose: Annotated[int, typer.Option(min=1, max=1000, help="Crystals to propose.")] = DesignRequest.propose,
    generate: Annotated[
        str, typer.Option(help="Parameters of the source `generated`, e.g. elements=Ba+Ti+O,max_atoms=20.")
    ] = "",
    bound: Annotated[
        float,
        typer.Option(min=0.0, help="Divergence of the generator from its start, nats per crystal; 0 leaves it as is."),
    ] = DesignRequest.bound,
    above_hull: Annotated[
        float,
        typer.Option(min=0.0, help="Propose nothing farther above the hull of known crystals, eV per atom; 0 = any."),
    ] = DesignRequest.above_hull,
    seed: Annotated[int, typer.Option(min=0, help="Of all random numbers.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder of generators and the plot.", show_default="design-NUMBER")
    ] = None,
    model: Model = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.", show_default="one per core")] = None,
    ray_address: Annotated[str | None, typer.Option(help="Ray cluster to use, host:port.", show_default=False)] = None,
    device: Device = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="One line per event on standard error.")] = False,
    json: AsJson = False,
) -> None:
    """Searches for new crystals: generates, gates, predicts, ranks, shifts the generator, again. Repeat to resume.

    Each round is a run of the source `generated`. The generator then learns from the wanted crystals that are likely to
    be among the best, uncertain and not all alike, as far as the bound allows. More --rounds go on with a design.
    """
    from gmt_tasks.design.session import DesignSession
    from gmt_tasks.settings import load_settings
    from gmt_tasks.telemetry import listen

    listen(verbose=verbose)
    settings = load_settings(db=db, model=model, workers=workers, ray_address=ray_address, device=device)
    request = DesignRequest(goal, sort, rounds, per_round, propose, generate, bound, above_hull, seed)
    with filter_shown(goal):
        session = DesignSession.open(settings, request, out)
    with session, errors_as_lines(Exit.BROKEN_PROMISE):
        say(f"design {session.design.id}{' resumed' if session.design.resumed else ''}, generators in {session.folder}")
        number = session.next_round()
        if number is not None:
            session.on_round = lambda finished: say(round_line(session.design.spec, finished))
            screening = session.open_round(number)
            run_flow(screening, partial(design_flow, request), session)
        elif session.needs_proposals():
            session.propose()
        _report(session, json=json)


def design_flow(request: DesignRequest) -> "Callable[[], object]":
    """The flow `design`, ready to be called."""
    from flows.design import design as flow

    return partial(flow, **asdict(request))


def round_line(spec: "DesignSpec", finished: "DesignRound") -> str:
    """What a round came to, in words."""
    from flows.reports.designs.tables import towards_best

    if not finished.quantiles:
        return f"round {finished.number}: no wanted crystal"
    _, median, _, best = towards_best(spec, finished)
    return f"round {finished.number}: median {spec.goal} of wanted crystals {median:.4g}, best {best:.4g}"


def _report(session: "DesignSession", *, json: bool) -> None:
    """Prints rounds and proposals, and draws the curve."""
    from flows.reports.designs.plot_rounds import plot_rounds
    from flows.reports.designs.tables import proposals_table, refused_line, rounds_table
    from flows.reports.tables import console

    rounds, proposals = session.rounds(), session.store.designs.proposals(session.design.id)
    refused = session.store.designs.refused(session.design.id)
    plot = plot_rounds(session.design.spec, rounds, session.folder / "rounds.png")
    if json:
        print_json(
            {
                "design": session.design.id,
                "rounds": [asdict(one) for one in rounds],
                "proposals": proposals,
                "refused": refused,
                "folder": str(session.folder),
            }
        )
        return
    console().print(rounds_table(session.design.spec, rounds))
    console().print(proposals_table(session.design.spec, proposals))
    if refused:
        say(refused_line(refused))
    say(f"curve of the rounds: {plot}")
    if proposals:
        say_command("why the first one", "show", proposals[0]["crystal_id"], "--db", session.settings.shown_database)
