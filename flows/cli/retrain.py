"""Command that retrains: accepted labels in, a promoted model or the reasons against it out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.options import AsJson, Db
from flows.parameters import command_options, to_parameters
from flows.terminal.console import Exit, errors_as_lines, fail, print_json, say
from gmt_tasks.retraining.options import RetrainOptions

if TYPE_CHECKING:
    from gmt_tasks.settings import Settings


@command_options(RetrainOptions)
def retrain(
    *,
    db: Db = None,
    options: RetrainOptions,
    serve: Annotated[
        bool, typer.Option("--serve", help="Stay and retrain on a schedule; needs a Prefect server.")
    ] = False,
    cron: Annotated[str, typer.Option(help="The schedule, in UTC.")] = "0 3 * * 6",
    json: AsJson = False,
) -> None:
    """Retrains on the accepted labels; the candidate goes live only if the gate finds nothing worse than before."""
    from gmt_tasks.settings import load_settings

    settings = load_settings(db=db)
    if serve:
        from flows.deployments import serve_retrain

        serve_retrain(settings, options, cron)
        return
    with errors_as_lines(Exit.BROKEN_PROMISE):
        outcome, report = _run(settings, options)
    if json:
        print_json({**outcome, "gate": report})
    else:
        _print(outcome, report)
    if outcome["ending"] == "refused":
        raise fail(f"{outcome['model']} stays a candidate: {outcome['why']}", Exit.BROKEN_PROMISE)


def _run(settings: "Settings", options: RetrainOptions) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Walks a retraining through its flow; returns the outcome and the gate's report."""
    from flows.endings import RefusedResultError
    from flows.orchestration import quiet_prefect, start_server
    from gmt_tasks.registry.model_files import datasets_folder
    from gmt_tasks.retraining.retraining import GATE, Retraining, read_report

    with Retraining(settings, options.placed_by(settings), datasets_folder(settings), say) as retraining:
        # Prefect reads its environment when it is imported, which the flow's module does.
        quiet_prefect()
        start_server()
        from flows.retrain import retrain as retrain_flow
        from flows.retrain import retraining_in_use

        with retraining_in_use(retraining):
            outcome: Any
            try:
                # A state in the flow's eyes; called directly, it gives what the state holds.
                outcome = retrain_flow(**to_parameters(options))
            except RefusedResultError as refused:
                outcome = refused.facts
    return outcome, read_report(Path(outcome["folder"]) / GATE)


def _print(outcome: dict[str, Any], report: dict[str, Any] | None) -> None:
    """The outcome, what changed beyond chance, and where the whole report is."""
    from flows.reports.tables import cell, console, new_table

    if report is not None:
        numbers = ("n", "current", "candidate", "±")
        table = new_table(
            "measure", "crystals of", *numbers, "outcome", title="gate, the smaller the better", numbers=numbers
        )
        for row in report["comparisons"]:
            # A change of one group of crystals is shown where it is beyond chance, the whole set always.
            if row["verdict"] != "same" or row["group"] == "all":
                shown = (cell(name, row[name]) for name in ("n", "current", "candidate", "error"))
                table.add_row(row["name"], row["group"], *shown, row["verdict"])
        console().print(table)
        for reason in report["reasons"]:
            say(f"- {reason}")
    say(f"{outcome['ending']}: {outcome['model']}, before {outcome['before'] or 'none'}; {outcome['why']}")
    if Path(outcome["folder"]).is_dir():  # where nothing is new, nothing was begun
        say(f"everything of this retraining: {outcome['folder']}")
