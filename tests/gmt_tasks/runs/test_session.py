"""What a session asks of its workers: the device, the share of a GPU, and the patience of the settings."""

from pathlib import Path
from typing import Any

import pytest

from gmt_tasks.runs import session as session_module
from gmt_tasks.runs.session import ScreenSession
from gmt_tasks.settings import load_settings
from gmt_tasks.workers import pool as pool_module
from tests.gmt_tasks.runs.test_drive import ListSource
from tests.gmt_tasks.workers.fake_screener import VERSION

ASKED: list[dict[str, Any]] = []


class PoolOfGpus:
    """A pool on a machine with GPUs, which remembers what it was asked for."""

    def __init__(self, factory: Any, n_workers: int | None, gpus_per_worker: float | None, **more: Any) -> None:
        self.n_workers, self.gpus_per_worker = 8, 0.125 if gpus_per_worker is None else gpus_per_worker
        ASKED.append({"gpus": gpus_per_worker, **more})

    def close(self) -> None:
        """Nothing to end."""


def shard_atoms_after_start(tmp_path: Path, **settings: Any) -> tuple[int, dict[str, Any]]:
    """Most atoms of a shard once the workers are started, and what they were asked for."""
    with ScreenSession.open(load_settings(db=str(tmp_path / "a.db"), **settings), [ListSource([6])]) as session:
        session.start_workers()
        return session.plan.shard_atoms, ASKED[-1]


def test_the_settings_reach_the_workers_and_the_workers_the_size_of_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "WorkerPool", PoolOfGpus)
    monkeypatch.setattr(session_module, "describe_model", lambda model: (VERSION, {}))
    atoms, asked = shard_atoms_after_start(tmp_path)
    assert (atoms, asked["gpus"], asked["timeouts"].start_s) == (16_384, None, 600.0)
    atoms, asked = shard_atoms_after_start(tmp_path, device="cpu", gpus_per_worker=0.5, start_timeout_s=1800)
    assert (atoms, asked["gpus"], asked["timeouts"].start_s) == (2048, 0.0, 1800.0), "no GPU is taken"
    assert shard_atoms_after_start(tmp_path, shard_atoms=300)[0] == 300
    # A schedule ingests before its workers start: there the setting alone says that there will be GPUs.
    with ScreenSession.open(load_settings(db=str(tmp_path / "b.db"), gpus_per_worker=0.125), [ListSource([6])]) as one:
        assert one.plan.shard_atoms == 16_384
