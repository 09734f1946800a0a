"""Which potential gives second opinions, read of its card: neither torch nor its package is loaded for that."""

import importlib.util
import json
from functools import cache
from pathlib import Path

import models
from db.records import ModelVersion
from models.errors import ModelError

CARD = "sevennet-l3i5.json"
NEEDED = ("sevenn", "numba")
INSTALL = 'pip install "gmtscreen[refine]"'


@cache
def potential_version() -> ModelVersion:
    """Name, version and sha256 of the potential that comes with the program."""
    card = json.loads((Path(models.__file__).parent / "weights" / CARD).read_text(encoding="utf-8"))
    return ModelVersion(card["name"], card["version"], card["sha256"])


def require_potential() -> None:
    """Makes sure that the packages of the potential are installed.

    Raises:
        ModelError: one is missing; says how to install it.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(f"A second opinion needs {' and '.join(missing)}, not installed here: {INSTALL}.")
