"""Symmetry operations as a CIF lists them, "x+1/2,-y,z", also those of magnetic space groups."""

import re
from functools import lru_cache

import numpy as np

from gmt_tasks.sources.files.cif.items import UNKNOWN, Items
from gmt_tasks.sources.parsed import RefusedInputError
from models.errors import Reason
from models.symmetry.fractional_operations import Operations

OPERATION_ITEMS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz", "_symmetry_equiv_pos_as_xyz_symop")
MAGNETIC_ITEMS = ("_space_group_symop_magn_operation_xyz", "_space_group_symop_magn_xyz")
MAGNETIC_CENTERING = "_space_group_symop_magn_centering_xyz"

MAX_OPERATIONS = 1536
"""192 of a cubic group in a cell eight times as large."""

_MAX_CENTERINGS = 128  # translations of a cell five times as large along each axis: 125
_MAX_CHARS = 200  # "-x+1/3,-x+y+2/3,z+2/3" has 22
_TERM = re.compile(r"([+-]?)(?:(\d+)\*?)?([xyz])|([+-]?)(\d+\.?\d*|\.\d+)(?:/0*(\d+))?", re.IGNORECASE)
_TRANSLATION_STEP, _NEAR_STEP = 24, 2e-3


def listed_operations(items: Items) -> Operations | None:
    """The operations that a block lists, with the identity; None if it lists none.

    Raises:
        RefusedInputError: `symmetry_unresolved` for a text that is no operation, or one that changes the volume.
    """
    # The operations of a magnetic group stand beside those of its parent, which are others.
    for names in (MAGNETIC_ITEMS, OPERATION_ITEMS):
        found = [(name, operations) for name in names if (operations := _of_item(items, name)) is not None]
        if len({operations.key for _, operations in found}) > 1:
            detail = f"{items.line(found[1][0])}the operations listed are not those of {found[0][0]}"
            raise RefusedInputError(Reason.SYMMETRY_UNRESOLVED, detail)
        if found:
            return found[0][1]
    return None


def _of_item(items: Items, name: str) -> Operations | None:
    """The operations that one item lists; None if it lists none."""
    texts = tuple(text for text in items.column(name) if text not in UNKNOWN)
    if not texts:
        return None
    centerings = tuple(items.column(MAGNETIC_CENTERING)) if name in MAGNETIC_ITEMS else ()
    if (n_ops := len(texts) * max(len(centerings), 1)) > MAX_OPERATIONS:
        detail = f"{items.line(name)}{n_ops} operations, limit {MAX_OPERATIONS}"
        raise RefusedInputError(Reason.TOO_LARGE, detail)
    too_long = next((text for text in (*texts, *centerings) if len(text) > _MAX_CHARS), None)
    operations = _operations(texts, centerings) if too_long is None else f"{too_long[:60]!r} is no symmetry operation"
    if isinstance(operations, str):
        raise RefusedInputError(Reason.SYMMETRY_UNRESOLVED, items.line(name) + operations)
    n_rotations = len(np.unique(operations.rotations.reshape(-1, 9), axis=0))
    if operations.n_ops > min(MAX_OPERATIONS, _MAX_CENTERINGS * n_rotations):
        detail = f"{items.line(name)}{operations.n_ops} operations with {n_rotations} rotations"
        raise RefusedInputError(Reason.TOO_LARGE, detail)
    return operations


@lru_cache(512)
def _operations(texts: tuple[str, ...], centerings: tuple[str, ...]) -> Operations | str:
    """The operations of a list, or what is wrong with it; the same lists stand in very many files."""
    operations, shifts = _parsed(_rejoined(texts)), _parsed(centerings or ("x,y,z",))
    if isinstance(operations, str) or isinstance(shifts, str):
        return operations if isinstance(operations, str) else shifts
    # Every operation followed by every centring.
    rotations = np.einsum("cij,ojk->coik", shifts.rotations, operations.rotations).reshape(-1, 3, 3)
    moved = np.einsum("cij,oj->coi", shifts.rotations, operations.translations) + shifts.translations[:, None]
    # The identity first: some files leave it out, and some list an operation twice.
    rotations = np.concatenate([np.eye(3, dtype=np.int64)[None], rotations])
    translations = np.concatenate([np.zeros((1, 3)), moved.reshape(-1, 3) % 1.0])
    rows = np.concatenate([rotations.reshape(-1, 9), np.rint(translations * 1000).astype(np.int64) % 1000], axis=1)
    first = np.sort(np.unique(rows, axis=0, return_index=True)[1])
    return Operations(rotations[first], translations[first])


def _rejoined(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Operations that were written with blanks and without quotes are words of a loop: each two commas make one."""
    if all(text.count(",") >= 2 for text in texts):
        return texts
    operations, part = [], ""
    for text in texts:
        part += text
        if part.count(",") >= 2 and not part.endswith(","):
            operations.append(part)
            part = ""
    # Words left over are an operation cut off: read without it, the rest might be a smaller group.
    return texts if part else tuple(operations)


def _parsed(texts: tuple[str, ...]) -> Operations | str:
    """The operations of a column, or what is wrong with one."""
    rows = [parse_operation(text) for text in texts]
    if None in rows:
        return f"{texts[rows.index(None)][:60]!r} is no symmetry operation"
    numbers = np.array(rows, dtype=np.float64)
    rotations = np.rint(numbers[:, :9]).astype(np.int64).reshape(-1, 3, 3)
    if (np.abs(np.abs(np.linalg.det(rotations)) - 1) > 1e-6).any():
        return "an operation listed does not conserve volume"
    return Operations(rotations, numbers[:, 9:])


@lru_cache(8192)
def parse_operation(text: str) -> tuple[float, ...] | None:
    """The nine entries of the rotation, row by row, and the three of the translation in [0, 1); None if it is none.

    A time reversal ("x,y,z,-1") is dropped; translations within 0.002 of a 24th are put onto it.
    """
    parts = re.sub(r"\s+", "", text[: _MAX_CHARS + 1]).lower().split(",")
    if len(text) > _MAX_CHARS or not 3 <= len(parts) <= 4 or parts[3:] not in ([], ["1"], ["+1"], ["-1"]):
        return None
    components = [_component(part) for part in parts[:3]]
    rows = [component for component in components if component is not None]
    if len(rows) < 3:
        return None
    return (*rows[0][:3], *rows[1][:3], *rows[2][:3], *(row[3] for row in rows))


def _component(text: str) -> tuple[float, float, float, float] | None:
    """The coefficients of x, y and z in one component, and its translation in [0, 1); None if it is none."""
    row, shift, position = [0.0, 0.0, 0.0], 0.0, 0
    while position < len(text):
        term = _TERM.match(text, position)
        # Every term but the first has a sign.
        if term is None or (position and not (term[1] or term[4])) or term[6] == "0":
            return None
        position = term.end()
        if term[3]:
            row["xyz".index(term[3])] += (-1 if term[1] == "-" else 1) * float(term[2] or 1)
        else:
            shift += (-1 if term[4] == "-" else 1) * float(term[5]) / float(term[6] or 1)
    if not any(row):
        return None
    steps = round(shift * _TRANSLATION_STEP)
    is_near = abs(shift - steps / _TRANSLATION_STEP) < _NEAR_STEP
    return (row[0], row[1], row[2], (steps % _TRANSLATION_STEP) / _TRANSLATION_STEP if is_near else shift % 1.0)
