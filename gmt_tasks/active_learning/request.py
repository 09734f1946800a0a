"""What `suggest` is asked for. Nothing is imported here: the command line needs these names for its help."""

from dataclasses import dataclass
from enum import StrEnum


class Goal(StrEnum):
    """Whether large or small values are wanted."""

    MAX = "max"
    MIN = "min"


class OutOfDistribution(StrEnum):
    """What becomes of crystals far from the training data, whose intervals promise nothing."""

    EXCLUDE = "exclude"
    ALLOW = "allow"
    ONLY = "only"


@dataclass(frozen=True)
class SuggestionRequest:
    """What is looked for.

    Attributes:
        property: a derived number.
        n: number of jobs.
        filter: see `db.query.filter_language`; an empty text means all results.
        goal: whether large or small values are wanted.
        ood: what becomes of crystals far from the training data.
        n_best: how many of the filtered results count as the best; None takes twice n.
        leave_out: content ids that are not to be suggested, e.g. because they are being calculated.
    """

    property: str
    n: int = 20
    filter: str = ""
    goal: Goal = Goal.MAX
    ood: OutOfDistribution = OutOfDistribution.EXCLUDE
    n_best: int | None = None
    leave_out: frozenset[str] = frozenset()
