"""Command about exactness: are a model's predictions the same however a crystal is told?"""

from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.console import Exit, fail, print_json, say
from flows.cli.options import AsJson, Device, Model, Sources, Symprec

if TYPE_CHECKING:
    from rich.table import Table

    from gmt_tasks.evaluation.equivariance import Equivariance
    from gmt_tasks.screening.screener import Screener

DOUBLE_TOLERANCE = 1e-10


def equivariance(
    sources: Sources,
    *,
    model: Model = None,
    sample: Annotated[int, typer.Option("--candidates", min=1, help="Crystals to draw from the sources.")] = 500,
    seed: Annotated[int, typer.Option(help="Of the draw and of the transformations.")] = 0,
    symprec: Symprec = None,
    device: Device = None,
    double: Annotated[
        bool, typer.Option("--double", help="In float64, to 1e-10: the algebra, not its rounding.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Tells crystals in other ways (rotated, shifted, in other cells, supercells, orders, company) and compares.

    The sources' crystals, and random crystals of all 32 classes. Ends with 1 where a prediction depends on the telling.
    """
    from gmt_tasks.evaluation.equivariance import TOLERANCE, check_equivariance
    from gmt_tasks.evaluation.sampling import sample_crystals
    from gmt_tasks.runs.session import open_sources
    from gmt_tasks.settings import load_settings
    from models.reference.crystals import crystals_of_all_classes

    settings = load_settings(model=model, symprec=symprec, device=device)
    opened = open_sources(sources, max_atoms=settings.max_atoms)
    names, crystals = sample_crystals(opened, sample, seed=seed, max_atoms=settings.max_atoms)
    screener = _screener(settings.model, settings.device, settings.symprec, double=double)
    tolerance = DOUBLE_TOLERANCE if double else TOLERANCE
    classes = crystals_of_all_classes(seed)
    found = [
        check_equivariance(screener, batch, called, label=label, seed=seed, tolerance=tolerance)
        for label, batch, called in (
            (", ".join(sources), crystals, names),
            ("random crystals of the 32 classes", classes.crystals, classes.names),
        )
    ]
    if json:
        print_json([each.to_json() for each in found])
    else:
        for each in found:
            print_equivariance(each)
    if not all(each.holds for each in found):
        raise fail("predictions depend on how crystals are told, see above", Exit.BROKEN_PROMISE)


def _screener(model: str, device: str, symprec: float, *, double: bool) -> "Screener":
    from dataclasses import replace

    from gmt_tasks.screening.screener import Screener

    screener = Screener.load(model, device=device, symprec=symprec)
    if not double:
        return screener
    from models.gmtnet.card import find_checkpoint
    from models.gmtnet.predictor import GMTNetPredictor

    return replace(screener, model=GMTNetPredictor.load_double(find_checkpoint(model), device=device))


def print_equivariance(found: "Equivariance") -> None:
    """A table of transformations and tensors, the deviations one by one, and the success rate by crystal system."""
    from flows.reports.tables import console, new_table
    from models.quantities import TENSORS, Tensor

    symbols = [TENSORS[q].symbol for q in Tensor]
    counts = [f"{symbol} above" for symbol in symbols]
    heads = [head for pair in zip(symbols, counts, strict=True) for head in pair]
    title = f"{found.crystals}: largest relative deviation, number above {found.tolerance:g}"
    table = new_table("telling", "n", *heads, title=title, numbers=["n", *heads])
    for name in dict.fromkeys(row.representation for row in found.invariances):
        rows = {row.quantity: row for row in found.invariances if row.representation == name}
        cells = [(f"{rows[q.value].worst:.1e}", str(rows[q.value].n_exceptions)) for q in Tensor if q.value in rows]
        table.add_row(name, str(next(iter(rows.values())).n), *(text for pair in cells for text in pair))
    console().print(table)
    for each in found.deviations:
        symbol = TENSORS[Tensor(each.quantity)].symbol if each.quantity else "no result"
        say(f"{each.crystal}, {each.representation}: {symbol} off by {each.deviation:.1e}; {each.explanation}")
    console().print(_consistency_table(found))


def _consistency_table(found: "Equivariance") -> "Table":
    from flows.reports.tables import new_table
    from models.quantities import TENSORS, Tensor

    symbols = [TENSORS[q].symbol for q in Tensor]
    table = new_table("system", "n", *symbols, title="obeys its point group, %", numbers=["n", *symbols])
    for system in dict.fromkeys(row.system for row in found.consistencies):
        rows = [row for row in found.consistencies if row.system == system]
        table.add_row(system, str(rows[0].n), *(f"{row.success:.1f}" for row in rows))
    return table
