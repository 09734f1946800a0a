"""What the gates found about the crystals of a batch."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from models.crystals.crystal import Floats
from models.errors import Reason


class Gate(StrEnum):
    """What is looked at; each gate refuses with one reason of its own."""

    reason: Reason

    def __new__(cls, value: str, reason: Reason) -> "Gate":
        """A gate by its name, which stands in notes and counts."""
        gate = str.__new__(cls, value)
        gate._value_ = value
        gate.reason = reason
        return gate

    DISTANCES = ("distances", Reason.TOO_CLOSE)
    VOLUME = ("volume", Reason.UNUSUAL_VOLUME)
    CHARGES = ("charges", Reason.CHARGE_UNBALANCED)
    SYMMETRY = ("symmetry", Reason.SPACEGROUP_CHANGED)
    KNOWN = ("known", Reason.IN_TRAINING_DATA)
    ENERGY = ("energy", Reason.ABOVE_HULL)


class Refused(NamedTuple):
    """The first gate that a crystal does not pass, and why: numbers and bounds."""

    gate: Gate
    detail: str

    @property
    def reason(self) -> Reason:
        """From the closed list."""
        return self.gate.reason


@dataclass
class GateReport:
    """The crystals of a batch behind the gates.

    Attributes:
        n_crystals: how many were judged.
        refused: by row, the first gate that stayed shut; the other rows passed.
        notes: by row, what is remarkable about a crystal that passed.
        numbers: what was computed, NaN for a crystal that an earlier gate had refused, shape [n_crystals] each.
        n_judged: how many crystals came to each gate.
    """

    n_crystals: int
    refused: dict[int, Refused] = field(default_factory=dict)
    notes: dict[int, list[str]] = field(default_factory=dict)
    numbers: dict[str, Floats] = field(default_factory=dict)
    n_judged: dict[Gate, int] = field(default_factory=dict)

    @property
    def counts(self) -> Counter[Gate]:
        """How many crystals each gate refused."""
        return Counter(refused.gate for refused in self.refused.values())

    def passed(self) -> list[int]:
        """Rows of the crystals that passed all gates, ascending."""
        return [row for row in range(self.n_crystals) if row not in self.refused]
