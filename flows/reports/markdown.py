"""Markdown: tables and numbers of documents, and a run's balance for Prefect's artifacts."""

import math
from collections.abc import Iterable, Sequence

from db.records import Balance

MEANINGS: dict[str, str] = {
    "done": "have results",
    "duplicate": "same crystal as an earlier input",
    "rejected": "not readable, not sensible, or outside what the model knows",
    "quarantined": "a crystal whose calculation failed",
    "pending": "still to compute",
}
"""Where an input can end, in the order in which it is shown."""


def balance_as_markdown(run: int, balance: Balance) -> str:
    """A table of the balance.

    Args:
        run: number of the run.
        balance: where every input ended.

    Returns:
        Markdown text; says in words whether the balance closes.
    """
    rows = [f"| {name} | {getattr(balance, name):,} | {meaning} |" for name, meaning in MEANINGS.items()]
    verdict = "Every input is accounted for." if balance.closed else "**Inputs are missing: the run is not finished.**"
    head = [f"### Run {run}", "", "| | crystals | |", "|---|---:|---|", f"| **in** | **{balance.n_in:,}** | |"]
    return "\n".join([*head, *rows, "", verdict])


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int = 1) -> list[str]:
    """Lines of a table.

    Args:
        head: names of the columns.
        rows: cells, as many as columns each.
        texts: how many columns from the left hold text; the others are set right.

    Raises:
        ValueError: a row has another number of cells than the head.
    """
    lines = [f"| {' | '.join(head)} |", "|" + "".join("---|" if k < texts else "---:|" for k in range(len(head)))]
    for row in rows:
        if len(row) != len(head):
            raise ValueError(f"A row has {len(row)} cells, the head {len(head)}: {row}. Fill or drop cells.")
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |")
    return lines


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
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, decimals)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:.{decimals}f}".replace("-", "−")


def percent(value: float, decimals: int = 1) -> str:
    """A percentage without its sign, "-" for NaN."""
    return "-" if math.isnan(value) else f"{value:.{decimals}f}"


def with_spread(value: float, spread: float | None, digits: int = 3) -> str:
    """A number ± its spread, both with the decimals of the number."""
    text = figures(value, digits)
    if spread is None or math.isnan(spread) or text == "-":
        return text
    decimals = len(text.partition(".")[2])
    return f"{text} ± {spread:.{decimals}f}"
