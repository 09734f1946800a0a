"""Command that searches: query."""

import csv
import sys
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import AsJson, Db, Diverse, ResultsOf
from flows.cli.results.open import filter_shown, open_store, split_names
from flows.terminal.console import Exit, fail, json_text, print_json, say

if TYPE_CHECKING:
    import pandas as pd


class Format(StrEnum):
    """How a query prints its rows."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def query(
    filter_text: Annotated[
        str, typer.Argument(metavar="FILTER", help="OPTIMADE filter, or preset:NAME; '' means all.")
    ] = "",
    *,
    db: Db = None,
    fields: Annotated[str | None, typer.Option(help="Columns, separated by commas.", show_default=False)] = None,
    sort: Annotated[str | None, typer.Option(help="Column; -column is descending.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=0, help="Largest number of rows; 0 for all.")] = 50,
    diverse: Diverse = False,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.TABLE,
    out: Annotated[Path | None, typer.Option(help="File to write instead of printing.", show_default=False)] = None,
    model: ResultsOf = None,
    json: AsJson = False,
) -> None:
    """Crystals that a filter describes."""
    from db.query.presets import preset_in

    chosen = Format.JSON if json else format
    if chosen is Format.PARQUET and out is None:
        raise fail("--format parquet writes a binary file: name it with --out hits.parquet", Exit.BAD_USAGE)
    # Files get every column, a terminal as many as it is wide.
    names = split_names(fields)
    preset = preset_in(filter_text)
    if names is None and preset is None and chosen is Format.TABLE:
        names = list(TABLE_FIELDS)
    with open_store(db) as store, filter_shown(filter_text):
        frame = store.query(filter_text, fields=names, sort=sort, limit=limit, model=model, diverse=diverse)
        reasons = store.explain(filter_text, model).sentences() if frame.empty and filter_text.strip() else []
    write_frame(frame, chosen, out)
    if preset is not None:
        say(f"{preset.title}: {preset.filter}, by {sort or preset.sort}")
    for reason in reasons[:SHOWN_REASONS]:
        say(reason)
    # A full page looks like a complete answer.
    if limit and len(frame) == limit:
        say(f"{limit} rows shown; --limit 0 gives all")


SHOWN_REASONS = 3
"""Of an empty answer."""

TABLE_FIELDS = (
    "id",
    "formula",
    "spacegroup",
    "k_vrh_gpa",
    "g_vrh_gpa",
    "d_max_pc_per_n",
    "eps_total_mean",
    "mechanically_stable",
)
"""What a table shows when nobody asks for columns: as much as 100 columns hold."""


def write_frame(frame: "pd.DataFrame", chosen: Format, out: Path | None) -> None:
    """Writes query results to a file or to standard output."""
    if chosen is Format.PARQUET and out is not None:
        frame.to_parquet(out, index=False)
    elif chosen is Format.CSV:
        from db.csv_cells import csv_cell

        # Without `newline`, Windows would change the line breaks.
        with out.open("w", encoding="utf-8", newline="") if out else nullcontext(sys.stdout) as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(frame.columns)
            for row in frame.itertuples(index=False):
                writer.writerow(map(csv_cell, row))
    elif chosen is Format.JSON:
        records = frame.to_dict(orient="records")
        if out is None:
            print_json(records)
        else:
            out.write_text(json_text(records) + "\n", encoding="utf-8")
    else:
        from flows.reports.tables import console, frame_table

        console().print(frame_table(list(frame.columns), frame.itertuples(index=False)))
