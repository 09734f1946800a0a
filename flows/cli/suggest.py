"""Command that writes the next DFT jobs: suggest."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import AsJson, Db
from flows.parameters import command_options
from flows.terminal.console import print_json, say
from gmt_tasks.active_learning.request import SuggestionRequest

if TYPE_CHECKING:
    from gmt_tasks.active_learning.suggest import Batch


@command_options(SuggestionRequest)
def suggest(
    *,
    options: SuggestionRequest,
    db: Db = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default suggest-PROPERTY.")] = None,
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
    from flows.cli.results.open import open_store
    from flows.terminal.console import show_filter
    from gmt_tasks.active_learning.job_folder import ids_in, row_of, write_jobs
    from gmt_tasks.active_learning.suggest import nothing_learned
    from gmt_tasks.active_learning.suggest import suggest as choose
    from gmt_tasks.registry.current_model import current_split
    from gmt_tasks.settings import load_settings
    from models.errors import FilterError

    request = replace(options, leave_out=frozenset(crystal for path in leave_out or () for crystal in ids_in(path)))
    with open_store(db) as store:
        table = current_split(load_settings(db=db))
        try:
            batch = choose(store, request, nothing_learned if table is None else table.learned)
        except FilterError as error:
            show_filter(request.filter, error.position)
            raise
    folder = out or Path(f"suggest-{request.property}")
    write_jobs(batch, folder, atomate2=atomate2)
    n_jobs = len(batch.suggestions)
    if json:
        print_json({"folder": str(folder), "suggestions": [row_of(batch, rank) for rank in range(n_jobs)]})
    else:
        _print_batch(batch)
    skipped = f"skipped {batch.n_labelled:,} labelled, {batch.n_trained:,} that the model was trained on, "
    skipped += f"{batch.n_left_out:,} left out"
    say(f"{n_jobs} of {batch.n_results:,} results written to {folder}; {skipped}")
    if not batch.has_intervals:
        say(f"{request.property} has no intervals in this database: promise follows its predictions alone")


def _print_batch(batch: "Batch") -> None:
    """The jobs as a table, in the order in which they should be calculated."""
    from flows.reports.tables import console, frame_table

    head = ["id", "formula", batch.request.property, "lower", "upper", "promise", "uncertainty", "crowding"]
    rows = [
        (s.id, s.formula, s.value, s.lower, s.upper, s.promise, s.uncertainty, s.crowding) for s in batch.suggestions
    ]
    console().print(frame_table(head, rows, f"{len(rows)} jobs (90 % intervals)"))
