"""Second opinions to rows of the table `refinements` and back. Force constants are kept in float32."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.codec import clean_text, read_crystals, read_tensor
from db.records import Floats, Refinement
from db.storage.packing import deflate, inflate, rounded_single
from models.errors import StoreError
from models.quantities import Tensor
from models.refinement_quantities import REFINEMENT, RefinementKind

_FLOAT, _NUMBER, _SINGLE = np.dtype("<f8"), np.dtype("<i2"), np.dtype("<f4")

_PLAIN: dict[RefinementKind, type] = {
    RefinementKind.FLAG: bool,
    RefinementKind.INTEGER: int,
    RefinementKind.TEXT: str,
}


def pack_symmetric(matrix: Floats) -> bytes:
    """The upper triangle of a symmetric matrix, shape [n, n], as float32."""
    upper = np.asarray(matrix)[np.triu_indices(len(matrix))]
    return deflate(upper.astype(_SINGLE).tobytes())


def unpack_symmetric(packed: bytes) -> Floats:
    """The matrix that `pack_symmetric` was given, with the digits of float32."""
    upper = np.frombuffer(inflate(packed), _SINGLE).astype(np.float64)
    n = (math.isqrt(8 * len(upper) + 1) - 1) // 2
    matrix = np.zeros((n, n))
    matrix[np.triu_indices(n)] = upper
    return matrix + np.triu(matrix, 1).T


def refinement_row(refinement: Refinement, common: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a second opinion; a number that is not finite is stored as unknown.

    Args:
        refinement: the second opinion.
        common: values that all rows of a commit share (model, run, time).

    Raises:
        StoreError: a column is unknown, or an array has not one row per direction of each atom.
    """
    if unknown := sorted(set(refinement.columns) - set(REFINEMENT)):
        raise StoreError(f"{', '.join(unknown)} is no property of a second opinion. Declare it in REFINEMENT.")
    cell, n = refinement.relaxed, 3 * len(refinement.relaxed.numbers)
    shapes = (refinement.force_constants.shape, refinement.internal_strain.shape)
    if shapes != ((n, n), (n, 6)):
        raise StoreError(f"Force constants and internal strain of {n // 3} atoms have shapes {shapes}, not {n} rows.")
    return {
        "crystal_id": refinement.crystal_id,
        "potential": refinement.potential,
        **{name: plain_value(name, refinement.columns.get(name)) for name in REFINEMENT},
        "lattice": cell.lattice[0].astype(_FLOAT).tobytes(),
        "numbers": cell.numbers.astype(_NUMBER).tobytes(),
        "frac_coords": cell.frac_coords.astype(_FLOAT).tobytes(),
        "strain": np.asarray(refinement.strain, _FLOAT).tobytes(),
        "given_stress": np.asarray(refinement.given_stress_gpa, _FLOAT).tobytes(),
        "stiffness": np.ascontiguousarray(refinement.stiffness_gpa, _FLOAT).tobytes(),
        "stiffness_clamped": np.ascontiguousarray(refinement.stiffness_clamped_gpa, _FLOAT).tobytes(),
        "modes": json.dumps(refinement.modes),
        "force_constants": pack_symmetric(refinement.force_constants),
        "internal_strain": deflate(np.asarray(refinement.internal_strain, _SINGLE).tobytes()),
        "notes": clean_text(json.dumps(refinement.notes)),
        **common,
    }


def plain_value(name: str, value: Any) -> Any:
    """A value of a property as its column takes it: None where it is unknown or no finite number."""
    kind = REFINEMENT[name].kind
    if value is None or value == "":
        return None
    if kind in _PLAIN:
        return _PLAIN[kind](value)
    number = float(rounded_single(name, np.array([value], np.float64))[0])
    return number if math.isfinite(number) else None


def read_refinement(row: Mapping[str, Any]) -> Refinement:
    """The second opinion of a row of the table."""
    return Refinement(
        row["crystal_id"],
        row["potential"],
        {name: row[name] for name in REFINEMENT},
        read_crystals([row["lattice"]], [row["numbers"]], [row["frac_coords"]]),
        _array(row["strain"], 6),
        _array(row["given_stress"], 3, 3),
        _stiffness(row["stiffness"]),
        _stiffness(row["stiffness_clamped"]),
        json.loads(row["modes"]),
        unpack_symmetric(row["force_constants"]),
        np.frombuffer(inflate(row["internal_strain"]), _SINGLE).reshape(-1, 6).astype(np.float64),
        json.loads(row["notes"]),
    )


def opinion_facts(model: str, refinement: Refinement) -> dict[str, Any]:
    """A second opinion as `ResultStore.show` gives it; force constants and internal strain are left to `refinement`.

    Args:
        model: the combined model, NAME@VERSION.
        refinement: as stored.
    """
    cell = refinement.relaxed
    return {
        "model": model,
        "potential": refinement.potential,
        "columns": refinement.columns,
        "relaxed": {"lattice": cell.lattice[0], "numbers": cell.numbers, "frac_coords": cell.frac_coords},
        "strain": refinement.strain,
        "given_stress_gpa": refinement.given_stress_gpa,
        "stiffness_gpa": refinement.stiffness_gpa,
        "stiffness_clamped_gpa": refinement.stiffness_clamped_gpa,
        "modes": refinement.modes,
        "notes": refinement.notes,
    }


def _array(blob: bytes, *shape: int) -> Floats:
    array: NDArray[np.float64] = np.frombuffer(blob, _FLOAT).reshape(shape).astype(np.float64)
    return array


def _stiffness(blob: bytes) -> Floats:
    stiffness = read_tensor(Tensor.ELASTIC, blob)
    if stiffness is None:
        raise StoreError("A stored second opinion has no stiffness. Refine the crystal again.")
    return stiffness
