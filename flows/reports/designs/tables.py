"""A design as tables: its rounds, for a terminal and as Markdown, and what it proposes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from db.designs.records import Design, DesignRound, DesignSpec

if TYPE_CHECKING:
    from rich.table import Table

BEST_IS_LARGE, BEST_IS_SMALL = (1, 2, 3, 4), (3, 2, 1, 0)
"""Places of bad decile, median, good decile and best among the quantiles of a round."""


def heads(spec: DesignSpec) -> tuple[str, ...]:
    """Columns of the table of rounds."""
    decile = "90 %" if spec.wants_large else "10 %"
    return ("round", "run", "begun", "computed", "new", "wanted", "median", decile, "best", "nats", "s")


def towards_best(spec: DesignSpec, finished: DesignRound) -> list[float]:
    """Bad decile, median, good decile and best number of a round's wanted crystals; empty without any."""
    places = BEST_IS_LARGE if spec.wants_large else BEST_IS_SMALL
    return [finished.quantiles[place] for place in places] if finished.quantiles else []


def round_cells(spec: DesignSpec, finished: DesignRound) -> list[str]:
    """A round as texts in the order of its heads."""
    counts, places = finished.counts, towards_best(spec, finished)
    shown = [f"{value:.4g}" for value in places[1:]] if places else ["", "", ""]
    numbers = [finished.number, finished.run, *(counts[name] for name in ("n_in", "done", "new", "wanted"))]
    return [*(f"{number:,}" for number in numbers), *shown, f"{finished.divergence:.2f}", f"{finished.seconds:.0f}"]


def settings_line(design: Design) -> str:
    """Number, goal and settings of a design in one line."""
    settings = {name: value for name, value in design.spec.settings.items() if value not in (None, "")}
    # like a commit: enough of the sha256 of the weights to tell two apart
    given = ", ".join(f"{name} {str(value)[:12] if name == 'generator' else value}" for name, value in settings.items())
    return f"design {design.id}: {design.spec.filter or 'all crystals'}, by {design.spec.sort}; {given}"


def rounds_table(spec: DesignSpec, rounds: Sequence[DesignRound]) -> "Table":
    """The rounds of a design for a terminal."""
    from flows.reports.tables import new_table

    wanted = spec.filter or "all crystals"
    table = new_table(*heads(spec), title=f"{spec.goal} of wanted crystals ({wanted})", numbers=heads(spec))
    for finished in rounds:
        table.add_row(*round_cells(spec, finished))
    return table


def rounds_as_markdown(spec: DesignSpec, rounds: Sequence[DesignRound]) -> str:
    """The rounds of a design for Prefect's page."""
    lines = ["| " + " | ".join(heads(spec)) + " |", "|" + "---|" * len(heads(spec))]
    lines += ["| " + " | ".join(round_cells(spec, finished)) + " |" for finished in rounds]
    return f"Sorted by {spec.sort}, wanted: `{spec.filter or 'all'}`\n\n" + "\n".join(lines)


def designs_table(overview: Sequence[dict[str, Any]]) -> "Table":
    """All designs for a terminal, as `DesignStore.overview` has them."""
    from flows.reports.tables import new_table

    table = new_table("design", "wanted", "sort", "rounds", "proposals", numbers=("design", "rounds", "proposals"))
    for one in overview:
        table.add_row(
            str(one["design"]), one["filter"] or "all crystals", one["sort"], str(one["rounds"]), str(one["proposals"])
        )
    return table


def refused_line(refused: Sequence[dict[str, Any]]) -> str:
    """How many crystals a design chose and then refused, with one of them."""
    return f"{len(refused)} more were chosen and refused, e.g. {refused[0]['formula']}: {refused[0]['refused']}"


_REASONS = {
    "promise": "promise",
    "uncertainty": "uncertainty",
    "crowding": "crowding",
    "above hull": "above_hull_ev_per_atom",
}
"""Columns of the table of proposals by the facts that they show."""


def proposals_table(spec: DesignSpec, proposals: Sequence[dict[str, Any]]) -> "Table":
    """What a design proposes, the first first."""
    from flows.reports.tables import ID_CHARS, new_table

    names = ("rank", "id", "formula", "round", spec.goal, *_REASONS)
    table = new_table(*names, title=f"{len(proposals)} proposals", numbers=[n for n in names if n not in names[1:3]])
    for row in proposals:
        facts = [f"{row['facts'][key]:.2f}" if key in row["facts"] else "" for key in _REASONS.values()]
        cells = [str(row["rank"]), row["crystal_id"][:ID_CHARS], row["formula"], str(row["round"])]
        table.add_row(*cells, f"{row['value']:.4g}", *facts)
    return table
