"""What people are shown of a design: tables, Markdown and a picture, whichever end of the number is the good one."""

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from db.designs.records import Design
from flows.cli.design import round_line
from flows.reports.designs.plot_rounds import plot_rounds
from flows.reports.designs.tables import (
    designs_table,
    heads,
    proposals_table,
    rounds_as_markdown,
    rounds_table,
    settings_line,
    towards_best,
)
from tests.db.designs.made_designs import FACTS, SPEC, design_round

if TYPE_CHECKING:
    from rich.table import Table

SMALL = replace(SPEC, sort="d_max_pc_per_n")
ROUNDS = [design_round(1, 7, n_wanted=0), design_round(2, 8), design_round(3, 9)]


def printed(table: "Table") -> list[list[str]]:
    """The words of each line of a table."""
    out = io.StringIO()
    Console(file=out, width=100, markup=False).print(table)
    return [line.split() for line in out.getvalue().splitlines()]


def test_every_round_is_a_row_and_one_without_wanted_crystals_has_no_numbers() -> None:
    _, _, _, *rows = printed(rounds_table(SPEC, ROUNDS))
    assert rows == [
        ["1", "7", "10", "6", "5", "0", "0.50", "60"],
        ["2", "8", "10", "6", "5", "4", "4", "12.5", "31.25", "1.00", "60"],
        ["3", "9", "10", "6", "5", "4", "6", "12.5", "31.25", "1.50", "60"],
    ]


def test_the_best_is_the_largest_or_the_smallest_as_was_asked() -> None:
    assert towards_best(SPEC, ROUNDS[2]) == [1.25, 6.0, 12.5, 31.25]
    assert towards_best(SMALL, ROUNDS[2]) == [12.5, 6.0, 1.25, 0.5]
    assert towards_best(SMALL, ROUNDS[0]) == []
    assert ("90 %" in heads(SPEC), "90 %" in heads(SMALL)) == (True, False)
    assert round_line(SPEC, ROUNDS[2]) == "round 3: median d_max_pc_per_n of wanted crystals 6, best 31.25"
    assert round_line(SMALL, ROUNDS[2]) == "round 3: median d_max_pc_per_n of wanted crystals 6, best 0.5"
    assert round_line(SMALL, ROUNDS[0]) == "round 1: no wanted crystal"


def test_markdown_has_the_cells_of_the_table() -> None:
    first, _, *lines = rounds_as_markdown(SPEC, ROUNDS).splitlines()
    assert first == "Sorted by -d_max_pc_per_n, wanted: `NOT metal`"
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert {len(row) for row in cells} == {len(heads(SPEC))}
    assert cells[0] == list(heads(SPEC))
    assert cells[3] == ["2", "8", "10", "6", "5", "4", "4", "12.5", "31.25", "1.00", "60"]
    assert "wanted: `all`" in rounds_as_markdown(replace(SPEC, filter=""), [])


def test_proposals_and_designs_are_rows() -> None:
    row = {"rank": 3, "crystal_id": "gx-0123456789abcdef", "formula": "BaO3Ti", "round": 2, "value": 31.2345}
    last = printed(proposals_table(SPEC, [row | {"facts": FACTS}]))[-1]
    assert last == ["3", "gx-01234567", "BaO3Ti", "2", "31.23", "0.81", "0.64", "0.10"]
    overview = {"design": 4, "filter": "", "sort": SPEC.sort, "rounds": 2, "proposals": 20}
    assert printed(designs_table([overview]))[-1] == ["4", "all", "crystals", SPEC.sort, "2", "20"]


def test_settings_leave_out_what_was_not_given() -> None:
    spec = replace(SPEC, settings={"per_round": 10, "generate": "", "bound": 0.0, "generator": "ab" * 32})
    line = settings_line(Design(3, resumed=True, spec=spec))
    assert line == "design 3: NOT metal, by -d_max_pc_per_n; per_round 10, bound 0.0, generator abababababab"


def test_the_curve_of_the_rounds_is_a_picture_also_without_wanted_crystals_or_rounds(tmp_path: Path) -> None:
    asked = {"large": (SPEC, ROUNDS), "small": (SMALL, ROUNDS), "unwanted": (SPEC, ROUNDS[:1]), "empty": (SPEC, [])}
    pictures = [
        plot_rounds(spec, rounds, tmp_path / f"{name}.png").read_bytes() for name, (spec, rounds) in asked.items()
    ]
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
    assert len(set(pictures)) == len(pictures)
