"""Command about two models' results: models compare, what moved in a ranking."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import AsJson, Db
from flows.terminal.console import print_json, say

if TYPE_CHECKING:
    from db.store import ResultStore
    from gmt_tasks.evaluation.result_comparison import RankedNumbers, RankingComparison


def compare_models(
    old: Annotated[str, typer.Argument(metavar="OLD", help="NAME@VERSION that was current before.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="NAME@VERSION that is compared with it.")],
    *,
    db: Db = None,
    sort: Annotated[str, typer.Option(help="Column that ranks, - in front for the largest first.")] = "-k_vrh_gpa",
    top: Annotated[int, typer.Option(min=1, help="How many of the best to look at.")] = 100,
    filter: Annotated[str, typer.Option("--filter", help="Only crystals that pass it, by the new model.")] = "",
    json: AsJson = False,
) -> None:
    """Shows what another model changed in a ranking: what entered and left the top, what moved and by how much."""
    from db.store import ResultStore
    from gmt_tasks.evaluation.result_comparison import compare_rankings
    from gmt_tasks.settings import load_settings

    name, descending = sort.removeprefix("-"), sort.startswith("-")
    with ResultStore.open_existing(load_settings(db=db).database) as store:
        before, after = _numbers(store, old, name, ""), _numbers(store, new, name, filter)
    comparison = compare_rankings(before, after, top=top, descending=descending)
    if json:
        print_json({"old": old, "new": new, "sort": sort, "filter": filter, **asdict(comparison)})
        return
    _print(comparison, name, old, new)


def _numbers(store: "ResultStore", model: str, name: str, filter: str) -> "RankedNumbers":
    """One column of all results of a model, with its interval where it has one."""
    import numpy as np

    from db.query.request import field_names
    from gmt_tasks.evaluation.result_comparison import RankedNumbers
    from models.errors import FilterError
    from models.quantities import DERIVED, INTERVALS, ColumnKind

    (name,) = field_names([name])
    if name not in DERIVED or DERIVED[name].kind is not ColumnKind.NUMBER:
        raise FilterError(f"{name} is no derived number. Sort by one, for example -k_vrh_gpa.")
    ends = INTERVALS.get(name, ())
    results = store.query(filter, fields=["id", "formula", name, *ends], limit=0, model=model)
    columns = [results[column].to_numpy(dtype=np.float64) for column in (name, *ends)]
    # Numbers without a calibrated interval can be ranked all the same.
    unknown = np.full(len(results), np.nan)
    lower, upper = columns[1:] if ends else (unknown, unknown)
    return RankedNumbers(results["id"].tolist(), results["formula"].tolist(), columns[0], lower, upper)


def _print(comparison: "RankingComparison", name: str, old: str, new: str) -> None:
    """What entered and left the top, what moved most within it, and how alike the rankings are."""
    from flows.reports.tables import cell, console, new_table

    say(f"{name}, old: {old}, new: {new}")
    heads = ("rank", "old", "new", "change", "in old intervals")
    # What stayed can be most of the top; the largest moves are what is asked for.
    moved = sorted(comparison.stayed, key=lambda move: abs(move.new_rank - move.old_rank), reverse=True)[:10]
    for title, moves in (
        (f"entered the top {comparison.top}", comparison.entered),
        (f"left the top {comparison.top}", comparison.left),
        (f"in both, moved most of {len(comparison.stayed)}", moved),
    ):
        table = new_table("id", "formula", *heads, title=f"{title}: {len(moves)}", numbers=heads[1:])
        for move in moves:
            ranks = f"{move.old_rank} → {move.new_rank}"
            numbers = cell(name, move.old), cell(name, move.new), f"{move.change:+.4g}", cell("n", move.intervals)
            table.add_row(cell("id", move.id), move.formula, ranks, *numbers)
        console().print(table)
    say(
        f"{name}: {comparison.n_shared:,} crystals have a number of both models ({comparison.n_only_old:,} of {old} "
        f"only, {comparison.n_only_new:,} of {new} only); rank correlation {comparison.spearman:.3f}, in the top "
        f"{comparison.spearman_top:.3f}; {comparison.within_interval:.1f} % of the new values lie in the old 90 % "
        "interval"
    )
