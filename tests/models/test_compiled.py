"""Loops as machine code: the same results, no library before the first call, and folders that cannot be written."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.compiled import compiled
from tests.architecture.source_tree import ROOT

MODULE = """
import numpy as np
from models.compiled import compiled


@compiled
def square(x):
    return x * x


@compiled
def sum_of_squares(values):
    total = 0.0
    for value in values:
        total += square(value)
    return total
"""

NO_COMPILER_ON_IMPORT = """
import sys, loops, numpy as np
assert "numba" not in sys.modules
print(loops.sum_of_squares(np.arange(5.0)))
assert "numba" in sys.modules
"""

FULL_DISK = """
import numba.core.caching as caching, loops, numpy as np
def save(*_):
    raise OSError(28, "No space left on device")
caching.IndexDataCacheFile.save = save
print(loops.sum_of_squares(np.arange(5.0)), loops.sum_of_squares(np.arange(5.0)))
"""


def run(code: str, folder: Path, **variables: str) -> str:
    """What a fresh interpreter prints that finds the module `loops` in a folder and the user's caches nowhere."""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment |= {"PYTHONPATH": f"{folder}:{ROOT}", "HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null", **variables}
    ran = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "loops.py").write_text(MODULE, encoding="utf-8")
    return tmp_path


def test_the_compiler_is_imported_at_the_first_call_and_its_work_is_kept(folder: Path) -> None:
    assert run(NO_COMPILER_ON_IMPORT, folder) == "30.0"
    assert {path.name.partition("-")[0] for path in folder.rglob("*.nbi")} == {"loops.sum_of_squares"}


def test_where_no_folder_can_be_written_each_process_compiles(folder: Path) -> None:
    # a file where the folder would be stops everyone, root too
    (folder / "__pycache__").write_text("")
    assert run(NO_COMPILER_ON_IMPORT, folder) == "30.0"
    assert not list(folder.rglob("*.nbi"))


def test_a_full_disk_stops_nothing(folder: Path) -> None:
    assert run(FULL_DISK, folder) == "30.0 30.0"


def test_a_change_of_a_called_function_is_seen(folder: Path) -> None:
    call = "import loops, numpy as np; print(loops.sum_of_squares(np.arange(5.0)))"
    assert run(call, folder) == "30.0"
    (folder / "loops.py").write_text(MODULE.replace("x * x", "2.0 * x"), encoding="utf-8")
    assert run(call, folder) == "20.0"


def test_a_compiled_function_of_another_file_is_refused(folder: Path) -> None:
    other = MODULE.partition("@compiled\ndef sum")[0]
    (folder / "other.py").write_text(other, encoding="utf-8")
    (folder / "loops.py").write_text("from other import square\n" + MODULE.replace(other, "") + "\n", encoding="utf-8")
    text = (folder / "loops.py").read_text(encoding="utf-8")
    (folder / "loops.py").write_text("from models.compiled import compiled\n" + text, encoding="utf-8")
    call = "import loops, numpy as np\ntry:\n    loops.sum_of_squares(np.arange(5.0))\nexcept TypeError as e: print(e)"
    assert "sum_of_squares calls square of another file" in run(call, folder)


def test_a_division_by_zero_is_infinite_as_in_numpy() -> None:
    assert _ratio(1.0, 0.0) == np.inf


@compiled
def _ratio(x: float, y: float) -> float:
    """One number over the other."""
    return x / y
