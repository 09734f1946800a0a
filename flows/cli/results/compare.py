"""Command that sets crystals side by side: compare."""

from typing import Annotated

import typer

from flows.cli.options import AsJson, Db, ResultsOf
from flows.cli.results.compare_models import compare_models
from flows.cli.results.open import open_store, split_names
from flows.terminal.console import Exit, fail, print_json, say

MOST_CRYSTALS = 6


def compare(
    crystals: Annotated[
        list[str],
        typer.Argument(metavar="ID ID...", help="Two to six crystals: content ids, their beginnings, or source ids."),
    ],
    *,
    fields: Annotated[
        str | None, typer.Option(help="Properties, separated by commas; default all.", show_default=False)
    ] = None,
    smallest: Annotated[
        str | None, typer.Option(help="Properties of which the smallest value is marked.", show_default=False)
    ] = None,
    ieee: Annotated[
        bool, typer.Option("--ieee", help="Also the tensor components, each in the IEEE frame of its crystal.")
    ] = False,
    model: ResultsOf = None,
    db: Db = None,
    json: AsJson = False,
    sort: Annotated[str, typer.Option(hidden=True)] = "-k_vrh_gpa",
    top: Annotated[int, typer.Option(min=1, hidden=True)] = 100,
    filter: Annotated[str, typer.Option("--filter", hidden=True)] = "",
) -> None:
    """Crystals side by side: every property with its 90 % interval and unit; the largest of a row is marked.

    For what a new model version changed in a ranking, see gmtscreen models compare.
    """
    from dataclasses import asdict

    from db.query.request import field_names
    from flows.reports.comparison_table import print_comparison
    from flows.reports.tables import console
    from gmt_tasks.export.comparison import compare_crystals

    with open_store(db) as store:
        # Two versions of models were what this command took before there was another for them.
        models = {row["name"] for row in store.list_models()}
        of_models = len(crystals) == 2 and all("@" in name and name.split("@")[0] in models for name in crystals)
        if not of_models and not 2 <= len(crystals) <= MOST_CRYSTALS:
            raise fail(f"{len(crystals)} crystals are named: name two to {MOST_CRYSTALS}", Exit.BAD_USAGE)
        facts = [] if of_models else [store.show(crystal) for crystal in crystals]
    if of_models:
        say("versions of a model are compared by gmtscreen models compare")
        compare_models(*crystals, db=db, sort=sort, top=top, filter=filter, json=json)
        return
    names, small = (field_names(split_names(text)) if text else () for text in (fields, smallest))
    comparison = compare_crystals(facts, names, smallest=small, model=model, ieee=ieee)
    if json:
        print_json(asdict(comparison))
    else:
        print_comparison(console(), comparison)
