"""Commands that compute: screen (with a database) and predict (without one)."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from flows.cli.options import AsJson, AssumeP1, Db, Device, Limit, Model, Sources, Symprec
from flows.terminal.console import Exit, errors_as_lines, json_text, print_json, printable, say, say_command

if TYPE_CHECKING:
    from gmt_tasks.design.session import DesignSession
    from gmt_tasks.runs.estimate import RunEstimate
    from gmt_tasks.runs.run_session import RunSession
    from gmt_tasks.runs.session import ScreenSession
    from gmt_tasks.settings import Settings
    from gmt_tasks.sources.source import Source

TOP_ROWS = 10
SHOWN_ENDINGS = 8
TOP_FILTER = (
    "d_max_pc_per_n > 0 AND elastic_min_eigenvalue_gpa > 20 AND NOT symmetry_ambiguous AND (NOT ood OR ood IS UNKNOWN)"
    " AND (NOT off_equilibrium OR off_equilibrium IS UNKNOWN)"
)
"""d = e C^-1 diverges towards an elastic instability: a soft mode below 20 GPa is within the error of the network.
Crystals far from the training data are left out; a model without a distance score says of none whether it is."""

TOP_SORT = "-d_max_pc_per_n"
TOP_FIELDS = ("id", "formula", "spacegroup", "d_max_pc_per_n", "e_max_c_per_m2", "k_vrh_gpa", "eps_total_mean")


def screen(
    sources: Sources,
    *,
    db: Db = None,
    model: Model = None,
    limit: Limit = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.", show_default="one per core")] = None,
    ray_address: Annotated[str | None, typer.Option(help="Ray cluster to use, host:port.", show_default=False)] = None,
    symprec: Symprec = None,
    device: Device = None,
    assume_p1: AssumeP1 = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show balance and cost; store nothing.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="One line per event on standard error.")] = False,
    json: AsJson = False,
) -> None:
    """Predicts all tensors of all crystals of the sources into the database. Run it again to resume."""
    from gmt_tasks.process import compute_in_one_thread

    if dry_run:
        # it measures here what workers do, and they have a thread each
        compute_in_one_thread()
    from gmt_tasks.runs.session import ScreenSession
    from gmt_tasks.settings import load_settings
    from gmt_tasks.telemetry import listen

    listen(verbose=verbose)
    settings = load_settings(
        db=db, model=model, workers=workers, ray_address=ray_address, symprec=symprec, device=device
    )
    opened = _open(sources, settings, assume_p1=assume_p1)
    if dry_run:
        _dry_run(opened, settings, limit, json=json)
        return
    with ScreenSession.open(settings, opened, limit=limit) as session, errors_as_lines(Exit.BROKEN_PROMISE):
        if not session.finished:
            run_flow(session, partial(screen_flow, sources, limit))
        _report(session, json=json)


def screen_flow(sources: list[str], limit: int | None) -> Callable[[], object]:
    """The flow `screen`, ready to be called."""
    from flows.screen import screen as flow

    return partial(flow, sources, limit)


def run_flow(
    session: "RunSession", import_flow: Callable[[], Callable[[], object]], found: "DesignSession | None" = None
) -> None:
    """Runs the session through a flow, with progress on standard error.

    Args:
        session: whose workers are started.
        import_flow: imports the flow and gives it with its arguments.
        found: what the flow finds in use, if not this session: a design, of which it is the next round.
    """
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
    # While server and workers start.
    flow = import_flow()
    start_server()
    with progress_display() as display, session_in_use(found or session):
        session.on_ingest, session.on_progress = display.read, display.show
        try:
            flow()
        except Exception:
            # A signal to the whole process group also ends Prefect's server, whose absence then is what raises.
            session.stop.check()
            raise


def _open(texts: list[str], settings: "Settings", *, assume_p1: bool) -> "list[Source]":
    from gmt_tasks.runs.session import open_sources
    from gmt_tasks.sources.source import MissingSymmetry

    missing = MissingSymmetry.ASSUME_P1 if assume_p1 else MissingSymmetry.REFUSE
    return open_sources(texts, max_atoms=settings.max_atoms, database=settings.database, missing_symmetry=missing)


def ignored_text(sources: "list[Source]") -> str:
    """Names the files beside the inputs of the sources that were not read, frequent endings first; "" if none."""
    from gmt_tasks.sources.open import ignored_files

    counts = ignored_files(sources)
    endings = [f"{n:,} {ending}" for ending, n in counts.most_common(SHOWN_ENDINGS)]
    n_more = counts.total() - sum(n for _, n in counts.most_common(SHOWN_ENDINGS))
    if n_more:
        endings.append(f"{n_more:,} others")
    plural = "s" if counts.total() > 1 else ""
    return printable(f"ignored {counts.total():,} file{plural}: {', '.join(endings)}") if counts else ""


def _dry_run(sources: "list[Source]", settings: "Settings", limit: int | None, *, json: bool) -> None:
    """Prints the balance that the run would start with, and what it would take here."""
    from gmt_tasks.ingest.blocks import SHARD_ATOMS, IngestPlan
    from gmt_tasks.registry.current_model import chosen_model
    from gmt_tasks.runs.estimate import dry_run
    from gmt_tasks.runs.run_session import n_usable_cores
    from gmt_tasks.sources.open import ignored_files
    from gmt_tasks.workers import worker

    settings = chosen_model(settings)
    workers = settings.workers or n_usable_cores()
    plan = IngestPlan(settings.max_atoms, settings.shard_atoms or SHARD_ATOMS, workers, limit)
    load = partial(worker.load_worker, settings.model, settings.device, settings.symprec)
    on_gpu = settings.device.startswith("cuda") or bool(settings.gpus_per_worker)
    now = time.perf_counter if on_gpu else time.process_time
    balance, estimate = dry_run(sources, plan, load, n_cores=n_usable_cores(), now=now)
    if json:
        counts = asdict(balance)
        # "in" is the name that `status --json` prints; as a Python name it is taken.
        facts = {"dry_run": True, "in": counts.pop("n_in"), **counts, "ignored": ignored_files(sources)}
        print_json(facts | {"estimate": None if estimate is None else estimate.facts()})
        return
    from flows.reports.tables import balance_table, console

    console().print(balance_table("dry", balance))
    if ignored := ignored_text(sources):
        console().print(ignored, markup=False)
    if estimate is not None:
        for line in estimate_lines(estimate):
            say(line)
    say("dry run: nothing was stored; `pending` is what a run would compute")


def estimate_lines(estimate: "RunEstimate") -> list[str]:
    """What a run is expected to take, in words."""
    from flows.terminal.console import duration

    workers = f"{estimate.n_workers} worker{'s' if estimate.n_workers > 1 else ''} on {estimate.n_cores} cores"
    return [
        f"expected with {workers}: {duration(estimate.wall_s)}, {estimate.crystals_per_s:.0f} crystals/s (reading, "
        f"which goes on beside computing, takes {duration(estimate.ingest_s)}), where nothing else uses the cores; "
        f"{duration(estimate.cpu_s)} of processor time",
        f"start beside it: {duration(estimate.start_cpu_s)} of processor time, {duration(estimate.start_s)} of that to "
        "load the model",
        f"memory {estimate.memory_bytes / 2**30:.1f} GiB, database {estimate.database_bytes / 2**20:,.0f} MiB (SQLite)",
        f"measured on {estimate.n_sampled:,} of {estimate.n_crystals:,} crystals, spread over the input",
    ]


def _report(session: "ScreenSession", *, json: bool) -> None:
    """Prints the balance, the rate and the top of the run."""
    if json:
        from gmt_tasks.sources.open import ignored_files

        (facts,) = session.store.runs(session.run.id)
        more = {"ignored": ignored_files(session.sources), "database": session.settings.shown_database}
        print_json({**facts, "computed": session.n_committed, **more})
        return
    from flows.reports.tables import balance_table, console, doubts_line, frame_table, with_intervals
    from flows.terminal.console import duration

    balance, database = session.balance(), session.settings.shown_database
    console().print(balance_table(session.run.id, balance))
    if doubts := session.store.doubts(session.run.id):
        console().print(doubts_line(doubts))
        say_command("which", "query", "doubtful", "--fields", "id,formula,doubts", "--db", database)
    if ignored := ignored_text(session.sources):
        console().print(ignored, markup=False)
    if session.n_committed:
        rate = session.n_committed / max(session.drive_s, 1e-9)
        say(f"{session.n_committed:,} crystals computed in {duration(session.drive_s)}, {rate:.1f} crystals/s")
    elif session.finished:
        say("this run was finished before: nothing was computed again")
    elif balance.done:
        say(f"nothing to compute: all {balance.done:,} crystals had results of this model already")
    else:
        say("nothing to compute: no input became a crystal")
    from models.quantities import INTERVALS

    # The ends of the intervals are asked for as columns of their own and then folded into the numbers they bound.
    fields = [*TOP_FIELDS, *(end for name in TOP_FIELDS if name in INTERVALS for end in INTERVALS[name])]
    model = session.run.spec.model
    version = str(model)
    top = session.store.query(TOP_FILTER, fields=fields, sort=TOP_SORT, limit=TOP_ROWS, model=version)
    if len(top):
        console().print()
        columns, rows = with_intervals(list(top.columns), top.itertuples(index=False), INTERVALS)
        console().print(frame_table(columns, rows, "largest piezoelectric response (90 % intervals)"))
        # a query asks the current version, which an older one may still be
        asked = () if session.store.current_model(model.name) == model else ("--model", version)
        say_command("from", "query", TOP_FILTER, f"--sort={TOP_SORT}", *asked, "--db", database)
    if balance.rejected or balance.quarantined:
        say_command("why some gave no result", "rejects", "--db", database, str(session.run.id))
    say_command("look at everything in a browser", "serve", "--db", database)


def predict(
    sources: Sources,
    *,
    model: Model = None,
    limit: Limit = None,
    symprec: Symprec = None,
    device: Device = None,
    assume_p1: AssumeP1 = False,
    out: Annotated[Path | None, typer.Option(help="File to write instead of printing.", show_default=False)] = None,
) -> None:
    """One JSON line per input, in order; no database."""
    from gmt_tasks.screening.records import load_screener, prediction_lines
    from gmt_tasks.settings import load_settings

    settings = load_settings(model=model, symprec=symprec, device=device)
    opened = _open(sources, settings, assume_p1=assume_p1)
    load = partial(load_screener, settings.model, settings.device, settings.symprec)
    n_predicted = n_rejected = 0
    doubts: Counter[str] = Counter()
    with _output(out) as stream:
        for line in prediction_lines(load, opened, max_atoms=settings.max_atoms, limit=limit):
            n_predicted += line["status"] == "ok"
            n_rejected += line["status"] != "ok"
            doubts.update(line.get("doubts", []))
            stream.write(json_text(line) + "\n")
            stream.flush()  # who reads a pipe gets each crystal as soon as it is done
    if ignored := ignored_text(opened):
        say(ignored)
    if out is not None or n_rejected:
        say(f"{n_predicted:,} predicted, {n_rejected:,} rejected{f', written to {out}' if out else ''}")
    if doubts:
        from flows.reports.tables import doubts_line

        say(doubts_line(dict(doubts.most_common())))


@contextmanager
def _output(out: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears under its name only when it is complete."""
    if out is None:
        yield sys.stdout
        return
    part = out.with_name(out.name + ".part")
    with part.open("w", encoding="utf-8") as stream:
        yield stream
    part.replace(out)
