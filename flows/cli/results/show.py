"""Command about one crystal: show."""

from typing import Annotated

import typer

from flows.cli.options import AsJson, Db
from flows.cli.results.open import open_store
from flows.terminal.console import print_json


def show(
    crystal: Annotated[str, typer.Argument(metavar="ID", help="Content id, its first characters, or a source id.")],
    *,
    ieee: Annotated[bool, typer.Option("--ieee", help="Tensors in the IEEE frame, as handbooks print them.")] = False,
    db: Db = None,
    json: AsJson = False,
) -> None:
    """One crystal: tensors with units and frame, derived properties, symmetry, provenance, warnings."""
    from flows.reports.crystal_view import print_crystal
    from flows.reports.tables import console

    with open_store(db) as store:
        facts = store.show(crystal)
    if ieee:
        from gmt_tasks.export.frames import facts_in_ieee_frame

        facts = facts_in_ieee_frame(facts)
    if json:
        from gmt_tasks.export.second_opinion import opinion_object

        opinions = [opinion_object(facts, opinion) for opinion in facts["second_opinions"]]
        print_json(facts | {"second_opinions": opinions})
    else:
        print_crystal(console(), facts)
