"""Commands about label batches: labels list, show, retract."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.options import AsJson, Db
from flows.terminal.console import print_json, say

if TYPE_CHECKING:
    from db.labels.batches import LabelBatch
    from db.labels.rows import StoredLabel
    from db.store import ResultStore

Batch = Annotated[int, typer.Argument(metavar="BATCH", help="Number of the label batch, see labels list.")]

MAX_EXAMPLES = 20


def list_batches(*, db: Db = None, json: AsJson = False) -> None:
    """Every label batch: when and from where it came, who brought it, how it ended, which models saw it."""
    from flows.reports.label_tables import batches_table
    from flows.reports.tables import console

    with _open(db) as store:
        batches = store.labels.batches()
        models = _models_by_batch(store)
    facts = [_batch_facts(batch, models.get(batch.id, [])) for batch in batches]
    if json:
        print_json(facts)
    elif facts:
        console().print(batches_table(facts))
    else:
        say("no labels yet; bring some: gmtscreen ingest SOURCE --labels")


def show(batch: Batch, *, db: Db = None, json: AsJson = False) -> None:
    """One label batch: parts, findings, reasons, examples of rows, what it superseded, splits."""
    from flows.reports.label_tables import batch_table, rows_table, stored_findings_table, stored_parts_table
    from flows.reports.tables import console

    with _open(db) as store:
        stored = store.labels.batch(batch)
        facts = _batch_facts(stored, _models_by_batch(store).get(batch, []))
        rows = [_row_facts(label) for label in _examples(store.labels.of_ingest(batch))]
        decided = [_row_facts(label) for label in store.labels.decided_by(batch)]
    if json:
        print_json(facts | {"report": stored.report, "examples": rows, "decided_about": decided})
        return
    out = console()
    out.print(batch_table(facts))
    if stored.report:
        out.print(stored_parts_table(stored.report))
        if stored.report["findings"]:
            out.print(stored_findings_table(stored.report))
    if rows:
        out.print(rows_table(rows, "rows, some of each kind, state and reason"))
    if decided:
        title = f"{len(decided)} labels of other batches about which it decided"
        out.print(rows_table(decided[:MAX_EXAMPLES], title))


def retract(
    batch: Batch,
    *,
    why: Annotated[str, typer.Option("--why", help="Reason, kept in the history.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    db: Db = None,
    json: AsJson = False,
) -> None:
    """Takes a label batch back: its labels are no longer trained on, those that it superseded are again."""
    from dataclasses import asdict

    from db.labels.batches import Withdrawal
    from db.store import ResultStore
    from gmt_tasks.labels.retraction import retract_batch
    from gmt_tasks.registry.current_model import who_decides
    from gmt_tasks.settings import SettingsError, load_settings

    if not why.strip():
        raise SettingsError("--why is empty: say in words why the batch is retracted.")
    settings = load_settings(db=db)
    with ResultStore.open_existing(settings.database) as store:
        report = retract_batch(store, batch, Withdrawal(who_decides(settings), why), dry_run=dry_run)
    if json:
        print_json(asdict(report))
        return
    name = f"label batch {report.batch} of {report.source}"
    if report.was_retracted:
        say(f"{name} was retracted before by {report.who}: {report.why}; nothing changes")
        return
    counts = ", ".join(f"{n:,} {state}" for state, n in report.retracted.items()) or "none that were used"
    would = "would be" if dry_run else "is"
    say(f"{name} {would} retracted: labels {counts}")
    say(f"{report.restored:,} earlier labels {'would be' if dry_run else 'are'} accepted again")
    for example in report.examples:
        say(f"  {example}")
    if report.changed:
        say(f"other labels: {', '.join(f'{n:,} {state}' for state, n in report.changed.items())}")
    if report.models:
        say(f"trained on it: {', '.join(report.models)}; retrain, or go back with gmtscreen models rollback")


def _open(db: str | None) -> "ResultStore":
    """The database, which must exist."""
    from db.store import ResultStore
    from gmt_tasks.settings import load_settings

    return ResultStore.open_existing(load_settings(db=db).database)


def _models_by_batch(store: "ResultStore") -> dict[int, list[str]]:
    """The versions that are or were current, by the batches that they were trained on."""
    models: dict[int, list[str]] = {}
    for row in store.list_models():
        if row["state"] == "candidate":
            continue
        for seen in row["batches"]:
            models.setdefault(seen["batch"], []).append(f"{row['name']}@{row['version']}")
    return models


def _batch_facts(batch: "LabelBatch", models: list[str]) -> dict[str, Any]:
    """What is printed of a batch; numbers of rows are those of its report, `now` says in which state they are."""
    parts = batch.report.get("parts", [])
    return {
        "batch": batch.id,
        "created": batch.created,
        "source": batch.source,
        "who": batch.who,
        "status": "retracted" if batch.retracted else batch.status or "unfinished",
        "rows": batch.report.get("brought", sum(batch.states.values())),
        "accepted": batch.report.get("accepted", 0),
        "refused": sum(part["refused"] for part in parts),
        "superseded": batch.report.get("superseded", 0),
        "splits": batch.report.get("splits", {}),
        "now": dict(batch.states),
        "retracted": batch.retracted,
        "retracted_by": batch.retracted_by,
        "retracted_why": batch.retracted_why,
        "models": models,
    }


def _examples(labels: "list[StoredLabel]") -> "list[StoredLabel]":
    """Some rows of a batch: the first ones of each kind, state and reason."""
    seen: dict[tuple[str, str, str | None], int] = {}
    chosen = []
    for label in labels:
        key = (label.kind, label.state.value, label.reason)
        seen[key] = seen.get(key, 0) + 1
        if seen[key] <= 3:
            chosen.append(label)
    return chosen[:MAX_EXAMPLES]


def _row_facts(label: "StoredLabel") -> dict[str, Any]:
    return {
        "id": label.source_id,
        "source": label.source,
        "kind": label.kind,
        "formula": label.formula,
        "state": label.state.value,
        "reason": label.reason,
        "detail": label.detail,
        "batch": label.ingest_id,
    }
