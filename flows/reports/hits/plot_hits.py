"""Hits as a scatter plot of two properties: 90 % intervals, a third property as color, the Pareto front.

As PNG or SVG for a paper, or as a page in which every point says which crystal it is.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from db.query.analysis.pareto import Sense, pareto_front
from db.query.properties import DESCRIPTIONS, Kind
from db.records import Floats
from flows.reports.hits.interactive import write_page
from flows.reports.plots import PALETTE
from models.crystals.crystal import Ints
from models.errors import GmtError

if TYPE_CHECKING:
    import pandas as pd

MAX_BARS = 100
"""With more points only those of the front get error bars."""

MAX_NAMES = 15
"""Points of the front whose formula is written beside them."""

DECADES = 1.5
"""Positive numbers that span more than so many decades are drawn on a logarithmic axis."""


@dataclass(frozen=True)
class HitsPlot:
    """What a scatter plot shows.

    Attributes:
        hits: a table with `id`, `formula`, the properties and the ends of their intervals.
        x, y: names of the properties.
        color: of a third one; None for none.
        senses: which ends of x and y are the good ones; None for no front.
        filter: what was asked.
    """

    hits: "pd.DataFrame"
    x: str
    y: str
    color: str | None
    senses: tuple[Sense, Sense] | None
    filter: str

    @property
    def title(self) -> str:
        """How many crystals are shown, and what was asked."""
        return f"{len(self.hits):,} crystals: {self.filter.strip() or 'all'}"

    def numbers(self, name: str) -> Floats:
        """A column as numbers, NaN where unknown, shape [n_hits]."""
        return np.asarray(self.hits[name].astype("float64"), dtype=np.float64)

    def front(self) -> Ints:
        """Places of the points on the Pareto front."""
        if self.senses is None:
            return np.zeros(0, dtype=np.int64)
        return pareto_front(self.numbers(self.x), self.numbers(self.y), *self.senses)

    def is_logarithmic(self, name: str) -> bool:
        """Whether the axis of a property is logarithmic."""
        values = self.numbers(name)
        values = values[np.isfinite(values)]
        return len(values) > 1 and values.min() > 0 and np.log10(values.max() / values.min()) > DECADES

    def reach(self, name: str) -> tuple[float, float]:
        """Ends of a property's axis, its logarithm's where that is drawn: the points decide, not their bars."""
        values = self.numbers(name)
        values = np.log10(values) if self.is_logarithmic(name) else values
        margin = 0.05 * (np.nanmax(values) - np.nanmin(values)) or 0.5
        return float(np.nanmin(values) - margin), float(np.nanmax(values) + margin)

    def bars(self, name: str, places: Ints) -> Floats | None:
        """Distances from the values to both ends of their intervals, shape [2, n_places]; None without intervals."""
        interval = DESCRIPTIONS[name].interval
        if interval is None:
            return None
        values, lower, upper = (self.numbers(column)[places] for column in (name, *interval))
        bars = np.stack([values - lower, upper - values])
        # On a logarithmic axis an end at zero would be infinitely far away.
        if self.is_logarithmic(name):
            bars[0] = np.minimum(bars[0], 0.99 * values)
        return np.where(np.isfinite(bars), np.maximum(bars, 0.0), 0.0)

    def with_bars(self) -> Ints:
        """Places of the points that get error bars."""
        return np.arange(len(self.hits)) if len(self.hits) <= MAX_BARS else self.front()


def plot_columns(x: str, y: str, color: str | None) -> list[str]:
    """The fields that a plot of these properties needs.

    Raises:
        GmtError: x, y or color is no number or flag.
    """
    names = [name for name in (x, y, color) if name is not None]
    for name in names:
        if DESCRIPTIONS[name].kind not in (Kind.NUMBER, Kind.INTEGER, Kind.FLAG):
            raise GmtError(f"{name} is a {DESCRIPTIONS[name].kind}. Plot numbers, for example k_vrh_gpa.")
    intervals = [DESCRIPTIONS[name].interval or () for name in names]
    ends = [end for interval in intervals for end in interval]
    return list(dict.fromkeys(["id", "formula", "spacegroup", *names, *ends]))


def axis_label(name: str) -> str:
    """Description and unit of a property."""
    described = DESCRIPTIONS[name]
    words = described.description.partition(" (")[0]
    return words if described.unit in ("", "1") else f"{words} ({described.unit})"


def draw_hits(plot: HitsPlot, out: Path) -> Path:
    """Writes the plot as .png, .svg, .pdf or .html."""
    if out.suffix.lower() in (".html", ".htm"):
        return _write_html(plot, out)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 5.4), layout="constrained")
    axes = figure.subplots()
    x, y = plot.numbers(plot.x), plot.numbers(plot.y)
    barred, front = plot.with_bars(), plot.front()
    scales = {True: "log", False: "linear"}
    axes.set(xscale=scales[plot.is_logarithmic(plot.x)], yscale=scales[plot.is_logarithmic(plot.y)])
    colors = {"c": plot.numbers(plot.color), "cmap": "viridis"} if plot.color else {"color": PALETTE[0]}
    points = axes.scatter(x, y, s=18 if len(x) < 1000 else 6, alpha=0.8, linewidths=0, zorder=2, **colors)
    # The points decide what is seen: an interval may end decades away from them.
    axes.autoscale_view()
    axes.autoscale(enable=False)
    axes.errorbar(
        x[barred], y[barred], xerr=plot.bars(plot.x, barred), yerr=plot.bars(plot.y, barred),
        fmt="none", ecolor="0.72", elinewidth=0.8, zorder=1,
    )  # fmt: skip
    if plot.color:
        figure.colorbar(points, ax=axes, label=axis_label(plot.color))
    if len(front):
        _draw_front(axes, plot, front)
    axes.set(xlabel=axis_label(plot.x), ylabel=axis_label(plot.y))
    axes.set_title(plot.title, fontsize=9, loc="left", wrap=True)
    axes.grid(color="0.93")
    axes.set_axisbelow(True)
    figure.savefig(out, dpi=200)
    return out


def _draw_front(axes: Any, plot: HitsPlot, front: Ints) -> None:
    """The points of the front, joined, with the formulas of the first ones beside them."""
    x, y = plot.numbers(plot.x)[front], plot.numbers(plot.y)[front]
    style = {"color": PALETTE[1], "markersize": 5, "linewidth": 1, "zorder": 3}
    axes.plot(x, y, "o-", drawstyle="steps-post", label="Pareto front", **style)
    for place, (row, at_x, at_y) in enumerate(zip(front[:MAX_NAMES], x, y, strict=False)):
        # Above and below by turns, so that neighbours do not cover each other.
        offset = (5, 6) if place % 2 == 0 else (5, -12)
        name = subscripted(str(plot.hits["formula"].iloc[int(row)]))
        axes.annotate(name, (at_x, at_y), xytext=offset, textcoords="offset points", fontsize=8, zorder=4)
    axes.legend(frameon=False, fontsize=8)


def subscripted(formula: str) -> str:
    """A formula with its numbers as subscripts: "Al2O3" as matplotlib's text."""
    return "".join(f"$_{{{c}}}$" if c.isdigit() or c == "." else c for c in formula)


