"""Command that takes hits home: export."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import Db, Diverse, ResultsOf
from flows.cli.results.open import filter_shown, open_store, split_names
from flows.terminal.console import Exit, fail, say

if TYPE_CHECKING:
    from gmt_tasks.export.files import ExportFormat

SHOWN_LEFT_OUT = 10
"""Hits without a second opinion that are named."""


def export(
    filter_text: Annotated[
        str, typer.Argument(metavar="FILTER", help="OPTIMADE filter, or preset:NAME; '' means all.")
    ] = "",
    *,
    to: Annotated[
        Path,
        typer.Option(
            help="File (.extxyz, .csv, .parquet, .cif, .vasp) or folder (--format cif or poscar, --database).",
            show_default=False,
        ),
    ],
    format: Annotated[
        str | None,
        typer.Option(help="cif, poscar, extxyz, csv or parquet; default by the file's name.", show_default=False),
    ] = None,
    database: Annotated[
        bool, typer.Option("--database", help="The whole database as partitioned Parquet, for DuckDB and polars.")
    ] = False,
    db: Db = None,
    fields: Annotated[
        str | None, typer.Option(help="Columns of tables, separated by commas; default all.", show_default=False)
    ] = None,
    sort: Annotated[str | None, typer.Option(help="Column; -column is descending.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=0, help="Largest number of hits; 0 for all.")] = 0,
    diverse: Diverse = False,
    relaxed: Annotated[
        bool,
        typer.Option("--relaxed", help="The primitive cells that second opinions relaxed; other hits are left out."),
    ] = False,
    model: ResultsOf = None,
) -> None:
    """Hits as CIF, POSCAR, extended XYZ, CSV or Parquet, with tensors; or the whole database for DuckDB."""
    from db.query.properties import PROPERTIES
    from db.query.store import new_request
    from gmt_tasks.export.files import export as write_hits

    if database:
        if filter_text.strip() or format or relaxed:
            raise fail("--database writes everything: leave out the filter, --format and --relaxed", Exit.BAD_USAGE)
        from gmt_tasks.export.parquet import write_database

        with open_store(db) as store:
            written = write_database(store, to)
        say(f"written to {to}: {', '.join(f'{n:,} {table}' for table, n in written.items())}")
        say(f"DuckDB and polars read it as read_parquet('{to}/results/**/*.parquet', hive_partitioning=True)")
        return
    chosen = _format(to, format)
    with open_store(db) as store, filter_shown(filter_text):
        request = new_request(filter_text, split_names(fields) or list(PROPERTIES), sort, limit, model)
        exported = write_hits(store, request, chosen, to, diverse=diverse, relaxed=relaxed)
        empty = not exported.n_hits and not exported.without and filter_text.strip()
        reasons = store.explain(filter_text, model).sentences() if empty else []
    say(f"{exported.n_hits:,} crystals written to {to}")
    if exported.without:
        named = ", ".join(f"{formula} {crystal_id}" for formula, crystal_id in exported.without[:SHOWN_LEFT_OUT])
        more = f" and {len(exported.without) - SHOWN_LEFT_OUT:,} more" if len(exported.without) > SHOWN_LEFT_OUT else ""
        say(f"{len(exported.without):,} left out, which have no second opinion: {named}{more}")
    for reason in reasons[:3]:
        say(reason)


def _format(to: Path, name: str | None) -> "ExportFormat":
    """The format that is named, else that of the file's name."""
    from gmt_tasks.export.files import ExportFormat, format_of

    names = ", ".join(ExportFormat)
    if name is not None and name not in set(ExportFormat):
        raise fail(f"there is no format {name}; choose {names}", Exit.BAD_USAGE)
    chosen = ExportFormat(name) if name else format_of(to)
    if chosen is None:
        raise fail(f"{to} says no format: add --format, one of {names}", Exit.BAD_USAGE)
    return chosen
