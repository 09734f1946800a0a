"""What must not stand in any file of the repository: paths of somebody's machine, addresses of package registries.

The patterns are put together from pieces, so that this file does not contain what it forbids.
"""

import re
import subprocess
from pathlib import Path

import pytest

from tests.architecture.source_tree import ROOT

FOLDERS = ("work", "root", "tmp", "home", "Users")
MACHINE_PATH = re.compile(r"(?<![\w.~$}*-])/(?:" + "|".join(FOLDERS) + r")/\w")
REGISTRIES = (
    ("pypi", "org"),
    ("pythonho" + "sted", "org"),
    ("download.pytorch", "org"),
    ("anaconda", "org"),
    ("npmjs", "org"),
)
REGISTRY = re.compile("|".join(re.escape(".".join(parts)) for parts in REGISTRIES), re.IGNORECASE)

NOT_TEXT = {".safetensors", ".parquet", ".png", ".gz", ".zip", ".npz", ".ico", ".woff2"}
LEFT_OUT = {".git", ".venv", "build", "dist", "runs"}


def repository_files() -> list[Path]:
    """Files that are tracked or would be; without git, every file outside hidden and build folders."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
        files = [ROOT / name for name in listed if name]
    except (OSError, subprocess.CalledProcessError):
        files = [path for path in ROOT.rglob("*") if not _is_left_out(path.relative_to(ROOT))]
    return [path for path in files if path.is_file() and path.suffix not in NOT_TEXT]


def _is_left_out(path: Path) -> bool:
    return any(part in LEFT_OUT or part.endswith(("cache", "cache__")) for part in path.parts)


def offences(text: str) -> list[str]:
    """Every forbidden text with the number of its line."""
    return [
        f"{number}: {match.group()}"
        for number, line in enumerate(text.splitlines(), start=1)
        for pattern in (MACHINE_PATH, REGISTRY)
        for match in pattern.finditer(line)
    ]


def test_no_file_names_a_path_of_a_machine_or_a_package_registry() -> None:
    found = {
        str(path.relative_to(ROOT)): offences(path.read_text(encoding="utf-8", errors="replace"))
        for path in repository_files()
    }
    assert {path: each for path, each in found.items() if each} == {}


def test_the_files_that_are_searched_include_code_documents_and_settings() -> None:
    names = {str(path.relative_to(ROOT)) for path in repository_files()}
    assert {"README.md", "Makefile", "pyproject.toml", "models/errors.py", "tests/architecture/test_words.py"} <= names


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_path_of_a_machine_is_found(folder: str) -> None:
    path = f"/{folder}/someone/crystals.cif"
    assert offences(f"read {path}") and offences(f'"{path}"') and offences(f"x\nfile:{path}")


@pytest.mark.parametrize("parts", REGISTRIES)
def test_the_address_of_a_registry_is_found(parts: tuple[str, str]) -> None:
    assert offences("see https" + "://www." + ".".join(parts) + "/simple")


@pytest.mark.parametrize(
    "text", ["framework/base", "../shared/data/x", "work/units", "a homework/task", "rooted/tmpfile"]
)
def test_ordinary_words_and_relative_paths_are_no_offence(text: str) -> None:
    assert offences(text) == []
