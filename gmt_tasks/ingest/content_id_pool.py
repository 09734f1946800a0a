"""Content ids of many crystals, computed in processes beside this one.

A content id costs a tenth of a millisecond of processor time and is a good part of what an accepted crystal costs
before it is stored, so one process alone would bound the rate of a whole cluster. The processes start when a source
turns out to be long, never fork (this process holds threads and connections), and end with this one, however it ends.
"""

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from types import TracebackType
from typing import Self

from gmt_tasks.telemetry import LOGGER
from models.crystals.crystal import CrystalBatch
from models.fingerprint.content_id import Identities, identify

Identify = Callable[[CrystalBatch], Identities]
"""`identify`, or what does the same elsewhere."""

PART = 128
"""Crystals that travel together."""

PATIENCE = 1024
"""Crystals whose ids are computed here before processes are worth their start."""

NICENESS = 15
"""That of Ray's workers: reading shares the cores with computing instead of going before it."""


class ContentIdPool:
    """Computes content ids in processes of its own once there are many crystals; use it as a context.

    Args:
        n_processes: at most, and no more than there are cores; with 1 everything is computed in this process.
        patience: crystals after which the processes start.
    """

    def __init__(self, n_processes: int, patience: int = PATIENCE) -> None:
        self._n_processes = min(n_processes, os.cpu_count() or 1)
        self._patience = patience
        self._n_seen = 0
        self._ending = ExitStack()
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()
        self._executor = None

    def identify(self, batch: CrystalBatch) -> Identities:
        """Content ids and buckets of all crystals of a batch, the same as those of `identify`."""
        self._n_seen += batch.n_crystals
        if self._n_processes < 2 or self._n_seen < self._patience:
            return identify(batch)
        parts = [
            batch.select(range(start, min(start + PART, batch.n_crystals)))
            for start in range(0, batch.n_crystals, PART)
        ]
        if self._executor is None:
            # fork would copy the threads and connections of this process
            executor = ProcessPoolExecutor(self._n_processes, get_context("spawn"), initializer=_end_with_parent)
            self._ending.callback(executor.shutdown, wait=True, cancel_futures=True)
            self._executor = executor
        try:
            return Identities.join(list(self._executor.map(identify, parts)))
        except BrokenProcessPool:
            # somebody ended a process, or memory ran out: slower is better than not at all
            LOGGER.warning("a process that computes content ids died; the driver goes on alone, more slowly")
            self._n_processes = 1
            return identify(batch)


def _end_with_parent() -> None:
    """In the child: no interrupt of the terminal, the workers' priority, and no life after the driver."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Windows has no such call
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    parent = parent_process()

    def exit_after_parent() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=exit_after_parent, daemon=True).start()
