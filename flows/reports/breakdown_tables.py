"""Tables of what an evaluation says beside the averages: intervals of rankings, signs, single networks, sizes."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flows.reports.markdown import figures, markdown_table, percent
from models.quantities import TENSORS, Tensor

if TYPE_CHECKING:
    from gmt_tasks.evaluation.breakdown.breakdown import Breakdown
    from gmt_tasks.evaluation.breakdown.networks import NetworkErrors
    from gmt_tasks.evaluation.breakdown.sizes import SizeCoverage


def ranking_table(breakdown: "Breakdown") -> str:
    """Rank correlations and hits with their intervals, test before val."""
    rows = []
    for row in sorted(breakdown.ranking, key=lambda row: row.split):
        ranks = f"{row.spearman:.3f} ({row.spearman_low:.2f} to {row.spearman_high:.2f})"
        hits = f"{row.top5:.0f} ({row.top5_low:.0f} to {row.top5_high:.0f})"
        rows.append([f"`{row.property}`", row.split, str(row.n), ranks, hits])
    return markdown_table(("property", "split", "n", "Spearman", "top 5 % found, %"), rows, texts=2)


def sign_lines(breakdown: "Breakdown") -> list[str]:
    """How often the sign of e is right, on each split and on both."""
    from gmt_tasks.evaluation.breakdown.ranking import SignShare

    counted = [share for share in breakdown.signs if share.n]
    if len(counted) > 1:
        names = " and ".join(share.split for share in counted)
        both = SignShare(names, sum(share.n for share in counted), sum(share.right for share in counted))
        counted = [*counted, both]
    lines = []
    for share in counted:
        low, high = share.interval()
        ends = f"{percent(100 * low, 0)} to {percent(100 * high, 0)} %"
        right = f"{share.right} of {share.n}, {percent(100 * share.right / share.n, 0)} %"
        lines.append(f"{share.split}: {right} ({ends}).")
    return lines


def network_table(breakdown: "Breakdown", epochs: Sequence[int]) -> str:
    """Errors of the single networks; empty for a model of one network."""
    if not breakdown.networks:
        return ""
    names = [f"{k + 1} ({n} epochs)" for k, n in enumerate(epochs)]
    if len(names) != len(breakdown.networks[0].fnorm):
        names = [str(k + 1) for k in range(len(breakdown.networks[0].fnorm))]
    rows = []
    for row in breakdown.networks:
        errors = [f"{figures(f)}, {figures(t)}" for f, t in zip(row.fnorm, row.fnorm_trimmed, strict=True)]
        symbol = TENSORS[Tensor(row.quantity)].symbol
        rows.append([symbol, row.labels, row.split, str(row.n), *errors, difference_cell(row)])
    return markdown_table(("tensor", "labels", "split", "n", *names, "short − long"), rows, texts=3)


def difference_cell(row: "NetworkErrors") -> str:
    """Short minus long trainings with the interval, bold where it leaves out 0."""
    if math.isnan(row.short_minus_long):
        return "-"
    shown = [figures(value).replace("-", "−") for value in (row.short_minus_long, row.low, row.high)]
    text = f"{shown[0]} ({shown[1]} to {shown[2]})"
    return f"**{text}**" if row.low > 0 or row.high < 0 else text


def other_code_table(breakdown: "Breakdown") -> str:
    """Moduli of another code beside predictions."""
    head = (
        "property",
        "split",
        "n",
        "noise of the labels",
        "median label / prediction",
        "median rel. error",
        "Spearman",
    )
    rows = []
    for row in breakdown.other_codes:
        middles = [f"{row.noise:.3f}", f"{row.median_ratio:.3f}", figures(row.median_relative)]
        rows.append([f"`{row.property}`", row.split, str(row.n), *middles, f"{row.spearman:.3f}"])
    return markdown_table(head, rows, texts=2)


def stability_table(breakdown: "Breakdown") -> str:
    """How well unstable labels are separated from stable ones."""
    head = ("split", "n", "not positive definite", "expected", "AUROC", "AUROC of the lowest eigenvalue alone")
    rows = []
    for row in breakdown.stability:
        area = f"{row.auroc:.2f} ({row.low:.2f} to {row.high:.2f})"
        counts = [str(row.n), str(row.n_unstable), f"{row.expected:.1f}"]
        rows.append([row.split, *counts, area, f"{row.auroc_eigenvalue:.2f}"])
    return markdown_table(head, rows)


def size_table(breakdown: "Breakdown") -> str:
    """Coverage by size of e: counts in both columns of each size, by label and by prediction."""
    sizes = list(dict.fromkeys((row.lower, row.upper) for row in breakdown.sizes))
    keys = dict.fromkeys((row.quantity, row.split, row.by) for row in breakdown.sizes)
    cells = {(row.quantity, row.split, row.by, row.lower): row for row in breakdown.sizes}
    tensors = {quantity.error_column: f"tensor {quantity.symbol}" for quantity in TENSORS.values()}
    rows = []
    for quantity, split, by in sorted(keys, key=lambda key: key[1]):
        counted = [count_cell(cells.get((quantity, split, by, lower))) for lower, _ in sizes]
        rows.append([tensors.get(quantity, f"`{quantity}`"), split, by, *counted])
    names = [f"above {lower:g}" if upper is None else f"{lower:g} to {upper:g}" for lower, upper in sizes]
    return markdown_table(("quantity", "split", "norm of e of the", *names), rows, texts=3)


def count_cell(row: "SizeCoverage | None") -> str:
    """Labels inside, of how many, in percent; empty where there are none."""
    return "" if row is None else f"{row.inside} of {row.n} ({percent(100 * row.inside / row.n, 0)} %)"
