"""Three metamaterials: their struts, Young's modulus over all directions, and sections beside theory.

    python -m benchmarks.beam_lattice.figure --out docs/figures/lattices.png

The lines of the sections are the homogenized net, crosses are theory (benchmarks/beam_lattice/theory.py: octet in the
slender limit, simple cubic and diamond in closed form), dashes what the network predicts.
"""

import argparse
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.beam_lattice import theory
from flows.reports.hits.plot_surface import draw_in_space
from flows.reports.plots import PALETTE, written
from gmt_tasks.beam_lattices.net_file import open_net
from gmt_tasks.beam_lattices.properties import NetProperties, net_properties
from models.beam_lattice.reference_nets import REFERENCE_NETS
from models.derived.extremes.directional import young_modulus_along
from models.derived.surfaces import Surface

NETS = ("octet", "simple-cubic", "diamond")
DENSITY = 0.01
PLANES = {"(001)": ((1, 0, 0), (0, 1, 0)), "(1-10)": ((1, 1, 0), (0, 0, 1))}
"""Sections by the directions at 0 and at 90 degrees."""

N_THEORY = 48


def main() -> None:
    """Draws and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/figures/lattices.png"))
    print(written(draw(), parser.parse_args().out))  # noqa: T201


def draw() -> Any:
    """The figure of matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 8.4), layout="constrained")
    places = figure.add_gridspec(len(NETS), 4, width_ratios=(1.15, 1.35, 1, 1))
    for row, name in enumerate(NETS):
        properties = net_properties(open_net(name, DENSITY))
        struts = figure.add_subplot(places[row, 0], projection="3d")
        draw_struts(struts, properties)
        struts.set_title(REFERENCE_NETS[name].title, fontsize=10)
        space: Any = figure.add_subplot(places[row, 1], projection="3d")
        bar = figure.colorbar(draw_in_space(space, properties.surface(Surface.YOUNG)), ax=space, shrink=0.6, pad=0.14)
        bar.set_label("Young's modulus / that of the solid", fontsize=8)
        bar.ax.tick_params(labelsize=7)
        for column, (plane, axes) in enumerate(PLANES.items(), start=2):
            panel: Any = figure.add_subplot(places[row, column], projection="polar")
            draw_section(panel, properties, np.array(axes, dtype=np.float64), name)
            panel.set_title(f"{plane} plane", fontsize=9)
            if row == 0 and column == 3:
                panel.legend(fontsize=7, loc="upper left", bbox_to_anchor=(0.82, 1.22))
    return figure


def draw_struts(axes: Any, properties: NetProperties) -> None:
    """The struts whose middle lies in the cubic cell or on its faces, and the edges of the cell."""
    net = properties.net.nets
    cells = np.array(list(product(range(-3, 4), repeat=3)))
    starts = ((net.frac_coords[net.ends[:, 0]] + cells[:, None]) @ net.lattice[0]).reshape(-1, 3)
    ends = starts + np.tile(net.vector, (len(cells), 1))
    middle = (starts + ends) / 2
    corners = np.array(list(product((0.0, 1.0), repeat=3)))
    for a, b in product(corners, corners):
        if np.abs(a - b).sum() == 1:
            axes.plot(*np.stack([a, b], axis=1), color="0.75", linewidth=0.7, zorder=1)
    inside = ((middle > -1e-6) & (middle < 1 + 1e-6)).all(axis=1)
    for a, b in zip(starts[inside], ends[inside], strict=True):
        axes.plot(*np.stack([a, b], axis=1), color=PALETTE[0], linewidth=2.2, solid_capstyle="round", zorder=2)
    axes.set(box_aspect=(1, 1, 1))
    axes.set_axis_off()
    axes.view_init(elev=18, azim=-62)


def draw_section(panel: Any, properties: NetProperties, axes: Any, name: str) -> None:
    """Young's modulus in a plane: homogenized, predicted, and that of theory."""
    from matplotlib.ticker import MaxNLocator

    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    net = properties.net.nets
    exact = theory.cubic_stiffness(name, float(net.length[0]), float(net.radius[0]), properties.relative_density)
    for way, style, color in (("homogenized", "-", PALETTE[0]), ("predicted", "--", PALETTE[1])):
        angles = np.linspace(0, 2 * np.pi, 361)
        directions = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ axes
        young = young_modulus_along(properties.stiffness[way][None], directions)[0]
        panel.plot(angles, young, style, color=color, linewidth=1.4, label=way)
    angles = 2 * np.pi * np.arange(N_THEORY) / N_THEORY
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ axes
    panel.plot(angles, theory.cubic_young(exact, directions), "x", color=PALETTE[6], markersize=4, label="theory")
    panel.set_rlim(0, None)
    panel.set_rticks(MaxNLocator(4).tick_values(0, panel.get_rmax())[1:-1])
    panel.set_rlabel_position(22)
    labels = ["[" + "".join(f"{round(entry / np.abs(axis).max())}" for entry in axis) + "]" for axis in axes]
    panel.set_xticks(np.pi / 2 * np.arange(4), [labels[0], labels[1], "", ""], fontsize=8)
    panel.tick_params(axis="y", labelsize=6)
    panel.grid(color="0.88")


if __name__ == "__main__":
    main()
