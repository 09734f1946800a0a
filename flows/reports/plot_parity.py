"""Parity plots: predicted against label on held-out crystals, predicted against literature for well-known ones."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.reports.plots import written
from models.quantities import DERIVED, TENSORS

if TYPE_CHECKING:
    from gmt_tasks.evaluation.literature import LiteratureComparison
    from gmt_tasks.evaluation.parity import ParityPoints

INSIDE, OUTSIDE, GREY = "#0072B2", "#D55E00", "0.55"
"""Blue and vermillion of the Okabe-Ito palette: apart for colour-blind readers too."""

WITHIN = 1.25
"""The grey band: predicted within this factor of the label."""

OUTLIER = 2.0
"""Crystals off by this factor are named in the literature plot."""

SMALLEST = {"e_norm_c_per_m2": 0.01}
"""Where the logarithmic axes begin; smaller values are drawn there."""

POLAR = ("e33_c_per_m2", "e31_c_per_m2")
"""Components of wurtzites that are drawn with their sign."""

WURTZITES = ("aln", "gan", "inn", "zno", "cds", "cdse")
"""Their names in the source `reference`."""


def plot_parity(points: Sequence["ParityPoints"], out: Path) -> Path:
    """Predicted against label, one panel per property, on logarithmic axes, with 90 % intervals where there are.

    Args:
        points: one per property.
        out: file to write.

    Returns:
        The file.
    """
    from matplotlib.figure import Figure

    columns = 3
    rows = -(-len(points) // columns)
    figure = Figure(figsize=(3.9 * columns, 3.7 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, of_property in zip(panels, points, strict=False):
        _parity_panel(panel, of_property)
    for panel in panels[len(points) :]:
        panel.set_visible(False)
    return written(figure, out)


def _parity_panel(panel: Any, points: "ParityPoints") -> None:
    drawn = [value for value in (*points.label, *points.predicted) if value > 0]
    # A logarithmic axis has no zero: smaller values are drawn at its beginning.
    least = SMALLEST.get(points.property, 0.8 * min(drawn))
    ends = (least, 1.25 * max(drawn))
    panel.fill_between(ends, [x / WITHIN for x in ends], [x * WITHIN for x in ends], color="0.9", linewidth=0)
    panel.plot(ends, ends, color="0.4", linewidth=0.8)
    rows = list(zip(points.label, points.predicted, points.lower, points.upper, strict=True))
    # Vermillion shows at a glance the labels that the 90 % intervals miss: there should be a tenth of them.
    bounded = [row for row in rows if math.isfinite(row[3] - row[2])]
    inside = [row for row in bounded if row[2] <= row[0] <= row[3]]
    outside = [row for row in bounded if not row[2] <= row[0] <= row[3]]
    for part, color, name in ((inside, INSIDE, "inside"), (outside, OUTSIDE, "outside")):
        if part:
            _points_with_bars(panel, part, least, color, f"label {name}: {len(part)}")
    if unbounded := [row for row in rows if not math.isfinite(row[3] - row[2])]:
        _points_with_bars(panel, unbounded, least, "0.2", f"no interval: {len(unbounded)}")
    panel.set(xscale="log", yscale="log", xlim=ends, ylim=ends, xlabel=f"label{_unit(points.property)}")
    plain_ticks(panel.xaxis)
    plain_ticks(panel.yaxis)
    panel.set_ylabel(f"predicted{_unit(points.property)}")
    panel.set_title(f"{DERIVED[points.property].label}\n{points.split}, n = {len(rows)}", fontsize=9)
    panel.legend(fontsize=7, loc="upper left", framealpha=0.8)


def _points_with_bars(
    panel: Any, rows: Sequence[tuple[float, float, float, float]], least: float, color: str, label: str
) -> None:
    ends = np.array(rows)
    x, y, low, high = np.maximum(ends, least).T
    if np.isfinite(ends[:, 3] - ends[:, 2]).all():
        panel.vlines(x, low, high, color=color, linewidth=0.6, alpha=0.25)
    panel.scatter(x, y, s=9, color=color, linewidth=0, alpha=0.75, label=label, zorder=3)


def plain_ticks(axis: Any) -> None:
    """Ticks of a logarithmic axis at 1, 2, 5, 10, ... written as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(labelsize=8)


def _unit(name: str) -> str:
    unit = DERIVED[name].unit
    return "" if unit == "1" else f", {unit.replace('^2', '²')}"


