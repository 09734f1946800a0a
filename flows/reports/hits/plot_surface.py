"""A property of one crystal as a surface over all directions: in space, and its three sections.

As PNG or SVG for a paper, or as a page in which it can be turned. The distance from the middle is the size of the
value, the color is the value, so that a sign is seen.
"""

from pathlib import Path
from typing import Any

import numpy as np

from db.records import Floats
from flows.reports.hits.interactive import save_figure, write_page
from flows.reports.plots import PALETTE
from gmt_tasks.export.surface_grid import SurfaceGrid
from models.derived.surfaces import SURFACES

AXIS_COLORS = ("#c0392b", "#2e8b57", "#2a5db0")
"""Of the directions of a, b, c."""


def draw_surface(grid: SurfaceGrid, name: str, out: Path) -> Path:
    """Writes a surface.

    Args:
        grid: the surface.
        name: of the crystal.
        out: .png, .svg, .pdf or .html file.

    Returns:
        The file.
    """
    return _write_html(grid, name, out) if out.suffix.lower() in (".html", ".htm") else _draw(grid, name, out)


def extremes_line(grid: SurfaceGrid) -> str:
    """Least and largest value with their directions, as a line."""
    unit = "" if SURFACES[grid.surface].unit == "1" else SURFACES[grid.surface].unit
    parts = []
    for word, value, direction, transverse in (
        ("lowest", grid.extremes.min, grid.extremes.min_direction, grid.extremes.min_transverse),
        ("highest", grid.extremes.max, grid.extremes.max_direction, grid.extremes.max_transverse),
    ):
        across = "" if transverse is None else f" across {_vector(transverse)}"
        parts.append(f"{word} {value:.4g} {unit} along {_vector(direction)}{across}".replace("  ", " "))
    return "; ".join(parts)


def _vector(vector: Floats) -> str:
    return "(" + ", ".join(f"{component + 0.0:.2f}" for component in np.round(vector, 2)) + ")"


def _title(grid: SurfaceGrid, name: str) -> str:
    quantity = SURFACES[grid.surface]
    unit = "" if quantity.unit == "1" else f" ({quantity.unit})"
    return f"{name}: {quantity.label}{unit}, {'IEEE' if grid.frame == 'ieee' else 'input'} frame"


def _color_range(grid: SurfaceGrid) -> tuple[str, float, float]:
    """Color map and its ends: two-sided around zero where values of both signs occur."""
    low, high = grid.extremes.min, grid.extremes.max
    if low < 0 < high:
        return "RdBu", -max(-low, high), max(-low, high)
    # A surface that is a sphere has one color, not the rounding errors of one.
    return ("Viridis", low, high) if high - low > 1e-9 * max(abs(low), abs(high)) else ("Viridis", low - 1, high + 1)


def _axes_lines(grid: SurfaceGrid) -> list[tuple[str, Floats]]:
    """The directions of a, b, c as lines that end outside of the surface."""
    length = 1.18 * max(abs(grid.extremes.min), abs(grid.extremes.max), 1e-12)
    rows = grid.lattice / np.linalg.norm(grid.lattice, axis=1, keepdims=True)
    return [(letter, length * row) for letter, row in zip("abc", rows, strict=True)]


def _draw(grid: SurfaceGrid, name: str, out: Path) -> Path:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(12.5, 4.1), dpi=160, layout="constrained")
    places = figure.add_gridspec(1, 4, width_ratios=(1.6, 1, 1, 1))
    space, *flat = (figure.add_subplot(places[0, k], projection="polar" if k else "3d") for k in range(4))
    axes: Any = space
    colors = draw_in_space(axes, grid)
    reach = max(abs(grid.extremes.min), abs(grid.extremes.max), 1e-12)
    figure.colorbar(colors, ax=axes, shrink=0.6, pad=0.12)
    sections: list[Any] = flat  # matplotlib declares them without what makes them polar
    for panel, (plane, values) in zip(sections, grid.sections.items(), strict=True):
        _draw_section(panel, plane, grid.angles, values)
        panel.set_rlim(0, 1.05 * reach)
        panel.set_rticks(MaxNLocator(4).tick_values(0, reach)[1:-1])
    figure.suptitle(f"{_title(grid, name)}\n{extremes_line(grid)}", fontsize=10)
    return save_figure(figure, out)


