"""Command that searches: query."""

import csv
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from flows.cli.options import AsJson, Db, Diverse, ResultsOf
from flows.cli.results.open import filter_shown, open_store, split_names
from flows.terminal.console import Exit, fail, json_text, say


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
    from db.query.store import new_request

    chosen = Format.JSON if json else format
    if chosen is Format.PARQUET and out is None:
        raise fail("--format parquet writes a binary file: name it with --out hits.parquet", Exit.BAD_USAGE)
    # Files get every column, a terminal as many as it is wide.
    names = split_names(fields)
    preset = preset_in(filter_text)
    if names is None and preset is None and chosen is Format.TABLE:
        names = list(TABLE_FIELDS)
    with open_store(db) as store, filter_shown(filter_text):
        request = new_request(filter_text, names, sort, limit, model)
        blocks = iter([store.diverse_rows(request)]) if diverse else store.stream(request)
        n_rows = write_rows(blocks, request.fields, chosen, out)
        reasons = store.explain(filter_text, model).sentences() if not n_rows and filter_text.strip() else []
    if preset is not None:
        say(f"{preset.title}: {preset.filter}, by {sort or preset.sort}")
    for reason in reasons[:SHOWN_REASONS]:
        say(reason)
    # A full page looks like a complete answer.
    if limit and n_rows == limit:
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


def write_rows(
    blocks: Iterator[list[dict[str, Any]]], fields: tuple[str, ...], chosen: Format, out: Path | None
) -> int:
    """Writes query results to a file or to standard output, block by block but for a table; returns how many."""
    if chosen is Format.PARQUET and out is not None:
        from gmt_tasks.export.parquet import write_rows_parquet

        return write_rows_parquet(blocks, fields, out)
    if chosen is Format.TABLE:
        from flows.reports.tables import console, frame_table

        rows = [list(row.values()) for block in blocks for row in block]
        console().print(frame_table(fields, rows))
        return len(rows)
    write = _write_csv if chosen is Format.CSV else _write_json
    if out is None:
        return write(blocks, fields, sys.stdout)
    from gmt_tasks.export.whole_file import whole_file

    # Without `newline`, Windows would change the line breaks.
    with whole_file(out) as part, part.open("w", encoding="utf-8", newline="") as stream:
        return write(blocks, fields, stream)


def _write_csv(blocks: Iterator[list[dict[str, Any]]], fields: tuple[str, ...], stream: TextIO) -> int:
    """CSV with empty cells for unknown values and several source ids joined by semicolons."""
    from db.csv_cells import csv_cell

    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(fields)
    n_rows = 0
    for block in blocks:
        for row in block:
            writer.writerow(map(csv_cell, row.values()))
        n_rows += len(block)
    return n_rows


def _write_json(blocks: Iterator[list[dict[str, Any]]], _fields: tuple[str, ...], stream: TextIO) -> int:
    """A list with a line per row."""
    n_rows = 0
    stream.write("[")
    for block in blocks:
        for row in block:
            stream.write(("," if n_rows else "") + "\n  " + json_text(row))
            n_rows += 1
    stream.write("\n]\n" if n_rows else "]\n")
    return n_rows
