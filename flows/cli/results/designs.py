"""Command about finished and unfinished designs: designs."""

from typing import Annotated

import typer

from flows.cli.options import AsJson, Db
from flows.cli.results.open import open_store
from flows.terminal.console import print_json, say, say_command


def designs(
    number: Annotated[
        int | None, typer.Argument(metavar="[DESIGN]", help="Number of a design; default all.", show_default=False)
    ] = None,
    *,
    db: Db = None,
    json: AsJson = False,
) -> None:
    """Designs with their goals, newest first; of one, its rounds and what it proposes. Computes nothing."""
    from flows.reports.designs.tables import designs_table, proposals_table, refused_line, rounds_table, settings_line
    from flows.reports.tables import console
    from gmt_tasks.settings import load_settings

    with open_store(db) as store:
        if number is None:
            overview = store.designs.overview()
        else:
            facts, design = store.designs.describe(number), store.designs.get(number)
            rounds = store.designs.rounds(number)
    if json:
        print_json({"designs": overview} if number is None else facts)
    elif number is not None:
        console().print(settings_line(design), soft_wrap=True)
        if rounds:
            console().print(rounds_table(design.spec, rounds))
        else:
            say("no finished round yet; the command that began this design goes on with it")
        if facts["refused"]:
            say(refused_line(facts["refused"]))
        if facts["proposals"]:
            console().print(proposals_table(design.spec, facts["proposals"]))
            first, database = facts["proposals"][0]["crystal_id"], load_settings(db=db).shown_database
            say_command("why the first one", "show", first, "--db", database)
    elif overview:
        console().print(designs_table(overview))
    else:
        say("no designs yet; start one: gmtscreen design 'NOT metal AND NOT ood' --sort=-d_max_pc_per_n")
