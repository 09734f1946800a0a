"""Where labels come from: the `LabelSource` protocol, and the rows in which they arrive.

A label row is one JSON object: `id`, `source`, `lattice` (3x3, angstrom), `species` (atomic numbers), `frac_coords`,
`kind`, `unit`, the values of the kind, and optionally `frame`, `split`, `licence`, `doi`, `method`, `retrieved`.
Tensors are in the Cartesian frame of the lattice beside them, Voigt order 11, 22, 33, 23, 13, 12, units relative,
C/m^2 or GPa: whoever reads another convention converts it before the row is made. Whether a row is accepted for
training is decided later, by `gmt_tasks.labels.checks`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from gmt_tasks.labels.reasons import LabelReason


@dataclass(frozen=True)
class LabelRow:
    """A label as its source gives it, not checked.

    Attributes:
        source_id: the source's own id of the row, unique within the source where it has one.
        row: the JSON object in the format of the label files.
    """

    source_id: str
    row: dict[str, Any]


@dataclass(frozen=True)
class RefusedLabel:
    """What should have been a label and cannot be made one.

    Attributes:
        source_id: the source's own id, or file and line.
        kind: the kind of label it should have been, "" where that is unknown.
        reason: why.
        detail: what happened, with the numbers.
    """

    source_id: str
    kind: str
    reason: LabelReason
    detail: str


Label = LabelRow | RefusedLabel


class LabelSource(Protocol):
    """Labels in a fixed order."""

    @property
    def name(self) -> str:
        """The source as the user wrote it."""

    def fingerprint(self) -> str:
        """A text that changes when the content of the source changes."""

    def rows(self) -> Iterator[Label]:
        """Every label, readable or refused, in an order that never changes for one fingerprint."""
