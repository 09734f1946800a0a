"""What declares a kind of label: its values with their limits, and everything that is computed from them.

The kinds themselves are the rows of `gmt_tasks.labels.kinds`; nothing else distinguishes one kind, or one tensor, from
another.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.labels.reasons import LabelReason
from gmt_tasks.sources.row_errors import error_text
from models.errors import GmtError
from models.quantities import TENSORS, Tensor
from models.symmetry.search import SymmetryBatch

Floats = NDArray[np.float64]
Fault = tuple[LabelReason, str]

MAX_RESIDUAL = 0.1
"""Share of a label that the symmetry of its crystal may remove, where labels are checked and where they are trained on.
Of 5,000 labels of train and val in their right frame one in a thousand reaches 0.07."""

MAX_INDEX_ASYMMETRY = 0.05
"""Largest difference of entries that must be equal, relative to the largest entry; calculations reach 0.02."""


class RefusedRowError(GmtError):
    """A row is no label; `reason` is from the closed list."""

    def __init__(self, reason: LabelReason, detail: str) -> None:
        super().__init__(f"{reason.sentence} {detail}. {reason.advice}")
        self.reason = reason
        self.detail = detail


def fault_of(error: Exception) -> Fault:
    """Why a row at which something was raised is no label: as a reader or check says, else `parse`."""
    if isinstance(error, RefusedRowError):
        return error.reason, error.detail
    return LabelReason.PARSE, error_text(error)


@dataclass(frozen=True)
class Size:
    """A rotation invariant by which labels are compared with each other and with predictions.

    Attributes:
        name: of the invariant, with its unit.
        noise: relative difference within which two labels agree: three times the median difference between codes.
        rounding: difference within which they agree, in its unit.
        unit: by which factors are named; where it is empty they are numbers only.
        usual_ratio: median of label over prediction where labels are right.
        largest_shift: factor between this and the median of right labels, of any one chemistry.
        least_correlation, largest_factor: rank correlation of labels and predictions below which, and median factor
            between them above which (both), labels belong to other crystals.
        compared_rows: rows of a part that are compared with predictions; more where the size scatters more.
        steady: composition and model predict it well enough to refuse a single row for a factor of ten.
    """

    name: str
    noise: float
    rounding: float
    unit: str = ""
    usual_ratio: float = 1.0
    largest_shift: float = 2**0.5
    least_correlation: float = 0.5
    largest_factor: float = 1.28
    compared_rows: int = 64
    steady: bool = False


@dataclass(frozen=True)
class VoigtForm:
    """How a tensor is written with Voigt indices, in which wrong orders and factors of its shear entries can be undone.

    Attributes:
        n_axes: number of Voigt axes.
        shear_factors: factor of entries with one shear index, of those with two, and what the factors undo.
        to_voigt, from_voigt: between stored shape and Voigt matrix; the two may be the same.
    """

    n_axes: int
    shear_factors: tuple[tuple[float, float, str], ...]
    to_voigt: Callable[[Floats], Floats] = np.asarray
    from_voigt: Callable[[Floats], Floats] = np.asarray


Properties = Callable[[Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]]
"""Derived numbers [n_rows] that labels give: of the label arrays of some crystals by name, tensors in stored shape."""


@dataclass(frozen=True)
class NumberArray:
    """Numbers that are known of a crystal beside, or instead of, its tensors.

    Attributes:
        name: of the field of `LabelledCrystals`.
        width: numbers per crystal.
        constrains: the tensors that the numbers say something about.
        properties: the derived numbers that they give.
        scarce: training repeats crystals that have it.
        tensor: the tensor that a number in the IEEE frame stands for.
        ieee_tensor: that tensor in the IEEE frame, where number and point group determine it.
    """

    name: str
    width: int
    constrains: tuple[Tensor, ...]
    properties: Properties | None = None
    scarce: bool = False
    tensor: Tensor | None = None
    ieee_tensor: Callable[[float, str], Floats | None] | None = None


def _as_float64(value: Any, shape: tuple[int, ...], key: str) -> Floats:
    """The entries of a value of a row, NaN for null: JSON that knows no NaN writes it so."""
    return float_array(_without_null(value, key), shape, key)


def _without_null(value: Any, key: str) -> Any:
    # among numbers, true would count as 1
    if isinstance(value, bool):
        raise RefusedRowError(LabelReason.PARSE, f"{key} holds something else than numbers")
    if isinstance(value, list):
        return [_without_null(entry, key) for entry in value]
    return np.nan if value is None else value


def float_array(value: Any, shape: tuple[int, ...], key: str, reason: LabelReason = LabelReason.PARSE) -> Floats:
    """The entries as float64 of a shape in which -1 stands for any length.

    Raises:
        RefusedRowError: for `reason`; entries are no numbers, or of another shape.
    """
    try:
        raw = np.asarray(value)
    except ValueError:
        raw = np.asarray("ragged")
    if raw.dtype.kind not in "iuf":  # texts, booleans, null and ragged lists
        raise RefusedRowError(reason, f"{key} holds something else than numbers")
    fits = raw.ndim == len(shape) and all(want in (-1, got) for want, got in zip(shape, raw.shape, strict=True))
    if not fits:
        raise RefusedRowError(reason, f"{key} has shape {list(raw.shape)} where {list(shape)} is wanted")
    return raw.astype(np.float64)


def _require_finite(array: Floats, key: str) -> None:
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise RefusedRowError(LabelReason.NONFINITE, f"{bad} of {array.size} entries of {key} are no finite numbers")


@dataclass(frozen=True)
class TensorValue:
    """A key of a row that holds a full tensor.

    Attributes:
        key: of the row.
        tensor: which one; its unit is that of the limits.
        sizes: of one tensor in stored shape, by name.
        voigt: its Voigt form; None where there is none.
        properties: the derived numbers that it gives.
        residual_limit: share of it that symmetry may remove.
    """

    key: str
    tensor: Tensor
    sizes: Callable[[Floats], dict[str, float]]
    voigt: VoigtForm | None = None
    properties: Properties | None = None
    residual_limit: float = MAX_RESIDUAL

    @property
    def is_odd(self) -> bool:
        """Whether inversion flips it: then a frame that is known but for its handedness leaves the sign open."""
        return TENSORS[self.tensor].rank % 2 == 1

    def read(self, value: Any) -> Floats:
        """The tensor in stored shape."""
        return _as_float64(value, TENSORS[self.tensor].shape, self.key)

    def require_valid(self, tensor: Floats) -> None:
        """Refuses entries that are no finite numbers or beyond any crystal, and a tensor without index symmetry."""
        _require_finite(tensor, self.key)
        largest = float(np.abs(tensor).max())
        quantity = TENSORS[self.tensor]
        if largest > quantity.max_label_entry:
            limit = f"{quantity.max_label_entry:g} {quantity.unit}"
            raise RefusedRowError(LabelReason.OUT_OF_RANGE, f"{self.key} has an entry of {largest:.4g}, above {limit}")
        lacking = _index_asymmetry(tensor)
        if lacking > MAX_INDEX_ASYMMETRY:
            detail = f"entries of {self.key} that must be equal differ by {100 * lacking:.0f} % of its largest"
            if tensor.ndim == 3 and _index_asymmetry(np.transpose(tensor, (2, 0, 1))) <= MAX_INDEX_ASYMMETRY:
                detail += "; it is symmetric in its first two indices: transposed, e_jki for e_ijk"
            raise RefusedRowError(LabelReason.INDEX_SYMMETRY, detail)

    def is_trained(self, tensor: Floats) -> bool:
        """Whether training takes it."""
        return bool(np.abs(tensor).max() < TENSORS[self.tensor].max_training_entry)


def _index_asymmetry(tensor: Floats) -> float:
    """Largest difference of a tensor from its transpose in the last two axes, relative to its largest entry."""
    return float(np.abs(tensor - np.swapaxes(tensor, -1, -2)).max() / max(np.abs(tensor).max(), 1e-3))


@dataclass(frozen=True)
class NumberValue:
    """A key of a row that holds a number, or a list of eigenvalues.

    Attributes:
        key: of the row.
        lower, upper: bounds of what a crystal may have, in the unit of the kind.
        array: where training and evaluation find it.
        columns: its places there; several stand for eigenvalues, ascending.
        size: the size that its mean gives; "" for none.
        trained_above, trained_below: training leaves out what is not between these.
        noise: relative standard deviation around the labels of the same quantity that models are judged by; 0 for
            these themselves. What has one is trained on within its noise, and neither calibrates nor scores.
    """

    key: str
    lower: float
    upper: float
    array: NumberArray
    columns: tuple[int, ...] = (0,)
    size: str = ""
    trained_above: float = -math.inf
    trained_below: float = math.inf
    noise: float = 0.0

    def read(self, value: Any) -> Floats:
        """The numbers, [n_columns]."""
        shape = (len(self.columns),) if len(self.columns) > 1 else ()
        return np.atleast_1d(_as_float64(value, shape, self.key))

    def require_valid(self, numbers: Floats) -> None:
        """Refuses what is no finite number or beyond any crystal."""
        _require_finite(numbers, self.key)
        worst = float(numbers[np.argmax(np.abs(numbers))])
        if (numbers < self.lower).any() or (numbers > self.upper).any():
            limits = f"{self.lower:g} to {self.upper:g}"
            raise RefusedRowError(LabelReason.OUT_OF_RANGE, f"{self.key} is {worst:.4g}, outside {limits}")

    def is_trained(self, numbers: Floats) -> bool:
        """Whether training takes it."""
        return bool(((numbers > self.trained_above) & (numbers < self.trained_below)).all())


@dataclass(frozen=True)
class LabelKind:
    """One kind of label: a row of the registry.

    Attributes:
        name: the `kind` of its rows.
        units: how the unit may be written; the first is printed.
        file: stem of its file in a snapshot.
        values: what its rows hold, tensors before numbers.
        sizes: by which its scale is checked; the first stands for the label.
        optional: keys that may be missing or null; of a kind whose keys are all optional one must be there. Where an
            optional value is left out of training the others stay; where another one is, the row goes.
        law: what the values of one row must obey, whatever its crystal.
        symmetry_law: what its numbers must obey for their crystal: share that disagrees, and the fault.
        primary: its tensors are full DFT tensors, not recovered or optical data.
        doubtful: rows that training leaves out.
    """

    name: str
    units: tuple[str, ...]
    file: str
    values: "tuple[TensorValue | NumberValue, ...]"
    sizes: tuple[Size, ...]
    optional: frozenset[str] = frozenset()
    law: "Callable[[ReadLabel], Fault | None]" = lambda label: None
    symmetry_law: "Callable[[ReadLabel, SymmetryBatch], tuple[float | None, Fault | None]] | None" = None
    primary: bool = False
    doubtful: Callable[[Mapping[str, Any]], bool] = lambda row: False

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that holds values."""
        return tuple(value.key for value in self.values)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors that its rows hold, by key."""
        return {value.key: value.tensor for value in self.values if isinstance(value, TensorValue)}

    @property
    def constrains(self) -> frozenset[Tensor]:
        """The tensors that a label of this kind says something about."""
        of_numbers = [value.array.constrains for value in self.values if isinstance(value, NumberValue)]
        return frozenset(self.tensors.values()).union(*of_numbers)


@dataclass(frozen=True)
class ReadLabel:
    """One row as arrays.

    Attributes:
        row: the JSON object.
        kind: its kind.
        lattice: rows a, b, c in angstrom, [3, 3].
        frac_coords: [n_atoms, 3].
        numbers: atomic numbers, [n_atoms].
        values: what its keys hold, tensors in stored shape and in the frame of the lattice.
    """

    row: dict[str, Any]
    kind: LabelKind
    lattice: Floats
    frac_coords: Floats
    numbers: NDArray[np.int64]
    values: dict[str, Floats]

    @property
    def tensors(self) -> dict[Tensor, Floats]:
        """The tensors among the values."""
        return {tensor: self.values[key] for key, tensor in self.kind.tensors.items() if key in self.values}

    def sizes(self) -> dict[str, float]:
        """Rotation invariants by which labels are compared; where a tensor and a number give the same one, the tensor.

        Returns:
            Of `eps_total` and `eps_electronic` (means, relative), `k_gpa`, `g_gpa` (Hill), `e_norm` (Frobenius norm of
            all 27 entries) and `e_singular` (largest singular value of the Voigt matrix, C/m^2) those that it gives.
        """
        sizes: dict[str, float] = {}
        for value in self.kind.values:
            if value.key not in self.values:
                continue
            entries = self.values[value.key]
            if isinstance(value, TensorValue):
                sizes |= value.sizes(entries)
            elif value.size:
                sizes.setdefault(value.size, float(entries.mean()))
        return {name: size for name, size in sizes.items() if np.isfinite(size)}
