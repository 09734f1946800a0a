"""A design for people: its rounds as a table, as Markdown and as a picture, and what it proposes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from db.designs.records import DesignRound
from flows.reports.plots import PALETTE, written

if TYPE_CHECKING:
    from rich.table import Table

    from gmt_tasks.design.request import DesignRequest

HEADS = ("round", "run", "begun", "computed", "new", "wanted", "median", "90 %", "best", "nats", "s")
"""Columns of the table of rounds."""


def round_cells(finished: DesignRound) -> list[str]:
    """A round as texts in the order of HEADS."""
    counts, places = finished.counts, finished.quantiles
    shown = [f"{value:.4g}" for value in places[2:]] if places else ["", "", ""]
    numbers = [finished.number, finished.run, *(counts[name] for name in ("n_in", "done", "new", "wanted"))]
    return [*(f"{number:,}" for number in numbers), *shown, f"{finished.divergence:.2f}", f"{finished.seconds:.0f}"]


def rounds_table(request: "DesignRequest", rounds: Sequence[DesignRound]) -> "Table":
    """The rounds of a design for a terminal."""
    from flows.reports.tables import new_table

    wanted = request.filter or "all crystals"
    table = new_table(*HEADS, title=f"{request.goal} of wanted crystals ({wanted})", numbers=HEADS)
    for finished in rounds:
        table.add_row(*round_cells(finished))
    return table


def rounds_as_markdown(request: "DesignRequest", rounds: Sequence[DesignRound]) -> str:
    """The rounds of a design for Prefect's page."""
    lines = ["| " + " | ".join(HEADS) + " |", "|" + "---|" * len(HEADS)]
    lines += ["| " + " | ".join(round_cells(finished)) + " |" for finished in rounds]
    return f"Sorted by {request.sort}, wanted: `{request.filter or 'all'}`\n\n" + "\n".join(lines)


def proposals_table(request: "DesignRequest", proposals: Sequence[dict[str, Any]]) -> "Table":
    """What a design proposes, the first first."""
    from flows.reports.tables import ID_CHARS, new_table

    heads = ("rank", "id", "formula", "round", request.goal, "promise", "uncertainty", "crowding")
    table = new_table(*heads, title=f"{len(proposals)} proposals", numbers=[h for h in heads if h not in heads[1:3]])
    for row in proposals:
        facts = [f"{row['facts'][name]:.2f}" for name in ("promise", "uncertainty", "crowding")]
        cells = [str(row["rank"]), row["crystal_id"][:ID_CHARS], row["formula"], str(row["round"])]
        table.add_row(*cells, f"{row['value']:.4g}", *facts)
    return table


def plot_rounds(request: "DesignRequest", rounds: Sequence[DesignRound], out: Path) -> Path:
    """How the number that is looked for moves from round to round, and what became of the crystals begun.

    Args:
        request: goal.
        rounds: in order.
        out: file to write, PNG or SVG.

    Returns:
        The file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    shown = [one for one in rounds if one.quantiles]
    numbers = [one.number for one in shown]
    low, tenth, median, ninth, best = zip(*(one.quantiles for one in shown), strict=True) if shown else ((),) * 5
    left.fill_between(numbers, tenth, ninth, color=PALETTE[5], alpha=0.4, linewidth=0, label="10 to 90 %")
    left.plot(numbers, median, marker="o", color=PALETTE[0], label="median")
    left.plot(numbers, best, marker="^", linestyle="--", color=PALETTE[1], label="best")
    left.plot(numbers, low, linestyle=":", color="0.6", label="least")
    left.set(xlabel="round", ylabel=request.goal, title="wanted crystals, predicted")
    left.legend(fontsize=8)
    everyone = [one.number for one in rounds]
    for color, (name, label) in zip(PALETTE, _SHARES, strict=False):
        shares = [100.0 * one.counts[name] / max(one.counts["n_in"], 1) for one in rounds]
        right.plot(everyone, shares, marker="o", color=color, label=label)
    right.set(xlabel="round", ylabel="share of the crystals begun, %", ylim=(0, 100), title="where they ended")
    right.legend(fontsize=8)
    for panel in (left, right):
        panel.xaxis.get_major_locator().set_params(integer=True)
    return written(figure, out)


_SHARES = (("done", "computed"), ("new", "new"), ("wanted", "wanted"), ("rejected", "refused"))
