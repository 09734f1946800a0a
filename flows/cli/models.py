"""Commands about models: train, evaluate, models list."""

import json as json_module
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.options import AsJson, Db, Device
from flows.terminal.console import Exit, errors_as_lines, fail, print_json, say
from gmt_tasks.import_guard import REPOSITORY_ROOT

if TYPE_CHECKING:
    from gmt_tasks.evaluation.evaluation import Evaluation

DEFAULT_DATA = Path("../shared/data")
"""Where label files lie beside a checkout."""

AsPublished = Annotated[
    bool,
    typer.Option(
        "--as-published",
        help="gmtnet-paper only: neighbour graph and symmetry mask as published, flaws included, to compare weights.",
    ),
]


class Protocol(StrEnum):
    """By which filters, split and metrics a model is measured."""

    OWN = "own"
    PAPER = "paper"


_PROTOCOL_HELP = (
    "own: our label files, split by formula. paper: the JARVIS files released with GMTNet (jarvis_diele_piezo.pkl, "
    "jarvis_elastic.pkl) in --data, with the paper's filters, split and metrics."
)


GENERATOR = "wyckoff"
"""Name of the configuration that trains no tensor model but the generator of crystals."""

LATTICE = "lattice"
"""Name of the configuration that trains the network of beam lattices."""


def train(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="A .toml file, or the name of a shipped one.")],
    *,
    out: Annotated[Path | None, typer.Option(help="Folder of this run, by default runs/CONFIG; resumed.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder with label files.", show_default=False)] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Not the configuration's.", show_default=False)] = None,
    seed: Annotated[
        int | None, typer.Option(help="Not the configuration's: another network.", show_default=False)
    ] = None,
    as_published: AsPublished = False,
    device: Device = None,
) -> None:
    """Trains a model, or goes on training it, and writes weights and card.

    A --data folder with the JARVIS files released with GMTNet is read by the paper's protocol. CONFIG `wyckoff` trains
    the generator of crystals instead, from the table of candidates in the --data folder, and `lattice` the network of
    beam lattices.
    """
    if config in (GENERATOR, LATTICE):
        train_other = _train_generator if config == GENERATOR else _train_lattice
        train_other(out or Path("runs") / config, data or DEFAULT_DATA, {"epochs": epochs, "seed": seed})
        return
    from dataclasses import replace

    from gmt_tasks.evaluation.calibration import calibrate_into_card
    from gmt_tasks.evaluation.evaluation import evaluate_into_card
    from gmt_tasks.evaluation.published.evaluation import evaluate_published_into_card
    from gmt_tasks.sources.remote.jarvis_tensors import has_jarvis_tensors
    from gmt_tasks.training.config import TrainingConfig
    from gmt_tasks.training.training import train as run_training

    given = {"data": None if data is None else str(data), "epochs": epochs, "seed": seed}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    chosen = replace(TrainingConfig.read(config), **changes)
    if as_published:
        chosen = replace(chosen, network=published_network(chosen.network), name=f"{chosen.name}-as-published")
    out = out or Path("runs") / (Path(config).stem + ("-as-published" if as_published else ""))
    with errors_as_lines(Exit.BROKEN_PROMISE):
        card = run_training(chosen, out, report=say, device=device or "auto")
        # None where the training was stopped before its last epoch: the same command goes on.
        if card is None:
            return
        say(f"{card.name}@{card.version} (sha256 {card.sha256[:12]}) written to {out}; measuring it on val and test")
        path, folder = str(out / f"{card.name}.json"), Path(chosen.data)
        if has_jarvis_tensors(folder):
            measured = evaluate_published_into_card(
                path, data=folder, device=device or "auto", as_published=as_published
            )
        else:
            calibrate_into_card(path, data=folder, device=device or "auto")
            measured = evaluate_into_card(path, data=folder, device=device or "auto")
        _print_evaluation(measured)


def _train_generator(out: Path, data: Path, given: dict[str, int | None]) -> None:
    """Trains the generator of crystals."""
    from gmt_tasks.training.wyckoff.loop import WyckoffTraining
    from gmt_tasks.training.wyckoff.training import train_generator

    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    config = WyckoffTraining(**changes)
    with errors_as_lines(Exit.BROKEN_PROMISE):
        card = train_generator(config, data, out, say)
        say(f"{card.name}@{card.version} (sha256 {card.sha256[:12]}) written to {out}")


