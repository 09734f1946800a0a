"""`models`, `db`, `flows` are names that others use too: a foreign package of that name must never do our physics."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source_tree import PACKAGES, ROOT

LOAD_GUARD = (
    "import importlib.util, sys; "
    f"spec = importlib.util.spec_from_file_location('import_guard', r'{ROOT / 'gmt_tasks' / 'import_guard.py'}'); "
    "import_guard = importlib.util.module_from_spec(spec); spec.loader.exec_module(import_guard); "
)


def run(code: str, *path: Path) -> "subprocess.CompletedProcess[str]":
    """Runs code in a fresh interpreter, away from the repository, with an import path that starts with `path`."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONSAFEPATH": "1"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=path[0], env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(params=PACKAGES)
def foreign(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with a package that has one of our names, as another distribution would install it."""
    package = tmp_path / "site" / str(request.param)
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("ORIGIN = 'foreign'\n", encoding="utf-8")
    return package


def test_a_foreign_package_that_shadows_ours_is_refused_with_its_place_and_the_cure(foreign: Path) -> None:
    ran = run(LOAD_GUARD + "import_guard.refuse_foreign_packages()", foreign.parent, ROOT)
    assert ran.returncode != 0
    last_line = ran.stderr.strip().splitlines()[-1]
    assert "ForeignPackageError" in last_line
    assert f"{foreign.name} from {foreign.resolve()}" in last_line
    assert "environment of its own" in last_line


def test_nothing_is_refused_when_ours_come_first(foreign: Path) -> None:
    ran = run(LOAD_GUARD + "import_guard.refuse_foreign_packages()", ROOT, foreign.parent)
    assert ran.returncode == 0, ran.stderr


def test_putting_the_root_first_cures_the_shadow(foreign: Path) -> None:
    code = (
        "import_guard.put_root_first(); import_guard.refuse_foreign_packages(); "
        f"import {foreign.name} as p; print(p.__file__)"
    )
    ran = run(LOAD_GUARD + code, foreign.parent, ROOT)
    assert ran.returncode == 0, ran.stderr
    assert Path(ran.stdout.strip()).is_relative_to(ROOT)


def test_the_command_line_imports_no_physics_and_no_database_before_its_guard_ran() -> None:
    code = "import sys, flows.cli.app; print(*[n for n in sys.modules if n.split('.')[0] in ('models', 'db')])"
    ran = run(code, ROOT)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == []
