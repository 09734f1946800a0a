"""A retraining from the accepted labels to the decision: freeze, train, calibrate, evaluate, gate, decide.

Every step may be repeated: it leaves its result in the folder of the retraining and finds it there again, so a killed
retraining goes on where it was, and a finished one costs nothing. Only the last step changes the database. The order of
the steps, their retries and their display belong to `flows/`.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from db.records import DecisionRecord, ModelProvenance, ModelVersion
from db.store import ResultStore
from gmt_tasks.import_guard import code_version
from gmt_tasks.labels.files import LabelledCrystals, read_labels
from gmt_tasks.labels.snapshot import Behind, DatasetSnapshot, freeze, read_snapshot, snapshot_folder, verify_snapshot
from gmt_tasks.registry.current_model import card_of, registered, who_decides
from gmt_tasks.registry.model_files import base_labels, install_checkpoint, models_folder
from gmt_tasks.retraining.networks import train_networks
from gmt_tasks.retraining.options import RetrainOptions
from gmt_tasks.retraining.outcome import Ending, Outcome
from gmt_tasks.retraining.plan import RetrainPlan, alone, make_plan
from gmt_tasks.retraining.sufficiency import check_sufficiency, is_new
from gmt_tasks.settings import Settings
from gmt_tasks.training.split_table import share_replayed, split_of_model
from models.errors import ModelError, SourceError
from models.gmtnet.card import find_checkpoint, read_card
from models.gmtnet.training_data.split_table import SplitTable

if TYPE_CHECKING:
    from gmt_tasks.retraining.gate.gate import Evidence

PLAN, GATE, PAGE = "plan.json", "gate.json", "gate.md"


@dataclass
class Retraining:
    """One retraining; use it as a context manager. It holds what must not become a flow's parameter (the database URL).

    Attributes:
        settings: database, folder of models, who decides.
        options: what was asked for.
        datasets: folder of snapshots.
        report: receives one line per event.
        progress: receives the share of the training that is done.
        plan: what is trained against what; there after `freeze`.
        table: split of the current model, likewise.
    """

    settings: Settings
    options: RetrainOptions
    datasets: Path
    report: Callable[[str], None] = print
    progress: Callable[[float], None] = lambda share: None
    plan: RetrainPlan = field(init=False)
    table: SplitTable | None = field(default=None, init=False)
    _store: ResultStore = field(init=False)
    _exit: ExitStack = field(default_factory=ExitStack, init=False)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> Self:
        """Opens the database; may be repeated while it is away.

        Raises:
            StoreError: there is none, or it does not answer.
        """
        self._store = self._exit.enter_context(ResultStore.open_existing(self.settings.database))
        return self

    def close(self) -> None:
        """Closes the database and lets other processes work in the folder of this retraining."""
        self._exit.close()

    def freeze(self) -> Outcome | None:
        """Freezes the accepted labels and plans a training on them against the current model.

        Returns:
            An outcome where there is nothing new to train on, else None.

        Raises:
            ModelError, SourceError: no accepted labels, or files of the current model are missing or changed.
        """
        from gmt_tasks.training.config import TrainingConfig

        name = TrainingConfig.read(self.options.config).name
        row = registered(self._store, name)
        current_card = _current_card(name, row, self.settings)
        earlier = (row or {}).get("snapshot") or ""
        self.table = None if current_card is None else split_of_model(current_card, self._labels_of(earlier))
        snapshot = self._frozen(name)
        current = None
        if current_card is not None:
            card = read_card(current_card)
            current = ModelVersion(card.name, card.version, card.sha256)
        self.plan = make_plan(
            self.options,
            snapshot=snapshot.hash,
            data=snapshot.folder,
            current=current,
            current_card=current_card,
            current_snapshot=earlier,
            replayed=share_replayed(read_labels(snapshot.folder), self.table),
        )
        self.report(f"dataset {snapshot.hash[:12]}, candidate {self.plan.name}@{self.plan.version}")
        if snapshot.n_base:
            self.report(f"{snapshot.n_base:,} base labels of the shipped {name} stand behind those of the database")
        if snapshot.n_moved:
            self.report(f"{snapshot.n_moved:,} labels follow the split of {current}, not that of the database")
        outcome = nothing_new(self.plan)
        if outcome is None:
            self._check_sufficiency()
            self._exit.enter_context(alone(self.plan.folder))
        return outcome

    def _check_sufficiency(self) -> None:
        """Says what there is too little of before hours are spent on it.

        Raises:
            SourceError: the candidate would be refused for it in the end.
        """
        plan = self.plan
        labels = read_labels(plan.data)  # keeps the arrays, before several networks read the snapshot side by side
        card = None if plan.current_card is None else read_card(plan.current_card)
        widths = {} if card is None else card.calibration.get("widths", {})
        intervals = [name for name, width in widths.items() if width["quantile"] is not None]
        found = check_sufficiency(labels, intervals, is_new(labels, self._earlier(), self.table))
        if found.missing:
            raise SourceError(
                f"Too few labels for a retraining of {plan.name}, so nothing was trained: {'; '.join(found.missing)}. "
                "Bring labels of more compositions (one in ten goes to val), or start from a model with base labels."
            )
        for remark in found.remarks:
            self.report(f"few labels: {remark}")

    def _earlier(self) -> LabelledCrystals | None:
        """The labels that the current model was trained and tested on, as far as they are still there."""
        earlier, base = self._labels_of(self.plan.current_snapshot), base_labels(self.plan.name)
        if earlier is None and base is not None and not self.plan.current_snapshot:
            return read_labels(base)
        return earlier

    def _frozen(self, name: str) -> DatasetSnapshot:
        """The labels that are accepted now, split as the current model was, with the base labels behind them."""
        return freeze(self._store, self.datasets, Behind(self.table, base_labels(name)))

    def _labels_of(self, snapshot: str) -> LabelledCrystals | None:
        """The labels of a snapshot; None where it lies on another machine, or was deleted."""
        folder = snapshot_folder(self.datasets, snapshot) if snapshot else None
        return read_labels(folder) if folder is not None and folder.is_dir() else None

    def train(self) -> list[Path]:
        """Trains the networks on a snapshot whose files are as they were frozen; returns their cards."""
        verify_snapshot(self.plan.data)
        self.plan.folder.mkdir(parents=True, exist_ok=True)
        _write(self.plan.folder / PLAN, json.dumps(self.plan.facts(), indent=1, sort_keys=True))
        return train_networks(self.plan, self.options, self.report, self.progress)

    def calibrate(self, networks: list[Path]) -> Path:
        """Joins the networks to the candidate and gives it intervals and a distance score; returns its card."""
        from gmt_tasks.evaluation.calibration import calibrate_into_card

        path = self.plan.candidate_card
        is_joined = path.exists() and read_card(path).version == self.plan.version
        if len(networks) > 1 and not is_joined:
            # Not before it is needed: torch takes seconds to import.
            from models.gmtnet.checkpoint import join_checkpoints

            join_checkpoints(networks, path.parent, self.plan.name, self.plan.version)
        card = read_card(path)
        if not (card.calibration and card.training_reference_sha256):
            start = self.plan.current_card if self.plan.configs[0].start else None
            calibrate_into_card(str(path), data=self.plan.data, device=self.options.where.device, start=start)
        return path

    def evaluate(self) -> dict[str, Any]:
        """Measures the candidate on the snapshot and writes the figures into its card; returns them."""
        from gmt_tasks.evaluation.evaluation import evaluate_into_card

        path = self.plan.candidate_card
        if not read_card(path).metrics:
            evaluate_into_card(str(path), data=self.plan.data, device=self.options.where.device)
        return read_card(path).metrics

    def run_gate(self) -> dict[str, Any]:
        """Runs the gate on the candidate; the report is written beside it as JSON and Markdown.

        Returns:
            The report as plain data, with `passes`, `reasons` and `summary`.

        Raises:
            SourceError: a file of the snapshot was changed.
        """
        from gmt_tasks.retraining.gate.gate import run_gate
        from gmt_tasks.screening.screener import Screener

        plan, device = self.plan, self.options.where.device
        # Frozen again: labels that were accepted during the training make the candidate out of date.
        newest = self._frozen(plan.name).hash
        # What a report is about: the gate runs again when any of these changed.
        current_sha256 = plan.current.sha256 if plan.current is not None else ""
        about = f"{read_card(plan.candidate_card).sha256} {current_sha256} {plan.snapshot} {newest}"
        key = hashlib.sha256(about.encode()).hexdigest()
        earlier = read_report(plan.folder / GATE)
        if earlier is not None and earlier["key"] == key:
            return earlier
        verify_snapshot(plan.data)
        candidate = Screener.load(str(plan.candidate_card), device=device)
        current = None if plan.current_card is None else Screener.load(str(plan.current_card), device=device)
        report = run_gate(candidate, current, self._evidence(newest))
        plain = report.to_json() | {"key": key, "summary": report.summary}
        # The page first: the JSON file is what a repeated step takes as done.
        _write(plan.folder / PAGE, report.to_markdown())
        _write(plan.folder / GATE, json.dumps(plain, indent=1))
        return plain

    def _evidence(self, newest: str) -> "Evidence":
        """What the gate measures the candidate on; `newest` is the snapshot of what the database accepts now."""
        from gmt_tasks.retraining.gate.data import Lineage
        from gmt_tasks.retraining.gate.gate import Evidence

        plan = self.plan
        lineage = Lineage(plan.snapshot, newest, plan.current_snapshot)
        training = read_card(plan.candidate_card).training
        return Evidence(read_labels(plan.data), lineage, training, self._earlier(), self.table)

    def decide(self, report: dict[str, Any]) -> Outcome:
        """Installs and registers the candidate, and promotes it if the gate let it pass.

        Args:
            report: of the gate.

        Raises:
            ModelError: another version became current since the candidate was compared.
        """
        plan, store = self.plan, self._store
        card = read_card(plan.candidate_card)
        _check_current(store, plan)
        # A shipped model becomes a version of this database, so that a rollback finds it.
        if plan.current is not None:
            store.register_model(plan.current, {})
        folder, files = install_checkpoint(plan.candidate_card, models_folder(self.settings), card.name, card.version)
        version = ModelVersion(card.name, card.version, card.sha256)
        provenance = ModelProvenance(
            str(folder), files, plan.snapshot, code_version(), read_snapshot(plan.data).batches
        )
        store.register_model(version, dict(card.metrics), provenance)
        judgement = DecisionRecord(who_decides(self.settings), str(report["summary"]), report)
        ending = Ending.HELD if report["passes"] else Ending.REFUSED
        if report["passes"] and self.options.promote:
            store.promote_model(card.name, card.version, judgement)
            ending = Ending.PROMOTED
        elif ending is Ending.REFUSED:
            # The step may be repeated: one report is refused once.
            decisions = [row for row in store.model_decisions(card.name) if row["model"] == str(version)]
            reports = [row["report"] for row in decisions if row["report"] is not None]
            if all(earlier.get("key") != report["key"] for earlier in reports):
                store.refuse_model(card.name, card.version, judgement)
        before = "" if plan.current is None else str(plan.current)
        return Outcome(ending, str(version), before, judgement.why, report, str(plan.folder))


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
    """The outcome where the current model was trained on these labels already; None where there is work."""
    if plan.current is None or plan.current_snapshot != plan.snapshot:
        return None
    why = f"no label was accepted since {plan.current} was trained on dataset {plan.snapshot[:12]}"
    return Outcome(Ending.NOTHING_NEW, str(plan.current), str(plan.current), why, None, str(plan.folder))


def _check_current(store: ResultStore, plan: RetrainPlan) -> None:
    """The candidate was compared with one model; it must not replace another."""
    now = store.current_model(plan.name)
    candidate = f"{plan.name}@{plan.version}"
    if now is not None and now != plan.current and str(now) != candidate:
        raise ModelError(
            f"{now} became current while {candidate} was compared with {plan.current or 'none'}. Run the same command "
            "again: it trains and compares against the new one."
        )


def read_report(path: Path) -> dict[str, Any] | None:
    """The report that `run_gate` left; None where none is."""
    if not path.exists():
        return None
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report


def _write(path: Path, text: str) -> None:
    """Writes a file that appears whole or not at all."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
