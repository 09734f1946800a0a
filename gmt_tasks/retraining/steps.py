"""The steps of a retraining, each a function that may be repeated: plan, train, calibrate, evaluate, judge, decide.

Every step leaves its outcome in the folder of the retraining and finds it there again, so a killed retraining goes on
where it was, and a finished one costs nothing. Only the last step changes the database.
"""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from db.records import DecisionRecord, ModelProvenance, ModelVersion
from db.store import ResultStore
from gmt_tasks.import_guard import code_version
from gmt_tasks.labels.files import LabelledCrystals, Split, read_labels
from gmt_tasks.labels.snapshot import DatasetSnapshot, freeze, snapshot_folder, verify_snapshot
from gmt_tasks.registry.current_model import card_of, registered, who_decides
from gmt_tasks.registry.model_files import install_checkpoint, models_folder
from gmt_tasks.retraining.networks import Progress, Report, train_members
from gmt_tasks.retraining.plan import RetrainOptions, RetrainPlan, make_plan
from gmt_tasks.settings import Settings
from models.errors import ModelError
from models.gmtnet.card import ModelCard, find_checkpoint, read_card

if TYPE_CHECKING:
    from gmt_tasks.retraining.gate.gate import Evidence

PLAN, GATE, PAGE = "plan.json", "gate.json", "gate.md"


class Ending(StrEnum):
    """How a retraining ended."""

    PROMOTED = "promoted"
    REFUSED = "refused"
    HELD = "held back"
    NOTHING_NEW = "nothing new"


@dataclass(frozen=True)
class Outcome:
    """What came of a retraining.

    Attributes:
        ending: how it ended.
        model: name@version of the candidate, or of the current model where there was nothing to learn.
        before: name@version that was current before, empty for the first of a name.
        why: one line.
        gate: the gate's report as plain data; None where nothing was trained.
        folder: where everything lies.
    """

    ending: Ending
    model: str
    before: str
    why: str
    gate: dict[str, Any] | None
    folder: str


def plan_retraining(
    store: ResultStore, settings: Settings, options: RetrainOptions, datasets: Path
) -> tuple[RetrainPlan, DatasetSnapshot]:
    """Freezes the accepted labels and plans a training on them against the current model.

    Args:
        store: the database.
        settings: where its models lie.
        options: what was asked for.
        datasets: folder of snapshots.

    Raises:
        ModelError, SourceError: no accepted labels, or files of the current model are missing or changed.
    """
    from gmt_tasks.training.config import TrainingConfig

    snapshot = freeze(store, datasets)
    name = TrainingConfig.read(options.config).name
    row = registered(store, name)
    card = _current_card(name, row, settings)
    current = None
    if card is not None:
        found = read_card(card)
        current = ModelVersion(found.name, found.version, found.sha256)
    plan = make_plan(
        options,
        snapshot=snapshot.hash,
        data=snapshot.folder,
        current=current,
        current_card=card,
        current_snapshot=(row or {}).get("snapshot") or "",
    )
    return plan, snapshot


def _current_card(name: str, row: dict[str, Any] | None, settings: Settings) -> Path | None:
    """The card of the current model: the database's, else the shipped one; None where neither exists."""
    card = None if row is None else card_of(row, settings)
    if card is not None:
        return card
    try:
        return find_checkpoint(name)
    except ModelError:
        return None


def nothing_new(plan: RetrainPlan) -> Outcome | None:
    """The end of a retraining whose labels the current model has learned already; None where there is work."""
    if plan.current is None or plan.current_snapshot != plan.snapshot:
        return None
    why = f"no label was accepted since {plan.current} was trained on dataset {plan.snapshot[:12]}"
    return Outcome(Ending.NOTHING_NEW, str(plan.current), str(plan.current), why, None, str(plan.folder))


def train(plan: RetrainPlan, options: RetrainOptions, report: Report, progress: Progress) -> list[Path]:
    """Trains the networks on a snapshot whose files are as they were frozen; see `members.train_members`."""
    verify_snapshot(plan.data)
    plan.folder.mkdir(parents=True, exist_ok=True)
    _write(plan.folder / PLAN, json.dumps(plan.facts(), indent=1, sort_keys=True))
    return train_members(plan, options, report, progress)


def calibrate(plan: RetrainPlan, options: RetrainOptions, members: list[Path]) -> Path:
    """Joins the networks to the candidate and gives it intervals and a distance score; returns its card."""
    from gmt_tasks.evaluation.calibration import calibrate_into_card

    path = plan.candidate_card
    if len(members) > 1 and not _is_joined(path, plan.version):
        from models.gmtnet.checkpoint import join_checkpoints

        join_checkpoints(members, path.parent, plan.name, plan.version)
    card = read_card(path)
    if not (card.calibration and card.novelty_sha256):
        calibrate_into_card(str(path), data=plan.data, device=options.device)
    return path


def _is_joined(path: Path, version: str) -> bool:
    return path.exists() and read_card(path).version == version


def evaluate(plan: RetrainPlan, options: RetrainOptions) -> ModelCard:
    """Measures the candidate on the snapshot and writes the figures into its card."""
    from gmt_tasks.evaluation.evaluation import evaluate_into_card

    if not read_card(plan.candidate_card).metrics:
        evaluate_into_card(str(plan.candidate_card), data=plan.data, device=options.device)
    return read_card(plan.candidate_card)


