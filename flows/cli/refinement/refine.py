"""`gmtscreen refine`: a second opinion about the best hits."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.options import AsJson, Db, Device, Model
from flows.terminal.console import Exit, duration, errors_as_lines, print_json, say, say_command

if TYPE_CHECKING:
    from db.store import ResultStore
    from gmt_tasks.refinement.choice import RefineRequest
    from gmt_tasks.refinement.estimate import Estimate
    from gmt_tasks.runs.refine_session import Choice, RefineSession
    from gmt_tasks.settings import Settings

TOP_ROWS = 10
FIELDS = (
    "id", "formula", "refined_spacegroup", "gamma_stable", "lowest_mode_thz", "volume_ratio", "k_vrh_gpa",
    "potential_k_vrh_gpa", "d_max_pc_per_n", "e_above_hull_ev_per_atom", "second_opinion_disagrees",
)  # fmt: skip
"""What is printed of refined crystals."""


def refine(
    filter_text: Annotated[str, typer.Argument(metavar="FILTER", help="Which crystals; '' means all.")],
    *,
    top: Annotated[int, typer.Option(min=1, help="The first N in the order of --sort.")] = 20,
    sort: Annotated[
        str | None,
        typer.Option(help="Property, with - for descending; default the preset's order.", show_default=False),
    ] = None,
    db: Db = None,
    model: Model = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.", show_default="one per core")] = None,
    ray_address: Annotated[str | None, typer.Option(help="Ray cluster to use, host:port.", show_default=False)] = None,
    device: Device = None,
    references: Annotated[
        int, typer.Option(min=0, help="Competing crystals whose energies each hull may ask for.")
    ] = 20,
    max_atoms: Annotated[int, typer.Option(min=1, help="Largest primitive cell.")] = 60,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the crystals and the cost; compute nothing.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="One line per event on standard error.")] = False,
    json: AsJson = False,
) -> None:
    """Second opinion of an interatomic potential: relaxed cell, stiffness, modes, hull. Run it again to resume."""
    from gmt_tasks.refinement.choice import RefineRequest
    from gmt_tasks.settings import load_settings
    from gmt_tasks.telemetry import listen

    listen(verbose=verbose)
    settings = load_settings(db=db, model=model, workers=workers, ray_address=ray_address, device=device)
    request = RefineRequest(filter_text, sort, top, references, max_atoms)
    settings, store, choice, cost = _choose(settings, request)
    if dry_run:
        with store:
            _print_choice(store, choice, cost, json=json)
        return
    from gmt_tasks.runs.refine_session import RefineSession

    say(cost_text(cost))
    with RefineSession.open_choice(settings, store, choice) as session, errors_as_lines(Exit.BROKEN_PROMISE):
        if not session.finished:
            run_flow(session, request)
        _report(session, json=json)


def _choose(settings: "Settings", request: "RefineRequest") -> "tuple[Settings, ResultStore, Choice, Estimate]":
    """The settings with their model resolved, the open database, the chosen crystals and what they will cost."""
    from db.store import ResultStore
    from gmt_tasks.refinement.potential_card import require_potential
    from gmt_tasks.registry.current_model import chosen_model
    from gmt_tasks.runs.refine_session import choose_crystals, estimate

    # before anything is opened: without the package nothing can come of it
    require_potential()
    settings = chosen_model(settings)
    store = ResultStore.open_existing(settings.database)
    try:
        choice = choose_crystals(store, settings, request)
        return settings, store, choice, estimate(store, settings, choice)
    except BaseException:
        store.close()
        raise


def cost_text(cost: "Estimate") -> str:
    """An estimate in one line."""
    references = f", {cost.n_references:,} competing crystals" if cost.n_references else ""
    return (
        f"{cost.n_crystals:,} crystals with {cost.n_atoms:,} atoms in their primitive cells{references}: about "
        f"{duration(cost.cpu_s)} of processor time, {duration(cost.wall_s)} with {cost.n_workers} workers"
    )


def run_flow(session: "RefineSession", request: "RefineRequest") -> None:
    """Runs the session through the flow `refine`, with progress on standard error."""
    from flows.orchestration import begin_server, quiet_prefect, session_in_use, start_server
    from flows.terminal.progress import progress_display

    say(
        f"run {session.run.id}{' resumed' if session.run.resumed else ''}, model {session.run.spec.model}, "
        f"database {session.settings.shown_database}"
    )
    quiet_prefect()
    begin_server()
    # Ray before Prefect: started in a process full of Prefect's threads it can take a minute.
    session.start_workers()
    from flows.refine import refine as refine_flow

    start_server()
    with progress_display() as display, session_in_use(session):
        session.on_ingest, session.on_progress = display.read, display.show
        try:
            refine_flow(request.filter, request.sort, request.top, request.references)
        except Exception:
            # A signal to the whole process group also ends Prefect's server, whose absence then is what raises.
            session.stop.check()
            raise


def _rows(store: "ResultStore", ids: list[str], fields: tuple[str, ...], model: str | None) -> list[dict[str, Any]]:
    """Fields of some crystals in their order."""
    from db.query.request import Request

    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(ids), 50):
        chosen = " OR ".join(f'id = "{crystal_id}"' for crystal_id in ids[start : start + 50])
        page = store.page(Request(chosen, fields, limit=0, model=model))
        found |= {row["id"]: row for row in page.rows}
    return [found[crystal_id] for crystal_id in ids if crystal_id in found]


def _print_choice(store: "ResultStore", choice: "Choice", cost: "Estimate", *, json: bool) -> None:
    """Prints the chosen crystals and the estimate."""
    if json:
        facts = {"dry_run": True, "model": str(choice.model), "crystals": choice.ids}
        print_json({**facts, **asdict(cost), "wall_s": cost.wall_s})
        return
    from flows.reports.tables import console, frame_table

    fields = ("id", "formula", "spacegroup", "n_atoms", "k_vrh_gpa", "d_max_pc_per_n")
    rows = [tuple(row.values()) for row in _rows(store, choice.ids, fields, None)]
    console().print(frame_table(list(fields), rows, f"{len(choice.ids)} chosen crystals"))
    say(cost_text(cost))
    say("dry run: nothing was computed or stored")


def _report(session: "RefineSession", *, json: bool) -> None:
    """Prints the balance, the cost and the refined crystals."""
    refined = session.store.opinions.of_run(session.run.id)
    seconds = [row["refinement_seconds"] for row in refined if row["refinement_seconds"] is not None]
    cpu_s = sum(seconds) / max(len(seconds), 1)
    database = session.settings.shown_database
    if json:
        (facts,) = session.store.runs(session.run.id)
        print_json({**facts, "computed": session.n_committed, "cpu_s_per_crystal": cpu_s, "database": database})
        return
    from flows.reports.tables import balance_table, console, frame_table

    balance = session.balance()
    console().print(balance_table(session.run.id, balance))
    if session.n_committed:
        say(
            f"{session.n_committed:,} crystals refined in {duration(session.drive_s)}, {cpu_s:.1f} s of processor time "
            "each"
        )
    elif session.finished:
        say("this run was finished before: nothing was computed again")
    model = str(session.run.spec.model)
    done = {row["id"] for row in refined}
    shown = [crystal_id for crystal_id in session.choice.ids if crystal_id in done][:TOP_ROWS]
    if shown:
        rows = [tuple(row.values()) for row in _rows(session.store, shown, FIELDS, model)]
        console().print(frame_table(list(FIELDS), rows, "second opinions"))
        say_command("stable ones", "query", "refined AND gamma_stable", "--db", database)
    if balance.rejected or balance.quarantined:
        say_command("why some gave no result", "rejects", "--db", database, str(session.run.id))
