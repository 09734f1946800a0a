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
from flows.reports.hits.interactive import save_figure, write_page
from flows.reports.hits.labels import place_labels
from flows.reports.plots import PALETTE
from models.crystals.crystal import Ints
from models.errors import GmtError

if TYPE_CHECKING:
    import pandas as pd

MAX_BARS = 100
"""With more points only those of the front get error bars."""

MAX_NAMES = 40
"""Points of the front whose formula is written beside them where there is room."""

MARKER_POINTS = 5
"""Width of a point of the front, in points."""

PAGE_PX, LETTER_PX = np.array([820.0, 460.0]), np.array([7.5, 16.0])
"""Size of the axes of a page on a small laptop, for which its names are placed, and of one letter."""

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
        margin = 0.07 * (np.nanmax(values) - np.nanmin(values)) or 0.5
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

    figure = Figure(figsize=(7.2, 5.4), dpi=200, layout="constrained")
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
    axes.set(xlabel=axis_label(plot.x), ylabel=axis_label(plot.y))
    # Said here and not in a legend, which would lie over points.
    line = f"; line: the Pareto front, {len(front)} of them" if len(front) else ""
    axes.set_title(plot.title + line, fontsize=9, loc="left", wrap=True)
    axes.grid(color="0.93")
    axes.set_axisbelow(True)
    if len(front):
        _draw_front(axes, plot, front)
    return save_figure(figure, out)


def _draw_front(axes: Any, plot: HitsPlot, front: Ints) -> None:
    """The points of the front, joined, with the formulas of as many as have room beside them."""
    from matplotlib.patheffects import withStroke

    x, y = plot.numbers(plot.x), plot.numbers(plot.y)
    style = {"color": PALETTE[1], "linewidth": 1, "zorder": 3}
    axes.plot(x[front], y[front], "o-", drawstyle="steps-post", markersize=MARKER_POINTS, **style)
    halo = [withStroke(linewidth=2, foreground="white")]
    formulas = [subscripted(str(plot.hits["formula"].iloc[int(row)])) for row in front[:MAX_NAMES]]
    names = [axes.text(0, 0, formula, fontsize=8, zorder=4, path_effects=halo) for formula in formulas]
    # Only a drawn figure knows where a point lies and how wide a name is.
    axes.figure.draw_without_rendering()
    pixels = axes.transData.transform(np.stack([x, y], axis=1))
    sizes = np.array([name.get_window_extent().size for name in names])
    cloud, window = np.delete(pixels, front, axis=0), axes.get_window_extent().extents
    half_marker = MARKER_POINTS / 2 * axes.figure.dpi / 72
    labels = place_labels(pixels[front][: len(names)], sizes, cloud, window, half_marker)
    for name, label in zip(names, labels, strict=True):
        if label is None:
            name.remove()
        else:
            name.set(position=axes.transData.inverted().transform(label.corner), verticalalignment="bottom")


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
        shown, positions = _page_names(plot, front)
        line = {"color": PALETTE[1], "width": 1.5, "shape": "hv"}
        labels = {"text": shown, "textposition": positions, "hoverinfo": "skip", "name": "Pareto front"}
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


def _page_names(plot: HitsPlot, front: Ints) -> tuple[list[str], list[str]]:
    """Formulas of the front, empty where there is no room, and where each stands; a page is as wide as its reader's."""
    ends = np.array([plot.reach(name) for name in (plot.x, plot.y)])
    columns = [plot.numbers(name) for name in (plot.x, plot.y)]
    logarithms = [plot.is_logarithmic(name) for name in (plot.x, plot.y)]
    values = [np.log10(column) if logarithm else column for column, logarithm in zip(columns, logarithms, strict=True)]
    pixels = (np.stack(values, axis=1) - ends[:, 0]) / np.ptp(ends, axis=1) * PAGE_PX
    names = plot.hits["formula"].iloc[front].tolist()
    sizes = np.array([[len(name), 1] for name in names]) * LETTER_PX
    window = np.array([0.0, 0.0, *PAGE_PX])
    labels = place_labels(pixels[front], sizes, np.delete(pixels, front, axis=0), window, 4.0)
    shown = [name if label else "" for name, label in zip(names, labels, strict=True)]
    return shown, [label.position if label else "top right" for label in labels]


def _hover_text(plot: HitsPlot, place: int) -> str:
    row = plot.hits.iloc[place]
    lines = [f"<b>{row['formula']}</b>  {row['id']}", f"space group {row['spacegroup']}"]
    for name in dict.fromkeys((plot.x, plot.y, *filter(None, (plot.color,)))):
        interval = DESCRIPTIONS[name].interval
        ends = f" ({row[interval[0]]:.3g} to {row[interval[1]]:.3g})" if interval else ""
        unit = "" if DESCRIPTIONS[name].unit == "1" else DESCRIPTIONS[name].unit
        lines.append(f"{name} {float(row[name]):.4g}{ends} {unit}".rstrip())
    return "<br>".join(lines)
