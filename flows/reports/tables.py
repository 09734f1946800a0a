"""Tables for a terminal of 80 to 100 columns, and for pipes."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from db.records import Balance
from flows.reports.markdown import MEANINGS
from flows.terminal.console import duration, printable

PIPE_COLUMNS = 100
HEAD_CHARS = 10
ID_CHARS = 11
"""Characters of a content id in a table; enough to ask `gmtscreen show` for it."""


class PlainConsole(Console):
    """A console that prints texts as they are, without what would steer a terminal: they come from foreign files."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Prints objects; control characters in texts become question marks."""
        super().print(*(printable(entry) if isinstance(entry, str) else entry for entry in objects), **options)


class PlainTable(Table):
    """A table whose cells hold no control characters."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Adds a row; control characters in texts become question marks."""
        super().add_row(*(printable(entry) if isinstance(entry, str) else entry for entry in cells), **options)


def console() -> Console:
    """Standard output; 100 columns wide when it is no terminal."""
    # Brackets and colons in foreign texts are no markup and no emoji either.
    width = None if sys.stdout.isatty() else PIPE_COLUMNS
    return PlainConsole(highlight=False, markup=False, emoji=False, width=width)


def new_table(*columns: str, title: str | None = None, numbers: Iterable[str] = ()) -> Table:
    """An empty table with a rule under its head; columns named in `numbers` are set right."""
    table = PlainTable(
        title=title,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        padding=(0, 1, 0, 0),
        show_edge=False,
        header_style="bold",
    )
    right = set(numbers)
    for column in columns:
        table.add_column(folded(column), justify="right" if column in right else "left", overflow="fold")
    return table


