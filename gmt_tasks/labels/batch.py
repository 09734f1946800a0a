"""An instalment of labels as it is judged: its rows, what is known already, and the ruling.

An instalment is what one call brings from one source; a part of it is the rows of one source field and kind.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum

from db.labels.rows import Settlement, StoredLabel
from gmt_tasks.labels.checks.unit_checks import Sizes
from gmt_tasks.labels.reasons import LabelReason


class Verdict(StrEnum):
    """How an instalment ends."""

    ACCEPTED = "accepted"
    REPEATED = "repeated"
    STALE = "stale"
    REFUSED = "refused"


@dataclass(frozen=True)
class Memory:
    """What is known already.

    Attributes:
        teaching: labels that teach, of the crystals of the instalment, in the order in which they came.
        splits: of the formulas of the instalment that have one.
        ratios: label over prediction of earlier labels of val, by kind.
        expect: sizes that a model expects of crystals, by content id; None without a model.
        brought: hashes of everything that the instalment brought, also of what is settled.
    """

    teaching: Sequence[StoredLabel] = ()
    splits: Mapping[str, str] = field(default_factory=dict)
    ratios: Mapping[str, Sequence[float]] = field(default_factory=dict)
    expect: Callable[[Sequence[str]], list[Sizes]] | None = None
    brought: Set[str] = frozenset()


@dataclass(frozen=True)
class Finding:
    """A mistake of a part of an instalment.

    Attributes:
        source, kind: the part; empty for the whole instalment.
        reason: what it is.
        detail: the numbers.
    """

    source: str
    kind: str
    reason: LabelReason
    detail: str


@dataclass
class Ruling:
    """How an instalment ends.

    Attributes:
        verdict: of the whole.
        findings: what it was refused for.
        settlements: how each of its labels ends, and earlier ones that change.
        splits: new formulas -> split and origin.
        resplit: rows whose declared split is not that of their formula, without harm.
        compared: label over prediction, by hash.
        sampled: those of them that were drawn without regard to their values.
        marks: what is odd about labels that teach nevertheless, by hash.
    """

    verdict: Verdict = Verdict.ACCEPTED
    findings: list[Finding] = field(default_factory=list)
    settlements: dict[str, Settlement] = field(default_factory=dict)
    splits: dict[str, tuple[str, str]] = field(default_factory=dict)
    resplit: int = 0
    compared: dict[str, float] = field(default_factory=dict)
    sampled: set[str] = field(default_factory=set)
    marks: dict[str, tuple[LabelReason, str]] = field(default_factory=dict)
