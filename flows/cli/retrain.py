"""Command that retrains: accepted labels in, a promoted model or the reasons against it out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.console import Exit, errors_as_lines, fail, print_json, say
from flows.cli.options import AsJson, Db, Device

if TYPE_CHECKING:
    from gmt_tasks.retraining.plan import RetrainOptions
    from gmt_tasks.settings import Settings


def retrain(
    *,
    db: Db = None,
    config: Annotated[str, typer.Option(help="A .toml file, or the name of a shipped configuration.")] = "gmtnet",
    epochs: Annotated[int | None, typer.Option(min=1, help="Not the configuration's.", show_default=False)] = None,
    members: Annotated[
        int | None, typer.Option(min=1, help="Networks; default as many as the current model has.", show_default=False)
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Random weights instead of the current ones.")
    ] = False,
    no_promote: Annotated[
        bool, typer.Option("--no-promote", help="Ask the gate and leave the decision to a person.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Networks trained side by side.", show_default="one per core")
    ] = None,
    ray_address: Annotated[
        str | None, typer.Option(help="Ray cluster to train on, host:port.", show_default=False)
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of retrainings; a stopped one goes on.")] = Path("runs/retrain"),
    device: Device = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Stay and retrain on a schedule; needs a Prefect server.")
    ] = False,
    cron: Annotated[str, typer.Option(help="The schedule, in UTC.")] = "0 3 * * 6",
    json: AsJson = False,
) -> None:
    """Retrains on the accepted labels; the candidate goes live only if the gate finds nothing worse than before."""
    from gmt_tasks.retraining.plan import RetrainOptions, Start
    from gmt_tasks.settings import load_settings

    settings = load_settings(db=db)
    start = Start.SCRATCH if from_scratch else Start.CURRENT
    options = RetrainOptions(
        config, epochs, members, start, not no_promote, workers, ray_address, device or "auto", runs
    )
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


def _run(settings: "Settings", options: "RetrainOptions") -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Walks a retraining through its flow; returns the outcome and the gate's report."""
    from flows.orchestration import quiet_prefect, start_server
    from gmt_tasks.registry.model_files import datasets_folder
    from gmt_tasks.retraining.retraining import Retraining
    from gmt_tasks.retraining.steps import GATE, read_report

    work = Retraining(settings, options, datasets_folder(settings), say)
    with work:
        quiet_prefect()
        start_server()
        from flows.retrain import retrain as retrain_flow
        from flows.retrain import retraining_in_use

        with retraining_in_use(work):
            from_scratch = options.start.value == "scratch"
            outcome = retrain_flow(
                options.config, options.epochs, options.members, from_scratch=from_scratch, promote=options.promote
            )
    return outcome, read_report(Path(outcome["folder"]) / GATE)


def _print(outcome: dict[str, Any], report: dict[str, Any] | None) -> None:
    """The verdict, what changed beyond chance, and where the whole report is."""
    from flows.reports.tables import cell, console, new_table

    if report is not None:
        numbers = ("n", "current", "candidate", "±")
        table = new_table(
            "measure", "crystals of", *numbers, "verdict", title="gate, the smaller the better", numbers=numbers
        )
        for each in report["comparisons"]:
            if each["verdict"] != "same" or each["group"] == "all":
                shown = (cell(name, each[name]) for name in ("n", "current", "candidate", "error"))
                table.add_row(each["name"], each["group"], *shown, each["verdict"])
        console().print(table)
        for reason in report["reasons"]:
            say(f"- {reason}")
    say(f"{outcome['ending']}: {outcome['model']}, before {outcome['before'] or 'none'}; {outcome['why']}")
    if Path(outcome["folder"]).is_dir():  # where nothing is new, nothing was begun
        say(f"everything of this retraining: {outcome['folder']}")
