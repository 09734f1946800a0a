"""Command that asks a universal potential for a second opinion: refine."""

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.options import AsJson, Db, Device, Model
from flows.cli.results.open import filter_shown
from flows.cli.screen import run_flow
from flows.terminal.console import Exit, duration, errors_as_lines, print_json, say, say_command
from gmt_tasks.refinement.defaults import DEFAULT_MAX_ATOMS, DEFAULT_REFERENCES, DEFAULT_TOP

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from gmt_tasks.refinement.choice import RefineRequest
    from gmt_tasks.refinement.session import Choice, RefineSession

SHOWN_ROWS = 20
OPINION_FIELDS = (
    "potential_k_vrh_gpa",
    "potential_g_vrh_gpa",
    "lowest_mode_thz",
    "gamma_stable",
    "e_above_hull_ev_per_atom",
)


def refine(
    filter_text: Annotated[
        str, typer.Argument(metavar="FILTER", help="Of which crystals: OPTIMADE filter or preset:NAME; '' means all.")
    ],
    *,
    db: Db = None,
    top: Annotated[int, typer.Option(min=1, help="The first N crystals.")] = DEFAULT_TOP,
    sort: Annotated[
        str | None, typer.Option(help="Column that says which are first; -column is descending.", show_default=False)
    ] = None,
    model: Model = None,
    references: Annotated[
        int, typer.Option(min=0, help="Competing crystals of each whose energies are computed for its hull, at most.")
    ] = DEFAULT_REFERENCES,
    max_atoms: Annotated[
        int, typer.Option(min=1, help="Atoms of a primitive cell; larger crystals are rejected.")
    ] = DEFAULT_MAX_ATOMS,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.", show_default="one per core")] = None,
    ray_address: Annotated[str | None, typer.Option(help="Ray cluster to use, host:port.", show_default=False)] = None,
    device: Device = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the crystals and the cost; store nothing.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="One line per event on standard error.")] = False,
    json: AsJson = False,
) -> None:
    """Second opinion of the best hits by a universal potential: cell, stiffness, stability. Run it again to resume.

    The cell is relaxed, the network's tensors are predicted for it and combined with the potential's stiffness; modes
    at the zone centre and the energy above the hull of stored crystals say whether the crystal is there to stay.
    """
    from gmt_tasks.refinement.choice import RefineRequest
    from gmt_tasks.refinement.session import RefineSession, choose_crystals
    from gmt_tasks.settings import load_settings
    from gmt_tasks.telemetry import listen

    listen(verbose=verbose)
    settings = load_settings(db=db, model=model, workers=workers, ray_address=ray_address, device=device)
    with filter_shown(filter_text):
        choice = choose_crystals(settings, RefineRequest(filter_text, sort, top, references, max_atoms))
    if not choice.chosen.ids or dry_run:
        _report_choice(choice, json=json)
        return
    if not json:
        say(estimate_line(choice))
    with RefineSession.open(choice) as session, errors_as_lines(Exit.BROKEN_PROMISE):
        if not session.finished:
            run_flow(session, partial(refine_flow, choice.request))
        _report(session, json=json)


def refine_flow(request: "RefineRequest") -> "Callable[[], object]":
    """The flow `refine`, ready to be called."""
    from flows.refine import refine as flow

    return partial(flow, **asdict(request))


def estimate_line(choice: "Choice") -> str:
    """What is to be computed and what it is expected to cost."""
    estimate = choice.estimate
    if not estimate.n_crystals and not estimate.n_references:
        return f"{len(choice.chosen.ids):,} crystals chosen, all of them with a second opinion of {choice.model}"
    return (
        f"{len(choice.chosen.ids):,} crystals chosen; to compute: {estimate.n_crystals:,} with {estimate.n_atoms:,} "
        f"atoms in primitive cells, and {estimate.n_references:,} competing ones; expected "
        f"{duration(estimate.cpu_s)} of processor time, {duration(estimate.wall_s)} on {estimate.n_workers} cores"
    )


