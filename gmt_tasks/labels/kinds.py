"""The kinds of labels, declared once: units, tensors, numbers and their limits; and the reading of one row.

Nothing here judges physics beyond limits that no crystal reaches; symmetry and bounds are looked at in batches by
`label_check`. The filters of the published training (dielectric components below 100 and so on) are applied when a
model is trained (`labels.py`), not here: a value above them is a rare crystal, not a wrong label.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.labels.reasons import LabelReason
from models.crystals.crystal import MAX_ATOMIC_NUMBER
from models.errors import GmtError
from models.quantities import TENSORS, Tensor

Floats = NDArray[np.float64]

MAX_ENTRY = {quantity: row.max_label_entry for quantity, row in TENSORS.items()}
"""Largest entry that a crystal may have, in the tensor's unit."""

MAX_INDEX_ASYMMETRY = 0.05
"""Largest difference of entries that must be equal, relative to the largest entry; calculations reach 0.02."""


class RefusedRowError(GmtError):
    """A row is no label; `reason` is from the closed list."""

    def __init__(self, reason: LabelReason, detail: str) -> None:
        super().__init__(f"{reason.sentence} {detail}. {reason.advice}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class LabelKind:
    """One kind of label.

    Attributes:
        units: how the unit may be written; the first is printed.
        file: stem of its file in a snapshot; `labels.py` reads files of full tensors before others.
        tensors: keys of tensors.
        numbers: keys of numbers (or lists of them) with the smallest and largest value a crystal may have.
        optional: keys that may be missing or null; of a kind whose keys are all optional one must be there.
    """

    units: tuple[str, ...]
    file: str
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    numbers: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that holds values."""
        return (*self.tensors, *self.numbers)


_EPS, _GPA, _SIGNED = (0.0, 1e4), (-3e3, 3e3), (-1e5, 1e5)
_MODULI = ("K_Voigt", "K_Reuss", "K_VRH", "G_Voigt", "G_Reuss", "G_VRH", "Emin", "Emax", "Gmin", "Gmax")

KINDS: dict[str, LabelKind] = {
    "dielectric_total": LabelKind(
        ("relative", "1"),
        "dielectric",
        {"tensor": Tensor.DIELECTRIC_TOTAL, "tensor_electronic": Tensor.DIELECTRIC_ELECTRONIC},
        optional=frozenset({"tensor", "tensor_electronic"}),
    ),
    "dielectric_electronic": LabelKind(
        ("relative", "1"),
        "dielectric_electronic",
        {"tensor_electronic": Tensor.DIELECTRIC_ELECTRONIC},
        {"eps_principal": _EPS},
        frozenset({"tensor_electronic"}),
    ),
    "dielectric_scalar_mean": LabelKind(
        ("relative", "1"),
        "dielectric_scalar",
        numbers={"eps_electronic": _EPS, "eps_total": _EPS},
        optional=frozenset({"eps_electronic", "eps_total"}),
    ),
    "piezo_e_total": LabelKind(("C/m^2", "C/m2"), "piezoelectric", {"tensor": Tensor.PIEZOELECTRIC}),
    "piezo_scalar": LabelKind(
        ("C/m^2", "C/m2"),
        "piezoelectric_scalar",
        numbers={"e_singular_max_ieee": (0.0, MAX_ENTRY[Tensor.PIEZOELECTRIC])},
    ),
    "elastic_stiffness": LabelKind(("GPa",), "elastic", {"tensor_voigt": Tensor.ELASTIC}),
    "elastic_invariants": LabelKind(
        ("GPa", "GPa (LC: 1/TPa)"),
        "elastic_invariants",
        numbers={**dict.fromkeys(_MODULI, _GPA), "minLC": _SIGNED, "maxLC": _SIGNED},
    ),
    "moduli_vrh": LabelKind(("GPa",), "moduli", numbers={"K_vrh": _GPA, "G_vrh": _GPA}),
}
"""The kinds that a model learns from, by the `kind` of a row."""

_LENGTHS = {"eps_principal": 3}
"""Keys that hold a list of numbers."""


@dataclass(frozen=True)
class ReadLabel:
    """One row as arrays.

    Attributes:
        row: the JSON object.
        kind: its kind.
        lattice: rows a, b, c in angstrom, [3, 3].
        frac_coords: [n_atoms, 3].
        numbers: atomic numbers, [n_atoms].
        tensors: in stored shape and unit, frame of the lattice.
        values: the numbers, each an array of 1 or 3.
    """

    row: dict[str, Any]
    kind: str
    lattice: Floats
    frac_coords: Floats
    numbers: NDArray[np.int64]
    tensors: dict[Tensor, Floats]
    values: dict[str, Floats]


def read_label(row: Mapping[str, Any]) -> ReadLabel:
    """The arrays of a row.

    Raises:
        RefusedRowError: a key is missing or has another shape, the kind or unit is another one, an entry is no finite
            number or beyond any crystal, or a tensor lacks its index symmetry.
    """
    name = row.get("kind")
    if not isinstance(name, str) or name not in KINDS:
        raise RefusedRowError(LabelReason.UNKNOWN_KIND, f"kind {str(name)[:60]!r} is none of {', '.join(KINDS)}")
    kind = KINDS[name]
    if row.get("unit") not in kind.units:
        found = str(row.get("unit"))[:40]
        raise RefusedRowError(LabelReason.UNIT, f"unit {found!r} where {name} is in {kind.units[0]!r}")
    lattice, coords, numbers = _crystal(row)
    given = [key for key in kind.keys if row.get(key) is not None]
    missing = [key for key in kind.keys if key not in given and key not in kind.optional]
    if missing or not given:
        raise RefusedRowError(LabelReason.PARSE, f"without {', '.join(missing or kind.keys)}")
    tensors = {quantity: _tensor(quantity, row[key], key) for key, quantity in kind.tensors.items() if key in given}
    values = {key: _number(row[key], key, limits) for key, limits in kind.numbers.items() if key in given}
    return ReadLabel(dict(row), name, lattice, coords, numbers, tensors, values)


def _array(value: Any, shape: tuple[int, ...], key: str, reason: LabelReason = LabelReason.PARSE) -> Floats:
    """The entries as float64 of a shape in which -1 stands for any length."""
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


def _crystal(row: Mapping[str, Any]) -> tuple[Floats, Floats, NDArray[np.int64]]:
    absent = [key for key in ("lattice", "frac_coords", "species") if row.get(key) is None]
    if absent:
        raise RefusedRowError(LabelReason.NO_STRUCTURE, f"without {', '.join(absent)}")
    numbers = _array(row["species"], (-1,), "species", LabelReason.STRUCTURE)
    known = (numbers == np.round(numbers)) & (numbers >= 1) & (numbers <= MAX_ATOMIC_NUMBER)
    if not len(numbers) or not known.all():
        raise RefusedRowError(LabelReason.STRUCTURE, "species must be atomic numbers, at least one")
    lattice = _array(row["lattice"], (3, 3), "lattice", LabelReason.STRUCTURE)
    coords = _array(row["frac_coords"], (len(numbers), 3), "frac_coords", LabelReason.STRUCTURE)
    return lattice, coords, numbers.astype(np.int64)


def _tensor(quantity: Tensor, value: Any, key: str) -> Floats:
    tensor = _array(_without_null(value, key), TENSORS[quantity].shape, key)
    _require_finite(tensor, key)
    largest = float(np.abs(tensor).max())
    if largest > MAX_ENTRY[quantity]:
        limit = f"{MAX_ENTRY[quantity]:g} {TENSORS[quantity].unit}"
        raise RefusedRowError(LabelReason.OUT_OF_RANGE, f"{key} has an entry of {largest:.4g}, above {limit}")
    lacking = _asymmetry(tensor)
    if lacking > MAX_INDEX_ASYMMETRY:
        detail = f"entries of {key} that must be equal differ by {100 * lacking:.0f} % of its largest"
        if quantity is Tensor.PIEZOELECTRIC and _asymmetry(np.transpose(tensor, (2, 0, 1))) <= MAX_INDEX_ASYMMETRY:
            detail += "; it is symmetric in its first two indices: transposed, e_jki for e_ijk"
        raise RefusedRowError(LabelReason.INDEX_SYMMETRY, detail)
    return tensor


def _asymmetry(tensor: Floats) -> float:
    """Largest difference of a tensor from its transpose in the last two axes, relative to its largest entry."""
    return float(np.abs(tensor - np.swapaxes(tensor, -1, -2)).max() / max(np.abs(tensor).max(), 1e-3))


def _number(value: Any, key: str, limits: tuple[float, float]) -> Floats:
    shape = (_LENGTHS[key],) if key in _LENGTHS else ()
    numbers = np.atleast_1d(_array(_without_null(value, key), shape, key))
    _require_finite(numbers, key)
    worst = float(numbers[np.argmax(np.abs(numbers))])
    if (numbers < limits[0]).any() or (numbers > limits[1]).any():
        raise RefusedRowError(LabelReason.OUT_OF_RANGE, f"{key} is {worst:.4g}, outside {limits[0]:g} to {limits[1]:g}")
    return numbers


def _without_null(value: Any, key: str) -> Any:
    """The value with NaN for null: JSON that knows no NaN writes it so. Among numbers, true would count as 1."""
    if isinstance(value, bool):
        raise RefusedRowError(LabelReason.PARSE, f"{key} holds something else than numbers")
    if isinstance(value, list):
        return [_without_null(each, key) for each in value]
    return np.nan if value is None else value


def _require_finite(array: Floats, key: str) -> None:
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise RefusedRowError(LabelReason.NONFINITE, f"{bad} of {array.size} entries of {key} are no finite numbers")
