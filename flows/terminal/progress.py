"""Progress of a run: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from abc import ABC, abstractmethod
from typing import Self

from flows.terminal.console import duration, say
from gmt_tasks.telemetry import Progress

PLAIN_EVERY_S = 10.0


class ProgressDisplay(ABC):
    """Shows how far a run has come; a context manager."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    @abstractmethod
    def read(self, n_inputs: int) -> None:
        """Shows the number of inputs that are read."""

    @abstractmethod
    def show(self, progress: Progress) -> None:
        """Shows the crystals that are done."""


class PlainProgress(ProgressDisplay):
    """A line on standard error at the start, every ten seconds and at the end of the crystals."""

    def __init__(self) -> None:
        self._next_s = 0.0
        self._n_done = 0

    def read(self, n_inputs: int) -> None:
        """Says how many inputs are read, at most every ten seconds until crystals are done: they say it then."""
        if not self._n_done and self._due():
            say(f"read {n_inputs:,} inputs")

    def show(self, progress: Progress) -> None:
        """Says how many crystals are done, at most every ten seconds and when all are."""
        self._n_done = progress.n_done
        # The last line always comes: a log that ends at 98 % looks like a run that died.
        all_done = progress.n_done == progress.n_total and progress.crystals_per_s > 0 and not progress.more_may_come
        if all_done or self._due():
            rest = f", rest in {duration(progress.eta_s)}" if progress.eta_s else ""
            rest = ", reading on" if progress.more_may_come else rest
            rate = f" {progress.crystals_per_s:.1f} crystals/s" if progress.crystals_per_s else ""
            say(f"{progress.n_done:,} of {progress.n_total:,} crystals{rate}{rest}")

    def _due(self) -> bool:
        now = time.monotonic()
        if now < self._next_s:
            return False
        self._next_s = now + PLAIN_EVERY_S
        return True


class BarProgress(ProgressDisplay):
    """A bar with crystals per second and the time that is left."""

    def __init__(self) -> None:
        # Imported here: plain lines, in a log or a pipe, do without.
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
        )
        self._bars = Bars(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bars.add_task("starting", total=None, rate="")
        self._reading = self._bars.add_task("reading", total=None, rate="", visible=False)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def read(self, n_inputs: int) -> None:
        """Shows how many inputs are read."""
        self._bars.update(self._reading, completed=n_inputs, visible=True)

    def show(self, progress: Progress) -> None:
        """Shows how many crystals are done, and the reading while it goes on."""
        rate = f"{progress.crystals_per_s:,.1f}/s" if progress.crystals_per_s else ""
        if progress.eta_s is not None:
            rate += f", {duration(progress.eta_s)} left"
        self._bars.update(
            self._task, description="computing", completed=progress.n_done, total=progress.n_total, rate=rate
        )
        if not progress.more_may_come:
            self._bars.update(self._reading, visible=False)


def progress_display() -> ProgressDisplay:
    """A bar when both outputs are a terminal, otherwise plain lines."""
    return BarProgress() if sys.stdout.isatty() and sys.stderr.isatty() else PlainProgress()
