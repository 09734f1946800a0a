"""Commands that give a model its uncertainty: models join (an ensemble), calibrate (its intervals)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.models import DEFAULT_DATA
from flows.cli.options import AsJson, Device
from flows.terminal.console import Exit, errors_as_lines, print_json, say, say_command

if TYPE_CHECKING:
    from models.uncertainty.conformal import Calibration


def join(
    networks: Annotated[list[str], typer.Argument(metavar="MODEL...", help="NAME, or a checkpoint's card or folder.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the ensemble.")],
    name: Annotated[str, typer.Option(help="Name of the ensemble.")] = "gmtnet",
    version: Annotated[str, typer.Option(help="Version of the ensemble.")] = "0.1.0",
) -> None:
    """Makes one model of several that were trained alike; its predictions are their mean."""
    from models.gmtnet.card import find_checkpoint
    from models.gmtnet.checkpoint import join_checkpoints

    card = join_checkpoints([find_checkpoint(network) for network in networks], out, name, version)
    path = out / f"{card.name}.json"
    say(f"{card.name}@{card.version} (sha256 {card.sha256[:12]}) of {card.n_networks} networks written to {out}")
    say_command("it has no intervals yet", "calibrate", str(path), "--data", "FOLDER")


def calibrate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="NAME, NAME@VERSION or a checkpoint.")] = "gmtnet",
    *,
    data: Annotated[Path, typer.Option(help="Folder with label files.")] = DEFAULT_DATA,
    version: Annotated[
        str, typer.Option(help="New version of the model: the same weights, other intervals.", show_default=False)
    ] = "",
    device: Device = None,
    json: AsJson = False,
) -> None:
    """Makes the 90 % intervals of a model from the val labels and writes them into its card."""
    from gmt_tasks.evaluation.calibration import calibrate_into_card

    with errors_as_lines(Exit.BROKEN_PROMISE):
        calibration = calibrate_into_card(model, data=data, device=device or "auto", version=version)
    if json:
        print_json(calibration.to_json())
        return
    _print_calibration(calibration)


def _print_calibration(calibration: "Calibration") -> None:
    """One line per quantity: labels, floor, quantile, and the factor of each crystal system."""
    import math

    from flows.reports.tables import cell, console, new_table

    numbers = ["labels", "floor", "quantile"]
    networks = f"{calibration.n_networks} network" + ("s" if calibration.n_networks > 1 else "")
    title = f"{100 * (1 - calibration.alpha):.0f} % intervals from val, {networks}"
    table = new_table("quantity", *numbers, "factor by crystal system", title=title, numbers=numbers)
    for name, width in calibration.widths.items():
        # A quantile needs about twenty labels for 90 %; with fewer no width would keep the promise.
        if not math.isfinite(width.quantile):
            table.add_row(name, str(width.n), "-", "-", "too few labels: no interval")
            continue
        systems = ", ".join(f"{name_of} {system.factor:.2f}" for name_of, system in width.systems.items())
        table.add_row(name, str(width.n), cell("floor", width.floor), cell("quantile", width.quantile), systems)
    console().print(table)