def draw_in_space(axes: Any, grid: SurfaceGrid) -> Any:
    """Draws the surface into axes with three dimensions; returns the colors, for a bar beside it."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    scale, low, high = _color_range(grid)
    colors = ScalarMappable(Normalize(low, high), colormaps[scale.replace("Viridis", "viridis")])
    points = np.abs(grid.values)[..., None] * grid.directions
    axes.plot_surface(*np.moveaxis(points, -1, 0), facecolors=colors.to_rgba(grid.values), rstride=1, cstride=2,
                      linewidth=0, antialiased=False, shade=False, rasterized=True)  # fmt: skip
    for (letter, end), color in zip(_axes_lines(grid), AXIS_COLORS, strict=True):
        axes.plot(*np.stack([np.zeros(3), end], axis=1), color=color, linewidth=1.5)
        axes.text(*(1.08 * end), letter, color=color)
    reach = max(abs(grid.extremes.min), abs(grid.extremes.max), 1e-12)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), zlim=(-reach, reach), box_aspect=(1, 1, 1))
    axes.set(xlabel="x", ylabel="y", zlabel="z")
    axes.tick_params(labelsize=6)
    return colors


def _draw_section(panel: Any, plane: str, angles: Floats, values: Floats) -> None:
    """One section; where a value is negative its size is drawn dashed."""
    for sign, style in ((1, "-"), (-1, "--")):
        shown = np.where(sign * values >= 0, np.abs(values), np.nan)
        if np.isfinite(shown).any():
            panel.plot(angles, shown, style, color=PALETTE[0 if sign > 0 else 1], linewidth=1.4)
    panel.set_title(f"{plane} plane", fontsize=9)
    panel.set_xticks(np.pi / 2 * np.arange(4), [plane[0], plane[1], f"-{plane[0]}", f"-{plane[1]}"], fontsize=8)
    panel.tick_params(axis="y", labelsize=6)
    panel.grid(color="0.88")


def _write_html(grid: SurfaceGrid, name: str, out: Path) -> Path:
    """The surface to turn, and its sections below it."""
    unit = "" if SURFACES[grid.surface].unit == "1" else SURFACES[grid.surface].unit
    scale, low, high = _color_range(grid)
    x, y, z = np.moveaxis(np.abs(grid.values)[..., None] * grid.directions, -1, 0)
    hover = "%{surfacecolor:.4g} " + unit + "<extra></extra>"
    # plotly's RdBu runs from blue to red, matplotlib's from red to blue: red is negative in both pictures.
    colors = {"colorscale": scale, "reversescale": scale == "RdBu", "cmin": low, "cmax": high}
    body = {"type": "surface", "x": x, "y": y, "z": z, "surfacecolor": grid.values, "hovertemplate": hover} | colors
    data: list[dict[str, Any]] = [body | {"colorbar": {"title": {"text": unit}, "x": 0.98, "len": 0.6, "y": 0.7}}]
    for (letter, end), color in zip(_axes_lines(grid), AXIS_COLORS, strict=True):
        line = {"x": [0, end[0]], "y": [0, end[1]], "z": [0, end[2]], "line": {"color": color, "width": 5}}
        words = {"text": ["", letter], "mode": "lines+text", "hoverinfo": "skip", "showlegend": False}
        data.append({"type": "scatter3d"} | line | words)
    layout: dict[str, Any] = {"template": "none", "margin": {"t": 10, "b": 30}, "showlegend": False}
    axis = {"title": {"text": ""}, "showbackground": False, "gridcolor": "#ddd"}
    layout["scene"] = {"aspectmode": "data", "domain": {"y": [0.36, 1]}} | {f"{a}axis": axis for a in "xyz"}
    reach = max(abs(grid.extremes.min), abs(grid.extremes.max), 1e-12)
    for number, (plane, values) in enumerate(grid.sections.items(), 1):
        polar = "polar" if number == 1 else f"polar{number}"
        for sign, style in ((1, "solid"), (-1, "dash")):
            shown = np.where(sign * values >= 0, np.abs(values), np.nan)
            line = {"color": PALETTE[0 if sign > 0 else 1], "dash": style}
            trace = {"type": "scatterpolar", "mode": "lines", "subplot": polar, "line": line, "name": f"{plane} plane"}
            data.append(trace | {"theta": np.degrees(grid.angles), "r": shown, "hovertemplate": "%{r:.4g} " + unit})
        ticks = {"tickvals": [0, 90, 180, 270], "ticktext": [plane[0], plane[1], f"-{plane[0]}", f"-{plane[1]}"]}
        third = {"x": [(number - 1) / 3 + 0.02, number / 3 - 0.02], "y": [0, 0.28]}
        layout[polar] = {"domain": third, "angularaxis": ticks, "radialaxis": {"nticks": 4, "range": [0, 1.05 * reach]}}
    notes = [extremes_line(grid), "Sections below: xy, xz, yz plane; dashed where the value is negative."]
    return write_page(_title(grid, name), notes, data, layout, out)
