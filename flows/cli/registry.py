"""Commands about model versions of a database: models show, promote, rollback, prune; none of them loads a network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.options import AsJson, Db
from flows.terminal.console import Exit, fail, print_json, say

if TYPE_CHECKING:
    from db.store import ResultStore
    from gmt_tasks.settings import Settings

Why = Annotated[str, typer.Option("--why", help="Reason, kept in the history.")]

_UNUSED: dict[str, Any] = {
    "created": None,
    "card": None,
    "file_faults": [],
    "snapshot": None,
    "code_version": None,
    "decisions": [],
    "batches": [],
}
"""What is unknown of a shipped model that the database never used."""


def show(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="NAME@VERSION, or NAME for the current version.")],
    *,
    db: Db = None,
    json: AsJson = False,
) -> None:
    """Everything that is known of a model version: files, dataset, code, figures, and who decided what and why."""
    facts = _facts(model, db)
    if json:
        print_json(facts)
        return
    _print_facts(facts)
    if facts["file_faults"]:
        raise fail(
            f"{len(facts['file_faults'])} files are not as they were: {'; '.join(facts['file_faults'])}",
            Exit.BROKEN_PROMISE,
        )


def _facts(model: str, db: str | None) -> dict[str, Any]:
    """What the database knows of a version; of one that it never used, what comes with the program."""
    from db.store import ResultStore
    from flows.cli.models import shipped_models
    from gmt_tasks.labels.retraction import retracted_since
    from gmt_tasks.registry.current_model import registered
    from gmt_tasks.settings import load_settings

    settings = load_settings(db=db)
    name, _, version = model.partition("@")
    # A shipped model can be shown without a database, and one that was never used without being in it.
    shipped = [row for row in shipped_models() if row["name"] == name and version in ("", row["version"])]
    if shipped and db is None and "://" not in settings.database and not Path(settings.database).exists():
        return {**shipped[0], **_UNUSED}
    with ResultStore.open_existing(settings.database) as store:
        if shipped and registered(store, model) is None:
            return {**shipped[0], **_UNUSED}
        facts = store.describe_model(model)
        taken_back = retracted_since(facts["batches"], store)
    for batch in facts["batches"]:
        batch["retracted"] = taken_back.get(batch["batch"], "")
    return facts | _file_facts(facts, settings)


def promote(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="NAME@VERSION, or a checkpoint's folder or card.")],
    *,
    why: Why,
    db: Db = None,
    force: Annotated[
        bool, typer.Option("--force", help="Although the gate refused it; the history keeps a mark.")
    ] = False,
) -> None:
    """Makes a version the current one of its name. A checkpoint is copied beside the database first."""
    from db.records import DecisionRecord
    from gmt_tasks.registry.current_model import who_decides

    settings, store = _open(db)
    with store:
        row = _row_of(store, settings, model)
        name = f"{row['name']}@{row['version']}"
        decisions = store.describe_model(name)["decisions"]
        # The newest report counts: the same version may have been compared again after a change of the labels.
        newest = next((decision for decision in decisions if decision["report"] is not None), None)
        report = None if newest is None else newest["report"]
        if newest is not None and not newest["report"].get("passes", True) and not force:
            raise fail(
                f"The gate refused {name}: {newest['why']}. Promote it all the same with --force.", Exit.BROKEN_PROMISE
            )
        before = store.current_model(row["name"])
        store.promote_model(row["name"], row["version"], DecisionRecord(who_decides(settings), why, report))
    if report is not None and not report.get("passes", True):
        say(f"{name} was promoted against its gate, and is marked so in the history")
    say(f"{name} is current, before it was {before or 'none'}; screen the same sources again to compute with it")


def rollback(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the model.")],
    *,
    db: Db = None,
    why: Why = "rolled back by hand",
) -> None:
    """Makes the version that was current before the present one current again."""
    from db.records import DecisionRecord
    from gmt_tasks.registry.current_model import who_decides

    settings, store = _open(db)
    with store:
        before = store.current_model(name)
        now = store.roll_back_model(name, DecisionRecord(who_decides(settings), why))
        facts = _file_facts(store.describe_model(str(now)), settings)
    say(f"{now} is current again, before it was {before}; results of both stay in the database")
    if facts["file_faults"]:
        raise fail(f"{now} cannot be used: {'; '.join(facts['file_faults'])}", Exit.BROKEN_PROMISE)


def prune(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="NAME@VERSION, not the current one.")],
    *,
    why: Why,
    db: Db = None,
) -> None:
    """Removes the results of a version and frees their space; inputs, runs and the history stay."""
    from db.records import DecisionRecord
    from gmt_tasks.registry.current_model import who_decides

    name, _, version = model.partition("@")
    if not version:
        raise fail(f"{model} names no version. Write NAME@VERSION; gmtscreen models list shows them.", Exit.BAD_USAGE)
    settings, store = _open(db)
    with store:
        n_results = store.prune_model(name, version, DecisionRecord(who_decides(settings), why))
    say(f"{n_results:,} results of {model} are removed; the same screening computes them again")


def _open(db: str | None) -> "tuple[Settings, ResultStore]":
    """The settings and the database, which must exist: a decision is about a model that it knows."""
    from db.store import ResultStore
    from gmt_tasks.settings import load_settings

    settings = load_settings(db=db)
    return settings, ResultStore.open_existing(settings.database)


def _row_of(store: "ResultStore", settings: "Settings", model: str) -> dict[str, Any]:
    """The registered version that is meant, its files checked; a checkpoint is installed and registered."""
    from gmt_tasks.registry.current_model import card_of

    if model.endswith(".json") or Path(model).is_dir():
        from db.records import ModelProvenance, ModelVersion
        from gmt_tasks.registry.model_files import install_checkpoint, models_folder
        from models.gmtnet.card import find_checkpoint, read_card

        path = find_checkpoint(model)
        card = read_card(path)
        folder, files = install_checkpoint(path, models_folder(settings), card.name, card.version)
        provenance = ModelProvenance(str(folder), files, str(card.training.get("snapshot", "")))
        store.register_model(ModelVersion(card.name, card.version, card.sha256), dict(card.metrics), provenance)
        model = f"{card.name}@{card.version}"
    row = store.describe_model(model)
    if card_of(row, settings) is None:
        from models.gmtnet.card import find_checkpoint

        find_checkpoint(f"{row['name']}@{row['version']}")  # without files of its own it must come with the program
    return row


def _file_facts(facts: dict[str, Any], settings: "Settings") -> dict[str, Any]:
    """What is wrong with the files of a version; nothing for one that comes with the program."""
    from gmt_tasks.registry.current_model import card_of
    from models.errors import ModelError

    try:
        card = card_of(facts, settings)
    except ModelError as error:
        return {"card": None, "file_faults": [str(error)]}
    return {"card": None if card is None else str(card), "file_faults": []}


def _print_facts(facts: dict[str, Any]) -> None:
    """What is known of a version, its figures and the decisions about it, as tables."""
    from datetime import UTC, datetime

    from flows.reports.tables import console, new_table

    def day(seconds: float) -> str:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")

    table = new_table("what", "value", title=f"{facts['name']}@{facts['version']}, {facts['state']}")
    where = facts["card"] or ("its files are missing or changed" if facts["file_faults"] else "comes with the program")
    for what, value in (
        ("sha256", facts["sha256"]),
        ("registered", "never" if facts["created"] is None else day(facts["created"])),
        ("files", where),
        ("dataset", facts["snapshot"] or "unknown"),
        ("code", facts["code_version"] or "unknown"),
    ):
        table.add_row(what, str(value))
    console().print(table)
    _print_metrics(facts["metrics"])
    seen = new_table("batch", "source", "rows", "retracted since", title="\nlabel batches that it was trained on")
    for batch in facts["batches"]:
        seen.add_row(str(batch["batch"]), batch["source"], f"{batch['rows']:,}", batch["retracted"] or "-")
    if facts["batches"]:
        console().print(seen)
    history = new_table("when", "decision", "who", "before", "why", title="\ndecisions, newest first")
    for row in facts["decisions"]:
        decision = row["decision"] + (", forced" if row["forced"] else "")
        against = f"; against: {'; '.join(row['against']) or 'the gate'}" if row["forced"] else ""
        history.add_row(day(row["created"]), decision, row["who"], row["before"] or "-", row["why"] + against)
    if facts["decisions"]:
        console().print(history)


def _print_metrics(metrics: dict[str, Any]) -> None:
    """The figures of the model itself on test, where they have the form that `evaluate` writes."""
    from flows.reports.tables import cell, console, new_table

    rows = [row for row in metrics.get("tensors", []) if (row["predictor"], row["split"]) == ("model", "test")]
    if not rows:
        return
    names = ("n", "fnorm", "fnorm_trimmed", "ewt25", "ewt10", "ewt5")
    table = new_table("quantity", "labels", *names, title="\ntensors, test", numbers=names)
    for row in rows:
        table.add_row(row["quantity"], row["labels"], *(cell(name, row[name]) for name in names))
    console().print(table)
