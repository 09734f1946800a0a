"""Command that writes the next DFT jobs: suggest."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.console import print_json, say
from flows.cli.options import AsJson, Db
from gmt_tasks.active_learning.request import Goal, OutOfDistribution, SuggestionRequest

if TYPE_CHECKING:
    from gmt_tasks.active_learning.suggest import Batch


def suggest(
    wanted: Annotated[str, typer.Option("--property", help="What is looked for, e.g. k_vrh_gpa.")],
    *,
    db: Db = None,
    filter: Annotated[str, typer.Option("--filter", help="Only these results; an OPTIMADE filter.")] = "",
    n: Annotated[int, typer.Option("--n", min=1, max=1000, help="Number of jobs.")] = 20,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default suggest-PROPERTY.")] = None,
    goal: Annotated[Goal, typer.Option(help="Whether large or small values are wanted.")] = Goal.MAX,
    ood: Annotated[
        OutOfDistribution, typer.Option(help="Crystals far from the training data, whose intervals promise nothing.")
    ] = OutOfDistribution.EXCLUDE,
    best: Annotated[
        int | None, typer.Option(min=1, help="How many count as the best.", show_default="twice --n")
    ] = None,
    leave_out: Annotated[
        list[Path] | None, typer.Option(help="Folder of earlier suggestions, or a file of ids; may be repeated.")
    ] = None,
    atomate2: Annotated[
        bool | None,
        typer.Option("--atomate2/--no-atomate2", help="Write a script of atomate2 flows.", show_default="if installed"),
    ] = None,
    json: AsJson = False,
) -> None:
    """Writes the next DFT jobs: likely to be among the best, uncertain, and not all alike."""
    from flows.cli.console import show_filter
    from flows.cli.read import open_store
    from gmt_tasks.active_learning.job_folder import ids_in, row_of, write_jobs
    from gmt_tasks.active_learning.suggest import suggest as choose
    from models.errors import FilterError

    passed = frozenset(each for path in leave_out or () for each in ids_in(path))
    request = SuggestionRequest(wanted, n, filter, goal, ood, best, passed)
    with open_store(db) as store:
        try:
            batch = choose(store, request)
        except FilterError as error:
            show_filter(filter, error.position)
            raise
    folder = out or Path(f"suggest-{wanted}")
    write_jobs(batch, folder, atomate2=atomate2)
    if json:
        print_json({"folder": str(folder), "suggestions": [row_of(batch, k) for k in range(len(batch.suggestions))]})
    else:
        _print_batch(batch)
    _say_what_was_passed_over(batch, folder)


def _print_batch(batch: "Batch") -> None:
    from flows.reports.tables import console, frame_table

    head = ["id", "formula", batch.request.property, "lower", "upper", "promise", "uncertainty", "crowding"]
    rows = [
        (s.id, s.formula, s.value, s.lower, s.upper, s.promise, s.uncertainty, s.crowding) for s in batch.suggestions
    ]
    console().print(frame_table(head, rows, f"{len(rows)} jobs (90 % intervals)"))


def _say_what_was_passed_over(batch: "Batch", folder: Path) -> None:
    passed = f"{batch.n_labelled:,} labelled and {batch.n_left_out:,} left out passed over"
    say(f"{len(batch.suggestions)} of {batch.n_results:,} results written to {folder}; {passed}")
    if not batch.has_intervals:
        say(f"{batch.request.property} has no intervals in this database: promise follows its predictions alone")
