"""Markdown: documents from templates, their tables and numbers, and a run's balance for Prefect's artifacts."""

import math
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from db.records import Balance
from gmt_tasks.labels.reasons import LabelReason

if TYPE_CHECKING:
    from jinja2 import Environment

    from gmt_tasks.labels.ingest import LabelReport

TEMPLATES = Path(__file__).with_name("templates")

MEANINGS: dict[str, str] = {
    "done": "have results",
    "duplicate": "same crystal as an earlier input",
    "rejected": "not readable, not sensible, or outside what the model knows",
    "quarantined": "a crystal whose calculation failed",
    "pending": "still to compute",
}
"""Where an input can end, in the order in which it is shown."""


def render(name: str, *, folder: Path = TEMPLATES, **values: object) -> str:
    """A document from a template, with one line break at its end.

    Args:
        name: of the document, e.g. "accuracy.md"; the template adds ".j2".
        folder: that holds the template.
        values: all that the template asks for; a missing one is an error of jinja2.
    """
    return _templates(folder).get_template(f"{name}.j2").render(values).rstrip("\n") + "\n"


@cache
def _templates(folder: Path) -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(  # noqa: S701  Markdown, not HTML: "<" and "&" stay as they are
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def balance_as_markdown(run: int, balance: Balance) -> str:
    """A table of the balance.

    Args:
        run: number of the run.
        balance: where every input ended.

    Returns:
        Markdown text; says in words whether the balance closes.
    """
    return render("balance.md", run=run, balance=balance, meanings=MEANINGS)


def labels_as_markdown(report: "LabelReport") -> str:
    """What became of a label batch: what it was refused for and what to do, then where its rows ended and why.

    Args:
        report: of the batch.
    """
    counted = ("rows", "accepted", "duplicate", "overruled", "refused")
    rows, reasons = [], []
    for part in report.parts:
        rows.append([part.kind, part.source, *(f"{getattr(part, name):,}" for name in counted)])
        reasons += [(part.kind, reason, part.examples[reason], f"{n:,}") for reason, n in part.reasons.items()]
    return render(
        "labels.md",
        report=report,
        why={finding.reason: LabelReason(finding.reason) for finding in report.findings},
        parts=markdown_table(("kind", "source", *counted), rows, texts=2),
        reasons=markdown_table(("kind", "reason", "for example", "rows"), reasons, texts=3) if reasons else "",
    )


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int = 1) -> str:
    """A table, without a line break at its end.

    Args:
        head: names of the columns.
        rows: cells, as many as columns each.
        texts: how many columns from the left hold text; the others are set right.

    Raises:
        ValueError: a row has another number of cells than the head.
    """
    rule = "|" + "".join("---|" if k < texts else "---:|" for k in range(len(head)))
    lines = [f"| {' | '.join(head)} |", rule]
    for row in rows:
        if len(row) != len(head):
            raise ValueError(f"A row has {len(row)} cells, the head {len(head)}: {row}. Fill or drop cells.")
        # A bar inside a cell, as in |e14|, would end it.
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |")
    return "\n".join(lines)


def figures(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, never in exponents between 0.001 and 1e6; "-" for NaN.

    Trailing zeros stay: they say how exact a number is.
    """
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if not value:
        return "0"
    # Rounding may carry into a further digit (9.996 to 10.0): the decimals are counted again afterwards.
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, decimals)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:.{decimals}f}".replace("-", "−")


def percent(value: float, decimals: int = 1) -> str:
    """A percentage without its sign, "-" for NaN."""
    return "-" if math.isnan(value) else f"{value:.{decimals}f}"


def with_spread(value: float, spread: float | None) -> str:
    """A number ± its spread, both with the decimals of the number."""
    text = figures(value)
    if spread is None or math.isnan(spread) or text == "-":
        return text
    decimals = len(text.partition(".")[2])
    return f"{text} ± {spread:.{decimals}f}"
