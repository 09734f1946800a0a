"""Commands that draw: plot, a scatter of hits, and surface, a property of one crystal over all directions."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import Db, ResultsOf
from flows.cli.results.open import filter_shown, open_store
from flows.terminal.console import Exit, fail, print_json, say

if TYPE_CHECKING:
    from db.query.analysis.pareto import Sense

PICTURES = (".png", ".svg", ".pdf", ".html")


PROPERTIES = (
    "young, linear_compressibility, shear_min, shear_max, poisson_min, poisson_max, piezo_longitudinal_e, "
    "piezo_longitudinal_d, dielectric_electronic, dielectric_total, sound_longitudinal, sound_transverse_fast, "
    "sound_transverse_slow or thickness_coupling."
)
"""What help says; the list itself, `models.derived.surfaces.SURFACES`, would make help slow."""


def plot(
    filter_text: Annotated[
        str, typer.Argument(metavar="FILTER", help="OPTIMADE filter, or preset:NAME; '' means all.")
    ] = "",
    *,
    x: Annotated[str, typer.Option("--x", help="Property along the horizontal axis.", show_default=False)],
    y: Annotated[str, typer.Option("--y", help="Property along the vertical axis.", show_default=False)],
    color: Annotated[str | None, typer.Option(help="Property that colors the points.", show_default=False)] = None,
    pareto: Annotated[bool, typer.Option("--pareto", help="Draw the Pareto front: large is good.")] = False,
    senses: Annotated[str, typer.Option(help="What is good in x and y for the front: max or min each.")] = "max,max",
    limit: Annotated[int, typer.Option(min=0, help="Largest number of points; 0 for all.")] = 0,
    model: ResultsOf = None,
    out: Annotated[Path, typer.Option(help="File: .png, .svg, .pdf, or .html to hover.")] = Path("hits.png"),
    db: Db = None,
) -> None:
    """Hits as a scatter plot of two properties, with 90 % intervals and the Pareto front."""
    from db.query.properties import resolve_property
    from flows.reports.hits.plot_hits import HitsPlot, draw_hits, plot_columns

    refuse_ending(out)
    names = resolve_property(x), resolve_property(y), resolve_property(color) if color else None
    good = _senses(senses) if pareto else None
    with open_store(db) as store, filter_shown(filter_text):
        hits = store.query(filter_text, fields=plot_columns(*names), limit=limit, model=model)
        reasons = store.explain(filter_text, model).sentences() if hits.empty and filter_text.strip() else []
    drawable = hits.dropna(subset=[names[0], names[1]]).reset_index(drop=True)
    if drawable.empty:
        raise fail(
            f"nothing to draw: no crystal has both {names[0]} and {names[1]}. {' '.join(reasons)}", Exit.BAD_USAGE
        )
    draw_hits(HitsPlot(drawable, *names, good, filter_text), out)
    left_out = f"; {len(hits) - len(drawable):,} lack a value" if len(drawable) < len(hits) else ""
    say(f"{len(drawable):,} crystals drawn in {out}{left_out}")


def _senses(text: str) -> "tuple[Sense, Sense]":
    """Which ends of x and y are the good ones, of a text such as "max,min"."""
    from db.query.analysis.pareto import Sense

    words = [word.strip() for word in text.split(",")]
    if len(words) != 2 or not set(words) <= set(Sense):
        raise fail(f"--senses {text} is not understood: write max,max or max,min or min,max or min,min", Exit.BAD_USAGE)
    x_sense, y_sense = map(Sense, words)
    return x_sense, y_sense


def refuse_ending(out: Path) -> None:
    """Ends the command where a file is no picture."""
    if out.suffix.lower() not in PICTURES:
        raise fail(f"{out} is no picture: end its name in one of {', '.join(PICTURES)}", Exit.BAD_USAGE)


def surface(
    crystal: Annotated[str, typer.Argument(metavar="ID", help="Content id, its first characters, or a source id.")],
    *,
    name: Annotated[str, typer.Option("--property", help=f"What to draw: {PROPERTIES}")] = "young",
    ieee: Annotated[bool, typer.Option("--ieee", help="In the IEEE frame.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="File: .png, .svg, .pdf, or .html to turn; default ID-PROPERTY.png.")
    ] = None,
    model: ResultsOf = None,
    db: Db = None,
    json: Annotated[bool, typer.Option("--json", help="Print lowest and highest value with their directions.")] = False,
) -> None:
    """A property of one crystal over all directions: the surface in space and its three sections."""
    from dataclasses import asdict

    from flows.reports.hits.plot_surface import draw_surface, extremes_line
    from gmt_tasks.export.frames import facts_in_ieee_frame
    from gmt_tasks.export.surface_grid import surface_grid
    from models.derived.surfaces import SURFACES, Surface

    if name not in set(Surface):
        raise fail(f"there is no surface {name}; choose {', '.join(Surface)}", Exit.BAD_USAGE)
    if out is not None:
        refuse_ending(out)
    with open_store(db) as store:
        facts = store.show(crystal)
    facts = facts_in_ieee_frame(facts) if ieee else facts
    fitting = [one for one in facts["results"] if model is None or model in (one["model"], one["model"].split("@")[0])]
    if not fitting:
        raise fail(f"{facts['id']} has no result{f' of {model}' if model else ''}; screen it first", Exit.BAD_USAGE)
    grid = surface_grid(facts, fitting[0], Surface(name))
    place = draw_surface(grid, facts["formula"], out or Path(f"{facts['id']}-{name}.png"))
    if json:
        unit = SURFACES[grid.surface].unit
        print_json({"id": facts["id"], "property": name, "unit": unit, **asdict(grid.extremes)})
    say(f"{extremes_line(grid)}; drawn in {place}")
