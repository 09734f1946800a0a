"""Commands about models: train, evaluate, models list."""

import json as json_module
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.console import Exit, errors_as_lines, print_json, say
from flows.options import AsJson, Db, Device
from gmt_tasks.origin import REPOSITORY_ROOT

if TYPE_CHECKING:
    from gmt_tasks.evaluation import Evaluation

DEFAULT_DATA = Path("../shared/data")
"""Where label files lie beside a checkout."""


def train(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="A .toml file, or the name of a shipped one.")],
    *,
    out: Annotated[Path | None, typer.Option(help="Folder of this run, by default runs/CONFIG; resumed.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder with label files.", show_default=False)] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Not the configuration's.", show_default=False)] = None,
) -> None:
    """Trains a model, or goes on training it, and writes weights and card."""
    from dataclasses import replace

    from gmt_tasks.evaluation import evaluate_into_card
    from gmt_tasks.training import TrainingConfig
    from gmt_tasks.training import train as run_training

    chosen = TrainingConfig.read(config)
    chosen = replace(chosen, data=str(data)) if data is not None else chosen
    chosen = replace(chosen, epochs=epochs) if epochs is not None else chosen
    out = out or Path("runs") / Path(config).stem
    with errors_as_lines(Exit.BROKEN_PROMISE):
        card = run_training(chosen, out, report=say)
        if card is None:
            return
        say(f"{card.name}@{card.version} (sha256 {card.sha256[:12]}) written to {out}; measuring it on val and test")
        _print_evaluation(evaluate_into_card(str(out / f"{card.name}.json"), data=Path(chosen.data)))


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="NAME, NAME@VERSION or a checkpoint.")] = "gmtnet",
    *,
    data: Annotated[Path, typer.Option(help="Folder with label files.")] = DEFAULT_DATA,
    device: Device = None,
    json: AsJson = False,
) -> None:
    """Measures a model against the held-out labels: Fnorm, EwT, success rate and the ranking metrics."""
    from gmt_tasks.evaluation import evaluate as run_evaluation

    with errors_as_lines(Exit.BROKEN_PROMISE):
        found = run_evaluation(model, data=data, device=device or "auto")
    if json:
        print_json(found.to_json())
        return
    _print_evaluation(found)


def _print_evaluation(evaluation: "Evaluation") -> None:
    """One table per split for the tensors and for the properties made from them."""
    from flows.tables import cell, console, new_table

    out = console()
    out.print(f"{evaluation.model} (sha256 {evaluation.sha256[:12]})")
    for kind, metrics in (("tensors", evaluation.tensors), ("properties", evaluation.properties)):
        for split in dict.fromkeys(row.split for row in metrics):
            rows = [row for row in metrics if row.split == split]
            names = [field.name for field in fields(rows[0]) if field.name != "split"]
            numbers = [name for name in names if not isinstance(getattr(rows[0], name), str)]
            table = new_table(*names, title=f"\n{kind}, {split}", numbers=numbers)
            for row in rows:
                table.add_row(*(cell(name, _short(name, getattr(row, name))) for name in names))
            out.print(table)


def _short(name: str, value: object) -> object:
    """A tensor by the symbol that the field writes; anything else as it is."""
    from models.quantities import TENSORS, Tensor

    return TENSORS[Tensor(str(value))].symbol if name == "quantity" else value


def list_models(*, db: Db = None, json: AsJson = False) -> None:
    """Models that are shipped and models that the database knows."""
    rows = _shipped() + _registered(db)
    if json:
        print_json(rows)
        return
    from flows.tables import console, new_table

    table = new_table("model", "state", "sha256", "where", "metrics")
    for row in rows:
        metrics = json_module.dumps(row["metrics"]) if row["metrics"] else "-"
        shown = metrics if len(metrics) <= 40 else f"{len(row['metrics'])} entries, see --json"
        table.add_row(f"{row['name']}@{row['version']}", row["state"], row["sha256"][:12], row["where"], shown)
    console().print(table)
    if not rows:
        say("no models: train one with gmtscreen train gmtnet --out runs/gmtnet")


def _shipped(folder: Path = REPOSITORY_ROOT / "models" / "weights") -> list[dict[str, Any]]:
    """The cards beside the shipped weights, read without torch."""
    cards = [json_module.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    kept = ("name", "version", "sha256", "metrics")
    return [{key: card.get(key) for key in kept} | {"state": "shipped", "where": "models/weights"} for card in cards]


def _registered(db: str | None) -> list[dict[str, Any]]:
    """What the database knows; nothing when no database was named and the default one does not exist."""
    from db.store import ResultStore
    from gmt_tasks.settings import load_settings

    settings = load_settings(db=db)
    if db is None and "://" not in settings.database and not Path(settings.database).exists():
        return []
    with ResultStore.open_existing(settings.database) as store:
        rows = store.list_models()
    kept = ("name", "version", "sha256", "metrics", "state")
    return [{key: row[key] for key in kept} | {"where": settings.shown_database} for row in rows]
