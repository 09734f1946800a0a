"""What an import really loads, measured in fresh interpreters; the order of layers is import-linter's matter."""

import os
import subprocess
import sys

import pytest

from tests.architecture.source_tree import ROOT

SECONDS_EACH = (
    "torch",
    "e3nn",
    "torch_geometric",
    "ray",
    "prefect",
    "pymatgen",
    "mp_api",
    "pandas",
    "scipy",
    "matplotlib",
)
"""Libraries that cost from half a second to many seconds and tens to hundreds of megabytes to import."""


def loaded_by(module: str, libraries: tuple[str, ...]) -> set[str]:
    """Which of the libraries a fresh interpreter has loaded after it imported a module."""
    code = f"import sys, {module}; print(*sorted({set(libraries)!r} & set(sys.modules)))"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return set(ran.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        pytest.param("flows.cli.app", id="the command line, before a command runs"),
        pytest.param("db.store", id="the database"),
        pytest.param("db.query.filter_language", id="the filter language"),
        pytest.param("gmt_tasks.ingest.validate", id="ingest"),
        pytest.param("gmt_tasks.runs.session", id="the driver of a run"),
        pytest.param("gmt_tasks.settings", id="settings"),
        pytest.param("gmt_tasks.sources.source", id="what opens a source"),
        pytest.param("gmt_tasks.sources.files.source", id="the driver's half of reading files"),
        pytest.param("models.crystals.graph", id="neighbour graphs"),
        pytest.param("models.symmetry.search", id="symmetry"),
        pytest.param("models.derived.elastic", id="derived properties"),
    ],
)
def test_nothing_heavy_is_loaded_by(module: str) -> None:
    assert loaded_by(module, SECONDS_EACH) == set()


def test_help_loads_neither_the_database_nor_the_physics() -> None:
    assert loaded_by("flows.cli.app", ("sqlalchemy", "alembic", "moyopy", "spglib", "lark", "pyarrow")) == set()


def test_files_are_opened_without_the_readers_that_children_load() -> None:
    assert loaded_by("gmt_tasks.sources.files.source", ("pyarrow", "pymatgen", "sqlite3", "sqlalchemy")) == set()


def test_a_worker_loads_no_orchestration_no_pool_and_no_foreign_readers() -> None:
    # The chain that a worker process imports: the network, the symmetry, the steps.
    # (torch_geometric brings pandas along.)
    unwanted = ("prefect", "ray", "fastapi", "pymatgen", "mp_api", "sqlalchemy")
    assert (
        loaded_by("gmt_tasks.workers.worker, gmt_tasks.screening.screener, models.gmtnet.predictor", unwanted) == set()
    )


def test_the_probe_sees_what_a_module_does_load() -> None:
    assert loaded_by("db.engine", ("sqlalchemy", "torch")) == {"sqlalchemy"}
    assert loaded_by("models.symmetry.search", ("moyopy", "torch")) == {"moyopy"}
