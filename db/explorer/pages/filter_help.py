"""What the help page says of the filter language: every property, group by group."""

from itertools import groupby

from db.query.properties import DESCRIPTIONS, Group, Property


def filter_help() -> list[tuple[Group, list[tuple[str, Property]]]]:
    """Every property that can be filtered, sorted and shown, with its name, by group in the order of the groups.

    Ends of intervals are left out: they go by the name of their number with `_lo` and `_hi` behind it.
    """
    ends = {end for row in DESCRIPTIONS.values() for end in row.interval or ()}
    order = list(Group)
    rows = [(name, row) for name, row in DESCRIPTIONS.items() if name not in ends]
    rows.sort(key=lambda named: order.index(named[1].group))
    return [(group, list(named)) for group, named in groupby(rows, key=lambda named: named[1].group)]