def plot_literature(rows: Sequence["LiteratureComparison"], out: Path) -> Path:
    """Predicted against literature: sizes of all values on logarithmic axes, and signed e33, e31 of wurtzites.

    Args:
        rows: from `compare_literature`.
        out: file to write.

    Returns:
        The file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.5, 7.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.75, 1))
    _literature_panel(left, rows)
    _polar_panel(right, [row for row in rows if row.crystal in WURTZITES and row.name in POLAR])
    return written(figure, out)


def _literature_panel(panel: Any, rows: Sequence["LiteratureComparison"]) -> None:
    shown = [row for row in rows if row.literature and row.predicted]
    sizes = [abs(value) for row in shown for value in (row.literature, row.predicted)]
    ends = (0.7 * min(sizes), 1.5 * max(sizes))
    panel.fill_between(ends, [x / WITHIN for x in ends], [x * WITHIN for x in ends], color="0.9", linewidth=0)
    panel.plot(ends, ends, color="0.4", linewidth=0.8)
    for tensor, quantity in TENSORS.items():
        for same_sign in (True, False):
            part = [row for row in shown if row.tensor is tensor and (row.ratio > 0) is same_sign]
            if part:
                unit = "" if quantity.unit == "1" else f", {quantity.unit.replace('^2', '²')}"
                label = f"{quantity.symbol}{unit}" if same_sign else f"{quantity.symbol}, wrong sign"
                x, y = [abs(row.literature) for row in part], [abs(row.predicted) for row in part]
                # Hollow: the size may be right, the sign is not.
                style = {"marker": quantity.marker, "edgecolor": quantity.color, "label": label}
                panel.scatter(x, y, s=22, facecolor=quantity.color if same_sign else "none", zorder=3, **style)
    panel.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    panel.set(xlabel="literature, absolute value", ylabel="predicted, absolute value")
    panel.set_title(
        f"{len(shown)} literature values; named: off by more than a factor {OUTLIER:.0f}, or wrong sign", fontsize=10
    )
    panel.legend(fontsize=8, loc="upper left")
    _name_outliers(panel, [row for row in shown if abs(math.log(abs(row.ratio))) > math.log(OUTLIER) or row.ratio < 0])


def _name_outliers(panel: Any, rows: Sequence["LiteratureComparison"]) -> None:
    """Names beside points, above the diagonal to the left and below it to the right, moved apart where they meet."""
    span = math.log(panel.get_ylim()[1] / panel.get_ylim()[0])
    for above in (True, False):
        side = sorted((row for row in rows if (abs(row.ratio) > 1) is above), key=lambda row: abs(row.predicted))
        level = -math.inf
        for row in side:
            x, y = abs(row.literature), abs(row.predicted)
            # Each name stands at its point's height, or as far above the last name as its letters need.
            level = max(level + 0.021 * span, math.log(y))
            shift = -14 if above else 14
            panel.annotate(
                f"{row.crystal} {short_property(row.name)}",
                (x, y),
                xytext=(x * math.exp(shift / 500 * span), math.exp(level)),
                fontsize=6.5,
                ha="right" if above else "left",
                va="center",
                arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2},
            )


def short_property(name: str) -> str:
    """A literature name as people write it, e.g. "C13", "|e14|", "ε0 33", "mean ε∞", "K"."""
    from gmt_tasks.evaluation.literature_names import component_of

    component = component_of(name)
    if component is None:
        means = {"eps_total_mean": "mean ε0", "eps_electronic_mean": "mean ε∞", "k_vrh_gpa": "K"}
        return means.get(name, name)
    symbol, digits = TENSORS[component.tensor].symbol, f"{component.row + 1}{component.column + 1}"
    text = f"{symbol} {digits}" if symbol.startswith("ε") else f"{symbol}{digits}"
    return f"|{text}|" if component.absolute else text


def _polar_panel(panel: Any, rows: Sequence["LiteratureComparison"]) -> None:
    formulas = {row.crystal: row.title.split()[-1] for row in rows}
    crystals = list(formulas)
    # Both components of a crystal side by side, so that neither hides the other.
    for name, color, shift in zip(POLAR, (OUTSIDE, INSIDE), (0.14, -0.14), strict=True):
        part = [row for row in rows if row.name == name]
        y = [crystals.index(row.crystal) + shift for row in part]
        bounded = [(row, at) for row, at in zip(part, y, strict=True) if row.inside is not None]
        panel.hlines(
            [at for _, at in bounded],
            [row.lower for row, _ in bounded],
            [row.upper for row, _ in bounded],
            color=color,
            linewidth=1.2,
            alpha=0.4,
        )
        panel.scatter([r.predicted for r in part], y, color=color, s=28, label=f"{name[:3]} predicted", zorder=3)
        values = [r.literature for r in part]
        panel.scatter(values, y, facecolor="white", edgecolor=color, marker="D", s=28, label=f"{name[:3]} literature")
    panel.axvline(0, color="0.4", linewidth=0.8)
    panel.set_yticks(range(len(crystals)), [formulas[crystal] for crystal in crystals])
    panel.set(xlabel="e, C/m², with sign; bars: 90 % interval", ylim=(-0.6, len(crystals) + 0.7))
    panel.set_title("wurtzites, polar components", fontsize=10)
    panel.legend(fontsize=8, loc="upper center", ncols=2)
