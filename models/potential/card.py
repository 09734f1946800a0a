"""The potential that comes with the program, known without loading it: identity, and whether its packages are there."""

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from models.potential.interface import PotentialError

CARD = Path(__file__).parents[1] / "weights" / "sevennet-l3i5.json"
"""Name, sha256 of the weights and configuration of the network."""

_PACKAGES = ("sevenn", "numba")


@dataclass(frozen=True)
class PotentialCard:
    """The identity of a potential.

    Attributes:
        name, version, sha256: of its weights.
        elements: atomic numbers that it knows.
    """

    name: str
    version: str
    sha256: str
    elements: frozenset[int]


def read_potential_card() -> PotentialCard:
    """The identity of the potential, once the packages that it needs are installed.

    Raises:
        PotentialError: a package or the card is missing; says what to do.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise PotentialError(
            f"A second opinion needs {' and '.join(missing)}, which {'are' if missing[1:] else 'is'} not installed. "
            "Install with: pip install 'gmtscreen[refine]'."
        )
    try:
        card = json.loads(CARD.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PotentialError(f"The card of the potential cannot be read: {error}. Install gmtscreen again.") from error
    elements = frozenset(map(int, card["config"]["_type_map"]))
    return PotentialCard(card["name"], card["version"], card["sha256"], elements)
