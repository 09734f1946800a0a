"""Crystals, tensors and results to database rows and back. Arrays are little-endian: float64, atomic numbers int16."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.base import Float32
from db.records import Floats, IngestedBlock, ResultBlock
from db.storage.packing import rounded_single, rounded_singles
from db.tables import BLOCK_COLUMNS, removed_fraction_column, results
from models.crystals.crystal import SYMBOLS, CrystalBatch
from models.crystals.formula import anonymous_formula
from models.errors import StoreError
from models.quantities import TENSORS, Tensor

_FLOAT = np.dtype("<f8")
_NUMBER = np.dtype("<i2")
_NUMPY_KIND = {float: "f", int: "i", bool: "b"}
_RESULT_NAMES = tuple(column.name for column in results.columns)
MAX_DETAIL = 2000
"""Characters kept of the detail of a rejected input; a parser may quote a whole file."""


def clean_text(text: str) -> str:
    """The text without what a database refuses: NUL, and surrogates that are no Unicode characters."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")


def clean_detail(text: str) -> str:
    """The detail of a rejected input, storable and of bounded length."""
    return clean_text(text)[:MAX_DETAIL]


def to_json(value: Any) -> str:
    """Canonical JSON: the same value always gives the same text.

    Raises:
        StoreError: the value holds something that JSON cannot express.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    except (TypeError, ValueError) as error:
        raise StoreError(f"Settings and metrics must be JSON: {error}. Use texts, numbers, lists and dicts.") from None


def crystal_rows(block: IngestedBlock, chosen: Sequence[int]) -> list[dict[str, Any]]:
    """Rows of the table `crystals` for the chosen rows of a block."""
    crystals = block.crystals
    volume = np.abs(np.linalg.det(crystals.lattice))
    bounds = crystals.first_atom.tolist()
    lattice = crystals.lattice.astype(_FLOAT)
    frac_coords = crystals.frac_coords.astype(_FLOAT)
    numbers = crystals.numbers.astype(_NUMBER)
    formulas = crystals.select(list(chosen)).formulas()
    rows = []
    for crystal, formula in zip(chosen, formulas, strict=True):
        first, last = bounds[crystal], bounds[crystal + 1]
        # the commas at both ends make one substring test one HAS
        symbols = sorted(SYMBOLS[z] for z in set(crystals.numbers[first:last].tolist()))
        rows.append(
            {
                "id": block.crystal_ids[crystal],
                "formula": formula,
                "formula_anonymous": anonymous_formula(formula),
                "elements": f",{','.join(symbols)},",
                "nelements": len(symbols),
                "n_atoms": last - first,
                "volume_per_atom": float(volume[crystal]) / (last - first),
                "lattice": lattice[crystal].tobytes(),
                "numbers": numbers[first:last].tobytes(),
                "frac_coords": frac_coords[first:last].tobytes(),
                "twin_id": block.enantiomorph_ids[crystal] if block.enantiomorph_ids else None,
                "family": block.buckets[crystal][0] if block.buckets else None,
            }
        )
    return rows


def read_crystals(lattices: Sequence[bytes], numbers: Sequence[bytes], frac_coords: Sequence[bytes]) -> CrystalBatch:
    """A batch from the array columns of the table `crystals`, in the given order."""
    counts = [len(z) // _NUMBER.itemsize for z in numbers]
    return CrystalBatch(
        np.frombuffer(b"".join(lattices), dtype=_FLOAT).reshape(-1, 3, 3).astype(np.float64),
        np.frombuffer(b"".join(frac_coords), dtype=_FLOAT).reshape(-1, 3).astype(np.float64),
        np.frombuffer(b"".join(numbers), dtype=_NUMBER).astype(np.int64),
        np.repeat(np.arange(len(counts), dtype=np.int64), counts),
    )


def read_tensor(tensor: Tensor, blob: bytes | None) -> Floats | None:
    """One stored tensor in its quantity's shape, or None when it was not predicted."""
    if blob is None:
        return None
    return np.frombuffer(blob, dtype=_FLOAT).reshape(TENSORS[tensor].shape).astype(np.float64)


def read_rotation(blob: bytes | None) -> Floats | None:
    """The matrix from the stored frame into that of an input, shape [3, 3]; None where they are the same."""
    return None if blob is None else np.frombuffer(blob, dtype=_FLOAT).reshape(3, 3).astype(np.float64)


