"""What `suggest` is asked for. Nothing heavy is imported here: the command line needs these names for its help."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from gmt_tasks.options import Option


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
    """What is looked for: the options of `suggest`.

    Attributes:
        leave_out: content ids that are not to be suggested, e.g. because they are being calculated.
    """

    property: Annotated[str, Option("What is looked for, e.g. k_vrh_gpa.")]
    n: Annotated[int, Option("Number of jobs.", minimum=1, maximum=1000)] = 20
    filter: Annotated[str, Option("Only these results; an OPTIMADE filter.")] = ""
    goal: Annotated[Goal, Option("Whether large or small values are wanted.")] = Goal.MAX
    ood: Annotated[
        OutOfDistribution, Option("Crystals far from the training data, whose intervals promise nothing.")
    ] = OutOfDistribution.EXCLUDE
    n_best: Annotated[
        int | None, Option("How many count as the best.", minimum=1, name="best", default="twice --n")
    ] = None
    leave_out: frozenset[str] = frozenset()
