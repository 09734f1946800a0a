"""Tables of reports on labels, fresh ones and those that the database keeps."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

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


def batches_table(batches: Sequence[Mapping[str, Any]]) -> Table:
    """One line per label batch, as `labels list` prints it."""
    counted = ("rows", "accepted", "refused")
    columns = ("batch", "when", "source", "who", *counted, "status", "models")
    table = new_table(*columns, title="label batches", numbers=counted)
    for batch in batches:
        counts = [f"{batch[name]:,}" for name in counted]
        status = batch["status"]
        if batch["retracted"]:
            status = f"retracted {when(batch['retracted'])} by {batch['retracted_by']}: {batch['retracted_why']}"
        models = ", ".join(batch["models"]) or "-"
        source = batch["source"][-SOURCE_CHARS:]
        table.add_row(str(batch["batch"]), when(batch["created"]), source, batch["who"] or "-", *counts, status, models)
    return table


def batch_table(batch: Mapping[str, Any]) -> Table:
    """What is known of one label batch."""
    table = new_table("what", "value", title=f"label batch {batch['batch']}, {batch['status']}")
    now = ", ".join(f"{n:,} {state}" for state, n in batch["now"].items())
    splits = ", ".join(f"{n:,} {name}" for name, n in batch["splits"].items())
    rows = [
        ("source", batch["source"]),
        ("brought", f"{when(batch['created'])} by {batch['who'] or 'unknown'}"),
        ("rows", f"{batch['rows']:,}, accepted then {batch['accepted']:,}, superseding {batch['superseded']:,}"),
        ("now", now or "nothing: later batches brought its rows again"),
        ("splits", splits or "-"),
        ("models", ", ".join(batch["models"]) or "-"),
    ]
    if batch["retracted"]:
        taken_back = f"{when(batch['retracted'])} by {batch['retracted_by']}: {batch['retracted_why']}"
        rows.append(("retracted", taken_back))
    for what, value in rows:
        table.add_row(what, value)
    return table


def stored_parts_table(report: Mapping[str, Any]) -> Table:
    """One line per part of a stored report: where its rows ended, and why."""
    counted = ("rows", "accepted", "duplicate", "overruled", "refused")
    table = new_table("kind", "source", *counted, "reasons", title="parts, as they ended", numbers=counted)
    for part in report["parts"]:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in part["reasons"].items())
        counts = [f"{part[name]:,}" for name in counted]
        table.add_row(part["kind"], part["source"][:SOURCE_CHARS], *counts, reasons)
    return table


def stored_findings_table(report: Mapping[str, Any]) -> Table:
    """What a stored batch was refused for."""
    table = new_table("refused", "for", "because", "advice", title="findings")
    for finding in report["findings"]:
        part = f"{finding['kind']} of {finding['source'][:SOURCE_CHARS]}" if finding["source"] else "all"
        table.add_row(part, finding["reason"], finding["detail"], finding["advice"])
    return table


def rows_table(rows: Sequence[Mapping[str, Any]], title: str) -> Table:
    """One line per label."""
    table = new_table("id", "kind", "formula", "state", "reason", "detail", title=title)
    for row in rows:
        table.add_row(*(str(row[name] or "-") for name in ("id", "kind", "formula", "state", "reason", "detail")))
    return table


def when(seconds: float) -> str:
    """A time of the database for people."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