def folded(head: str) -> str:
    """A column's name, in two lines when it is long: broken at the underscore nearest to its middle."""
    places = [i for i, character in enumerate(head) if character == "_"]
    if len(head) <= HEAD_CHARS or not places:
        return head
    place = min(places, key=lambda i: abs(i - len(head) // 2))
    return f"{head[:place]}\n{head[place:]}"


def balance_table(run: int | str, balance: Balance) -> Table:
    """Where every input ended, one line per end."""
    table = new_table(f"run {run}", "inputs", "", numbers=["inputs"])
    table.add_row("in", f"{balance.n_in:,}", "inputs read")
    for name, meaning in MEANINGS.items():
        if name != "pending" or balance.pending:
            table.add_row(name, f"{getattr(balance, name):,}", meaning)
    return table


def doubts_line(counts: Mapping[str, int]) -> str:
    """How many accepted inputs are doubtful, and why: "accepted with doubts: 3 symmetry, 1 composition".

    Args:
        counts: inputs by the value of their doubt, see `ResultStore.doubts`.
    """
    reasons = ", ".join(f"{n:,} {doubt.removesuffix('_doubt')}" for doubt, n in counts.items())
    return f"accepted with doubts: {reasons}"


def runs_table(runs: Sequence[dict[str, Any]]) -> Table:
    """One line per run, newest first."""
    counts = ("in", "done", "dup", "rej", "quar", "pend")
    of_design = any(run.get("round_of") for run in runs)
    heads = ("run", "state", *counts, "cryst/s", "ETA", "model", *(["round of"] if of_design else []))
    table = new_table(*heads, numbers=["run", *counts, "cryst/s", "ETA"])
    for run in runs:
        numbers = [run[key] for key in ("in", "done", "duplicate", "rejected", "quarantined", "pending")]
        eta = duration(run.get("eta_s"))
        rate = f"{run['crystals_per_s']:.1f}"
        cells = [str(run["run"]), run["state"], *map(str, numbers), rate, eta, run["model"]]
        if of := run.get("round_of"):
            cells.append(f"design {of['design']}: {of['round']}")
        table.add_row(*cells)
    return table


def run_lines(run: dict[str, Any]) -> list[str]:
    """What `status RUN` says beside the balance."""
    shards = ", ".join(f"{n} {state}" for state, n in run.get("shards", {}).items() if n) or "none"
    given = dict(run.get("settings", {}))
    given |= given.pop("refine", {})  # what a refine run was asked for, beside the rest
    settings = ", ".join(f"{key} {value}" for key, value in given.items() if value is not None)
    of = run.get("round_of")
    part = [f"design   round {of['round']} of design {of['design']}"] if of else []
    doubts = [doubts_line(run["doubts"])] if run.get("doubts") else []
    return [
        *doubts,
        *part,
        f"state    {run['state']}",
        f"model    {run['model']}",
        f"sources  {', '.join(run.get('sources', []))}",
        f"settings {settings}",
        f"shards   {shards}",
        f"rate     {run['crystals_per_s']:.1f} crystals/s"
        + (f", rest in {duration(run['eta_s'])}" if run.get("eta_s") is not None else ""),
    ]


def rejects_table(rejects: Sequence[dict[str, Any]]) -> Table:
    """One line per input without a result."""
    table = new_table("source id", "stage", "reason", "detail")
    for reject in rejects:
        table.add_row(*(str(reject[key] or "") for key in ("source_id", "stage", "reason", "detail")))
    return table


def frame_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> Table:
    """Rows of a query; ids are shortened, numbers get four significant digits."""
    texts = {"id", "source_ids", "formula", "elements", "point_group", "model", "optical_class"}
    texts |= {"formula_anonymous", "optic_sign", "d_coefficient_max_name", "doubts"}
    table = new_table(*columns, title=title, numbers=[name for name in columns if name not in texts])
    for row in rows:
        table.add_row(*(cell(name, value) for name, value in zip(columns, row, strict=True)))
    return table


def cell(name: str, value: Any) -> str:
    """A value as text for a table; unknown values are a dash."""
    # numpy's scalars become Python's, so that the tests of types below hold.
    if hasattr(value, "item"):
        value = value.item()
    if value is None or value != value:  # NaN
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e6 else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return printable(str(value[0])) + (f" +{len(value) - 1}" if len(value) > 1 else "") if value else "-"
    if name == "optic_sign":  # its sign would be taken for a dash
        return {"+": "positive", "-": "negative"}.get(value, str(value))
    return str(value)[:ID_CHARS] if name == "id" else printable(str(value))


def interval_text(ends: Sequence[Any] | None) -> str:
    """A 90 % interval with three significant digits; a dash when there is none."""
    if ends is None or any(end is None or end != end for end in ends):
        return "-"
    return "0" if not any(ends) else f"{_digits(ends[0])} to {_digits(ends[1])}"


def _digits(value: float, n: int = 3) -> str:
    """A number with n significant digits, more before the point where it is large: 170, 18, 1.8, 0.83 for n = 2."""
    return f"{value:.0f}" if 10 ** (n - 1) <= abs(value) < 1e5 else f"{value:.{n}g}"


def with_intervals(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], ends: Mapping[str, tuple[str, str]]
) -> tuple[list[str], list[list[Any]]]:
    """Folds the columns of interval ends into the numbers they bound, "142 (118–170)", short enough for four of them.

    Args:
        columns: names, with those of the ends among them.
        rows: one value per column.
        ends: names of both ends by number.

    Returns:
        The remaining columns and their rows.
    """
    # Only numbers that are shown together with both ends can be folded.
    pairs = {name: pair for name, pair in ends.items() if {name, *pair} <= set(columns)}
    end_names = {end for pair in pairs.values() for end in pair}
    remaining = [name for name in columns if name not in end_names]
    folded_rows = []
    for row in rows:
        values = dict(zip(columns, row, strict=True))
        for name, (lower, upper) in pairs.items():
            if interval_text((values[lower], values[upper])) != "-":
                # The ends deserve fewer digits than the number: they are estimates of its error.
                values[name] = f"{_digits(values[name])} ({_digits(values[lower], 2)}–{_digits(values[upper], 2)})"
        folded_rows.append([values[name] for name in remaining])
    return remaining, folded_rows
