"""Pictures of the distance score: families of crystals that it detects, and errors against it."""

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
        errors: from `errors_by_distance`.
        path: file to write.

    Returns:
        The file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 0.8 + 0.26 * max(len(families), 8)), layout="constrained")
    left, right = figure.subplots(1, 2)
    rows = range(len(families))
    # Left: a family that was left out of the reference should be detected, also without the count of elements.
    uncounted = [family.auroc_uncounted for family in families]
    left.scatter(uncounted, rows, facecolor="white", edgecolor="0.4", label="without element count", zorder=3)
    whole = [family.auroc for family in families]
    left.scatter(whole, rows, marker="D", color=PALETTE[0], label="whole score", zorder=4)
    left.grid(axis="y", color="0.92")
    left.axvline(TARGET, color="black", linewidth=0.8, linestyle=":")
    left.set_yticks(list(rows), [f"{family.family} ({family.n_outside})" for family in families])
    left.set_xlim(0.35, 1.02)
    left.set_xlabel("AUROC of the family left out (crystals of the family)")
    left.legend(loc="lower left", fontsize="small")
    right.set_prop_cycle(color=PALETTE)
    # Right: a useful score rises with the error.
    for row in errors:
        medians = [row.median_low, row.median_middle, row.median_high]
        tensor = Tensor(row.quantity)
        label = f"{TENSORS[tensor].symbol} ({row.split}, n = {row.n}, Spearman {row.spearman:.2f})"
        right.plot(["nearest third", "middle", "farthest third"], medians, marker=MARKS[tensor], label=label)
    right.set_xlim(-0.3, 2.3)
    right.set_yscale("log")
    right.set_ylabel("median relative error")
    right.legend(fontsize="small")
    return written(figure, path)