def _write_html(plot: HitsPlot, out: Path) -> Path:
    """The plot as a page; a point under the mouse says formula, id, space group and both intervals."""
    x, y = plot.numbers(plot.x), plot.numbers(plot.y)
    barred, front = plot.with_bars(), plot.front()
    marker: dict[str, Any] = {"size": 7 if len(x) < 1000 else 4, "opacity": 0.8, "color": PALETTE[0]}
    if plot.color:
        bar = {"title": {"text": axis_label(plot.color), "side": "right"}}
        marker |= {"color": plot.numbers(plot.color), "colorscale": "Viridis", "colorbar": bar}
    texts = [_hover_text(plot, place) for place in range(len(plot.hits))]
    kind = "scattergl" if len(x) > 5000 else "scatter"
    points = {"type": kind, "mode": "markers", "x": x, "y": y, "text": texts, "hoverinfo": "text", "marker": marker}
    bars: dict[str, Any] = {"type": "scatter", "mode": "markers", "x": x[barred], "y": y[barred], "hoverinfo": "skip"}
    bars["marker"] = {"size": 1, "color": "#999"}
    for axis, name in (("x", plot.x), ("y", plot.y)):
        ends = plot.bars(name, barred)
        if ends is not None:
            style = {"type": "data", "symmetric": False, "color": "#aaa", "thickness": 1, "width": 0}
            bars[f"error_{axis}"] = style | {"array": ends[1], "arrayminus": ends[0]}
    data = [bars | {"name": "90 % intervals"}, points | {"name": "crystals"}]
    if len(front):
        names = plot.hits["formula"].iloc[front].tolist()
        shown = [name if place < MAX_NAMES else "" for place, name in enumerate(names)]
        line = {"color": PALETTE[1], "width": 1.5, "shape": "hv"}
        labels = {"text": shown, "textposition": "top right", "hoverinfo": "skip", "name": "Pareto front"}
        data.append(
            {"type": "scatter", "mode": "lines+markers+text", "x": x[front], "y": y[front], "line": line} | labels
        )
    types = {True: "log", False: "linear"}
    axes = {
        f"{axis}axis": {"title": {"text": axis_label(name)}, "type": types[plot.is_logarithmic(name)]}
        | {"range": plot.reach(name)}
        for axis, name in (("x", plot.x), ("y", plot.y))
    }
    layout = axes | {"template": "none", "hovermode": "closest", "margin": {"t": 20}, "legend": {"orientation": "h"}}
    notes = [plot.title, "Bars are 90 % intervals. gmtscreen show ID prints a crystal."]
    return write_page(f"{axis_label(plot.y)} over {axis_label(plot.x)}", notes, data, layout, out)


def _hover_text(plot: HitsPlot, place: int) -> str:
    row = plot.hits.iloc[place]
    lines = [f"<b>{row['formula']}</b>  {row['id']}", f"space group {row['spacegroup']}"]
    for name in dict.fromkeys((plot.x, plot.y, *filter(None, (plot.color,)))):
        interval = DESCRIPTIONS[name].interval
        ends = f" ({row[interval[0]]:.3g} to {row[interval[1]]:.3g})" if interval else ""
        unit = "" if DESCRIPTIONS[name].unit == "1" else DESCRIPTIONS[name].unit
        lines.append(f"{name} {float(row[name]):.4g}{ends} {unit}".rstrip())
    return "<br>".join(lines)