def _train_lattice(out: Path, data: Path, given: dict[str, int | None]) -> None:
    """Trains the network of beam lattices."""
    from gmt_tasks.training.beam_lattice.loop import LatticeTraining
    from gmt_tasks.training.beam_lattice.training import train_lattice

    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    with errors_as_lines(Exit.BROKEN_PROMISE):
        card = train_lattice(LatticeTraining(**changes), data, out, say)
        say(f"{card.name}@{card.version} (sha256 {card.sha256[:12]}) written to {out}")


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="NAME, NAME@VERSION or a checkpoint.")] = "gmtnet",
    *,
    data: Annotated[Path, typer.Option(help="Folder with label files.")] = DEFAULT_DATA,
    protocol: Annotated[Protocol, typer.Option("--protocol", "--split", help=_PROTOCOL_HELP)] = Protocol.OWN,
    as_published: AsPublished = False,
    write: Annotated[
        Path | None, typer.Option(help="Folder for documents with tables and figures.", show_default=False)
    ] = None,
    into_card: Annotated[
        bool, typer.Option("--into-card", help="Write the figures into the model's card, too.")
    ] = False,
    device: Device = None,
    json: AsJson = False,
) -> None:
    """Measures a model against the held-out labels: Fnorm, EwT, success rate and the ranking metrics."""
    if as_published and protocol is not Protocol.PAPER:
        raise fail("--as-published compares by the paper's protocol; add --protocol paper.", Exit.BAD_USAGE)
    if write is not None and protocol is Protocol.PAPER:
        raise fail("--write makes documents of our own label files; leave out --protocol paper.", Exit.BAD_USAGE)
    with errors_as_lines(Exit.BROKEN_PROMISE):
        if protocol is Protocol.PAPER:
            evaluation = _evaluate_by_paper(model, data, device or "auto", as_published=as_published)
        else:
            from gmt_tasks.evaluation.evaluation import evaluate as run_evaluation

            evaluation = run_evaluation(model, data=data, device=device or "auto")
        if into_card:
            from gmt_tasks.evaluation.evaluation import write_metrics
            from models.gmtnet.card import find_checkpoint

            write_metrics(evaluation, find_checkpoint(model))
    if write is not None:
        from flows.reports.documents import write_documents
        from gmt_tasks.evaluation.shipped_models import beside_shipped

        say(f"written: {', '.join(str(path) for path in write_documents(beside_shipped(evaluation), write))}")
    if json:
        print_json(evaluation.to_json())
        return
    _print_evaluation(evaluation)


def published_network(network: str) -> str:
    """The name of a network's variant with the published graph and mask.

    Raises:
        ModelError: it has none.
    """
    from models.errors import ModelError
    from models.gmtnet.config import CONFIGS

    name = f"{network}-as-published"
    if name not in CONFIGS:
        raise ModelError(f"{network} has no published variant. Use --as-published with gmtnet-paper, or leave it out.")
    return name


def _evaluate_by_paper(model: str, data: Path, device: str, *, as_published: bool) -> "Evaluation":
    """The paper's protocol; says what became of the records, since filters and split decide what is measured."""
    from gmt_tasks.evaluation.published.evaluation import evaluate_published
    from gmt_tasks.training.published_protocol import read_published

    published = read_published(data)
    for quantity, counts in published.counts.items():
        say(
            f"{quantity.value}: {counts.records} records, {counts.filtered} left out by the paper's filters, "
            f"{counts.train} train, {counts.val} val, {counts.test} test; {counts.refused} of these not calculated with"
        )
    return evaluate_published(model, published, device=device, as_published=as_published)


def _print_evaluation(evaluation: "Evaluation") -> None:
    """One table per split for the tensors and for the properties made from them."""
    from flows.reports.tables import cell, console, new_table
    from models.quantities import TENSORS, Tensor

    out = console()
    out.print(f"{evaluation.model} (sha256 {evaluation.sha256[:12]})")
    for kind, metrics in (("tensors", evaluation.tensors), ("properties", evaluation.properties)):
        for split in dict.fromkeys(row.split for row in metrics):
            rows = [row for row in metrics if row.split == split]
            names = [field.name for field in fields(rows[0]) if field.name != "split"]
            numbers = [name for name in names if not isinstance(getattr(rows[0], name), str)]
            table = new_table(*names, title=f"\n{kind}, {split}", numbers=numbers)
            for row in rows:
                values = {name: getattr(row, name) for name in names}
                if "quantity" in values:  # a tensor by the symbol that the field writes
                    values["quantity"] = TENSORS[Tensor(values["quantity"])].symbol
                table.add_row(*(cell(name, value) for name, value in values.items()))
            out.print(table)


def list_models(*, db: Db = None, json: AsJson = False) -> None:
    """Models that are shipped and models that the database knows."""
    rows = shipped_models() + _registered(db)
    if json:
        print_json(rows)
        return
    from flows.reports.tables import console, new_table

    table = new_table("model", "state", "sha256", "where", "metrics")
    for row in rows:
        metrics = json_module.dumps(row["metrics"]) if row["metrics"] else "-"
        shown = metrics if len(metrics) <= 40 else f"{len(row['metrics'])} entries, see --json"
        state = row["state"] + (", forced" if row["forced"] else "")
        table.add_row(f"{row['name']}@{row['version']}", state, row["sha256"][:12], row["where"], shown)
    console().print(table)
    if not rows:
        say("no models: train one with gmtscreen train gmtnet --out runs/gmtnet")


def shipped_models(folder: Path = REPOSITORY_ROOT / "models" / "weights") -> list[dict[str, Any]]:
    """The cards beside the shipped weights, read without torch."""
    from models.gmtnet.card import card_paths

    rows = []
    for path in card_paths(folder):
        card = json_module.loads(path.read_text(encoding="utf-8"))
        row = {key: card.get(key) for key in ("name", "version", "sha256", "metrics")}
        rows.append(row | {"state": "shipped", "forced": False, "where": "models/weights"})
    return rows


def _registered(db: str | None) -> list[dict[str, Any]]:
    """What the database knows; nothing when no database was named and the default one does not exist."""
    from db.store import ResultStore
    from gmt_tasks.settings import load_settings

    settings = load_settings(db=db)
    if db is None and "://" not in settings.database and not Path(settings.database).exists():
        return []
    with ResultStore.open_existing(settings.database) as store:
        registered = store.list_models()
    rows = []
    for model in registered:
        row = {key: model[key] for key in ("name", "version", "sha256", "metrics", "state", "forced")}
        # A version without files of its own came with the program; the database is where it is known.
        rows.append(row | {"where": model["folder"] or settings.shown_database})
    return rows