def judge(plan: RetrainPlan, options: RetrainOptions, datasets: Path, newest: str) -> dict[str, Any]:
    """Asks the gate about the candidate; the report is written beside it as JSON and Markdown.

    Args:
        plan: of the retraining.
        options: device.
        datasets: folder of snapshots, where those of earlier models may lie.
        newest: hash of what the accepted labels of the database are now.

    Returns:
        The report as plain data, with `passes`, `reasons` and `summary`.

    Raises:
        SourceError: a file of the snapshot was changed.
    """
    from gmt_tasks.retraining.gate.gate import judge as ask_gate
    from gmt_tasks.screening.screener import Screener

    card = read_card(plan.candidate_card)
    key = _key(plan, card, newest)
    known = read_report(plan.folder / GATE)
    if known is not None and known["key"] == key:
        return known
    verify_snapshot(plan.data)
    candidate = Screener.load(str(plan.candidate_card), device=options.device)
    current = None if plan.current_card is None else Screener.load(str(plan.current_card), device=options.device)
    found = ask_gate(candidate, current, evidence(plan, card, datasets, newest))
    report = found.to_json() | {"key": key, "summary": found.summary}
    _write(plan.folder / PAGE, found.to_markdown())
    _write(plan.folder / GATE, json.dumps(report, indent=1))
    return report


def evidence(plan: RetrainPlan, card: ModelCard, datasets: Path, newest: str) -> "Evidence":
    """What the gate judges the candidate by."""
    from gmt_tasks.retraining.gate.data import Lineage
    from gmt_tasks.retraining.gate.gate import Evidence

    earlier = _earlier_labels(plan, datasets)
    seen = frozenset() if earlier is None else frozenset(_formulas(earlier, Split.TRAIN))
    lineage = Lineage(plan.snapshot, newest, plan.current_snapshot)
    return Evidence(read_labels(plan.data), lineage, card.training, earlier, seen)


def _earlier_labels(plan: RetrainPlan, datasets: Path) -> LabelledCrystals | None:
    """Labels of the snapshot that the current model learned from, where it is still there."""
    folder = snapshot_folder(datasets, plan.current_snapshot) if plan.current_snapshot else None
    return read_labels(folder) if folder is not None and folder.is_dir() else None


def _formulas(labels: LabelledCrystals, split: Split) -> list[str]:
    return labels.crystals.select(labels.rows(split)).formulas()


def decide(
    store: ResultStore, settings: Settings, plan: RetrainPlan, options: RetrainOptions, report: dict[str, Any]
) -> Outcome:
    """Installs and registers the candidate, and promotes it if the gate let it pass.

    Args:
        store: the database.
        settings: where its models lie, who decides.
        plan: of the retraining.
        options: whether to promote.
        report: of the gate.

    Raises:
        ModelError: another version became current since the candidate was compared.
    """
    card = read_card(plan.candidate_card)
    _refuse_other_current(store, plan)
    if plan.current is not None:
        store.register_model(plan.current, {})
    folder, files = install_checkpoint(plan.candidate_card, models_folder(settings), card.name, card.version)
    version = ModelVersion(card.name, card.version, card.sha256)
    origin = ModelProvenance(str(folder), files, plan.snapshot, code_version())
    store.register_model(version, dict(card.metrics), origin)
    judgement = DecisionRecord(who_decides(settings), str(report["summary"]), report)
    ending = Ending.HELD if report["passes"] else Ending.REFUSED
    if report["passes"] and options.promote:
        store.promote_model(card.name, card.version, judgement)
        ending = Ending.PROMOTED
    elif ending is Ending.REFUSED and not _was_refused(store, version, report):
        store.refuse_model(card.name, card.version, judgement)
    before = "" if plan.current is None else str(plan.current)
    return Outcome(ending, str(version), before, judgement.why, report, str(plan.folder))


def _refuse_other_current(store: ResultStore, plan: RetrainPlan) -> None:
    """The candidate was compared with one model; it must not replace another."""
    now = store.current_model(plan.name)
    candidate = f"{plan.name}@{plan.version}"
    if now is not None and now != plan.current and str(now) != candidate:
        raise ModelError(
            f"{now} became current while {candidate} was compared with {plan.current or 'none'}. Run the same command "
            "again: it trains and compares against the new one."
        )


def _was_refused(store: ResultStore, version: ModelVersion, report: dict[str, Any]) -> bool:
    """True when this very report stands in the history already: the step was repeated."""
    kept = [each["report"] for each in store.model_decisions(version.name) if each["model"] == str(version)]
    return any(each is not None and each.get("key") == report["key"] for each in kept)


def _key(plan: RetrainPlan, card: ModelCard, newest: str) -> str:
    """What a report of the gate is about: it is asked again when any of these changed."""
    current = plan.current.sha256 if plan.current is not None else ""
    return hashlib.sha256(f"{card.sha256} {current} {plan.snapshot} {newest}".encode()).hexdigest()


def read_report(path: Path) -> dict[str, Any] | None:
    """The report that `judge` left; None where none is."""
    if not path.exists():
        return None
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report


def _write(path: Path, text: str) -> None:
    """Writes a file that appears whole or not at all."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
