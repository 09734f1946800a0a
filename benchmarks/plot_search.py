"""Picture of a search for the best crystals: share found against labels spent, by rule."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.search_curves import OURS, PREDICTION, RANDOM, UNCERTAINTY, SearchCurve
from flows.reports.plots import PALETTE, written

COLUMNS = 3
PANEL_INCHES = (3.6, 3.0)
STYLES = {OURS: (PALETTE[1], "-", 1.8), PREDICTION: (PALETTE[0], "--", 1.2), UNCERTAINTY: (PALETTE[2], ":", 1.4)}


def plot_search(curves: Sequence[SearchCurve], out: Path) -> Path:
    """Draws one panel per property; random choice with the band of 90 % of its seeds.

    Args:
        curves: of one split, all rules of each property.
        out: file to write.

    Returns:
        The file.
    """
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(curve.quantity for curve in curves))
    n_rows = -(-len(names) // COLUMNS)
    figure = Figure(figsize=(PANEL_INCHES[0] * COLUMNS, PANEL_INCHES[1] * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, COLUMNS, squeeze=False).ravel()
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    for panel, name in zip(panels, names, strict=False):
        _panel(panel, [curve for curve in curves if curve.quantity == name])
    panels[0].legend(fontsize=7, loc="lower right")
    return written(figure, out)


def _panel(panel: Any, curves: Sequence[SearchCurve]) -> None:
    spent = range(1, curves[0].n_pool + 1)
    for curve in curves:
        found = [100 * share for share in curve.found]
        if curve.rule == RANDOM:
            band = [[100 * share for share in edge] for edge in (curve.low, curve.high)]
            panel.fill_between(spent, *band, color="0.88", linewidth=0)
            panel.plot(spent, found, color="0.5", linewidth=1.2, label=RANDOM)
        else:
            color, style, width = STYLES[curve.rule]
            panel.step(spent, found, style, where="post", color=color, linewidth=width, label=curve.rule)
    panel.axhline(80, color="0.8", linewidth=0.7, zorder=0)
    first = curves[0]
    panel.set_title(f"{first.quantity}: the best {first.n_top} of {first.n_pool}", fontsize=8)
    panel.set(xlabel="labels", ylabel="of the best found, %", xscale="log", xlim=(1, first.n_pool), ylim=(0, 102))
    panel.tick_params(labelsize=7)
