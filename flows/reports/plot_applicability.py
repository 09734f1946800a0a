"""Pictures of the distance score: families it finds, and errors against it."""

from collections.abc import Sequence
from pathlib import Path

from flows.reports.plots import PALETTE, written
from gmt_tasks.evaluation.applicability import ErrorByDistance, FamilyDetection
from models.quantities import TENSORS, Tensor

TARGET = 0.8
MARKS = dict(zip(Tensor, "osD^", strict=True))


def plot_applicability(families: Sequence[FamilyDetection], errors: Sequence[ErrorByDistance], path: Path) -> Path:
    """Draws both as one PNG.

    Args:
        families: from `detect_families`.
        errors: from `errors_by_novelty`.
        path: file to write.

    Returns:
        The file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 0.8 + 0.26 * max(len(families), 8)), layout="constrained")
    left, right = figure.subplots(1, 2)
    rows = range(len(families))
    uncounted = [each.auroc_uncounted for each in families]
    left.scatter(uncounted, rows, facecolor="white", edgecolor="0.4", label="without element count", zorder=3)
    left.scatter([each.auroc for each in families], rows, marker="D", color=PALETTE[0], label="whole score", zorder=4)
    left.grid(axis="y", color="0.92")
    left.axvline(TARGET, color="black", linewidth=0.8, linestyle=":")
    left.set_yticks(list(rows), [f"{each.family} ({each.n_outside})" for each in families])
    left.set_xlim(0.35, 1.02)
    left.set_xlabel("AUROC of the family left out (crystals of the family)")
    left.legend(loc="lower left", fontsize="small")
    right.set_prop_cycle(color=PALETTE)
    for each in errors:
        medians = [each.median_low, each.median_middle, each.median_high]
        symbol = TENSORS[Tensor(each.quantity)].symbol
        label = f"{symbol} ({each.split}, n = {each.n}, Spearman {each.spearman:.2f})"
        thirds = ["nearest third", "middle", "farthest third"]
        right.plot(thirds, medians, marker=MARKS[Tensor(each.quantity)], label=label)
    right.set_xlim(-0.3, 2.3)
    right.set_yscale("log")
    right.set_ylabel("median relative error")
    right.legend(fontsize="small")
    return written(figure, path)
