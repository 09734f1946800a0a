"""Where the packages `models`, `db`, `gmt_tasks` and `flows` come from, and a refusal when that is somewhere else.

The names are generic: another distribution that ships a `models` can shadow ours in silence, and wrong physics follows.
Every entry point (command line, worker process) puts the repository root first and calls `refuse_foreign_packages`.
This module imports nothing of gmtscreen, because with a foreign `models` even our error classes are out of reach.
"""

import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

REPOSITORY_ROOT = Path(__file__).resolve().parents[1]
TOP_LEVEL_PACKAGES = ("models", "db", "gmt_tasks", "flows")


class ForeignPackageError(ImportError):
    """A top-level package of gmtscreen would be imported from somewhere else."""


def put_root_first(root: Path = REPOSITORY_ROOT) -> None:
    """Makes `root` the first entry of the import path, once."""
    text = str(root)
    if sys.path[:1] != [text]:
        sys.path[:] = [text, *(entry for entry in sys.path if entry != text)]


def package_origin(name: str) -> Path | None:
    """Folder that `import name` would take, or None when there is no such package."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    places = list(spec.submodule_search_locations or ())
    if not places and spec.origin is not None:  # a single file of that name
        places = [spec.origin]
    return Path(places[0]).resolve() if places else None


def find_foreign_packages(root: Path = REPOSITORY_ROOT) -> dict[str, str]:
    """Top-level packages that do not come from `root`.

    Args:
        root: folder that must hold them.

    Returns:
        For each such package where it comes from, or "nowhere".
    """
    origins = {name: package_origin(name) for name in TOP_LEVEL_PACKAGES}
    return {name: str(place or "nowhere") for name, place in origins.items() if place != root / name}


def refuse_foreign_packages(root: Path = REPOSITORY_ROOT) -> None:
    """Stops before a foreign package of the same name can do wrong physics.

    Raises:
        ForeignPackageError: some package comes from elsewhere; the text names it, the place and the cure.
    """
    foreign = find_foreign_packages(root)
    if foreign:
        origins = ", ".join(f"{name} from {place}" for name, place in foreign.items())
        raise ForeignPackageError(
            f"{len(foreign)} of {len(TOP_LEVEL_PACKAGES)} packages do not come from {root}: {origins}. "
            "Another distribution ships the same name: install gmtscreen in an environment of its own."
        )


@cache
def code_version() -> str:
    """Version of this program, and in a checkout git's name of the commit, `+changed` where files were edited since."""
    try:
        package = version("gmtscreen")
    except PackageNotFoundError:
        package = "unknown"
    git = shutil.which("git")
    if git is None or not (REPOSITORY_ROOT / ".git").exists():
        return package
    command = [git, "-C", str(REPOSITORY_ROOT), "describe", "--always", "--dirty=+changed", "--abbrev=12"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603  our words
    except (OSError, subprocess.SubprocessError):  # a broken or foreign git must not stop a run
        return package
    return f"{package} {commit.stdout.strip()}".strip()
