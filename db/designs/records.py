"""What a design asks the database to keep: its goal, its rounds, what it proposes."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class DesignSpec:
    """What makes two designs the same.

    Attributes:
        filter: which crystals are wanted.
        sort: the number that is to be large, or with "-" in front as everywhere: descending.
        settings: everything else that changes what is found, JSON-serialisable.
    """

    filter: str
    sort: str
    settings: dict[str, Any]

    @property
    def goal(self) -> str:
        """Name of the number that is looked for."""
        return self.sort.removeprefix("-")

    @property
    def wants_large(self) -> bool:
        """Whether it is to be large."""
        return self.sort.startswith("-")


@dataclass(frozen=True)
class Design:
    """A design in the database.

    Attributes:
        id: its number.
        resumed: whether it was there already.
        spec: what is looked for.
    """

    id: int
    resumed: bool
    spec: DesignSpec


@dataclass(frozen=True)
class DesignRound:
    """One round of a design.

    Attributes:
        number: 1 for the first.
        run: of its crystals.
        generator: sha256 of the weights that wrote them.
        counts: where its inputs ended: n_in, done, duplicate, rejected, quarantined; and of the computed ones new (not
            of an earlier round) and wanted (of the filter).
        quantiles: of the number that is looked for over the wanted new crystals: minimum, 10 %, 50 %, 90 %, maximum;
            empty where there are none.
        divergence: of the generator that this round led to from the first one, nats per crystal.
        seconds: that the round took.
    """

    number: int
    run: int
    generator: str
    counts: dict[str, int]
    quantiles: list[float]
    divergence: float
    seconds: float


@dataclass(frozen=True)
class Proposal:
    """A crystal that a design proposes for calculation, or chose and then refused.

    Attributes:
        rank: in the order in which crystals were chosen, 1 for the first.
        crystal_id: content id.
        round: in which it was first written.
        value: of the number that is looked for.
        facts: why: promise, uncertainty, crowding, and energies in eV per atom where they were estimated.
        refused: why it is not proposed after all; None for a proposal.
    """

    rank: int
    crystal_id: str
    round: int
    value: float
    facts: dict[str, float] = field(default_factory=dict)
    refused: str | None = None
