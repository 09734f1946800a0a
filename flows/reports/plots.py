"""Pictures for documents: reliability of the intervals and selective prediction, as PNG.

matplotlib takes a second to import and is wanted by few commands: it is imported when a picture is drawn.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.quantities import DERIVED, TENSORS

if TYPE_CHECKING:
    from gmt_tasks.evaluation.calibration import ReliabilityCurve, SelectiveCurve

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colours: apart for colour-blind readers too."""

STYLES = ("-", "--", ":")
PANEL_INCHES = (3.2, 2.6)
COLUMNS = 4
CURVES_PER_PANEL, RELIABILITY_COLUMNS = 12, 3


def plot_reliability(curves: Sequence["ReliabilityCurve"], out: Path) -> Path:
    """Empirical against nominal coverage, panels per tensor; on the diagonal the intervals are calibrated.

    Args:
        curves: one per quantity.
        out: file to write.

    Returns:
        The file.
    """
    from matplotlib.figure import Figure

    parts: dict[str, list[ReliabilityCurve]] = {row.group: [] for row in TENSORS.values()}
    tensors = {quantity.error_column: tensor for tensor, quantity in TENSORS.items()}
    for curve in curves:
        # An error radius belongs to its tensor, a derived number to the first tensor that it is made from.
        tensor = tensors.get(curve.quantity) or DERIVED[curve.quantity].from_tensors[0]
        parts[TENSORS[tensor].group].append(curve)
    shares = []
    for name, part in parts.items():
        # a legend with more lines than this leaves no room for the curves
        shares += [(name, part[k : k + CURVES_PER_PANEL]) for k in range(0, len(part), CURVES_PER_PANEL)]
    n_rows = -(-len(shares) // RELIABILITY_COLUMNS)
    n_columns = min(len(shares), RELIABILITY_COLUMNS)
    figure = Figure(figsize=(3.9 * n_columns, 6.0 * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for panel in panels[len(shares) :]:
        panel.set_axis_off()
    for panel, (name, part) in zip(panels, shares, strict=False):
        _reliability_panel(panel, name, part)
    return written(figure, out)


def _reliability_panel(panel: Any, name: str, curves: Sequence["ReliabilityCurve"]) -> None:
    panel.fill_between([0, 100], [-5, 95], [5, 105], color="0.9", linewidth=0, label="± 5 %")
    panel.plot([0, 100], [0, 100], color="0.6", linewidth=1)
    for k, curve in enumerate(curves):
        # More curves than colours: the next round has another style of line.
        style = STYLES[k // len(PALETTE) % len(STYLES)]
        label = f"{curve.quantity} ({curve.n})"
        color = PALETTE[k % len(PALETTE)]
        panel.plot(curve.promised, curve.found, style, color=color, marker=".", markersize=4, linewidth=1, label=label)
    panel.set(xlabel="promised coverage, %", ylabel="found coverage, %", xlim=(0, 100), ylim=(0, 100), aspect="equal")
    panel.set_anchor("N")
    panel.set_title(name, fontsize=10)
    panel.legend(fontsize=6.5, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=1)


def plot_selective(curves: Sequence["SelectiveCurve"], out: Path) -> Path:
    """Error against share kept, one panel per quantity, with the random and the perfect order beside it.

    Args:
        curves: one per quantity.
        out: file to write.

    Returns:
        The file.
    """
    from matplotlib.figure import Figure

    n_rows = -(-len(curves) // COLUMNS)
    figure = Figure(figsize=(PANEL_INCHES[0] * COLUMNS, PANEL_INCHES[1] * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, COLUMNS, squeeze=False).ravel()
    for panel in panels[len(curves) :]:
        panel.set_visible(False)
    for panel, curve in zip(panels, curves, strict=False):
        _selective_panel(panel, curve)
    return written(figure, out)


def _selective_panel(panel: Any, curve: "SelectiveCurve") -> None:
    percentages = [100 * share for share in curve.kept]
    panel.plot(percentages, curve.error, linewidth=1, label=f"by interval, area {curve.aurc:.3g}")
    panel.axhline(curve.aurc_random, color="0.6", linewidth=1, label=f"random, {curve.aurc_random:.3g}")
    panel.plot([], [], " ", label=f"perfect, {curve.aurc_oracle:.3g}")
    panel.set_title(f"{curve.quantity}, n = {curve.n}", fontsize=7)
    panel.set(xlabel="most certain kept, %", ylabel="mean error", xlim=(0, 100), ylim=(0, None))
    panel.tick_params(labelsize=7)
    panel.legend(fontsize=6)


def written(figure: Any, out: Path) -> Path:
    """Writes a figure as PNG, the same bytes for the same data; makes its folder."""
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=150, metadata={"Software": None})  # no version: the same data give the same bytes
    return out
