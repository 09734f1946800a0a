"""How a retraining ended."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Ending(StrEnum):
    """How a retraining ended."""

    PROMOTED = "promoted"
    REFUSED = "refused"
    HELD = "held back"
    NOTHING_NEW = "nothing new"


@dataclass(frozen=True)
class Outcome:
    """What came of a retraining.

    Attributes:
        ending: how it ended.
        model: name@version of the candidate, or of the current model where there was nothing new.
        before: name@version that was current before, empty for the first of a name.
        why: one line.
        gate: the gate's report as plain data; None where nothing was trained.
        folder: where everything lies.
    """

    ending: Ending
    model: str
    before: str
    why: str
    gate: dict[str, Any] | None
    folder: str
