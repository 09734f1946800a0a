"""Crystals side by side in a terminal: as many columns as fit, the rest below."""

import math
import textwrap
from collections.abc import Iterator

from rich.console import Console

from flows.reports.tables import cell, interval_text, new_table
from gmt_tasks.export.comparison import Comparison

NAME_CHARS, CRYSTAL_CHARS, LEAST_CRYSTALS = 27, 17, 2
"""Width of the column of names and of each crystal; a narrower terminal folds its cells."""


def print_comparison(out: Console, comparison: Comparison) -> None:
    """Prints a comparison in parts of as many crystals as the console is wide; marks mean the same in all parts."""
    fitting = max(LEAST_CRYSTALS, (out.width - NAME_CHARS) // CRYSTAL_CHARS)
    n_crystals = len(comparison.crystals)
    # Parts of like size: four crystals become two and two, not three and one.
    per_part = math.ceil(n_crystals / math.ceil(n_crystals / fitting))
    for start in range(0, n_crystals, per_part):
        print_part(out, comparison, range(start, min(start + per_part, n_crystals)))
        out.print()
    for line in legend(comparison):
        out.print(line, soft_wrap=True)


def print_part(out: Console, comparison: Comparison, places: range) -> None:
    """The table of some of the crystals: a line with the values, under it the intervals."""
    crystals = [comparison.crystals[place] for place in places]
    heads = [f"{crystal.formula}\n{cell('id', crystal.id)}" for crystal in crystals]
    table = new_table(numbers=[])
    table.add_column("", overflow="fold", max_width=NAME_CHARS - 1)
    for head in heads:
        table.add_column(head, justify="right", overflow="fold")
    for row in comparison.rows:
        mark = {row.best: " *" if row.certain else " (*)"} if row.best is not None else {}
        values = [cell(row.name, row.values[place]) + mark.get(place, "") for place in places]
        intervals = [interval_text(row.intervals[place]) if row.intervals[place] else "" for place in places]
        unit = "" if row.unit in {"1", ""} else row.unit
        # The unit stands under the name, as the interval under the value; beside it where there is no interval.
        if not any(intervals) and len(row.name) + len(unit) < NAME_CHARS - 2:
            table.add_row(f"{row.name}  {unit}", *values)
            continue
        # A long name is broken after an underscore.
        lines = textwrap.wrap(row.name.replace("_", "_ "), NAME_CHARS, break_long_words=False)
        name = "\n".join(line.replace("_ ", "_") for line in lines)
        texts = zip((name, *values), (unit, *intervals), strict=True)
        table.add_row(*(f"{above}\n{under}" for above, under in texts))
    out.print(table)


def legend(comparison: Comparison) -> Iterator[str]:
    """What the marks mean, whose results these are, and how the axes of components lie."""
    marked = [row for row in comparison.rows if row.best is not None]
    if marked:
        of = f" (smallest: {', '.join(comparison.smallest)})" if comparison.smallest else ""
        yield f"* largest of its row{of}; (*) largest, but 90 % intervals overlap or are unknown; below: 90 % interval"
    models = dict.fromkeys(crystal.model for crystal in comparison.crystals)
    yield f"results of {', '.join(models)}"
    for crystal in comparison.crystals:
        if crystal.axes is not None:
            yield f"{crystal.formula} {cell('id', crystal.id)}: {crystal.axes}"