def result_columns(block: ResultBlock, common: Mapping[str, Any]) -> dict[str, list[Any] | Floats]:
    """Columns of the table `results`, in the order of the crystals' ids; a number that is not finite is unknown.

    Args:
        block: the results, checked here.
        common: values that all rows share (model, run, time).

    Returns:
        By name: numbers of single precision as arrays with NaN for unknown, everything else as lists with None.

    Raises:
        StoreError: an unknown column, a wrong shape, or a tensor component that is not finite.
    """
    _check_block(block)
    n_crystals = len(block.crystal_ids)
    order = sorted(range(n_crystals), key=block.crystal_ids.__getitem__)
    given = {name: np.asarray(values)[order] for name, values in block.columns.items()}
    given |= {removed_fraction_column(tensor): values[order] for tensor, values in block.removed_fraction.items()}
    singles = [name for name in given if isinstance(results.c[name].type, Float32)]
    rounded = rounded_singles(
        singles, np.array([given[name] for name in singles], float).reshape(len(singles), n_crystals)
    )
    columns: dict[str, list[Any] | Floats] = dict(zip(singles, rounded, strict=True))
    columns |= {name: plain_values(name, values) for name, values in given.items() if name not in columns}
    for tensor, tensors in block.tensors.items():
        columns[tensor.value] = [one.tobytes() for one in np.ascontiguousarray(tensors[order], dtype=_FLOAT)]
    columns["crystal_id"] = [block.crystal_ids[row] for row in order]
    columns["warnings"] = [block.warnings[row] for row in order]
    columns |= {name: [value] * n_crystals for name, value in common.items()}
    # a model need not have every tensor
    return {name: columns[name] if name in columns else [None] * n_crystals for name in _RESULT_NAMES}


def plain_values(name: str, values: NDArray[Any]) -> list[Any]:
    """Python values of the column's own type; unknown numbers and empty texts become None."""
    column = results.c[name].type
    kind: type = column.python_type
    array = np.asarray(values)
    if isinstance(column, Float32):
        array = rounded_single(name, array.astype(np.float64))
    # Arrays of the right kind, the usual case, need no look at each value.
    if array.dtype.kind == _NUMPY_KIND.get(kind) and (kind is not float or np.isfinite(array).all()):
        return list(array.tolist())
    if array.dtype.kind == "f" and kind in (float, bool):
        known = array.astype(object)
        known[~np.isfinite(array)] = None
        return list(known) if kind is float else [None if value is None else bool(value) for value in known]
    plain: list[Any] = []
    for value in array.tolist():
        if value is None or value == "" or (isinstance(value, float) and not math.isfinite(value)):
            plain.append(None)
        else:
            plain.append(clean_text(value) if isinstance(value, str) else kind(value))
    return plain


def _check_block(block: ResultBlock) -> None:
    n_crystals = len(block.crystal_ids)
    unknown = sorted(set(block.columns) - set(BLOCK_COLUMNS))
    if unknown:
        places = "models.quantities.DERIVED, models.reliability_columns.RELIABILITY or db.tables.SYMMETRY_COLUMNS"
        raise StoreError(f"{len(unknown)} result columns are unknown: {', '.join(unknown)}. Declare them in {places}.")
    lengths = {name: len(values) for name, values in block.columns.items()} | {"warnings": len(block.warnings)}
    lengths |= {removed_fraction_column(tensor): len(values) for tensor, values in block.removed_fraction.items()}
    wrong = {name: length for name, length in lengths.items() if length != n_crystals}
    if wrong:
        raise StoreError(
            f"{len(wrong)} result columns do not have {n_crystals} rows: {wrong}. Give one row per crystal."
        )
    for tensor, values in block.tensors.items():
        _check_tensor(tensor, values, block.crystal_ids)


def _check_tensor(tensor: Tensor, values: Floats, crystal_ids: list[str]) -> None:
    shape = (len(crystal_ids), *TENSORS[tensor].shape)
    if values.shape != shape:
        raise StoreError(f"{tensor.value} has shape {values.shape}, not {shape}. Give one tensor per crystal.")
    finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if not finite.all():
        worst = crystal_ids[int(np.flatnonzero(~finite)[0])]
        raise StoreError(
            f"{int((~finite).sum())} of {len(crystal_ids)} {tensor.value} tensors are not finite; first is "
            f"crystal {worst}. Quarantine such crystals with the reason model_failed."
        )
