"""Fixtures of the command line's tests: a fake model behind the real database, the real pool and the real Prefect."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gmt_tasks.runs import session as session_module
from tests.gmt_tasks.workers.fake_screener import VERSION, FakeScreener, make_fake

RAY_SLOTS = 2


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """One private Ray for all tests that need workers."""
    from gmt_tasks.workers.cluster import start_ray, stop_ray

    start_ray(n_cpus=RAY_SLOTS)
    yield
    stop_ray()


@pytest.fixture(scope="session")
def prefect_server(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One temporary Prefect server; Ray comes first, as in a real run."""
    from flows.orchestration import quiet_prefect

    os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))
    quiet_prefect()
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=180):
        yield


def fake_worker(model: str, device: str, symprec: float) -> FakeScreener:
    """Stands in for `load_worker` inside worker processes."""
    return make_fake()


def describe_fake(model: str) -> tuple[Any, dict[str, Any]]:
    """Stands in for `describe_model`."""
    return VERSION, {"ewt25": 0.5}


@pytest.fixture
def fake_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces the model, in this process and in the workers, by arithmetic."""
    monkeypatch.setattr(session_module, "describe_model", describe_fake)
    monkeypatch.setattr(session_module, "load_worker", fake_worker)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder with a short path: Ray's sockets lie in it, and their paths may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="gmt", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def write_crystals(path: Path, elements: list[str], *, a0: float = 3.5) -> Path:
    """A JSONL source of one-atom cubic crystals, each with its own cell length; "flat" has a cell without volume."""
    with path.open("w", encoding="utf-8") as stream:
        for i, element in enumerate(elements):
            a = a0 + 0.01 * i
            height, species = (0.0, "Al") if element == "flat" else (a, element)
            cell = [a, 0, 0, 0, a, 0, 0, 0, height]
            row = {"id": f"c{i}", "lattice": cell, "species": [species], "frac_coords": [[0, 0, 0]]}
            stream.write(json.dumps(row) + "\n")
    return path
