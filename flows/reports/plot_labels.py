"""Picture of a check of labels: residuals by source, labels against predictions, and their ratios."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from db.labels.rows import StoredLabel
from db.tables import LabelState
from flows.reports.plots import PALETTE, written
from gmt_tasks.labels.checks.unit_checks import MAX_MEDIAN_FACTOR
from gmt_tasks.labels.kinds import KINDS
from gmt_tasks.labels.label_kind import MAX_RESIDUAL

Part = tuple[str, str]
SMALLEST_RESIDUAL = 1e-5
SOURCE_CHARS = 24
HISTOGRAM_FACTOR = 32.0


def plot_labels(labels: Sequence[StoredLabel], path: Path) -> Path:
    """Draws residuals and, where labels were compared with predictions, two more panels, as one PNG.

    Args:
        labels: of one or several label batches, every one checked.
        path: file to write.

    Returns:
        The file.
    """
    from matplotlib.figure import Figure

    n_parts = len({label.part for label in labels if label.residual is not None})
    compared = [label for label in labels if label.ratio and label.kind in KINDS]
    widths = (1.25, 1.0, 1.0) if compared else (1.25,)
    size = (4.6 * sum(widths), max(4.2, 1.4 + 0.42 * n_parts))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0]
    _draw_residuals(panels[0], labels)
    if not compared:
        return written(figure, path)
    parts = sorted({label.part for label in compared}, key=lambda part: part[::-1])
    colors = {part: PALETTE[k % len(PALETTE)] for k, part in enumerate(parts)}
    _draw_comparison(panels[1], compared, colors)
    _draw_ratios(panels[2], compared, colors)
    return written(figure, path)


def _draw_residuals(panel: Any, labels: Sequence[StoredLabel]) -> None:
    """One line of points per source and kind; rows are spread in height so that they do not hide each other."""
    parts = sorted({label.part for label in labels if label.residual is not None})
    # A fixed seed: the same labels give the same picture.
    random = np.random.default_rng(0)
    for row, part in enumerate(parts):
        for refused, color, mark in ((False, PALETTE[0], "."), (True, PALETTE[1], "x")):
            chosen = [x for x in labels if x.part == part and (x.state is LabelState.REFUSED) is refused]
            residuals = [x.residual for x in chosen if x.residual is not None]
            values = np.maximum(np.array(residuals, dtype=float), SMALLEST_RESIDUAL)
            heights = row + random.uniform(-0.3, 0.3, len(values))
            panel.plot(values, heights, mark, color=color, markersize=3, alpha=0.6)
    panel.axvline(MAX_RESIDUAL, color="black", linewidth=0.8, linestyle=":")
    panel.set_xscale("log")
    panel.set_xlim(SMALLEST_RESIDUAL / 2, 1.5)
    panel.set_yticks(range(len(parts)), [f"{kind}\n{source[:SOURCE_CHARS]}" for source, kind in parts], fontsize=7)
    panel.set_ylim(-0.6, max(len(parts), 1) - 0.4)
    panel.set_xlabel(f"share that the crystal's symmetry removes (at least {SMALLEST_RESIDUAL:g})")
    panel.set_title("point-group residual (x: refused)", fontsize=10)


def _draw_comparison(panel: Any, labels: Sequence[StoredLabel], colors: Mapping[Part, str]) -> None:
    for part, color in colors.items():
        for refused, mark in ((False, "."), (True, "x")):
            chosen = [x for x in labels if x.part == part and (x.state is LabelState.REFUSED) is refused]
            label = [x.sizes.get(KINDS[x.kind].sizes[0].name, np.nan) for x in chosen]
            # The prediction itself is not stored; label and ratio give it back.
            predicted = [value / (x.ratio or np.nan) for value, x in zip(label, chosen, strict=True)]
            panel.plot(predicted, label, mark, color=color, markersize=4, alpha=0.7)
        source, kind = part
        panel.plot(
            [], [], "s", color=color, markersize=4, label=f"{KINDS[kind].sizes[0].name}, {source[:SOURCE_CHARS]}"
        )
    low, high = panel.get_xlim()
    panel.plot([max(low, 1e-3), high], [max(low, 1e-3), high], color="0.6", linewidth=0.8)
    panel.set(xscale="log", yscale="log")
    panel.legend(fontsize=6)
    panel.set(xlabel="predicted", ylabel="label")
    panel.set_title("labels against predictions (x: refused)", fontsize=10)


def _draw_ratios(panel: Any, labels: Sequence[StoredLabel], colors: Mapping[Part, str]) -> None:
    bins = np.geomspace(1 / HISTOGRAM_FACTOR, HISTOGRAM_FACTOR, 61)
    for part, color in colors.items():
        values = np.clip([x.ratio or 1.0 for x in labels if x.part == part], bins[0], bins[-1])
        name = f"{part[1]}, median {float(np.median(values)):.2f}"
        panel.hist(values, bins=bins, histtype="step", color=color, label=name)
    for edge in (1 / MAX_MEDIAN_FACTOR, MAX_MEDIAN_FACTOR):
        panel.axvline(edge, color="black", linewidth=0.8, linestyle=":")
    panel.set_xscale("log", base=2)
    panel.xaxis.set_major_formatter(lambda ratio, _: f"{ratio:g}")
    panel.set(xlabel="label over prediction (ends of the axis: beyond)", ylabel="labels")
    panel.set_title("a median outside of the dotted lines is refused", fontsize=10)
    panel.legend(fontsize=6)
