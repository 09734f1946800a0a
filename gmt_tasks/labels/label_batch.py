"""A batch of labels as it is checked: its rows, what is known already, and the decision about it.

A label batch is what one call brings from one source; a part of it is the rows of one source field and kind.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum

from db.labels.rows import Resolution, StoredLabel
from gmt_tasks.labels.checks.unit_checks import Sizes
from gmt_tasks.labels.reasons import LabelReason


class BatchStatus(StrEnum):
    """How a label batch ends."""

    ACCEPTED = "accepted"
    REPEATED = "repeated"
    STALE = "stale"
    REFUSED = "refused"


@dataclass(frozen=True)
class KnownLabels:
    """What is known already.

    Attributes:
        accepted: accepted training labels of the crystals of the batch, in the order in which they came.
        splits: of the formulas of the batch that have one in the database.
        model_splits: of those that the current model, or one before it, was trained, calibrated or tested on.
        ratios: label over prediction of earlier labels of val, by kind.
        expect: sizes that a model expects of crystals, by content id; None without a model.
        brought: hashes of everything that the batch brought, also of what is resolved.
        replace: many accepted labels may be superseded at once.
        retracted: who took back which labels that the batch brings again, and why; empty where nobody did.
    """

    accepted: Sequence[StoredLabel] = ()
    splits: Mapping[str, str] = field(default_factory=dict)
    model_splits: Mapping[str, str] = field(default_factory=dict)
    ratios: Mapping[str, Sequence[float]] = field(default_factory=dict)
    expect: Callable[[Sequence[str]], list[Sizes]] | None = None
    brought: Set[str] = frozenset()
    replace: bool = False
    retracted: str = ""


@dataclass(frozen=True)
class Finding:
    """A mistake of a part of a label batch.

    Attributes:
        source, kind: the part; empty for the whole batch.
        reason: what it is.
        detail: the numbers.
    """

    source: str
    kind: str
    reason: LabelReason
    detail: str


@dataclass
class BatchDecision:
    """How a label batch ends.

    Attributes:
        status: of the whole.
        findings: what it was refused for.
        resolutions: how each of its labels ends, and earlier ones that change.
        splits: new formulas -> split and where it comes from.
        resplit: rows whose declared split is not that of their formula, without harm.
        compared: label over prediction, by hash.
        sampled: those of them that were drawn without regard to their values.
        marks: what is odd about labels that are accepted nevertheless, by hash.
    """

    status: BatchStatus = BatchStatus.ACCEPTED
    findings: list[Finding] = field(default_factory=list)
    resolutions: dict[str, Resolution] = field(default_factory=dict)
    splits: dict[str, tuple[str, str]] = field(default_factory=dict)
    resplit: int = 0
    compared: dict[str, float] = field(default_factory=dict)
    sampled: set[str] = field(default_factory=set)
    marks: dict[str, tuple[LabelReason, str]] = field(default_factory=dict)
