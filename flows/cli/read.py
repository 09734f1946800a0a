"""Commands that read the database: status, rejects, show, query. None of them imports torch, ray or prefect."""

import csv
import sys
from collections import Counter
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from flows.cli.options import AsJson, Db, RunNumber
from flows.terminal.console import Exit, fail, json_text, print_json, printable, say, show_filter

if TYPE_CHECKING:
    import pandas as pd

    from db.store import ResultStore


class Format(StrEnum):
    """How a query prints its rows."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


REJECT_KEYS = ("source", "source_id", "stage", "reason", "detail")
"""What is printed of a rejected input as JSON."""


def open_store(db: str | None) -> "ResultStore":
    """The database of the option, the environment or the default; it must exist."""
    from db.store import ResultStore
    from gmt_tasks.settings import load_settings

    return ResultStore.open_existing(load_settings(db=db).database)


def status(run: RunNumber = None, *, db: Db = None, json: AsJson = False) -> None:
    """Runs with their balance, rate and remaining time."""
    from flows.reports.tables import balance_table, console, run_lines, runs_table

    with open_store(db) as store:
        runs = store.runs(run)
        balance = store.balance(run) if run is not None and not json else None
    if json:
        print_json({"runs": runs})
    elif balance is not None and run is not None:
        console().print(balance_table(run, balance))
        console().print("\n".join(run_lines(runs[0])))
    elif runs:
        console().print(runs_table(runs))
    else:
        say("no runs yet; start one: gmtscreen screen reference")


def rejects(run: RunNumber = None, *, db: Db = None, json: AsJson = False) -> None:
    """Every input that gave no result, with its reason and what to do."""
    from flows.reports.tables import console, rejects_table
    from models.errors import Reason

    with open_store(db) as store:
        rows = store.rejects(run)
    if json:
        print_json(rows)
        return
    if not rows:
        say("nothing was rejected or quarantined")
        return
    console().print(rejects_table(rows))
    # What to do depends on the reason alone: once per reason, not once per row.
    for text, n in Counter(row["reason"] for row in rows).most_common():
        reason = Reason(text)
        console().print(f"{n:>6} {reason.value}: {reason.sentence} {reason.advice}")


def show(
    crystal: Annotated[str, typer.Argument(metavar="ID", help="Content id, its first characters, or a source id.")],
    *,
    db: Db = None,
    json: AsJson = False,
) -> None:
    """One crystal: tensors with units and frame, derived properties, symmetry, provenance, warnings."""
    from flows.reports.crystal_view import print_crystal
    from flows.reports.tables import console

    with open_store(db) as store:
        facts = store.show(crystal)
    if json:
        print_json(facts)
    else:
        print_crystal(console(), facts)


def query(
    filter_text: Annotated[str, typer.Argument(metavar="FILTER", help="OPTIMADE filter; '' means all.")] = "",
    *,
    db: Db = None,
    fields: Annotated[str | None, typer.Option(help="Columns, separated by commas.", show_default=False)] = None,
    sort: Annotated[str | None, typer.Option(help="Column; -column is descending.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=0, help="Largest number of rows; 0 for all.")] = 50,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.TABLE,
    out: Annotated[Path | None, typer.Option(help="File to write instead of printing.", show_default=False)] = None,
    model: Annotated[str | None, typer.Option(help="Results of NAME or NAME@VERSION.", show_default=False)] = None,
    json: AsJson = False,
) -> None:
    """Crystals that a filter describes."""
    from models.errors import FilterError

    chosen = Format.JSON if json else format
    if chosen is Format.PARQUET and out is None:
        raise fail("--format parquet writes a binary file: name it with --out hits.parquet", Exit.BAD_USAGE)
    # Files get every column, a terminal as many as it is wide.
    names = [name.strip() for name in fields.split(",") if name.strip()] if fields else None
    if names is None and chosen is Format.TABLE:
        names = list(TABLE_FIELDS)
    with open_store(db) as store:
        try:
            frame = store.query(filter_text, fields=names, sort=sort, limit=limit, model=model)
        except FilterError as error:  # printed as a line below; the place of the fault is shown above it
            show_filter(filter_text, error.position)
            raise
    write_frame(frame, chosen, out)
    # A full page looks like a complete answer.
    if limit and len(frame) == limit:
        say(f"{limit} rows shown; --limit 0 gives all")


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


FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""With these a text becomes a formula when a spreadsheet opens a CSV file. Source: OWASP, CSV Injection."""


def write_frame(frame: "pd.DataFrame", chosen: Format, out: Path | None) -> None:
    """Writes query results to a file or to standard output."""
    if chosen is Format.PARQUET and out is not None:
        frame.to_parquet(out, index=False)
    elif chosen is Format.CSV:
        # Without `newline`, Windows would change the line breaks.
        with out.open("w", encoding="utf-8", newline="") if out else nullcontext(sys.stdout) as stream:
            _write_csv(frame, stream)
    elif chosen is Format.JSON:
        records = frame.to_dict(orient="records")
        if out is None:
            print_json(records)
        else:
            out.write_text(json_text(records) + "\n", encoding="utf-8")
    else:
        from flows.reports.tables import console, frame_table

        console().print(frame_table(list(frame.columns), frame.itertuples(index=False)))


def _write_csv(frame: "pd.DataFrame", stream: TextIO) -> None:
    """CSV with empty cells for unknown values and several source ids joined by semicolons."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(frame.columns)
    for row in frame.itertuples(index=False):
        cells = []
        for value in row:
            text = ";".join(value) if isinstance(value, list) else value
            if isinstance(text, str):
                # A text that a spreadsheet would take for a formula gets a quote in front.
                is_formula = len(text) > 1 and text.startswith(FORMULA_STARTS)
                text = ("'" if is_formula else "") + printable(text)
            cells.append("" if text is None or text != text else text)
        writer.writerow(cells)
