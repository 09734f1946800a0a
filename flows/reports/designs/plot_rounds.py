"""A design as a picture: how its rounds went."""

from collections.abc import Sequence
from pathlib import Path

from db.designs.records import DesignRound, DesignSpec
from flows.reports.designs.tables import towards_best
from flows.reports.plots import PALETTE, written

_SHARES = (("done", "computed"), ("new", "new"), ("wanted", "wanted"), ("rejected", "refused"))
"""Counts of a round that are drawn, with their names."""


def plot_rounds(spec: DesignSpec, rounds: Sequence[DesignRound], out: Path) -> Path:
    """How the number that is looked for moves from round to round, and what became of the crystals begun.

    Args:
        spec: what is looked for.
        rounds: in order.
        out: file to write, PNG.

    Returns:
        The file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    shown = [one for one in rounds if one.quantiles]
    numbers = [one.number for one in shown]
    bad, median, good, best = zip(*(towards_best(spec, one) for one in shown), strict=True) if shown else ((),) * 4
    left.fill_between(numbers, bad, good, color=PALETTE[5], alpha=0.4, linewidth=0, label="10 to 90 %")
    left.plot(numbers, median, marker="o", color=PALETTE[0], label="median")
    left.plot(numbers, best, marker="^", linestyle="--", color=PALETTE[1], label="best")
    left.set(xlabel="round", ylabel=spec.goal, title="wanted crystals, predicted")
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
