"""Command that scores public predictions again and puts our models beside them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.models import DEFAULT_DATA
from flows.cli.options import AsJson
from flows.terminal.console import Exit, errors_as_lines, fail, print_json, say

if TYPE_CHECKING:
    from gmt_tasks.evaluation.scoreboard.board import Section

_SECTIONS = "jarvis, binaries, paper, matbench, configurations"


Jarvis = Annotated[
    Path | None,
    typer.Option(
        help="Checkout of the JARVIS leaderboard, or a folder with its zip files; JARVIS's list dft_3d "
        "(jdft_3d-*.json.zip) and the tensor files released with GMTNet may lie in it, too.",
        show_default=False,
    ),
]
Matbench = Annotated[
    Path | None,
    typer.Option(
        help="Folder with data sets of Matbench (matbench_log_kvrh.json.gz, ...); a checkout of its repository in it "
        "gives the predictions of others.",
        show_default=False,
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", help="NAME, NAME@VERSION or a checkpoint; repeat it; default the shipped ones."),
]
Sections = Annotated[
    list[str] | None,
    typer.Option("--section", help=f"Only this one; repeat it. There are: {_SECTIONS}.", show_default=False),
]
Tasks = Annotated[
    list[str] | None,
    typer.Option("--task", help="Only this one, e.g. bulk_modulus_kv; repeat it.", show_default=False),
]
Write = Annotated[
    Path | None,
    typer.Option(help="Folder for scoreboard.md; tables not made now stay as they were.", show_default=False),
]
IntoExplorer = Annotated[
    bool,
    typer.Option("--into-explorer", help="Keep the figures for the explorer's page, too; tables not made now stay."),
]


def scoreboard(
    *,
    jarvis: Jarvis = None,
    matbench: Matbench = None,
    data: Annotated[Path, typer.Option(help="Folder with label files.")] = DEFAULT_DATA,
    model: Models = None,
    section: Sections = None,
    task: Tasks = None,
    write: Write = None,
    into_explorer: IntoExplorer = False,
    json: AsJson = False,
) -> None:
    """Scores public predictions again from their benchmarks' files, and our models on the same crystals.

    JARVIS leaderboard, held-out binaries as the MatPES board scores them, the GMTNet paper's protocol, Matbench, and
    speed, size and accuracy of every configuration. What needs files that are not there says which.
    """
    sections = chosen_sections(section)
    from flows.reports.scoreboard.document import scoreboard_document
    from flows.reports.scoreboard.terminal import print_scoreboard
    from gmt_tasks.evaluation.scoreboard.own_models import SHIPPED
    from gmt_tasks.evaluation.scoreboard.scoreboard import BoardInputs, make_scoreboard, with_figures
    from gmt_tasks.evaluation.scoreboard.stored import STORED, read_stored, write_stored

    inputs = BoardInputs(
        sections, tuple(model or SHIPPED), tuple(task or ()), jarvis, matbench, data if data.is_dir() else None
    )
    with errors_as_lines(Exit.BAD_USAGE):
        board = make_scoreboard(inputs, say).as_kept()
        whole = read_stored(STORED).replaced(with_figures(board)) if write or into_explorer else board
        if into_explorer:
            write_stored(whole, STORED)
            say(f"written: {STORED}")
        if write is not None:
            path = write / "scoreboard.md"
            path.write_text(scoreboard_document(whole), encoding="utf-8")
            say(f"written: {path}")
    if json:
        print_json(board.to_json())
    else:
        print_scoreboard(board)


def chosen_sections(names: list[str] | None) -> tuple["Section", ...]:
    """The sections with these names; all of them without any.

    Raises:
        SystemExit: there is no such section.
    """
    from gmt_tasks.evaluation.scoreboard.board import Section

    if not names:
        return tuple(Section)
    unknown = sorted(set(names) - {section.value for section in Section})
    if unknown:
        raise fail(f"there is no section {unknown[0]!r}; there are {_SECTIONS}", Exit.BAD_USAGE)
    return tuple(Section(name) for name in names)
