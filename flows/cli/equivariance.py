"""Command that checks equivariance: are a model's predictions the same in every equivalent representation?"""

from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import AsJson, Device, Model, Sources, Symprec
from flows.terminal.console import Exit, fail, print_json, say

if TYPE_CHECKING:
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
    """Predicts crystals in equivalent representations (rotated, shifted, other cells and orders), and compares.

    The sources' crystals, and random crystals of all 32 classes. Ends with 1 where a prediction depends on the
    representation.
    """
    from gmt_tasks.evaluation.equivariance import TOLERANCE, check_equivariance
    from gmt_tasks.evaluation.sampling import sample_crystals
    from gmt_tasks.runs.session import open_sources
    from gmt_tasks.settings import load_settings
    from models.reference.crystals import crystals_of_all_classes

    settings = load_settings(model=model, symprec=symprec, device=device)
    opened = open_sources(sources, max_atoms=settings.max_atoms, database=settings.database)
    names, crystals = sample_crystals(opened, sample, seed=seed, max_atoms=settings.max_atoms)
    screener = _screener(settings.model, settings.device, settings.symprec, double=double)
    tolerance = DOUBLE_TOLERANCE if double else TOLERANCE
    classes = crystals_of_all_classes(seed)
    results = [
        check_equivariance(screener, batch, names_of, label=label, seed=seed, tolerance=tolerance)
        for label, batch, names_of in (
            (", ".join(sources), crystals, names),
            ("random crystals of the 32 classes", classes.crystals, classes.names),
        )
    ]
    if json:
        print_json([result.to_json() for result in results])
    else:
        for result in results:
            print_equivariance(result)
    if not all(result.holds for result in results):
        raise fail("predictions depend on the representation of the crystals, see above", Exit.BROKEN_PROMISE)


def _screener(model: str, device: str, symprec: float, *, double: bool) -> "Screener":
    """The path under test, its network in float64 where the rounding of float32 is not wanted."""
    from dataclasses import replace

    from gmt_tasks.screening.screener import Screener

    screener = Screener.load(model, device=device, symprec=symprec)
    if not double:
        return screener
    from models.gmtnet.card import find_checkpoint
    from models.gmtnet.predictor import GMTNetPredictor

    return replace(screener, model=GMTNetPredictor.load_double(find_checkpoint(model), device=device))


def print_equivariance(result: "Equivariance") -> None:
    """A table of representations and tensors, the deviations one by one, and the success rate by crystal system."""
    from flows.reports.tables import console, new_table
    from models.quantities import TENSORS, Tensor

    symbols = [TENSORS[q].symbol for q in Tensor]
    heads: list[str] = []
    for symbol in symbols:
        heads += [symbol, f"{symbol} above"]
    title = f"{result.crystals}: largest relative deviation, number above {result.tolerance:g}"
    table = new_table("representation", "n", *heads, title=title, numbers=["n", *heads])
    for name in dict.fromkeys(row.representation for row in result.invariances):
        rows = {row.quantity: row for row in result.invariances if row.representation == name}
        cells: list[str] = []
        # A model need not predict every tensor; those that it does stand in the order of the heads.
        for row in (rows[q.value] for q in Tensor if q.value in rows):
            cells += [f"{row.worst:.1e}", str(row.n_exceptions)]
        table.add_row(name, str(next(iter(rows.values())).n), *cells)
    console().print(table)
    for deviation in result.deviations:
        symbol = TENSORS[Tensor(deviation.quantity)].symbol if deviation.quantity else "no result"
        where = f"{deviation.crystal}, {deviation.representation}"
        say(f"{where}: {symbol} off by {deviation.deviation:.1e}; {deviation.explanation}")
    table = new_table("system", "n", *symbols, title="obeys its point group, %", numbers=["n", *symbols])
    for system in dict.fromkeys(row.system for row in result.consistencies):
        consistent = [row for row in result.consistencies if row.system == system]
        table.add_row(system, str(consistent[0].n), *(f"{row.success:.1f}" for row in consistent))
    console().print(table)