def _report_choice(choice: "Choice", *, json: bool) -> None:
    """Prints the chosen crystals and the estimate; says why there are none."""
    from db.store import ResultStore

    chosen, estimate = choice.chosen, choice.estimate
    atoms = chosen.crystals.atoms_per_crystal.tolist()
    columns = ("id", "source_id", "formula", "n_atoms")
    rows = [*zip(chosen.ids, chosen.source_ids, chosen.formulas, atoms, strict=True)]
    if json:
        crystals = [dict(zip(columns, row, strict=True)) for row in rows]
        facts = {"model": str(choice.model), "crystals": crystals, "estimate": asdict(estimate)}
        print_json({"dry_run": True, **facts, "wall_s": estimate.wall_s})
        return
    if not rows:
        with ResultStore.open_existing(choice.settings.database) as store:
            for reason in store.explain(choice.request.filter, None).sentences()[:3]:
                say(reason)
        say("no crystal was chosen: nothing to compute, and nothing was stored")
        return
    from flows.reports.tables import console, frame_table

    console().print(frame_table(columns, rows))
    say(estimate_line(choice))
    say("dry run: nothing was computed or stored")


def _report(session: "RefineSession", *, json: bool) -> None:
    """Prints the balance, what it cost, and the second opinions."""
    refined = session.store.opinions.of_run(session.run.id)
    own = [row["refinement_seconds"] for row in refined if row["run_id"] == session.run.id]
    mean_cpu_s = sum(own) / len(own) if own else None
    rows = opinion_rows(session)
    if json:
        (facts,) = session.store.runs(session.run.id)
        cost = {"computed": session.n_committed, "references": session.n_references, "cpu_s_per_crystal": mean_cpu_s}
        estimate = {"estimate": asdict(session.choice.estimate), "database": session.settings.shown_database}
        print_json({**facts, **cost, **estimate, "crystals": rows})
        return
    from flows.reports.tables import balance_table, console

    balance, database = session.balance(), session.settings.shown_database
    console().print(balance_table(session.run.id, balance))
    if session.n_committed and mean_cpu_s is not None:
        say(
            f"{session.n_committed:,} crystals and {session.n_references:,} competing ones computed in "
            f"{duration(session.drive_s)}; the potential took {mean_cpu_s:.1f} s of processor time per crystal"
        )
    elif session.finished:
        say("this run was finished before: nothing was computed again")
    if rows:
        console().print()
        console().print(opinions_table(rows))
    say_command("all of it", "query", "refined", "--db", database)
    if balance.rejected or balance.quarantined:
        say_command("why some gave no result", "rejects", "--db", database, str(session.run.id))


def opinions_table(rows: "list[dict[str, Any]]") -> "Table":
    """One line per crystal: moduli in GPa by network, potential and both, and whether it is stable."""
    from flows.reports.tables import cell, new_table

    heads = ("lowest mode, THz", "stable", "above hull, eV/atom")
    three = "network | potential | both"
    table = new_table("id", "formula", f"K: {three}", f"G: {three}", *heads, numbers=heads)
    for row in rows:
        moduli = []
        for modulus in ("k_vrh_gpa", "g_vrh_gpa"):
            values = [row[f"network_{modulus}"], row[f"potential_{modulus}"], row[modulus]]
            moduli.append(" | ".join("-" if value is None or value != value else f"{value:.3g}" for value in values))
        names = ("lowest_mode_thz", "gamma_stable", "e_above_hull_ev_per_atom")
        table.add_row(cell("id", row["id"]), row["formula"], *moduli, *(cell(name, row[name]) for name in names))
    return table


def opinion_rows(session: "RefineSession") -> list[dict[str, Any]]:
    """Moduli by network, potential and both, and stability, of the first crystals of a run in their order."""
    store, choice = session.store, session.choice
    ids = choice.chosen.ids[:SHOWN_ROWS]
    chosen = " OR ".join(f'id="{crystal_id}"' for crystal_id in ids)
    moduli = ("id", "formula", "k_vrh_gpa", "g_vrh_gpa")
    combined = store.query(chosen, fields=[*moduli, *OPINION_FIELDS], limit=SHOWN_ROWS, model=str(choice.model))
    network = store.query(chosen, fields=[*moduli], limit=SHOWN_ROWS, model=str(choice.network))
    alone = {row["id"]: row for row in network.to_dict("records")}
    rows: dict[str, dict[str, Any]] = {}
    for record in combined.to_dict("records"):
        rows[record["id"]] = {str(name): value for name, value in record.items()}
    for crystal_id, row in rows.items():
        for name in ("k_vrh_gpa", "g_vrh_gpa"):
            row[f"network_{name}"] = alone.get(crystal_id, {}).get(name)
    return [rows[crystal_id] for crystal_id in ids if crystal_id in rows]
