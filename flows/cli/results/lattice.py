"""Command of metamaterials: lattice homogenizes a net of beams, predicts it, draws it, writes it for printing."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import AsJson
from flows.terminal.console import Exit, fail, print_json, say

if TYPE_CHECKING:
    from gmt_tasks.beam_lattices.properties import NetProperties

NETS = "simple-cubic, bcc, octet, diamond, kelvin, gyroid, rhombic-dodecahedra"
"""What help says; the list itself, `models.beam_lattice.reference_nets.REFERENCE_NETS`, would make help slow."""


def lattice(
    net: Annotated[
        str,
        typer.Argument(metavar="FILE", help=f"JSON of a net, structure file whose bonds become struts, or {NETS}."),
    ],
    *,
    density: Annotated[
        float | None,
        typer.Option(min=1e-6, max=0.9, help="Relative density to scale radii to; default the file's, else 0.05."),
    ] = None,
    stl: Annotated[Path | None, typer.Option(help="STL file to write, for printing.", show_default=False)] = None,
    cells: Annotated[int, typer.Option(min=1, max=50, help="Cells of the block along each axis, in the STL.")] = 2,
    cell_mm: Annotated[float, typer.Option(min=1e-3, max=1e4, help="Length of the axis a in the STL, mm.")] = 10.0,
    surface: Annotated[
        Path | None, typer.Option(help="Picture to draw: .png, .svg, .pdf, or .html to turn.", show_default=False)
    ] = None,
    name: Annotated[str, typer.Option("--property", help="What the picture shows: young, shear_min, ...")] = "young",
    predict: Annotated[bool, typer.Option("--predict/--no-predict", help="Ask the network, too.")] = True,
    json: AsJson = False,
) -> None:
    """Stiffness of a beam lattice, homogenized and predicted; writes it as STL, draws it over all directions."""
    from flows.cli.results.plot import refuse_ending
    from gmt_tasks.beam_lattices.net_file import open_net
    from gmt_tasks.beam_lattices.properties import net_properties
    from gmt_tasks.beam_lattices.stl import write_stl
    from models.beam_lattice.mesh import block_mesh
    from models.derived.surfaces import SURFACES, Surface
    from models.quantities import Tensor

    fitting = [
        one.value for one, row in SURFACES.items() if row.from_tensors == (Tensor.ELASTIC,) and not row.needs_density
    ]
    if name not in fitting:
        raise fail(f"a net has no surface {name}; choose {', '.join(fitting)}", Exit.BAD_USAGE)
    if surface is not None:
        refuse_ending(surface)
    _refuse_outputs(net, stl, surface)
    properties = net_properties(open_net(net, density), predict=predict)
    if json:
        print_json(properties.to_json())
    else:
        _print_properties(properties)
    for line in properties.warnings:
        say(f"note: {line}")
    if stl is not None:
        triangles = block_mesh(properties.net.nets, cells, cell_mm)
        write_stl(triangles, stl)
        say(f"{cells} x {cells} x {cells} cells, {len(triangles):,} triangles in mm, written to {stl}")
    if surface is not None:
        if math.isnan(properties.derived["homogenized"]["k_vrh_gpa"]):
            raise fail("this net gives way under a strain as good as freely: it has no surface to draw", Exit.BAD_USAGE)
        from flows.reports.hits.plot_surface import draw_surface, extremes_line

        grid = properties.surface(Surface(name))
        say(f"{extremes_line(grid)}; drawn in {draw_surface(grid, properties.net.name, surface)}")


def _refuse_outputs(net: str, *outputs: Path | None) -> None:
    """Files that would replace the input or each other."""
    files = [Path(net).resolve()] + [one.resolve() for one in outputs if one is not None]
    for number, file in enumerate(files):
        if file in files[:number]:
            raise fail(
                f"{file} would be replaced by another output or is the net itself; name one file for each",
                Exit.BAD_USAGE,
            )


def _print_properties(properties: "NetProperties") -> None:
    """The stiffness and what follows from it, homogenized beside predicted."""
    from flows.reports.tables import console, new_table
    from models.quantities import DERIVED

    out, net = console(), properties.net
    out.print(
        f"{net.name}: {len(net.nets.frac_coords)} nodes, {len(net.nets.radius)} struts in a cell, relative density "
        f"{properties.relative_density:.4g}, radius / length at most {properties.slenderness:.3g}, solid with "
        f"E = {net.young_gpa:g} GPa"
    )
    ways = list(properties.stiffness)
    table = new_table("", *ways, numbers=ways)
    # a network in single precision has zeros of 1e-7
    share = {"homogenized": 1e-9, "predicted": 1e-5}
    smallest = {way: share[way] * abs(properties.stiffness[way]).max() for way in ways}
    for row in range(6):
        for column in range(row, 6):
            values = [properties.stiffness[way][row, column] for way in ways]
            # entries that symmetry forbids are zeros within rounding, and would fill the table
            if any(abs(properties.stiffness[way][row, column]) > smallest[way] for way in ways):
                table.add_row(f"C{row + 1}{column + 1}, GPa", *(f"{value:.4g}" for value in values))
    for name in dict.fromkeys(name for way in ways for name in properties.derived[way]):
        quantity = DERIVED.get(name)
        label = "Zener ratio" if quantity is None else quantity.label
        unit = "" if quantity is None or quantity.unit == "1" else f", {quantity.unit}"
        table.add_row(label + unit, *(f"{properties.derived[way].get(name, float('nan')):.4g}" for way in ways))
    out.print(table)
