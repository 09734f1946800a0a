"""The command that reads crystals or labels into the database without computing anything."""

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import AsJson, AssumeP1, Db, Device, Limit, Sources
from flows.cli.screen import ignored_text
from flows.predictor import predictor_of
from flows.terminal.console import Exit, errors_as_lines, print_json, say, say_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from gmt_tasks.labels.ingest import IngestOptions, LabelReport
    from gmt_tasks.labels.session import LabelSession
    from gmt_tasks.settings import Settings

WITHOUT_MODEL = "none"


def ingest(
    sources: Sources,
    *,
    labels: Annotated[
        bool,
        typer.Option(
            "--labels",
            help="The sources hold DFT tensors (.jsonl, VASP's OUTCAR, vasprun.xml, mp:, jarvis:): check them.",
        ),
    ] = False,
    db: Db = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Crystals: the model that will screen them. Labels: what their sizes are compared with, or none.",
            show_default="gmtnet",
        ),
    ] = None,
    limit: Limit = None,
    device: Device = None,
    assume_p1: AssumeP1 = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Labels: many accepted ones may be superseded by this batch.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Labels: take rows again that were retracted.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Labels: write a picture (PNG) of the check.")] = None,
    json: AsJson = False,
) -> None:
    """Brings crystals, or with --labels checked DFT labels, into the database. Run it again to resume."""
    from gmt_tasks.settings import SettingsError, load_settings

    without_model = labels and model == WITHOUT_MODEL
    settings = load_settings(db=db, model=None if without_model else model, device=device)
    if labels:
        # Not ignored silently: who gives them expects that they act.
        for option, is_given in (("--limit", limit is not None), ("--assume-p1", assume_p1)):
            if is_given:
                raise SettingsError(f"{option} is for crystals and means nothing with --labels: omit it.")
        from gmt_tasks.labels.ingest import IngestOptions
        from gmt_tasks.registry.current_model import who_decides

        options = IngestOptions(who_decides(settings), replace, again)
        _ingest_labels(sources, settings, options, plot=plot, json=json, without_model=without_model)
    elif replace or again:
        raise SettingsError("--replace and --again are for labels: give --labels as well, or omit them.")
    else:
        _ingest_crystals(sources, settings, limit, assume_p1=assume_p1, json=json)


def _ingest_crystals(
    sources: list[str], settings: "Settings", limit: int | None, *, assume_p1: bool, json: bool
) -> None:
    """The flow `ingest`; `screen` with the same sources goes on from there."""
    from flows.orchestration import quiet_prefect, session_in_use, start_server
    from gmt_tasks.runs.session import ScreenSession, open_sources
    from gmt_tasks.sources.source import MissingSymmetry

    missing = MissingSymmetry.ASSUME_P1 if assume_p1 else MissingSymmetry.REFUSE
    opened = open_sources(sources, max_atoms=settings.max_atoms, database=settings.database, missing_symmetry=missing)
    with ScreenSession.open(settings, opened, limit=limit) as session, errors_as_lines(Exit.BROKEN_PROMISE):
        # Prefect reads its settings when it is imported: the flow comes after they are set.
        quiet_prefect()
        start_server()
        # Imported only now: flows read Prefect's settings when they are defined.
        from flows.ingest import ingest as ingest_flow

        with session_in_use(session):
            counts = ingest_flow(sources, limit)
        balance = session.balance()
        if json:
            from gmt_tasks.sources.open import ignored_files

            facts = {"accepted": balance.pending + balance.done, "rejected": balance.rejected}
            more = {"duplicate": balance.duplicate, "ignored": ignored_files(opened)}
            print_json({"run": session.run.id, "inputs": counts, **facts, **more})
            return
        from flows.reports.tables import balance_table, console, doubts_line

        console().print(balance_table(session.run.id, balance))
        if doubts := session.store.doubts(session.run.id):
            console().print(doubts_line(doubts))
        if ignored := ignored_text(opened):
            console().print(ignored, markup=False)
        say_command("compute them", "screen", *sources, "--db", settings.shown_database)


def _ingest_labels(
    texts: list[str],
    settings: "Settings",
    options: "IngestOptions",
    *,
    plot: Path | None,
    json: bool,
    without_model: bool,
) -> None:
    """The flow `labels`; ends with 1 when a label batch is refused."""
    from flows.endings import RefusedResultError
    from flows.orchestration import quiet_prefect, start_server
    from gmt_tasks.labels.session import LabelSession
    from gmt_tasks.registry.current_model import current_split

    expect = None if without_model else predictor_of(settings)
    with (
        LabelSession.open(settings, texts, expect, current_split(settings), options) as session,
        errors_as_lines(Exit.BROKEN_PROMISE),
    ):
        quiet_prefect()
        start_server()
        # Imported only now: flows read Prefect's settings when they are defined.
        from flows.labels import label_session_in_use
        from flows.labels import labels as labels_flow

        session.on_block = _counter(quiet=json)
        # The session knows what was refused, and the reports are printed either way.
        with label_session_in_use(session), suppress(RefusedResultError):
            labels_flow(texts, compare=not without_model, replace=options.replace, again=options.again)
        if plot is not None:
            _draw(session, plot)
    if json:
        print_json([report.as_json() for report in session.reports])
    else:
        for report in session.reports:
            _print(report)
        for name, n in session.passed_over.items():
            say(f"{name}: {n:,} calculations without a response passed over")
    if session.refused:
        names = ", ".join(report.source for report in session.refused)
        say(f"{len(session.refused)} of {len(session.reports)} label batches refused: {names}")
        raise SystemExit(int(Exit.BROKEN_PROMISE))


def _counter(*, quiet: bool) -> "Callable[[str, int], None]":
    """Reports after every block how many labels of a source were checked."""
    n_checked: Counter[str] = Counter()

    def add(name: str, n: int) -> None:
        n_checked[name] += n
        if not quiet:
            say(f"{name}: {n_checked[name]:,} labels checked")

    return add


def _draw(session: "LabelSession", path: Path) -> None:
    from flows.reports.plot_labels import plot_labels

    labels = [label for report in session.reports for label in session.store.labels.of_ingest(report.ingest_id)]
    if labels:
        say(f"picture: {plot_labels(labels, path)}")
    else:
        say("no picture: there is nothing new to draw")


def _print(report: "LabelReport") -> None:
    """The report as tables, then what was refused and what to do."""
    from flows.reports.label_tables import comparisons_table, findings_table, parts_table, reasons_table
    from flows.reports.tables import console

    # Empty tables are left out: a repetition has none to show.
    out = console()
    if report.parts:
        out.print(parts_table(report))
    if (compared := comparisons_table(report)).rows:
        out.print(compared)
    if any(part.reasons for part in report.parts):
        out.print(reasons_table(report))
    if report.findings:
        out.print(findings_table(report))
    split = ", ".join(f"{n:,} {name}" for name, n in report.splits.items())
    say(
        f"{report.source}: {report.status}; {report.brought:,} rows, {report.known:,} known before, "
        f"{report.accepted:,} accepted for training{f' ({split})' if split else ''}"
    )
    if report.superseded:
        say(f"{report.superseded:,} earlier labels are superseded by newer values of the same source and id")
    if report.retracted:
        say(f"retracted and left out: {report.retracted}; --again takes them all the same")
    if report.resplit:
        say(f"{report.resplit:,} rows go to another split than they declare: a formula keeps its first one")
