"""Command about two models' results: compare, what moved in a ranking."""

from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.console import print_json, say
from flows.cli.options import AsJson, Db

if TYPE_CHECKING:
    from db.store import ResultStore
    from gmt_tasks.evaluation.result_comparison import Move, RankedNumbers, RankingComparison


def compare(
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
    found = compare_rankings(before, after, top=top, descending=descending)
    if json:
        print_json({"old": old, "new": new, "sort": sort, "filter": filter, **found.to_json()})
        return
    _print(found, name, old, new)


def _numbers(store: "ResultStore", model: str, name: str, filter: str) -> "RankedNumbers":
    """One column of all results of a model, with its interval where it has one."""
    import numpy as np

    from db.query.pages import field_names
    from gmt_tasks.evaluation.result_comparison import RankedNumbers
    from models.errors import FilterError
    from models.quantities import DERIVED, INTERVALS, ColumnKind

    (name,) = field_names([name])
    if name not in DERIVED or DERIVED[name].kind is not ColumnKind.NUMBER:
        raise FilterError(f"{name} is no derived number. Sort by one, for example -k_vrh_gpa.")
    ends = INTERVALS.get(name, ())
    found = store.query(filter, fields=["id", "formula", name, *ends], limit=0, model=model)
    columns = [found[each].to_numpy(dtype=np.float64) for each in (name, *ends)]
    unknown = np.full(len(found), np.nan)
    lower, upper = columns[1:] if ends else (unknown, unknown)
    return RankedNumbers(found["id"].tolist(), found["formula"].tolist(), columns[0], lower, upper)


def _print(found: "RankingComparison", name: str, old: str, new: str) -> None:
    from flows.reports.tables import cell, console, new_table

    def row(move: "Move") -> tuple[str, ...]:
        ranks = f"{move.old_rank} → {move.new_rank}"
        numbers = (cell(name, move.old), cell(name, move.new), f"{move.change:+.4g}", cell("n", move.intervals))
        return (cell("id", move.id), move.formula, ranks, *numbers)

    say(f"{name}, old: {old}, new: {new}")
    heads = ("rank", "old", "new", "change", "in old intervals")
    for title, moves in (
        (f"entered the top {found.top}", found.entered),
        (f"left the top {found.top}", found.left),
        (f"in both, moved most of {len(found.stayed)}", _most_moved(found.stayed)),
    ):
        table = new_table("id", "formula", *heads, title=f"{title}: {len(moves)}", numbers=heads[1:])
        for move in moves:
            table.add_row(*row(move))
        console().print(table)
    say(
        f"{name}: {found.n_shared:,} crystals have a number of both models ({found.n_only_old:,} of {old} only, "
        f"{found.n_only_new:,} of {new} only); rank correlation {found.spearman:.3f}, in the top "
        f"{found.spearman_top:.3f}; {found.within_interval:.1f} % of the new values lie in the old 90 % interval"
    )


def _most_moved(moves: "list[Move]", n: int = 10) -> "list[Move]":
    return sorted(moves, key=lambda move: abs(move.new_rank - move.old_rank), reverse=True)[:n]
