"""Tables of how well large errors are found, and of labels that are kept apart from the scores."""

from typing import TYPE_CHECKING

from flows.reports.markdown import figures, markdown_table
from models.quantities import TENSORS, Tensor

if TYPE_CHECKING:
    from gmt_tasks.evaluation.evaluation import Evaluation

MEASURES = {
    "typical": "over label + typical label",
    "absolute": "in the tensor's unit",
    "relative": "over label",
}
"""Measures of an error as tables name them."""

TARGET_AUROC, TARGET_HALF = 0.8, 60.0


def reliability_table(evaluation: "Evaluation") -> str:
    """The reliability of each tensor on test, in every measure of the error."""
    rows = []
    for row in evaluation.error_rankings:
        if row.split != "test" or row.signal != "reliability":
            continue
        area = f"{row.auroc:.2f}" if row.auroc >= TARGET_AUROC else f"**{row.auroc:.2f}**"
        half = f"{row.half_error:.0f}" if row.half_error <= TARGET_HALF else f"**{row.half_error:.0f}**"
        symbol = TENSORS[Tensor(row.quantity)].symbol
        rows.append([
            symbol, MEASURES[row.measure], str(row.n),
            f"{area} ({row.auroc_low:.2f} to {row.auroc_high:.2f})",
            f"{half} ({row.half_error_low:.0f} to {row.half_error_high:.0f})",
        ])  # fmt: skip
    head = ("tensor", "error", "n", "AUROC of the worst tenth", "error of the better half, % of all")
    return markdown_table(head, rows, texts=2)


def signal_table(evaluation: "Evaluation") -> str:
    """AUROC of the reliability beside that of each signal alone, test, errors over label and typical label."""
    chosen = [row for row in evaluation.error_rankings if row.split == "test" and row.measure == "typical"]
    signals = list(dict.fromkeys(row.signal for row in chosen))
    by_pair = {(row.quantity, row.signal): row.auroc for row in chosen}
    rows = []
    for quantity in dict.fromkeys(row.quantity for row in chosen):
        areas = [by_pair.get((quantity, signal), float("nan")) for signal in signals]
        rows.append([TENSORS[Tensor(quantity)].symbol, *(f"{area:.2f}" for area in areas)])
    return markdown_table(("tensor", *signals), rows)


def doubtful_table(evaluation: "Evaluation") -> str:
    """Labels that are kept apart, test before val, the largest error first."""
    rows = []
    for label in sorted(evaluation.doubtful, key=lambda label: label.split):
        row = TENSORS[Tensor(label.quantity)]
        unit = "" if row.unit == "1" else f" {row.unit}"
        rows.append([row.symbol, label.split, label.formula, label.id, label.reason, f"{figures(label.error)}{unit}"])
    return markdown_table(("tensor", "split", "formula", "id", "reason", "error of the prediction"), rows, texts=5)
