"""Tables of a report on labels."""

from typing import TYPE_CHECKING

from rich.table import Table

from flows.reports.tables import new_table
from gmt_tasks.labels.reasons import LabelReason

if TYPE_CHECKING:
    from gmt_tasks.labels.ingest import LabelReport

SOURCE_CHARS = 24


def parts_table(report: "LabelReport") -> Table:
    """One line per kind and source: where its rows ended."""
    counted = ("rows", "accepted", "duplicate", "overruled", "refused")
    table = new_table("kind", "source", *counted, title="labels", numbers=counted)
    table.columns[0].no_wrap = True
    for part in report.parts:
        counts = [f"{getattr(part, name):,}" for name in counted]
        table.add_row(part.kind, part.source[:SOURCE_CHARS], *counts)
    return table


def comparisons_table(report: "LabelReport") -> Table:
    """One line per kind and source of tensors: what its rows could be compared with.

    `residual` is the largest share that a crystal's symmetry removes, `ratio` the median of label over prediction;
    `order` and `frame` count the rows whose symmetry would have shown a wrong Voigt order or frame.
    """
    numbers = ("residual", "ratio", "order", "frame")
    table = new_table("kind", "source", *numbers, title="compared", numbers=numbers)
    table.columns[0].no_wrap = True
    for part in report.parts:
        # Scalars have no symmetry to check, and rows without a prediction no ratio.
        if part.residual_max is None and part.ratio_median is None:
            continue
        residual = "" if part.residual_max is None else f"{part.residual_max:.3f}"
        ratio = "" if part.ratio_median is None else f"{part.ratio_median:.2f}"
        shown = (f"{part.tells_order:,}", f"{part.tells_frame:,}") if residual else ("", "")
        table.add_row(part.kind, part.source[:SOURCE_CHARS], residual, ratio, *shown)
    return table


def reasons_table(report: "LabelReport") -> Table:
    """One line per part and reason, refused or merely marked (accepted all the same), with one example."""
    counted = ("rows", "accepted")
    table = new_table("kind", *counted, "reason", "for example", title="why", numbers=counted)
    for part in report.parts:
        for reason, n in sorted(part.reasons.items(), key=lambda entry: -entry[1]):
            table.add_row(part.kind, f"{n:,}", f"{part.marked.get(reason, 0):,}", reason, part.examples[reason])
    return table


def findings_table(report: "LabelReport") -> Table:
    """What whole parts were refused for, and what to do."""
    table = new_table("refused", "for", "because", "advice", title="refused")
    for finding in report.findings:
        part = f"{finding.kind} of {finding.source[:SOURCE_CHARS]}" if finding.source else "all"
        table.add_row(part, finding.reason, finding.detail, LabelReason(finding.reason).advice)
    return table
