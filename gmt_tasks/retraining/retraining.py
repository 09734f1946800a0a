"""A retraining from the accepted labels to the decision, as an object that a flow takes from step to step.

It holds what must not become a flow's parameter (the database URL). The order of the steps, their retries and their
picture belong to `flows/`.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from db.store import ResultStore
from gmt_tasks.labels.snapshot import DatasetSnapshot, freeze
from gmt_tasks.retraining import steps
from gmt_tasks.retraining.options import RetrainOptions
from gmt_tasks.retraining.plan import RetrainPlan, alone
from gmt_tasks.retraining.steps import Outcome
from gmt_tasks.settings import Settings


@dataclass
class Retraining:
    """One retraining; use it as a context manager.

    Attributes:
        settings: database, folder of models, who decides.
        options: what was asked for.
        datasets: folder of snapshots.
        report: receives one line per event.
        progress: receives the share of the training that is done.
    """

    settings: Settings
    options: RetrainOptions
    datasets: Path
    report: Callable[[str], None] = print
    progress: Callable[[float], None] = lambda share: None
    _exit: ExitStack = field(default_factory=ExitStack, init=False)
    _store: ResultStore = field(init=False)
    _plan: RetrainPlan = field(init=False)
    _snapshot: DatasetSnapshot = field(init=False)

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

    @property
    def plan(self) -> RetrainPlan:
        """What is trained against what; there after `freeze`."""
        return self._plan

    def freeze(self) -> Outcome | None:
        """Freezes the accepted labels and plans the training; an outcome where there is nothing new to train on."""
        self._plan, self._snapshot = steps.plan_retraining(self._store, self.settings, self.options, self.datasets)
        self.report(f"dataset {self._snapshot.hash[:12]}, candidate {self._plan.name}@{self._plan.version}")
        outcome = steps.nothing_new(self._plan)
        if outcome is None:
            self._exit.enter_context(alone(self._plan.folder))
        return outcome

    def train(self) -> list[Path]:
        """Trains the networks; returns their cards."""
        return steps.train(self._plan, self.options, self.report, self.progress)

    def calibrate(self, networks: list[Path]) -> Path:
        """Makes the candidate of the networks, with intervals and distance score; returns its card."""
        return steps.calibrate(self._plan, self.options, networks)

    def evaluate(self) -> dict[str, Any]:
        """Measures the candidate; returns the figures of its card."""
        return steps.evaluate(self._plan, self.options).metrics

    def run_gate(self) -> dict[str, Any]:
        """The gate's report as plain data."""
        # Frozen again: labels that were accepted during the training make the candidate out of date.
        newest = freeze(self._store, self.datasets)
        return steps.run_gate(self._plan, self.options, self.datasets, newest.hash)

    def decide(self, report: dict[str, Any]) -> Outcome:
        """Promotes the candidate or records why not."""
        return steps.decide(self._store, self.settings, self._plan, self.options, report)
